"""Results: actions on a finished run are confirmed first, visible at once, and never applied to a live run."""

from __future__ import annotations

import csv
import math
import os
import re
import time
from datetime import date
from functools import reduce
from pathlib import Path

import pytest
from driving import Engine, tiny
from rich.text import Text
from screen_helpers import screen_text, shows, wait_for
from stand_ins import TESTED, Story, make_run
from textual import events
from textual.pilot import Pilot

from engine.contract.machine.process_identity import this_process
from engine.contract.recipe.recipe import Recipe
from engine.contract.store.run_directory import RunDirectory, list_runs
from engine.contract.store.status import read_status
from engine.contract.store.workspace import Workspace
from engine.contract.wire.protocol import Position
from medtui.client.labels import read_labels, set_note, set_tags
from medtui.client.own_engine import OwnEngine
from medtui.client.run_index import RunRow, run_rows
from medtui.client.run_summary import summary
from medtui.client.state import RunState, fold
from medtui.console.app import ConsoleApp
from medtui.console.results import screen as results
from medtui.console.results.detail import load_detail
from medtui.console.results.run_actions import describe_resume_point
from medtui.console.results.run_table import AUC_CI95, MARK, RunTable, cell_of
from medtui.console.results.text import body_text, end_text, published_text

SIZE = (120, 40)
NAME = "20261121_breastmnist_resnet18-adapted_1a2b3c"


async def opened(pilot: Pilot[int], app: ConsoleApp) -> None:
    """Results, with the detail of the one run."""
    await pilot.press("4")
    await wait_for(pilot, lambda: app.screen_name == "results" and app.base_screen.ready and app.base_screen.detail)


def comes_alive(run: RunDirectory) -> None:
    """Its heartbeat names a live process: this one."""
    status = read_status(run)
    assert status is not None
    me = this_process()
    alive = {"outcome": None, "phase": "training", "pid": os.getpid(), "started": me.started}
    run.status.path.write_text(status.model_copy(update=alive).model_dump_json())


@pytest.mark.asyncio
async def test_a_subset_run_is_labelled_wherever_its_numbers_appear(console, workspace: Workspace) -> None:
    """In the list in short, in the detail and the comparison in words, and not ranked among the published values."""
    make_run(workspace, NAME, limit=256)
    make_run(workspace, "20261120_cells_mini-cnn_0a0b0c", started="2026-11-20T00:00:00+00:00", dataset="cells",
             synthetic=True)  # fmt: skip
    app = console()
    async with app.run_test(size=(120, 60)) as pilot:
        await opened(pilot, app)
        await shows(pilot, "breastmnist (≤ 256)", "cells (synthetic)", "breastmnist, at most 256 images per split")
        assert "AutoKeras" not in screen_text(app)  # only what is of the whole data set has them beside it
        published = published_text(app.base_screen.detail).plain.splitlines()
        ours = next(at for at, line in enumerate(published) if "this run" in line)
        assert [line for line in published[:ours] if "AUC" in line][-1].split()[0] == "EVA-02"  # the lowest
        assert published[ours + 1].strip() == "not comparable with these: at most 256 images per split"
        await pilot.press("space", "space", "c")
        await shows(pilot, "at most 256 images per split", "synthetic data")


@pytest.mark.asyncio
async def test_a_run_resumed_with_other_versions_is_marked(console, workspace: Workspace) -> None:
    make_run(workspace, NAME, attempt=2, resumed_from=Position(epoch=0, step=0), drift=["torch was 2.9, is 2.14"])
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await shows(pilot, "drift between attempts, not bit for bit: torch was 2.9, is 2.14")


@pytest.mark.asyncio
async def test_a_run_with_a_link_or_a_damaged_file_has_a_mark_and_the_detail_names_it(
    console, workspace: Workspace
) -> None:
    run = make_run(workspace, NAME)
    run.log.delete()
    run.log.path.symlink_to("/etc/passwd")
    run.manifest.path.write_text("{")
    app = console()
    async with app.run_test(size=(120, 60)) as pilot:
        await opened(pilot, app)
        await shows(pilot, "completed !", "! manifest.json is damaged", "run.log is a link")


@pytest.mark.asyncio
async def test_a_run_of_the_complete_data_set_is_listed_among_the_published_values(
    console, workspace: Workspace
) -> None:
    """ResNet-18 has 0.901 and Google's 0.919: a run with 0.9014 stands between them."""
    make_run(workspace, NAME)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await shows(pilot, "AutoKeras")
        lines = published_text(app.base_screen.detail).plain.splitlines()
        methods = [line[2:].split("  ")[0] for line in lines if " AUC " in line]
        assert methods[:3] == ["Google AutoML Vision", "this run", "ResNet-18"]


def test_the_classes_of_a_run_without_a_test_are_those_of_its_best_epoch_as_show_has_them(workspace) -> None:
    run = make_run(workspace, NAME, "aborted", epochs=8)  # the sixth is the best
    detail = load_detail(run_rows(workspace.outputs)[0], Recipe)
    shown = summary(run)
    assert shown["best_epoch"] == 6
    text = body_text(detail, 100).plain
    for row in shown["per_class"]:
        assert re.search(rf"{row['name']} .*{row['recall']:.3f}", text), text


def test_the_tables_of_a_run_that_announced_none_are_listed_where_they_are_there(workspace: Workspace) -> None:
    run = make_run(workspace, NAME, "aborted")
    (run.metrics / "history.csv").path.write_text("epoch\n1\n")
    assert summary(run)["artifacts"] == {"history": str(run.root / "metrics/history.csv")}
    assert "metrics/history.csv" in end_text(load_detail(run_rows(workspace.outputs)[0], Recipe)).plain


@pytest.mark.asyncio
async def test_test_auc_and_acc_are_in_the_list_with_their_intervals_at_120_columns(console, workspace) -> None:
    make_run(workspace, NAME)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await shows(pilot, "0.9014 .835–.968", "0.8654 .803–.910")


@pytest.mark.asyncio
async def test_a_run_without_computed_intervals_has_dashes_instead(console, workspace) -> None:
    old = TESTED.model_copy(update={"auc_ci95": None, "acc_ci95": None})
    for day, test in ((2, TESTED), (1, old)):
        name = f"2026112{day}_breastmnist_resnet18-adapted_1a2b3c"
        make_run(workspace, name, started=f"2026-11-2{day}T20:26:40Z", test=test)
    app = console()
    async with app.run_test(size=(120, 60)) as pilot:
        await opened(pilot, app)
        await shows(pilot, "0.9014 .835–.968", "0.9014 –", "0.8654 –")
        await pilot.press("down")
        await shows(pilot, "AUC 0.9014 [–]  ACC 0.8654 [–]")
        await pilot.press("up", "space", "space", "c")
        await shows(pilot, "A  0.9014 [0.835, 0.968]", "B  0.9014 [–]", "+0.0000 [–]")


@pytest.mark.asyncio
@pytest.mark.parametrize(("columns", "missing"), [(60, {"test ACC", "val AUC"}), (80, set())])
async def test_no_important_column_is_cut_off(console, workspace, columns: int, missing: set[str]) -> None:
    """A narrower terminal drops complete columns, the least important first, and keeps the selection."""
    for day in (1, 2):
        make_run(workspace, f"2026112{day}_breastmnist_resnet18-adapted_1a2b3c", started=f"2026-11-2{day}T20:26:40Z")
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("down")
        chosen = app.base_screen._selected
        await pilot.resize_terminal(columns, 24)
        important = {"date", "breastmnist", "test AUC", "outcome", "test ACC", "val AUC"} - missing
        table = app.base_screen.query_one(RunTable)
        await wait_for(pilot, lambda: "took" not in screen_text(app))
        assert table.virtual_size.width <= table.size.width
        await shows(pilot, *important, "2026-11-21 20:26", "0.9014", "completed")
        assert table.cursor_row == 1 and app.base_screen._selected == chosen


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [(120, 60), (60, 80)], ids=str)
async def test_compared_runs_have_a_letter_a_curve_and_differences_with_intervals(console, workspace, size) -> None:
    """Equal results: a difference of 0, within the root of both squared distances to the ends of their intervals."""
    recipe = {"dataset": {"name": "breastmnist"}, "training": {"lr": 0.004}}
    for day, more in ((3, {}), (2, {"recipe": recipe}), (1, {"limit": 64})):
        name = f"2026112{day}_breastmnist_resnet18-adapted_1a2b3c"
        make_run(workspace, name, started=f"2026-11-2{day}T20:26:40Z", **more)
    app = console()
    async with app.run_test(size=size) as pilot:
        await opened(pilot, app)
        await pilot.press("space", "space", "space", "c")
        headings = ("validation AUC", "epoch", "test AUC, 95 %; difference from A")
        await shows(pilot, "3 runs compared", "esc back", *headings)
        auc, acc = math.hypot(0.9014 - 0.835, 0.968 - 0.9014), math.hypot(0.8654 - 0.803, 0.910 - 0.8654)
        await shows(
            pilot,
            f"B  0.9014 [0.835, 0.968]  +0.0000 [-{auc:.3f}, +{auc:.3f}]",
            f"B  0.8654 [0.803, 0.910]  +0.0000 [-{acc:.3f}, +{acc:.3f}]",
            "C  0.9014 [0.835, 0.968]  on other data than A",
            "at most 64 images per split",
        )
        text = screen_text(app)
        row = next(line for line in text.splitlines() if "training.lr" in line)
        assert row.split()[2:8] == ["A", "0.008", "B", "0.004", "C", "0.008"]
        assert "training.momentum" not in text
        plot = text[text.index("╭─ validation AUC") : text.index("─ epoch ─")]
        assert "─ A" in plot
        drawn = plot[plot.index("┌") : plot.index("└")]
        assert [drawn.count(letter) for letter in "ABC"] == [1, 1, 1], "though the curves end together"
        await pilot.press("escape")
        await wait_for(pilot, lambda: app.screen is app.base_screen)


@pytest.mark.asyncio
async def test_list_detail_and_comparison_show_each_runs_starting_weights(console, workspace) -> None:
    """One recipe, `pretrained: auto`, on two machines: nothing in the recipe distinguishes them."""
    for day, weights in ((1, "ImageNet weights, resnet18-f37072fd.pth"), (2, "from scratch (found no such file.)")):
        name, started = f"2026112{day}_breastmnist_resnet18-adapted_1a2b3c", f"2026-11-2{day}T20:26:40Z"
        make_run(workspace, name, started=started, decisions={"weights": weights})
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await shows(pilot, "from", "scratch", "ImageNet", "resnet18_adapted from scratch")
        await pilot.press("space", "space", "c")
        await shows(pilot, "2 runs compared", "from ImageNet, epochs", "from scratch, epochs")


@pytest.mark.asyncio
async def test_keys_that_come_faster_than_the_screen_act_on_the_row_under_the_cursor(console, workspace) -> None:
    names = [f"2026112{day}_breastmnist_resnet18-adapted_1a2b3c" for day in (3, 2, 1)]
    for name in names:
        make_run(workspace, name, started=f"{name[:4]}-{name[4:6]}-{name[6:8]}T20:26:40Z")
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        for key in ("space", "space"):  # both at once, as a terminal hands over what was typed quickly
            app.post_message(events.Key(key, " "))
        await wait_for(pilot, lambda: app.base_screen.query_one(RunTable).cursor_row == 2)
        assert [mark.run for mark in app.marked_runs.marks] == names[:2]


@pytest.mark.asyncio
async def test_without_a_run_under_the_cursor_no_key_acts_on_one(console, workspace: Workspace) -> None:
    """On a published row, and where the filter finds nothing; the detail is there again once it is cleared."""
    make_run(workspace, NAME)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app)
        await pilot.press("down")
        await shows(pilot, "Published result, not a run: Yang et al.")
        for key in "Dtu":
            await pilot.press(key)
            await shows(pilot, "Select a run first.")
            assert app.screen is app.base_screen
        await pilot.press("slash", *"xyz", "enter", "D")
        await shows(pilot, "No matches;")
        assert app.screen is app.base_screen
        await pilot.press("slash", "escape", "escape")
        await pilot.press("up")
        await shows(pilot, "validation AUC 0.9200")


@pytest.mark.asyncio
async def test_clicking_a_header_sorts_by_its_column_and_clicking_again_reverses_the_order(console, workspace) -> None:
    make_run(workspace, NAME)
    make_run(workspace, "20261120_breastmnist_resnet18-adapted_1a2b3c", "failed", started="2026-11-20T20:26:40Z")
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        lines = screen_text(app).splitlines()
        row = next(at for at, line in enumerate(lines) if "test AUC, 95 %" in line)
        at = (lines[row].index("test AUC") + 2, row)
        await pilot.click(offset=at)
        await shows(pilot, "by test AUC ↓")
        await pilot.click(offset=at)
        await shows(pilot, "by test AUC ↑")
        lines = [line for line in screen_text(app).splitlines() if "20:26" in line]
        assert ["failed" in line for line in lines] == [True, False]


@pytest.mark.asyncio
async def test_a_run_is_tagged_and_noted_and_both_are_shown_without_markup(console, workspace: Workspace) -> None:
    run = make_run(workspace, NAME)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("t")
        await shows(pilot, f"Tags of {NAME}")
        await pilot.press(*"paper", "space", *"[/b]", "enter")
        await shows(pilot, "tags paper [/b]")
        await pilot.press("n", *"seed 42", "enter")
        await shows(pilot, "note seed 42")
    labels = read_labels(run)
    assert (labels.tags, labels.note) == (("paper", "[/b]"), "seed 42")


@pytest.mark.asyncio
async def test_typing_into_a_prefilled_field_appends_at_its_end(console, workspace: Workspace) -> None:
    run = make_run(workspace, NAME)
    set_tags(run, ["paper"])
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("t", *" seed42", "enter")
        await shows(pilot, "tags paper seed42")
    assert read_labels(run).tags == ("paper", "seed42")


@pytest.mark.asyncio
async def test_a_comma_separates_tags_as_a_space_does(console, workspace: Workspace) -> None:
    run = make_run(workspace, NAME)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("t", *"bad,tag, ü", "enter")
        await shows(pilot, "tags bad tag ü")
    assert read_labels(run).tags == ("bad", "tag", "ü")


@pytest.mark.asyncio
async def test_tags_are_in_the_list_and_the_filter_finds_tags_notes_and_names(console, workspace) -> None:
    names = [f"2026112{day}_breastmnist_mini-cnn_1a2b3c" for day in (1, 2, 3)]
    tagged, noted, other = (make_run(workspace, name, model="mini_cnn") for name in names)
    set_tags(tagged, ["paper"])
    set_note(noted, "the Best of all")
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        rows = [line for line in screen_text(app).splitlines() if "completed" in line and "20:26" in line]
        assert sorted("paper" in row for row in rows) == [False, False, True]
        for words, found in (("paper", tagged), ("best of", noted), ("20261123", other)):
            await pilot.press("slash", *words, "enter")
            await wait_for(pilot, lambda found=found: app.base_screen.detail.run_row.run == found.name)
            await shows(pilot, "runs · 1 of 3 ")
            await pilot.press("slash", "escape", "escape")
            await shows(pilot, "runs · 3 ")


def test_the_column_of_tags_shows_no_mark() -> None:
    """A run without tags has no such cell: what stands in for a wide column is none of this one's."""
    cells = {MARK: Text("A"), "test AUC": Text("0.9130")}
    assert [cell_of(cells, title).plain for title in ("tags", AUC_CI95, MARK)] == ["", "0.9130", "A"]


@pytest.mark.asyncio
async def test_deleting_requires_typing_the_word_and_anything_else_deletes_nothing(
    console, workspace: Workspace
) -> None:
    run = make_run(workspace, NAME)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        for answer in (("escape",), ("enter",), (*"yes", "enter")):
            await pilot.press("D")
            await shows(pilot, "will be deleted permanently")
            await pilot.press(*answer)
            await wait_for(pilot, lambda: app.screen is app.base_screen)
            assert run.manifest.path.exists()
        await pilot.press("D", *"delete", "enter")
        await shows(pilot, "No runs here yet.")
    assert list(workspace.outputs.iterdir()) == []


@pytest.mark.asyncio
async def test_an_archived_run_is_moved_completely_and_no_longer_listed(console, workspace: Workspace) -> None:
    run = make_run(workspace, NAME)
    files = sorted(path.relative_to(run.root) for path in run.root.rglob("*"))
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("A")
        await shows(pilot, "outputs/archive?", "unarchive", NAME)
        await pilot.press("y")
        await shows(pilot, "All runs here are archived", "medtui runs --archived")
    moved = workspace.outputs / "archive" / NAME
    assert sorted(path.relative_to(moved) for path in moved.rglob("*")) == files
    assert list_runs(workspace.outputs) == []


@pytest.mark.asyncio
async def test_live_does_not_offer_to_resume_a_run_that_was_deleted(console, workspace: Workspace) -> None:
    run = make_run(workspace, NAME, "aborted")
    app = console(attach=run)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("3")
        await shows(pilot, "aborted", "resume: 4, then u")
        await opened(pilot, app)
        await pilot.press("D")
        await shows(pilot, "will be deleted permanently")
        await pilot.press(*"delete", "enter")
        await shows(pilot, "No runs here yet.")
        await pilot.press("3")
        await shows(pilot, "Nothing is training.")
        assert "resume: 4" not in screen_text(app)


@pytest.mark.asyncio
async def test_a_list_that_was_read_before_the_run_was_moved_does_not_come_back(
    console, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer lists the runs again, and so does what it asked for: here the first of these lists is the slow one."""

    def slow_where_it_finds(outputs: Path) -> list[RunRow]:
        found = run_rows(outputs)
        time.sleep(0.5 if found else 0)
        return found

    monkeypatch.setattr(results, "run_rows", slow_where_it_finds)
    make_run(workspace, NAME)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("A")
        await shows(pilot, "outputs/archive?")
        await pilot.press("y")
        await shows(pilot, "All runs here are archived")
        await pilot.pause(1.0)
        assert "All runs here are archived" in screen_text(app)


@pytest.mark.asyncio
@pytest.mark.parametrize("key", ["A", "D", "e"])
async def test_a_live_run_is_neither_moved_nor_deleted_nor_evaluated(console, workspace, key: str) -> None:
    run = make_run(workspace, NAME, None)
    comes_alive(run)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app)
        await pilot.press(key)
        await wait_for(pilot, lambda: [note for note in app._notifications if "Stop it first." in note.message])
        assert app.screen is app.base_screen
    assert run.manifest.path.exists()


@pytest.mark.asyncio
async def test_read_only_changes_nothing(console, workspace: Workspace) -> None:
    make_run(workspace, NAME)
    before = _content(workspace.outputs)
    app = console(readonly=True)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app)
        for key in "tnADe":
            await pilot.press(key)
            await shows(pilot, "This console is read-only.")
            assert app.screen is app.base_screen, screen_text(app)
    assert _content(workspace.outputs) == before


def _content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.asyncio
async def test_u_shows_where_a_run_would_resume_and_starts_nothing_before_confirmation(
    console, scripts, workspace
) -> None:
    """The checkpoint after 8 complete epochs of 10."""
    make_run(workspace, NAME, None)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        for answer in ("escape", "n"):
            await pilot.press("u")
            await shows(pilot, f"Resume {NAME}", "epoch 9 of 10, first step?")
            await pilot.press(answer)
            await wait_for(pilot, lambda: app.screen is app.base_screen)
        assert scripts == []
        await pilot.press("u")
        await shows(pilot, "Resume ")
        await pilot.press("enter")
        await wait_for(pilot, lambda: scripts and scripts[-1].sent)
        assert scripts[-1].sent[0].resume == str(workspace.outputs / NAME)


def test_the_resume_position_describes_the_checkpoint(tmp_path: Path) -> None:
    story = Story(tmp_path, epochs=10, steps=4)
    state = RunState()
    for event in story.running(2):
        state = fold(state, event)
    paused = story.checkpoint(2).model_copy(update={"position": Position(epoch=2, step=3)})
    done = story.checkpoint(10)
    waited = [story.epoch(8, without_improvement=15), story.checkpoint(8)]
    assert describe_resume_point(RunState()) == "from the start: it has no checkpoint"
    assert describe_resume_point(fold(state, paused)) == "from its last checkpoint: epoch 3 of 10, step 3 of 4"
    assert describe_resume_point(fold(state, done)) == "with its evaluation: training ended after epoch 10"
    assert describe_resume_point(reduce(fold, waited, state)) == "with its evaluation: training ended after epoch 8"


@pytest.mark.asyncio
async def test_u_resumes_an_aborted_run_in_its_directory(console, workspace: Workspace) -> None:
    """A real engine, twice: aborted in its first epochs from its pipe, resumed from Results."""
    first = Engine(workspace.root)
    first.train(tiny(training={"epochs": 6, "batch_size": 8, "patience": None}))
    first.wait_for_event("epoch.finished")
    first.send("abort", id="abort")
    assert first.end() == 7
    [run] = list_runs(workspace.outputs)
    app = console(make_engine=OwnEngine)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("u")
        await shows(pilot, "Resume ")
        await pilot.press("y")
        await wait_for(pilot, lambda: app.screen_name == "live")
        await wait_for(pilot, lambda: app.view is not None and app.view.outcome == "completed", patience=60)
        assert app.view is not None
        assert app.view.state.started is not None
        assert app.view.state.started.attempt == 2
        assert [epoch.epoch for epoch in app.view.state.epochs] == [1, 2, 3, 4, 5, 6]
    assert [found.root for found in list_runs(workspace.outputs)] == [run.root]


@pytest.mark.asyncio
async def test_a_completed_run_is_not_resumed_and_the_console_shows_why(console, workspace: Workspace) -> None:
    make_run(workspace, NAME)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("u")
        await wait_for(pilot, lambda: [one for one in app._notifications if "nothing to resume" in one.message])
        assert app.screen_name == "results"


# ---- columns, filter, one run alone ---------------------------------------------------------------------------------


def alike(workspace: Workspace) -> list[str]:
    """Three runs of one data set and model, that differ in seed and learning rate; the oldest first."""
    names = [f"2026112{day}_breastmnist_resnet18-adapted_1a2b3{day}" for day in (1, 2, 3)]
    for name, seed, lr in zip(names, (1, 2, 2), (0.008, 0.008, 0.0004), strict=True):
        recipe = {"dataset": {"name": "breastmnist"}, "training": {"seed": seed, "lr": lr}}
        make_run(workspace, name, started=f"{name[:4]}-{name[4:6]}-{name[6:8]}T20:26:40Z", recipe=recipe)
    return names


@pytest.mark.asyncio
@pytest.mark.parametrize("columns", [60, 80, 120])
async def test_runs_that_look_alike_show_first_what_they_differ_in(console, workspace, columns: int) -> None:
    alike(workspace)
    app = console()
    async with app.run_test(size=(columns, 24)) as pilot:
        await opened(pilot, app)
        table = app.base_screen.query_one(RunTable)
        titles = [str(column.value) for column in table.columns]
        assert titles[:5] == ["", "date", "outcome", "seed", "lr"]
        assert ("hash" in titles) == (columns >= 80)
        assert table.virtual_size.width <= table.size.width
        rows = [line.split()[4:7] for line in screen_text(app).splitlines() if "20:26" in line]
        assert [row[:2] for row in rows] == [["2", "0.0004"], ["2", "0.008"], ["1", "0.008"]]


@pytest.mark.asyncio
async def test_a_subset_is_labelled_at_60_columns_even_if_nothing_else_then_fits(console, workspace) -> None:
    alike(workspace)
    make_run(workspace, NAME, limit=256)
    app = console()
    async with app.run_test(size=(60, 24)) as pilot:
        await opened(pilot, app)
        await shows(pilot, "breastmnist (≤ 256)", "0.9014")


@pytest.mark.asyncio
async def test_the_filter_knows_fields_and_an_error_stands_above_all_runs(console, workspace) -> None:
    names = alike(workspace)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("slash")
        await shows(pilot, "name:part", "auc seed lr")
        await pilot.press(*"lr<0.001")
        await shows(pilot, "runs · 1 of 3 ")
        await pilot.press(*" auc>")
        await shows(pilot, "Expected a value after auc>", "runs · 3 ")
        await pilot.press("x")
        await shows(pilot, "Expected a number after auc>, found 'x'.", "runs · 3 ")
        await pilot.press("enter")
        await shows(pilot, "Expected a number")
        assert app.base_screen.query_one(RunTable).chosen == names[2]
        await pilot.press("slash", "backspace", *"0.9", "enter")
        await wait_for(pilot, lambda: "Expected" not in screen_text(app) and "name:part" not in screen_text(app))
        await shows(pilot, "runs · 1 of 3 ")
        await pilot.press("escape")
        await shows(pilot, "runs · 3 ")
        await pilot.press("slash", *"foo")
        await shows(pilot, "No matches;", "runs · 0 of 3 ")
        await pilot.press(*">3")
        await shows(pilot, "foo", "runs · 3 ")
        assert "No matches" not in screen_text(app)


@pytest.mark.asyncio
async def test_a_filter_by_a_field_of_recipes_says_which_command_reads_it(console, workspace) -> None:
    alike(workspace)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("slash", *"training.lr>1")
        await shows(pilot, "training.lr is a field of recipes", "medtui runs training.lr=VALUE", "runs · 3 ")


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [(60, 18), (80, 24), (120, 40)], ids=str)
async def test_enter_opens_a_run_on_the_whole_screen_and_esc_returns_to_its_row(console, workspace, size) -> None:
    names = alike(workspace)
    app = console()
    async with app.run_test(size=size) as pilot:
        await opened(pilot, app)
        await pilot.press("down", "enter")
        await shows(pilot, f"╭─ {names[1]}", "esc: back to the list", "seed 2", "lr 0.008")
        assert "runs · 3" not in screen_text(app)
        assert app.base_screen.query_one("#detail-scroll").has_focus
        await pilot.press("escape")
        await shows(pilot, "runs · 3")
        table = app.base_screen.query_one(RunTable)
        assert table.has_focus and table.chosen == names[1]


@pytest.mark.asyncio
async def test_a_list_is_filled_again_only_where_a_key_changes_it(console, workspace, monkeypatch) -> None:
    for day in (1, 2, 3):
        make_run(workspace, f"2026112{day}_breastmnist_mini-cnn_1a2b3c", model="mini_cnn")
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        filled: list[int] = []
        refill = RunTable.refill
        monkeypatch.setattr(
            RunTable, "refill", lambda table, rows, how: (filled.append(len(rows)), refill(table, rows, how))
        )
        await pilot.press("slash", *"2026112")
        await shows(pilot, "2026112", "runs · 3 ")
        assert filled == []
        await pilot.press("3")
        await shows(pilot, "runs · 1 of 3 ")
        assert len(filled) == 1


@pytest.mark.asyncio
async def test_the_help_names_what_a_filter_can_name(console, workspace) -> None:
    alike(workspace)
    app = console()
    async with app.run_test(size=(120, 60)) as pilot:
        await opened(pilot, app)
        await pilot.press("question_mark")
        await shows(pilot, "The filter: dataset:breast", "Names: name outcome")


@pytest.mark.asyncio
async def test_a_marked_run_has_the_same_letter_in_the_list_and_in_the_comparison(console, workspace) -> None:
    names = alike(workspace)
    app = console()
    async with app.run_test(size=(120, 60)) as pilot:
        await opened(pilot, app)
        await pilot.press("space", "space", "space", "up", "up", "up", "space")  # the newest is unmarked again
        rows = [line for line in screen_text(app).splitlines() if "20:26" in line]
        assert [row[1:5].strip() for row in rows] == ["", "B", "C"]
        await pilot.press("c")
        await shows(pilot, "2 runs compared", f"B {names[1]}", f"C {names[0]}", "difference from B")


# ---- the comparison -------------------------------------------------------------------------------------------------


def better(workspace: Workspace) -> None:
    """B has an AUC 0.2 above A's, with intervals of ±0.02; its ACC is 0.01 above, with ±0.05."""
    for day, auc, acc in ((2, 0.70, 0.80), (1, 0.90, 0.81)):
        ends = {"auc_ci95": (auc - 0.02, auc + 0.02), "acc_ci95": (acc - 0.05, acc + 0.05)}
        test = TESTED.model_copy(update={"auc": auc, "acc": acc, **ends})
        name = f"2026112{day}_breastmnist_resnet18-adapted_1a2b3{day}"
        recipe = {"dataset": {"name": "breastmnist"}, "training": {"lr": 0.001 * day}}
        make_run(workspace, name, started=f"2026-11-2{day}T20:26:40Z", test=test, recipe=recipe)


async def compared(pilot: Pilot[int], app: ConsoleApp) -> None:
    await opened(pilot, app)
    await pilot.press("space", "space", "c")
    await shows(pilot, "2 runs compared")


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [(60, 60), (120, 60)], ids=str)
async def test_a_difference_whose_interval_excludes_0_is_marked_as_more_than_noise(console, workspace, size) -> None:
    """Newcombe: half the width is the root of the sum of squares, √2 · 0.02 = 0.028 and √2 · 0.05 = 0.071."""
    better(workspace)
    app = console()
    async with app.run_test(size=size) as pilot:
        await compared(pilot, app)
        await shows(pilot, "+0.2000 [+0.172, +0.228] ≠", "+0.0100 [-0.061, +0.081] ≈", "≠ more than noise")
        await pilot.press("question_mark")
        await shows(pilot, "excludes 0", "Newcombe 1998", "compare.csv")
        await pilot.press("escape", "escape")
        await wait_for(pilot, lambda: app.screen is app.base_screen)


@pytest.mark.asyncio
async def test_a_comparison_is_exported_to_new_files_whose_paths_are_shown(console, workspace: Workspace) -> None:
    better(workspace)
    app = console()
    app.today = lambda: date(2026, 11, 26)
    taken = workspace.outputs / "comparison_20261126_1.csv"
    taken.write_text("mine")
    async with app.run_test(size=(160, 60), notifications=True) as pilot:
        await compared(pilot, app)
        await pilot.press("x")
        await shows(pilot, "comparison_20261126_2.csv")
        await pilot.press("m")
        await shows(pilot, "comparison_20261126_1.md")
    assert taken.read_text() == "mine"
    rows = list(csv.DictReader((workspace.outputs / "comparison_20261126_2.csv").open()))
    assert [
        (row["sign"], float(row["test_auc"]), row["test_auc_verdict"], row["test_acc_verdict"]) for row in rows
    ] == [
        ("A", 0.7, "", ""),
        ("B", 0.9, "more than noise", "may be noise"),
    ]
    assert [row["training.lr"] for row in rows] == ["0.002", "0.001"]
    table = (workspace.outputs / "comparison_20261126_1.md").read_text()
    assert (
        "| test AUC | 0.7000 [0.680, 0.720] | 0.9000 [0.880, 0.920]; +0.2000 [+0.172, +0.228], more than noise |"
        in table
    )
    assert "| training.lr | 0.002 | 0.001 |" in table and "Newcombe 1998" in table


@pytest.mark.asyncio
async def test_a_read_only_console_exports_nothing(console, workspace: Workspace) -> None:
    better(workspace)
    app = console(readonly=True)
    async with app.run_test(size=(120, 60), notifications=True) as pilot:
        await compared(pilot, app)
        before = sorted(workspace.outputs.iterdir())
        await pilot.press("x", "m")
        await pilot.pause(0.2)
        assert sorted(workspace.outputs.iterdir()) == before
