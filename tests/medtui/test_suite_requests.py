"""What shell and console ask of suites and the queue: both by the same functions."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.recipe import Recipe
from engine.contract.store.lock import WorkspaceLock
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import UsageError, WorkspaceLocked
from medtui.cli.compose import compose
from medtui.cli.queue import start as start_queue
from medtui.cli.work import start_plan
from medtui.client.facts import facts_of
from medtui.client.occurrences import Occurrence
from medtui.client.view import RunView
from medtui.console.recipes.drafts import Drafts
from medtui.console.recipes.store import entries
from medtui.console.suites.reader import SuitesReader
from medtui.console.suites.text import cell_text, line_text
from medtui.plain.suite import _describe_request
from medtui.plain.suite_status import print_items
from medtui.suites import detached
from medtui.suites.detached import start_runner
from medtui.suites.entries import distinguished
from medtui.suites.estimate import preview
from medtui.suites.facts import facts_of_end
from medtui.suites.grid import grid_of, without_common
from medtui.suites.known_runs import KnownRuns
from medtui.suites.plan import Plan, planned
from medtui.suites.requests import (
    add_to_queue,
    ask_runner,
    begin_plan,
    describe_next,
    move_in_queue,
    remove_from_queue,
    retry,
    to_retry,
)
from medtui.suites.slots import Slots
from medtui.suites.status import describe_counts, exit_code_of, status_of, status_values
from medtui.suites.store import Store, find_live, queue_of
from medtui.suites.suite_file import suite_files
from medtui.suites.work import Item


def recipe(seed: int = 1, **sections: Any) -> Recipe:
    return build_recipe({"dataset": {"name": "cells"}, "training": {"seed": seed}, **sections})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def study(workspace: Workspace, n: int = 3) -> tuple[Plan, Store]:
    plan, store = planned("study", [recipe(seed) for seed in range(1, n + 1)]), Store(workspace, "study")
    begin_plan(plan, store)
    return plan, store


def test_later_seeds_of_a_recipe_join_those_that_its_suite_has(workspace: Workspace) -> None:
    """`medtui run X --seeds 1-3`, then `--seeds 3-5`: one suite of five, and what became of the first stays."""
    _, store = study(workspace)
    first = list(store.journal().work.items)
    store.journal().write({"event": "ended", "id": first[0], "outcome": "failed", "run": None, "detail": ""})
    later = planned("study", [recipe(seed) for seed in (3, 4, 5)])
    begin_plan(later, store, joins=True)
    work = store.journal().work
    assert [item.recipe["training"]["seed"] for item in work.items.values()] == [1, 2, 3, 4, 5]
    assert work.items[first[0]].state == "failed"
    assert "besides 2 that it has already" in preview(later, store, Slots(1), joins=True).sentences()[0]
    assert "besides" not in preview(later, store, Slots(1)).sentences()[0]


def test_a_plan_that_replaces_another_of_its_name_says_how_many_runs_stay(workspace: Workspace) -> None:
    plan, store = study(workspace)
    assert not any("changed" in line for line in preview(plan, store, Slots(1)).sentences())
    later = planned("study", [recipe(seed) for seed in (3, 4, 5)])
    words = "plan  changed: 1 of the 3 planned runs stays, 2 are no longer planned, 2 are new"
    assert preview(later, store, Slots(1)).sentences()[1] == words
    assert not any("changed" in line for line in preview(later, store, Slots(1), joins=True).sentences())


def test_a_plan_counts_runs_as_done_that_another_suite_has_done_where_the_runner_would(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, store = planned("other", [recipe(seed) for seed in (1, 2)]), Store(workspace, "other")
    done = RunDirectory(workspace.outputs / "20261126_cells")
    monkeypatch.setattr(KnownRuns, "done", lambda self, recipe: done if recipe.training.seed == 1 else None)
    assert "2 runs (1 done)" in preview(plan, store, Slots(1)).sentences()[0]


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("", "it will be fetched first (at most "),
        ("1", "not fetched offline: put it into the workspace's dataset/, or pass --data"),
    ],
)
def test_a_plan_says_which_data_are_missing_and_what_is_fetched(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, variable: str, words: str
) -> None:
    monkeypatch.setenv("MEDTUI_OFFLINE", variable)
    monkeypatch.setattr("engine.contract.recipe.data_source.find_file", lambda archive, folders: None)
    plan = planned("study", [build_recipe({"dataset": {"name": "breastmnist"}})])
    (line,) = [one for one in preview(plan, Store(workspace, "study"), Slots(1)).sentences() if one.startswith("data")]
    assert line.startswith("data  breastmnist: breastmnist.npz is missing") and words in line


def test_a_dry_run_for_scripts_says_what_would_run(workspace: Workspace, capsys) -> None:
    plan, store = planned("study", [recipe(seed) for seed in (1, 2)]), Store(workspace, "study")
    assert start_plan(plan, workspace, slots=1, dry_run=True, as_json=True) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["counts"] | {"planned": 2, "done": 0} == values["counts"] and values["to_do"] == 2
    assert [run["recipe"]["training"]["seed"] for run in values["runs"]] == [1, 2]
    assert values["bytes"] > 0 and values["seconds"] is None and values["runs_without_pace"] == 2
    assert not store.journal_file.is_regular


def test_a_plan_that_does_not_join_replaces_what_the_file_no_longer_has(workspace: Workspace) -> None:
    _, store = study(workspace)
    begin_plan(planned("study", [recipe(4)]), store)
    assert [item.recipe["training"]["seed"] for item in store.journal().work.items.values()] == [4]


# ---- the queue ------------------------------------------------------------------------------------------------------


def test_entries_of_the_queue_are_added_at_its_end_moved_and_removed(workspace: Workspace) -> None:
    assert [add_to_queue(workspace, recipe(seed))[1] for seed in (1, 2, 3)] == [0, 1, 2]
    assert move_in_queue(workspace, "3", 1)[1] == 1
    assert remove_from_queue(workspace, "1").id == "1"
    assert [item.id for item in queue_of(workspace).journal().work.of("pending")] == ["3", "2"]
    item, ahead = add_to_queue(workspace, recipe(4))
    assert (item.id, ahead) == ("4", 2), "no number is given twice"
    with pytest.raises(UsageError, match="no entry '1'; its waiting entries are 3, 2, 4"):
        remove_from_queue(workspace, "1")


def test_a_wrong_number_of_an_entry_says_which_entries_wait(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="The queue has no entry '2'; none is waiting in it"):
        move_in_queue(workspace, "2", 1)
    add_to_queue(workspace, recipe())
    with pytest.raises(UsageError, match="The queue has no entry '2'; its waiting entry is 1"):
        move_in_queue(workspace, "2", 1)


def test_an_entry_that_waits_has_the_same_word_in_a_list_as_on_the_screen(workspace: Workspace, capsys) -> None:
    item = Item("1", "cells", {})
    print_items([item], workspace, of_queue=True)
    assert "1  waiting " in capsys.readouterr().out
    assert "waiting" in cell_text(status_of(item, workspace)).plain
    add_to_queue(workspace, recipe())
    assert describe_counts(queue_of(workspace).journal().work, workspace) == "1 run: 1 waiting."


def test_an_entry_that_continues_with_the_queue_has_another_word_than_one_that_was_stopped_alone(
    workspace: Workspace, capsys
) -> None:
    for _ in range(2):
        add_to_queue(workspace, recipe())
    store = queue_of(workspace)
    ended = {"event": "ended", "outcome": "stopped", "run": None}
    store.journal().write({**ended, "id": "1"}, {**ended, "id": "2", "with_all": True})
    work = store.journal().work
    print_items(list(work.items.values()), workspace, of_queue=True)
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["1", "stopped"],
        ["2", "interrupted"],
    ]
    shown = SuitesReader(workspace).read(None).queue
    assert [cell_text(one).plain for one in shown] == ["■ stopped", "↻ interrupted"]
    assert [run["shown"] for run in status_values(store, work)["runs"]] == ["stopped", "stopped"]


def test_a_list_of_the_queue_that_is_cut_off_says_what_differs_and_the_seed_first(
    workspace: Workspace, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    labels = [f"cells, mini_cnn, epochs {epochs}, limit 4800, seed {seed}" for epochs, seed in ((1, 4), (1000, 5))]
    items = [Item(str(number), label, {}) for number, label in enumerate(labels, 1)]
    print_items(items, workspace, of_queue=True)
    first, second = capsys.readouterr().out.splitlines()
    assert "seed 4, epochs 1, cells" in first and "seed 5, epochs 1000, cells" in second


def test_a_start_of_the_queue_says_that_nothing_waits_and_an_entry_that_was_stopped_before_is_no_failure(
    workspace: Workspace, capsys
) -> None:
    add_to_queue(workspace, recipe())
    store = queue_of(workspace)
    store.journal().write({"event": "ended", "id": "1", "outcome": "stopped", "run": None})
    assert start_queue(workspace=workspace.root) == 0
    assert capsys.readouterr().out == "Nothing is waiting in the queue.\n"
    assert exit_code_of(store.journal().work) == 6 and exit_code_of(store.journal().work, {"1"}) == 0


def test_an_entry_that_runs_is_neither_moved_nor_removed(workspace: Workspace) -> None:
    add_to_queue(workspace, recipe())
    queue_of(workspace).journal().write({"event": "claimed", "id": "1", "slot": 1, "runner": "r"})
    for refused in (lambda: move_in_queue(workspace, "1", 1), lambda: remove_from_queue(workspace, "1")):
        with pytest.raises(UsageError, match="claimed"):
            refused()


# ---- runs that ended ------------------------------------------------------------------------------------------------


def test_only_a_run_that_failed_or_was_ended_is_retried(workspace: Workspace) -> None:
    plan, store = study(workspace)
    ids = [item.id for item in plan.items]
    journal = store.journal()
    for id_, outcome in zip(ids, ("completed", "failed", "killed"), strict=True):
        journal.write({"event": "ended", "id": id_, "outcome": outcome, "run": None, "detail": ""})
    assert retry(store, ids[:1]) == []
    assert [item.id for item in retry(store, ids[1:2])] == ids[1:2]
    journal.refresh()
    assert [item.state for item in journal.work.items.values()] == ["completed", "pending", "killed"]
    assert to_retry(store, journal.work, failed=True) == [ids[2], ids[0]], "and what was deleted since"


def test_what_continues_a_suite_says_that_failed_runs_need_retry_and_nothing_where_nothing_is_left(
    workspace: Workspace,
) -> None:
    plan, store = study(workspace, 1)
    journal, id_ = store.journal(), plan.items[0].id

    def after(outcome: str) -> str:
        run = RunDirectory(workspace.outputs / "20261126_cells")
        run.root.mkdir(exist_ok=True)
        run.manifest.write('{"run": "20261126_cells"}')
        journal.write({"event": "ended", "id": id_, "outcome": outcome, "run": run.name, "detail": ""})
        return describe_next(store, journal.work)

    assert describe_next(store, journal.work) == "`medtui suite resume study` continues"
    assert after("stopped") == "`medtui suite resume study` continues"
    assert after("failed") == "`medtui suite resume study --retry` tries again what failed"
    with pytest.raises(UsageError, match="No runner is working on suite study") as refused:
        ask_runner(store, "stop", "me")
    assert refused.value.hint == "`medtui suite resume study --retry` tries again what failed."
    assert after("completed") == ""


def test_a_runner_that_there_is_not_cannot_be_asked_and_one_that_works_is_the_only_one(workspace: Workspace) -> None:
    plan, store = study(workspace)
    with pytest.raises(UsageError, match="No runner is working on suite study"):
        ask_runner(store, "stop", "me")
    lock = WorkspaceLock(workspace.lock_file, "r" * 16, store.owner)
    lock.acquire()
    try:
        assert ask_runner(store, "finish", "me").pid == os.getpid()
        assert store.journal().work.asked == {"r" * 16: "finish"}
        with pytest.raises(WorkspaceLocked, match=f"suite study has a runner already: process {os.getpid()} on "):
            begin_plan(plan, store)
    finally:
        lock.release()


def test_where_no_suite_runs_stop_says_so_and_asks_for_no_name(workspace: Workspace) -> None:
    for name in ("one", "two"):
        begin_plan(planned(name, [recipe()]), Store(workspace, name))
    with pytest.raises(UsageError, match="None of the 2 suites here has a live run"):
        find_live(workspace, None)
    ids = list(Store(workspace, "two").journal().work.items)
    Store(workspace, "two").journal().write(
        {"event": "submitting", "ids": ids, "name": "two-0", "scheduler": "slurm", "submitter": None}
    )
    assert find_live(workspace, None).name == "two" and find_live(workspace, "one").name == "one"


def test_what_a_signal_asked_for_does_not_offer_a_ctrl_c_that_a_detached_runner_has_not() -> None:
    assert _describe_request(2, "") == "Aborting all runs after their batch; checkpoints are kept. Ctrl-C again kills."
    assert _describe_request(2, "SIGTERM") == "SIGTERM: Aborting all runs after their batch; checkpoints are kept."


def test_nothing_is_planned_while_something_else_holds_the_workspace(workspace: Workspace) -> None:
    lock = WorkspaceLock(workspace.lock_file, "e" * 16)
    workspace.make_outputs()
    lock.acquire()
    try:
        with pytest.raises(WorkspaceLocked, match=f"held by engine {os.getpid()} .*"):
            begin_plan(planned("study", [recipe()]), Store(workspace, "study"))
    finally:
        lock.release()
    assert not (workspace.outputs / "suites").exists()


# ---- a runner of its own --------------------------------------------------------------------------------------------


class Process:
    """A command that ends at once."""

    def __init__(self, code: int, said: str) -> None:
        self.pid, self._code, self._said = 4711, code, said

    def __call__(self, command: list[str], *, stdout: int, **options: Any) -> Process:
        self.command, self.options = command, options
        os.write(stdout, self._said.encode())
        return self

    def poll(self) -> int:
        return self._code

    wait = poll


def test_a_runner_that_ends_at_once_is_reported_in_its_own_words(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = study(workspace)[1]
    process = Process(3, "medtui: engine 12 holds it. Stop that.\n")
    monkeypatch.setattr(detached.subprocess, "Popen", process)
    for _ in range(2):  # its log has what it said before, too
        with pytest.raises(WorkspaceLocked) as refused:
            start_runner(store, 2)
        assert str(refused.value).startswith("The runner of suite study ended at once: engine 12 holds it. Stop that.")
    assert process.command[-6:] == ["resume", "study", "--workspace", str(workspace.root), "--slots", "2"]
    assert process.options["start_new_session"] and process.options["cwd"] == workspace.root
    log = (workspace.outputs / "suites" / "study" / "runner.log").read_text()
    assert log.count("medtui suite resume study") == 2


@pytest.mark.parametrize("code", [0, 5, 6, 7])
def test_a_runner_that_had_nothing_to_do_is_no_error(workspace: Workspace, monkeypatch, code: int) -> None:
    store = study(workspace)[1]
    monkeypatch.setattr(detached.subprocess, "Popen", Process(code, "3 runs: 3 completed.\n"))
    assert "nothing was left to do" in str(start_runner(store))


def test_a_notification_of_a_suite_has_the_facts_that_one_of_a_run_has(workspace: Workspace) -> None:
    plan, store = study(workspace)
    journal = store.journal()
    for item, outcome in zip(plan.items, ("completed", "failed", "completed"), strict=True):
        journal.write({"event": "ended", "id": item.id, "outcome": outcome, "run": None, "detail": ""})
    occurrence, facts = facts_of_end(store, journal.work, "r" * 16, 5, "here")
    of_run = facts_of(Occurrence("end", "k", "t"), RunView(own=True, run="r", asked_to_start=True))
    assert facts.keys() == of_run.keys()
    assert (occurrence.kind, facts["outcome"], facts["exit_code"]) == ("failure", "failed", 5)
    assert (facts["title"], facts["text"]) == (
        "medtui: suite study failed",
        "Suite study: 3 runs: 2 completed, 1 failed.",
    )


# ---- the grid -------------------------------------------------------------------------------------------------------


def test_a_row_is_a_group_and_a_column_a_seed() -> None:
    recipes = [recipe(seed, model={"name": name}) for seed in (2, 1) for name in ("mini_cnn", "resnet18_adapted")]
    items = planned("study", [*recipes, recipe(3, model={"name": "mini_cnn"})]).items
    grid = grid_of(items)
    assert (grid.common, grid.seeds) == ("cells", (1, 2, 3))
    assert [(row.label, sorted(row.items)) for row in grid.rows] == [
        ("mini_cnn", [1, 2, 3]),
        ("resnet18_adapted", [1, 2]),
    ]
    found = {row.items[seed] for row in grid.rows for seed in row.items}
    assert found == {item.id for item in items}


def test_what_all_groups_have_in_common_stands_once() -> None:
    assert without_common(["a, m, lr 1", "a, m, lr 2"]) == ("a, m", ["lr 1", "lr 2"])
    assert without_common(["a, m"]) == ("", ["a, m"])
    assert without_common(["a, m", "b"]) == ("", ["a, m", "b"])
    assert without_common(["a, m", "a, m"]) == ("", ["a, m", "a, m"]), "they differ in what no label says"


def test_a_damaged_recipe_in_a_journal_has_a_cell_too() -> None:
    grid = grid_of([Item("x", "cells, mini_cnn, seed 1", {"training": 3}), Item("y", "odd", {})])
    assert [list(row.items.values()) for row in grid.rows] == [["x"], ["y"]]


def test_a_suite_whose_journal_has_unreadable_lines_is_marked_in_the_console(workspace: Workspace) -> None:
    study(workspace)
    with (workspace.outputs / "suites/study/journal.jsonl").open("a") as file:
        file.write("#\n")
    [line] = SuitesReader(workspace).read(None).suites
    assert line_text(line, 60).plain.endswith(" !")


def test_files_of_suites_are_those_that_name_recipes(workspace: Workspace) -> None:
    (workspace.root / "recipes").mkdir()
    for name, text in {
        "study.yaml": "# mine\nrecipes: [quickstart]\n",
        "recipes/one.yml": "recipe : quickstart\n",
        "mine.yaml": "dataset: {name: cells}\n",
        ".hidden.yaml": "recipes: [quickstart]\n",
        "search.yaml": "recipe: quickstart\nspace: {training.lr: [0.1, 0.2]}\n",
        "notes.txt": "recipes: [quickstart]\n",
    }.items():
        (workspace.root / name).write_text(text)
    (workspace.root / "link.yaml").symlink_to("nowhere")
    assert suite_files(workspace) == [workspace.root / "study.yaml", workspace.root / "recipes" / "one.yml"]
    recipes = [
        entry.name for entry in entries(workspace, Drafts(workspace.root / "drafts")) if entry.kind == "workspace"
    ]
    assert recipes == ["mine.yaml"], "neither suites nor searches are recipes"


def test_an_entry_of_the_queue_says_what_was_set(workspace: Workspace) -> None:
    named = ("training.lr", "model.name", "runtime.threads", "training.lr")
    item, _ = add_to_queue(workspace, recipe(training={"lr": 0.5}, model={"name": "mini_cnn"}), named=named)
    assert item.label == "cells, mini_cnn, lr 0.5, defaults, seed 42", "what is no part of the identity is left out"


def test_an_entry_of_the_queue_says_what_its_own_recipe_sets_whatever_else_is_added(workspace: Workspace) -> None:
    """What it shares with the others too: `limit 40` of all of them is no less a fact."""
    wanted = {
        "cells, resnet18_adapted, limit 40, epochs 1, seed 42": ("quickstart", "dataset.limit=40", "training.epochs=1"),
        "cells, resnet18_adapted, limit 40, epochs 2, seed 7": (
            "quickstart",
            "dataset.limit=40",
            "training.epochs=2",
            "training.seed=7",
        ),
        "cells, resnet18_adapted, seed 42": ("quickstart",),
        "cells, mini_cnn, strict, epochs 2, seed 42": ("strict", "training.epochs=2"),
        "bloodmnist, resnet18_adapted, seed 42": ("bloodmnist",),
    }
    for at, (label, (name, *assignments)) in enumerate(wanted.items(), 1):
        assert add_to_queue(workspace, compose(name, {}, assignments)[0])[0].label == label
        work = queue_of(workspace).journal().work
        assert [one.label for one in distinguished(work.of("pending"))] == list(wanted)[:at]
        assert [one.label for one in work.of("pending")] == list(wanted)[:at], "as scripts get them"


def test_entries_of_a_damaged_queue_are_told_apart_too() -> None:
    odd = [Item(str(at), "x", {"training": value, "": {}}) for at, value in enumerate(([], {"lr": {}}, {"lr": [1]}))]
    assert [one.label for one in distinguished(odd)] == ["x", "x, lr {}", "x, lr [1]"]
