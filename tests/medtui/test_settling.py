"""Runs that are jobs: what became of them, by files and queue; none is submitted twice; how they are stopped."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from engine.contract.files.folders import File
from engine.contract.machine.process_identity import this_process
from engine.contract.recipe.reader import build_recipe
from engine.contract.store.run_directory import RunDirectory, make_parts
from engine.contract.store.status import Status
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import OutputError, UsageError, WorkspaceLocked
from medtui.cluster import submit
from medtui.cluster.job import SuiteJob
from medtui.cluster.schedulers import SCHEDULERS, Submitted
from medtui.cluster.stopping import Stopping, describe, stop_jobs
from medtui.cluster.submit import begin, refuse_on_cluster, work_on_cluster
from medtui.console.suites.reader import SuitesReader
from medtui.sentences import Cluster
from medtui.suites.job_record import Phase, read_record, write_record
from medtui.suites.job_template import JobTemplate
from medtui.suites.journal import WorkJournal
from medtui.suites.plan import planned
from medtui.suites.settling import Queue
from medtui.suites.status import status_of
from medtui.suites.store import Store
from medtui.suites.work import Item, State

CELLS: dict[str, Any] = {"dataset": {"name": "cells"}, "model": {"name": "mini_cnn"}}
ITEMS = planned("study", [build_recipe({**CELLS, "training": {"seed": seed}}) for seed in (1, 2, 3)]).items
ONE, TWO, THREE = (item.id for item in ITEMS)


class Pretended:
    """A scheduler that takes jobs and does nothing."""

    name = "slurm"

    def __init__(self) -> None:
        self.names: list[str] = []
        self.jobs: list[SuiteJob] = []
        self.states: dict[str, str] | None = {}
        self.cancelled: list[tuple[tuple[str, ...], bool]] = []
        self.refuses = False

    def check(self) -> None:
        pass

    def submit(self, name: str, jobs: Sequence[SuiteJob], template: JobTemplate, folder: File) -> list[Submitted]:
        if self.refuses:
            raise OutputError(Cluster.NOT_SUBMITTED, reason="Invalid partition")
        self.names.append(name)
        self.jobs += jobs
        array = str(100 + len(self.names))
        ids = [f"{array}_{number}" for number in range(len(jobs))] if len(jobs) > 1 else [array]
        assert self.states is not None
        self.states |= dict.fromkeys(ids, "PENDING")
        return [(id_, f"{folder}/{id_}_0_log.out") for id_ in ids]

    def queue(self, names: Iterable[str]) -> Queue | None:
        if self.states is None:
            return None
        arrays = {name: str(101 + number) for number, name in enumerate(self.names) if name in set(names)}
        living = {job.partition("_")[0] for job in self.states}
        return Queue(self.states, {name: array for name, array in arrays.items() if array in living})

    def cancel(self, jobs: Sequence[str], *, waiting: bool) -> None:
        self.cancelled.append((tuple(jobs), waiting))


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    made = Pretended()
    monkeypatch.setitem(SCHEDULERS, "slurm", lambda: made)  # type: ignore[arg-type]
    return made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Workspace(tmp_path), "study")


@pytest.fixture
def journal(store: Store) -> WorkJournal:
    return store.make_for_jobs()


def submitted(
    store: Store, journal: WorkJournal, scheduler: Pretended, items: Sequence[Item] | None = ITEMS
) -> list[str]:
    """Submit what is missing; the ids of the items that were."""
    begin(store, items, journal)
    return list(submit.submit(store, journal, scheduler, JobTemplate()).submitted)


def states(store: Store) -> list[State]:
    return [item.state for item in work_on_cluster(store).items.values()]


def has_run(store: Store, item: str, outcome: str | None, name: str = "20261126_cells") -> RunDirectory:
    """A run of this item, as its files would have it; without an outcome its engine is another host's."""
    run = RunDirectory(store.workspace.outputs / name)
    run.root.mkdir(exist_ok=True)
    make_parts(run)
    mark = {"owner": store.owner, "item": item}
    run.manifest.write(json.dumps({"run": name, "started": "2026-11-26T10:00:00+00:00", "suite": mark}))
    hello = {"event": "hello", "time": 1.0, "seq": 1, "engine": "e1", "pid": 1, "started": 1.0, "host": "node7"}
    lines: list[dict[str, Any]] = [{**hello, "boot": "b", "versions": {}}]
    if outcome is not None:
        ended = {"event": "run.finished", "time": 2.0, "seq": 2, "outcome": outcome, "exit_code": 0, "run_dir": None}
        lines.append({**ended, "metrics": {"validation": None, "test": None}})
    run.journal.write("".join(json.dumps(line) + "\n" for line in lines))
    return run


def reports(store: Store, item: str, job: str, phase: Phase, code: int | None = None) -> None:
    write_record(store.job_record(item), job, phase, code)


def test_only_what_is_neither_done_nor_submitted_is_submitted(
    store: Store, journal: WorkJournal, scheduler: Pretended
) -> None:
    assert submitted(store, journal, scheduler) == [ONE, TWO, THREE]
    assert [(job.suite, job.item) for job in scheduler.jobs] == [("study", id_) for id_ in (ONE, TWO, THREE)]
    assert states(store) == ["submitted"] * 3
    assert submitted(store, journal, scheduler) == []  # all wait
    scheduler.states = {"101_1": "RUNNING"}
    has_run(store, ONE, "completed")
    reports(store, ONE, "101_0", "ended", 0)
    assert states(store) == ["completed", "submitted", "pending"]  # the third was cancelled before it began
    assert submitted(store, journal, scheduler) == [THREE]
    item = journal.work.items[THREE]
    assert item.job == "102" and item.log is not None and item.log.endswith("suites/study/jobs/102_0_log.out")


@pytest.mark.parametrize(
    ("outcome", "phase", "code", "in_queue", "expected"),
    [
        ("completed", "ended", 0, None, "completed"),  # without a queue, files are enough
        ("stopped", "ended", 6, None, "stopped"),
        ("aborted", "ended", 7, None, "aborted"),  # by `medtui abort`
        ("failed", "ended", 5, None, "failed"),
        (None, "ended", 5, None, "failed"),  # its engine died
        ("aborted", "ended", 1, None, "failed"),  # its jobs save nothing before their time limit
        (None, "running", None, None, "submitted"),
        ("aborted", "requeued", None, None, "submitted"),
        ("aborted", "requeued", None, True, "submitted"),
        ("aborted", "requeued", None, False, "pending"),  # cancelled while it waited again
        ("aborted", "terminated", 7, True, "submitted"),  # its node was needed
        ("aborted", "terminated", 7, False, "pending"),  # scancel
        (None, "running", None, False, "pending"),  # its node went down
        ("completed", "running", None, False, "completed"),  # it could not report any more
    ],
)
def test_what_became_of_a_job(
    store: Store,
    journal: WorkJournal,
    scheduler: Pretended,
    outcome: str | None,
    phase: Phase,
    code: int | None,
    in_queue: bool | None,
    expected: State,
) -> None:
    submitted(store, journal, scheduler, ITEMS[:1])
    has_run(store, ONE, outcome)
    reports(store, ONE, "101", phase, code)
    scheduler.states = None if in_queue is None else {"101": "RUNNING"} if in_queue else {}
    before = store.journal_file.content()
    found = work_on_cluster(store).items[ONE]
    assert (found.state, found.run) == (expected, "20261126_cells")
    assert store.journal_file.content() == before  # looking changes nothing
    assert ("101_0_log.out" in found.detail) == (expected == "failed")


def test_what_an_earlier_job_left_says_nothing_of_the_next_one(
    store: Store, journal: WorkJournal, scheduler: Pretended
) -> None:
    submitted(store, journal, scheduler, ITEMS[:1])
    has_run(store, ONE, "failed")
    reports(store, ONE, "101", "ended", 5)
    begin(store, ITEMS[:1], journal)
    assert journal.work.items[ONE].state == "failed"
    journal.write({"event": "retried", "ids": [ONE]})
    assert submitted(store, journal, scheduler, ITEMS[:1]) == [ONE]
    assert states(store) == ["submitted"]  # its record and its run are those of job 101


def test_a_command_that_dies_while_it_submits_leaves_a_claim_that_the_queue_resolves(
    store: Store, journal: WorkJournal, scheduler: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*arguments: Any) -> list[Submitted]:
        Pretended.submit(scheduler, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(scheduler, "submit", dies)
    with pytest.raises(KeyboardInterrupt):
        submitted(store, journal, scheduler)
    monkeypatch.undo()
    monkeypatch.setitem(SCHEDULERS, "slurm", lambda: scheduler)  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="3 jobs of suite study reached the scheduler is not known"):
        submitted(store, journal, scheduler)  # whoever submits lives still: this process
    claim = next(json.loads(line) for line in store.journal_file.content().splitlines() if b'"submitting"' in line)
    claim["submitter"]["pid"] = 2**22 + 1
    rewrite(store, claim)
    journal = store.journal()
    assert submitted(store, journal, scheduler) == []
    assert [item.job for item in journal.work.items.values()] == ["101_0", "101_1", "101_2"]


def test_a_claim_that_the_scheduler_does_not_know_is_submitted_again(
    store: Store, journal: WorkJournal, scheduler: Pretended
) -> None:
    begin(store, ITEMS, journal)
    gone = {**asdict(this_process()), "pid": 2**22 + 1}
    claim = {"event": "submitting", "ids": [ONE, TWO], "name": "study-0", "scheduler": "slurm", "submitter": gone}
    journal.write(claim)
    scheduler.states = None
    with pytest.raises(OutputError, match="is not known"):
        submitted(store, journal, scheduler)
    scheduler.states = {}
    assert submitted(store, journal, scheduler) == [ONE, TWO, THREE]
    elsewhere = {**gone, "host": "login2", "boot": "other"}
    journal.write({"event": "released", "id": ONE}, {**claim, "ids": [ONE], "submitter": elsewhere})
    with pytest.raises(OutputError, match="is not known"):  # on another host a command may submit just now
        submitted(store, journal, scheduler)


def rewrite(store: Store, claim: dict[str, Any]) -> None:
    lines = [json.loads(line) for line in store.journal_file.content().splitlines()]
    kept = [claim if one["event"] == "submitting" else one for one in lines]
    store.journal_file.write("".join(json.dumps(one) + "\n" for one in kept))


def test_what_the_scheduler_refuses_is_pending_again(store: Store, journal: WorkJournal, scheduler: Pretended) -> None:
    scheduler.refuses = True
    with pytest.raises(OutputError, match="did not accept the jobs: Invalid partition"):
        submitted(store, journal, scheduler)
    assert states(store) == ["pending"] * 3


def test_what_the_scheduler_refuses_is_pending_again_also_where_its_queue_does_not_answer(
    store: Store, journal: WorkJournal, scheduler: Pretended
) -> None:
    scheduler.refuses, scheduler.states = True, None
    for _ in range(2):
        with pytest.raises(OutputError, match=r"Correct what the jobs request, or the configuration of the cluster\."):
            submitted(store, journal, scheduler)
        assert states(store) == ["pending"] * 3
    refuse_on_cluster(store)  # they may be done here


def test_stop_takes_runs_back_of_which_nobody_knows_whether_they_were_submitted(
    store: Store, journal: WorkJournal, scheduler: Pretended
) -> None:
    begin(store, ITEMS, journal)
    claim = {"event": "submitting", "ids": [ONE, TWO], "name": "study-0", "scheduler": "slurm"}
    journal.write({**claim, "submitter": {**asdict(this_process()), "pid": 2**22 + 1}})
    scheduler.states = None
    with pytest.raises(OutputError, match="`medtui suite stop study` takes them back"):
        submitted(store, journal, scheduler)
    found = stop_jobs(store, journal, abort=False, finish=False, by="ada@login")
    assert found == Stopping(0, 0, 0, ("study-0",))
    assert "`scancel --name=study-0` ends its jobs" in describe(found, abort=False)[0]
    assert states(store) == ["pending"] * 3
    journal.write({**claim, "submitter": asdict(this_process())})  # a command that submits right now
    assert stop_jobs(store, journal, abort=False, finish=False, by="ada@login") == Stopping(0, 0, 2)


def test_a_plan_may_not_forget_jobs_and_a_runner_here_may_not_do_their_runs(
    store: Store, journal: WorkJournal, scheduler: Pretended
) -> None:
    submitted(store, journal, scheduler)
    with pytest.raises(UsageError, match="suite study has 2 runs on slurm that its plan no longer has"):
        begin(store, ITEMS[:1], journal)
    assert len(store.journal().work.items) == 3
    with pytest.raises(WorkspaceLocked) as refused:
        refuse_on_cluster(store)
    assert "suite study has 3 runs on slurm: 101." in str(refused.value) and refused.value.exit_code == 3
    scheduler.states = {}
    refuse_on_cluster(store)  # they left the queue
    begin(store, ITEMS[:1], journal)
    assert len(store.journal().work.items) == 1


def test_a_run_that_another_experiment_of_the_workspace_is_needs_no_job(
    store: Store, journal: WorkJournal, scheduler: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = RunDirectory(store.workspace.outputs / "other")
    asked: list[int] = []

    def found(self: Any, recipe: Any) -> RunDirectory | None:
        asked.append(recipe.training.seed)
        return done if recipe.training.seed == 2 else None

    monkeypatch.setattr(submit.KnownRuns, "done", found)
    assert submitted(store, journal, scheduler) == [ONE, THREE] and asked == [1, 2, 3]
    item = journal.work.items[TWO]
    assert (item.state, item.run, item.detail) == ("completed", "other", "done before")


def test_an_array_has_a_limit_and_the_next_command_submits_the_rest(
    store: Store, journal: WorkJournal, scheduler: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "MOST_JOBS", 2)
    begin(store, ITEMS, journal)
    first = submit.submit(store, journal, scheduler, JobTemplate())
    assert (len(first.submitted), first.left) == (2, 1)
    assert submitted(store, journal, scheduler) == [THREE]


def living_run(store: Store, item: str, name: str) -> RunDirectory:
    """Of an engine on another host, whose heartbeat is fresh."""
    run = has_run(store, item, None, name)
    hello = json.loads(run.journal.content().splitlines()[0])
    status = {key: hello[key] for key in ("engine", "pid", "started", "host", "boot")}
    run.status.write(json.dumps({**status, "phase": "training", "updated": time.time(), "seq": 1, "v": 1}))
    return run


@pytest.mark.parametrize("finish", [False, True])
def test_stop_cancels_what_waits_and_asks_what_trains(
    store: Store, journal: WorkJournal, scheduler: Pretended, finish: bool
) -> None:
    submitted(store, journal, scheduler)
    scheduler.states = {"101_0": "RUNNING", "101_1": "RUNNING", "101_2": "PENDING"}
    run = living_run(store, ONE, "20261126_cells")
    found = stop_jobs(store, journal, abort=False, finish=finish, by="ada@login")
    commands = [json.loads(line) for line in run.control.content().splitlines()]
    if finish:
        assert found == Stopping(0, 1, 0) and commands == []
        assert scheduler.cancelled == [(("101_2",), True)]
        return
    assert found == Stopping(1, 2, 0)
    assert [(one["command"], one["engine"], one["by"]) for one in commands] == [("stop", "e1", "ada@login")]
    assert scheduler.cancelled == [(("101_2",), True), (("101_1",), False)]  # the second has no run yet


def test_stop_without_an_answer_of_the_scheduler_still_reaches_what_trains(
    store: Store, journal: WorkJournal, scheduler: Pretended
) -> None:
    submitted(store, journal, scheduler)
    run = living_run(store, ONE, "20261126_cells")
    scheduler.states = None
    assert stop_jobs(store, journal, abort=True, finish=False, by="ada") == Stopping(1, 0, 2)
    assert json.loads(run.control.content().splitlines()[0])["command"] == "abort"
    assert scheduler.cancelled == []


def test_a_damaged_record_is_none(store: Store, journal: WorkJournal) -> None:
    for text in ("", "[]", '{"job": "1"}', '{"job": "1", "phase": "x", "host": "h", "time": 1}', "\x00"):
        store.job_record(ONE).write(text)
        assert read_record(store.job_record(ONE)) is None


def test_a_screen_shows_what_files_say_of_jobs_and_writes_nothing(
    store: Store, journal: WorkJournal, scheduler: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medtui.console.suites.reader.SETTLE_EVERY", 0.0)
    submitted(store, journal, scheduler)
    reader = SuitesReader(store.workspace)
    assert shown_states(reader) == {ONE: "submitted", TWO: "submitted", THREE: "submitted"}
    has_run(store, ONE, "completed")
    reports(store, ONE, "101_0", "ended", 0)
    before = store.journal_file.content(100_000)
    for _ in range(2):
        assert shown_states(reader) == {ONE: "completed", TWO: "submitted", THREE: "submitted"}
    assert store.journal_file.content(100_000) == before
    assert begin(store, ITEMS, journal) is None and shown_states(reader)[ONE] == "completed"


def shown_states(reader: SuitesReader) -> dict[str, State]:
    shown = reader.read("study").shown
    assert shown is not None and shown.scheduler == "slurm"
    return {id_: status.item.state for id_, status in shown.runs.items()}


@pytest.mark.parametrize(("seconds", "shown", "lives"), [(0, "training", True), (3600, "not seen", False)])
def test_a_job_on_another_node_is_followed_while_its_heartbeat_is_fresh(
    store: Store, journal: WorkJournal, scheduler: Pretended, seconds: int, shown: str, lives: bool
) -> None:
    submitted(store, journal, scheduler)
    run = has_run(store, ONE, None)
    engine = {"engine": "e1", "pid": 1, "started": 1.0, "host": "node7", "boot": "b"}
    status = Status(seq=1, updated=time.time(), phase="training", **engine)
    run.status.write(status.model_dump_json())
    os.utime(run.status.path, (time.time() - seconds,) * 2)
    item = work_on_cluster(store).items[ONE]
    found = status_of(item, store.workspace)
    assert (item.state, found.shown, found.lives) == ("submitted", shown, lives)
