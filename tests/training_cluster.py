"""A scheduler whose jobs train by a formula: they write the files of runs as engines on its nodes would.

And the moments at which a process that works with it may be killed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.contract.files.folders import File
from engine.contract.store.run_directory import RunDirectory, make_parts
from engine.contract.wire.errors import OutputError
from engine.contract.wire.protocol import EpochFinished, Metrics
from medtui.cluster.job import SuiteJob
from medtui.cluster.schedulers import Submitted
from medtui.sentences import Cluster
from medtui.suites.job_record import write_record
from medtui.suites.job_template import JobTemplate
from medtui.suites.settling import Queue
from medtui.suites.store import Store

EPOCHS = 4
# The objective of each trial, at every epoch: with one judge, the third and the fifth are below the median
LEVELS = {1: 0.5, 2: 0.6, 3: 0.2, 4: 0.7, 5: 0.3}
HELLO: dict[str, Any] = {"event": "hello", "time": 1.0, "seq": 1, "versions": {}}
HELLO |= {"pid": 1, "started": 1.0, "host": "node7", "boot": "b"}


class KilledError(BaseException):
    """In place of SIGKILL: nothing may handle it."""


class Moments:
    """At which a process may be killed: before and after each write, submission, cancellation and command."""

    def __init__(self) -> None:
        self.passed, self.deadly = 0, 0  # the number of the one that kills, from 1

    def pass_one(self) -> None:
        self.passed += 1
        if self.passed == self.deadly:
            raise KilledError

    def around(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def acts(*arguments: Any, **given: Any) -> Any:
            self.pass_one()
            result = act(*arguments, **given)
            self.pass_one()
            return result

        return acts


@dataclass
class Job:
    item: str
    state: str = "PENDING"
    run: RunDirectory | None = None
    epoch: int = 0


class TrainingCluster:
    """A scheduler with nodes: at each tick its first jobs begin, or train one more epoch, or obey a command."""

    name = "slurm"
    poll = 0.0

    def __init__(self, store: Store, moments: Moments, nodes: int = 100) -> None:
        self.store, self.nodes, self._moments = store, nodes, moments
        self.jobs: dict[str, Job] = {}
        self.arrays: dict[str, str] = {}
        self.accepted: list[str] = []  # each run, as often as a job was made of it
        self.cancelled: list[str] = []
        self.answers, self.refusals, self.most = True, 0, 0

    def check(self) -> None:
        pass

    def submit(self, name: str, jobs: Sequence[SuiteJob], template: JobTemplate, folder: File) -> list[Submitted]:
        self._moments.pass_one()
        if self.refusals:
            self.refusals -= 1
            raise OutputError(Cluster.UNCONFIRMED, reason="Socket timed out")
        assert all(job.is_search and job.suite == self.store.name for job in jobs)
        array = str(101 + len(self.arrays))
        self.arrays[name] = array
        ids = [f"{array}_{number}" for number in range(len(jobs))] if len(jobs) > 1 else [array]
        self.jobs |= {id_: Job(job.item) for id_, job in zip(ids, jobs, strict=True)}
        self.accepted += [job.item for job in jobs]
        self.most = max(self.most, len(self.jobs))
        self._moments.pass_one()
        return [(id_, f"{folder}/{id_}_0_log.out") for id_ in ids]

    def queue(self, names: Iterable[str]) -> Queue | None:
        living = {id_.partition("_")[0] for id_ in self.jobs}
        arrays = {name: self.arrays[name] for name in names if self.arrays.get(name) in living}
        return Queue({id_: job.state for id_, job in self.jobs.items()}, arrays) if self.answers else None

    def cancel(self, jobs: Sequence[str], *, waiting: bool) -> None:
        self._moments.pass_one()
        for id_ in jobs:
            if id_ in self.jobs and (not waiting or self.jobs[id_].state == "PENDING"):
                self.cancelled.append(self.jobs.pop(id_).item)

    def tick(self) -> None:
        for id_, job in list(self.jobs.items())[: self.nodes]:
            if job.state == "PENDING":
                job.state = "RUNNING"
                write_record(self.store.job_record(job.item), id_, "running")
                job.run = started(self.store, job.item)
            elif job.run is not None and (outcome := asked(job.run) or train_one(job, job.run)):
                append(job.run, event="run.finished", seq=99, outcome=outcome, exit_code=0, run_dir=None, metrics={})
                write_record(self.store.job_record(job.item), id_, "ended", 6 if outcome == "stopped" else 0)
                del self.jobs[id_]

    def lose(self) -> None:
        """A node goes down: its job leaves the queue without a report."""
        del self.jobs[next(iter(self.jobs))]


def started(store: Store, item: str) -> RunDirectory:
    run = RunDirectory(store.workspace.outputs / f"run_{item}")
    if not run.root.is_dir():
        run.root.mkdir()
        make_parts(run)
        mark = {"owner": store.owner, "item": item}
        run.manifest.write(json.dumps({"run": run.name, "started": "2026-11-26T10:00:00+00:00", "suite": mark}))
        run.journal.write(json.dumps({**HELLO, "engine": f"engine-{item}"}) + "\n")
    return run


def append(run: RunDirectory, **event: Any) -> None:
    run.journal.write(run.journal.content().decode() + json.dumps({"time": 2.0, "seq": 2, **event}) + "\n")


def asked(run: RunDirectory) -> str | None:
    """What its engine was told to end with."""
    lines = run.control.content().splitlines() if run.control.is_regular else []
    return {"stop": "stopped", "abort": "aborted"}[json.loads(lines[-1])["command"]] if lines else None


def train_one(job: Job, run: RunDirectory) -> str | None:
    job.epoch += 1
    append(run, **epoch_of(job.epoch, LEVELS[int(job.item.partition("-")[0])]).model_dump(mode="json"))
    return "completed" if job.epoch == EPOCHS else None


def epoch_of(epoch: int, value: float) -> EpochFinished:
    nothing = {"step": epoch, "seconds": 1.0, "images_per_second": 1.0, "lr": 0.1, "train_loss": 1.0, "train_acc": 0.5}
    metrics = Metrics(loss=1.0, auc=value, acc=0.5, f1=0.5)
    rest = {"per_class": [], "best_epoch": 1, "best_auc": value, "without_improvement": 0, "curve": []}
    return EpochFinished(time=2.0, seq=2, epoch=epoch, validation=metrics, best=epoch == 1, **nothing, **rest)  # type: ignore[arg-type]
