"""A search whose runs are jobs: what its coordinator submits, prunes, ends and survives.

The journal, the locks, Optuna and the files of runs are the real ones; a cluster that writes those files by a formula
stands in for a scheduler and for training.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from training_cluster import EPOCHS, HELLO, LEVELS, KilledError, Moments, TrainingCluster, epoch_of, started

from engine.contract.recipe.yaml_reader import read_yaml
from engine.contract.store.lock import WorkspaceLock
from engine.contract.store.run_directory import list_runs
from engine.contract.store.slots import slot_lock_name
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import OutputError, RecipeError, UsageError, WorkspaceLocked
from engine.contract.wire.protocol import EpochFinished
from medtui.cli.search_work import begin, begin_on_cluster
from medtui.cluster.coordinator import Coordinator
from medtui.cluster.job import SuiteJob
from medtui.cluster.schedulers import SCHEDULERS
from medtui.cluster.stopping import stop_jobs
from medtui.cluster.submit import work_on_cluster
from medtui.plain.suite_job import do_item
from medtui.search.definition import Search, defined
from medtui.search.planner import SearchPlanner
from medtui.search.search_file import search_from
from medtui.search.trials import Trials
from medtui.sentences import Cluster, Suites
from medtui.suites.job_template import JobTemplate
from medtui.suites.journal import Writer
from medtui.suites.requests import ask_runner, retry_ended
from medtui.suites.runner import MOST_CRASHES
from medtui.suites.status import exit_code_of
from medtui.suites.store import Store
from medtui.suites.work import Event, Item

pytest.importorskip("optuna")

LR = "space: {training.lr: {from: 0.00001, to: 0.3, log: true}}\n"
TEXT = f"recipe: quickstart\ntraining.epochs: {EPOCHS}\n{LR}sampler: random\n"
PRUNED = {3, 5}


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> Moments:
    found = Moments()
    monkeypatch.setattr(Writer, "add", found.around(Writer.add))
    monkeypatch.setattr("medtui.cluster.stopping.append_command", found.around(_append_command))
    monkeypatch.setattr("medtui.search.asking.JUDGES", 1)
    return found


def _append_command(*arguments: Any) -> None:
    from medtui.client.control import append_command

    append_command(*arguments)


@dataclass
class Place:
    """A workspace with a search, and the cluster that does its runs."""

    store: Store
    search: Search
    cluster: TrainingCluster
    events: list[tuple[Event, Item]]
    notes: list[str]

    def coordinator(self, at_once: int = 1) -> Coordinator:
        planner = SearchPlanner(self.search, Trials(self.search, self.store.workspace))
        return Coordinator(
            self.store,
            self.cluster,
            JobTemplate(at_once=at_once),
            planner,
            on_event=lambda event, item: self.events.append((event, item)),
            note=self.notes.append,
        )

    def work(self, at_once: int = 1, until: Callable[[Coordinator], bool] = lambda one: False) -> Coordinator:
        """A coordinator's life: to its end, or `until`."""
        one = self.coordinator(at_once)
        with one.working():
            one.journal.write(self.search.event())
            retry_ended(self.store, one.journal, failed=False)
            for _ in range(500):
                one.heed_requests()
                one.turn()
                if one.over or until(one):
                    return one
                self.cluster.tick()
        raise AssertionError(f"it does not end: {one.work.counts()}, {self.cluster.jobs}")

    def found(self) -> dict[str, Any]:
        """By run: its recipe and what became of it."""
        items = self.store.journal().work.items.values()
        return {item.id: (item.recipe, item.state, item.pruned, item.run) for item in items}

    @property
    def best(self) -> float | None:
        trials = Trials(self.search, self.store.workspace).of(self.store.journal().work)
        return max((trial.value for trial in trials if trial.value is not None), default=None)


@pytest.fixture
def make(tmp_path: Path, moments: Moments, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Place]:
    def made(name: str = "place", budget: int = 5, text: str = "", nodes: int = 100) -> Place:
        root = tmp_path / name
        root.mkdir()
        (root / "README.md").touch()
        given = read_yaml(f"{TEXT}budget: {{runs: {budget}}}\n{text}", "lr.yaml")
        store = Store(Workspace(root), "lr", is_search=True)
        cluster = TrainingCluster(store, moments, nodes)
        monkeypatch.setitem(SCHEDULERS, "slurm", lambda: cluster)  # type: ignore[arg-type]
        return Place(store, defined(search_from(given, "lr", root)), cluster, [], [])

    return made


def one_after_the_other(search: Search, workspace: Workspace) -> dict[str, tuple[Any, int | None]]:
    """What a search asks for and prunes whose runs are done here, one at a time, by the definition of the planner."""
    from medtui.suites.work import Work

    class Formula(Trials):
        def epochs(self, item: Item) -> list[EpochFinished]:
            level = LEVELS[int(item.id.partition("-")[0])]
            return [epoch_of(epoch, level) for epoch in range(1, EPOCHS + 1)] if item.run else []

    planner, work = SearchPlanner(search, Formula(search, workspace)), Work()
    while events := planner.next_events(work):
        for event in events:
            work.apply(event)
        while (item := work.next) is not None:
            work.apply({"event": "started", "id": item.id, "run": f"run_{item.id}"})
            if (pruned := planner.judged(work, work.items[item.id], None)) is not None:
                work.apply(pruned)
            work.apply({"event": "ended", "id": item.id, "outcome": "completed", "run": f"run_{item.id}"})
    return {item.id: (item.recipe, item.pruned) for item in work.items.values()}


def test_one_job_at_a_time_asks_prunes_and_finds_as_a_search_of_this_machine(make: Callable[..., Place]) -> None:
    place = make()
    one = place.work()
    expected = one_after_the_other(place.search, place.store.workspace)
    found = place.found()
    assert {id_: (recipe, pruned) for id_, (recipe, _, pruned, _) in found.items()} == expected and len(expected) == 5
    assert {int(id_.partition("-")[0]) for id_, (_, pruned) in expected.items() if pruned} == PRUNED
    assert [state for _, state, _, _ in found.values()] == ["completed", "completed", "stopped", "completed", "stopped"]
    assert place.best == 0.7 and place.cluster.most == 1 and exit_code_of(one.work) == 0
    assert all(recipe["evaluation"]["test"] is False for recipe, *_ in found.values())
    shown = [event["event"] for event, item in place.events if item.id == "3-42"]
    assert shown == ["submitted", "located", "pruned", "ended"]


@pytest.mark.parametrize("meanwhile", [0, 50], ids=["at once", "after all jobs have ended"])
def test_a_coordinator_that_is_killed_at_any_moment_is_continued_and_nothing_is_submitted_twice(
    make: Callable[..., Place], moments: Moments, meanwhile: int
) -> None:
    quiet = make("quiet", 3)
    moments.passed = 0
    quiet.work()
    expected, n = quiet.found(), moments.passed
    assert n > 40 and len(expected) == 3
    # From the second trial on, before each act: after one is before the next. The third is pruned
    for moment in range(n // 3 | 1, n + 1, 2 if meanwhile == 0 else 6):
        place = make(f"killed{moment}", 3)
        moments.passed, moments.deadly = 0, moment
        with pytest.raises(KilledError):
            place.work()
        moments.deadly = 0
        for _ in range(meanwhile):
            place.cluster.tick()
        place.work()
        found = place.found()
        if meanwhile:  # a run that nobody stopped is completed; it counts as pruned at the same epoch all the same
            assert found.pop("3-42")[2] == expected["3-42"][2] == 1, moment
        assert found == {id_: one for id_, one in expected.items() if id_ in found}, moment
        assert place.cluster.accepted == list(expected), moment


def test_as_many_jobs_as_the_cap_allows_and_the_other_seeds_of_a_pruned_trial_are_left(
    make: Callable[..., Place],
) -> None:
    place = make(budget=10, text="seeds: 1-2\n", nodes=2)
    place.work(at_once=3)
    assert place.cluster.most == 3
    assert sorted(place.cluster.accepted) == sorted(set(place.cluster.accepted))
    trials = Trials(place.search, place.store.workspace).of(place.store.journal().work)
    assert [trial.number for trial in trials if trial.state == "pruned"] == sorted(PRUNED)
    assert all(trial.state in ("pruned", "completed") for trial in trials)
    left = [item for trial in trials for item in trial.items if item.pruned == 0]
    assert all(item.run is not None for item in left)  # what had not begun is gone


def test_a_pruned_run_whose_job_begins_again_is_not_trained_any_further(
    make: Callable[..., Place], capsys: pytest.CaptureFixture[str]
) -> None:
    from medtui.plain.headless import JsonLines

    place = make()
    place.work(until=lambda one: one.work.items.get("3-42") is not None and one.work.items["3-42"].pruned is not None)
    assert do_item(place.store, "3-42", None, JsonLines(), []) == 0
    assert len(list_runs(place.store.workspace.outputs)) == 3


@pytest.mark.parametrize(
    ("what", "outcome", "code"), [("stop", "stopped", 6), ("abort", "aborted", 7), ("finish", "completed", 6)]
)
def test_stop_abort_and_finish_reach_the_coordinator_which_ends_its_jobs(
    make: Callable[..., Place], what: Any, outcome: str, code: int
) -> None:
    place = make(nodes=1)

    def ask(one: Coordinator) -> bool:
        first = one.work.items.get("1-42")
        if first is not None and first.run is not None and not one.level and not one.finishing:
            assert ask_runner(place.store, what, "ada").engine == one.id
        return False

    one = place.work(at_once=2, until=ask)
    assert [item.state for item in one.work.items.values()] == [outcome, "pending"]
    assert place.cluster.cancelled == ["2-42"] and exit_code_of(one.work) == code
    place.cluster.nodes = 100
    assert exit_code_of(continued(place).work) == 0


def continued(place: Place) -> Coordinator:
    """Runs that were stopped begin anew here: their engines take no old commands."""
    for run in list_runs(place.store.workspace.outputs):
        if run.control.info() is not None:
            run.control.delete()
            engine = f"second engine of {run.name}"
            run.journal.write(run.journal.content().decode() + json.dumps({**HELLO, "engine": engine}) + "\n")
    return place.work()


def test_without_a_coordinator_stop_ends_the_jobs_and_writes_nothing_that_prunes_no_more(
    make: Callable[..., Place],
) -> None:
    place = make()
    place.work(until=lambda one: "2-42" in one.work.items and one.work.items["2-42"].run is not None)
    before = place.store.journal_file.content(10**6)
    found = stop_jobs(place.store, place.store.journal(), abort=False, finish=False, by="ada")
    assert (found.commanded, found.cancelled) == (1, 0)
    place.cluster.tick()
    assert [item.state for item in work_on_cluster(place.store).items.values()] == ["completed", "stopped"]
    assert place.store.journal_file.content(10**6) == before
    with pytest.raises(UsageError) as nobody:
        ask_runner(place.store, "stop", "ada")
    assert nobody.value.code == Suites.NOT_RUNNING.code


def test_a_second_coordinator_and_a_runner_of_this_machine_are_refused_by_name(make: Callable[..., Place]) -> None:
    place = make()
    one = place.coordinator()
    with one.working():
        assert place.store.coordinator() is not None and place.store.runner() is None
        for other in (place.work, lambda: local(place)):
            with pytest.raises(WorkspaceLocked) as refused:
                other()
            error = refused.value
            assert (error.code, error.fields["pid"]) == (Cluster.COORDINATED.code, os.getpid())
            assert "`medtui search stop lr` ends its runs" in str(error)
    assert place.store.coordinator() is None
    place.work(until=lambda one: bool(place.cluster.jobs))
    with pytest.raises(WorkspaceLocked, match=r"search lr has 1 run on slurm: 101\. `medtui search status lr`"):
        local(place)


def local(place: Place) -> int:
    return begin(place.search, place.store.workspace, slots=None, retry=False, dry_run=False, as_json=True)


def test_a_run_whose_jobs_are_always_lost_fails_and_the_search_continues(make: Callable[..., Place]) -> None:
    place = make(budget=2)

    def lose_first(one: Coordinator) -> bool:
        if any(job.item == "1-42" for job in place.cluster.jobs.values()):
            place.cluster.lose()
        return False

    one = place.work(until=lose_first)
    assert place.cluster.accepted == ["1-42"] * MOST_CRASHES + ["2-42"]
    assert [item.state for item in one.work.items.values()] == ["failed", "completed"]
    assert "its job was cancelled or killed 5 times in a row without a new checkpoint" in one.work.items["1-42"].detail
    assert exit_code_of(one.work) == 0  # a trial may fail


def test_a_scheduler_that_refuses_at_first_ends_it_and_one_that_does_later_is_asked_again(
    make: Callable[..., Place],
) -> None:
    place = make(budget=3)
    place.cluster.refusals = 1
    with pytest.raises(OutputError, match="Socket timed out"):
        place.work()

    def refuse_second(one: Coordinator) -> bool:
        if place.cluster.accepted == ["1-42"] and not place.notes:
            place.cluster.refusals = 1
        return False

    place.work(until=refuse_second)
    (note,) = place.notes
    assert note.startswith(Cluster.UNCONFIRMED.text(reason="Socket timed out")[0]) and note.endswith("tried again.")
    assert place.cluster.accepted == ["1-42", "2-42", "3-42"]


def test_a_scheduler_that_does_not_answer_is_waited_for(make: Callable[..., Place]) -> None:
    place, turns = make(budget=1), iter(range(1000))

    def silent(one: Coordinator) -> bool:
        place.cluster.answers = next(turns) not in (1, 2)
        return False

    one = place.work(until=silent)
    assert place.notes == ["slurm does not answer; it is asked again."]
    assert [item.state for item in one.work.items.values()] == ["completed"]


def test_what_a_killed_runner_of_this_machine_had_begun_is_continued_by_jobs_once_its_engine_has_ended(
    make: Callable[..., Place],
) -> None:
    place = make(budget=3)
    one = place.coordinator()
    one.journal.write(*SearchPlanner(place.search, Trials(place.search, place.store.workspace)).next_events(one.work))
    claimed: Event = {"event": "claimed", "id": "1-42", "slot": 1, "runner": "r1", "after": None}
    one.journal.write(claimed, {"event": "started", "id": "1-42", "run": "run_1-42"})
    started(place.store, "1-42")
    engine = WorkspaceLock(place.store.workspace.folder.file(slot_lock_name(1)), "e1", place.store.owner, 1)
    engine.refuse_others = lambda: None  # type: ignore[method-assign]
    engine.acquire()
    with pytest.raises(WorkspaceLocked) as held:
        place.work()
    assert held.value.code == Suites.HELD.code and "engine" in str(held.value.fields["holder"])
    engine.release()
    assert [item.state for item in place.work().work.items.values()][:2] == ["completed"] * 2
    assert place.cluster.accepted == ["1-42", "2-42", "3-42"]


# ---- the file and the command line -------------------------------------------------------------------------------


def template_of_file(section: str) -> JobTemplate:
    text = read_yaml(f"{TEXT}budget: {{runs: 5}}\n{section}", "lr.yaml")
    return search_from(text, "lr", Path("/nowhere")).template


def test_a_search_has_four_jobs_at_once_unless_its_file_says_otherwise() -> None:
    assert template_of_file("").at_once == 4
    assert template_of_file("slurm: {partition: gpu}\n") == JobTemplate(partition="gpu", at_once=4)
    assert template_of_file("slurm: {at_once: 8}\n").at_once == 8


def test_what_its_jobs_cannot_ask_for_is_said_with_its_line() -> None:
    with pytest.raises(RecipeError) as refused:
        template_of_file("slurm:\n  partition: gpu\n  gpus: many\n  minute: 5\n")
    lines = [(problem.line, problem.message) for problem in refused.value.problems]
    first = TEXT.count("\n") + 2
    assert [line for line, _ in lines] == [first + 2, first + 3]
    assert "whole number of GPUs" in lines[0][1] and "did you mean minutes" in lines[1][1]


def test_a_dry_run_says_what_each_job_asks_for_and_writes_nothing(
    make: Callable[..., Place], capsys: pytest.CaptureFixture[str]
) -> None:
    place = make(text="slurm: {partition: gpu, gpus: 1, setup: [source a.sh, ulimit -c 0]}\n")
    code = begin_on_cluster(place.search, place.store.workspace, "slurm", ["minutes=90"], dry_run=True)
    shown = capsys.readouterr().out
    assert code == 0 and "at most 5 runs, 4 at once" in shown
    assert "jobs  each request partition=gpu, gpus=1, setup=source a.sh; ulimit -c 0, minutes=90, warning=180" in shown
    assert not (place.store.workspace.root / "outputs").exists() and place.cluster.accepted == []
    begin_on_cluster(place.search, place.store.workspace, "slurm", [], dry_run=True, as_json=True)
    values = json.loads(capsys.readouterr().out)
    assert (values["to_do"], values["slots"], values["jobs"]["gpus"], values["budget"]["runs"]) == (5, 4, 1, 5)


def test_a_search_by_the_command_line_tells_its_events_and_resumes_with_what_its_jobs_asked_for(
    make: Callable[..., Place], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make(budget=3, text="slurm: {partition: gpu}\n")
    monkeypatch.setattr("medtui.plain.coordinator.time.sleep", lambda _: place.cluster.tick())
    monkeypatch.setattr("medtui.cli.search_work.remember_workspace", lambda _: None)
    code = begin_on_cluster(place.search, place.store.workspace, "slurm", ["partition=low", "at_once=1"], as_json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert code == 0 and lines[-1]["event"] == "finished" and sum(lines[-1]["counts"].values()) == 3
    assert [line["epoch"] for line in lines if line["event"] == "pruned"] == [1]
    assert [line["event"] for line in lines if line.get("id") == "1-42"] == ["submitted", "located", "ended"]
    work = place.store.journal().work
    assert work.template == {"partition": "low", "at_once": 1}
    code = begin_on_cluster(place.search, place.store.workspace, "slurm", [], resumes=True, dry_run=True)
    assert code == 0 and "each request partition=low, minutes=240" in capsys.readouterr().out


def test_a_job_that_an_older_medtui_submitted_is_one_of_a_suite() -> None:
    job = SuiteJob("/w", "study", "a1")
    del job.__dict__["is_search"]  # as it was pickled
    assert not job.is_search and "--search" not in job._command("log.out")
    assert SuiteJob("/w", "lr", "1-42", is_search=True)._command("log.out")[4:9] == [
        "suite", "job", "lr", "1-42", "--search",
    ]  # fmt: skip


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("MEDTUI_SETTINGS", str(tmp_path / "settings.toml"))
    yield
