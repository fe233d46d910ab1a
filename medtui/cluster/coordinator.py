"""The coordinator of a search on a cluster: asks for trials, submits their runs as jobs, prunes, until nothing is left.

It can be killed at any moment, and the jobs go on. What it decides is in the journal before it is done, and what its
jobs did is in their run directories; so the next one continues as if it had been the same. It holds the search's lock
and nothing of the workspace: what else is done there does not matter to it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from engine.contract.store.run_record import read_run
from engine.contract.wire.errors import OutputError
from medtui.cluster.schedulers import Scheduler
from medtui.cluster.search_journal import OnEvent, SearchJournal
from medtui.cluster.stopping import WAITING, command_run
from medtui.cluster.submit import Outcome, refuse_runner, refuse_unknown, submit
from medtui.sentences import Cluster
from medtui.suites.job_template import JobTemplate
from medtui.suites.runner import ASKED, MOST_CRASHES, STEPS, Living, Planner
from medtui.suites.search_lock import SearchLock
from medtui.suites.settling import Queue
from medtui.suites.store import Store, newest_checkpoint, run_directory
from medtui.suites.work import Item, Work


class Coordinator:
    def __init__(
        self,
        store: Store,
        scheduler: Scheduler,
        template: JobTemplate,
        planner: Planner,
        *,
        by: str = "medtui search",
        on_event: OnEvent = lambda event, item: None,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        """`note` shows a line."""
        self.store, self.scheduler, self.template = store, scheduler, template
        self.id = secrets.token_hex(8)
        self.level = 0  # 1 asked to stop, 2 to abort
        self.finishing = False  # submits no more runs
        self.journal = store.make_for_jobs()
        self._planner, self._by, self._on_event, self._note = planner, by, on_event, note
        self._writes = SearchJournal(store, self.journal, planner, on_event)
        self._asked: dict[str, tuple[str, str]] = {}  # by run: what was asked, and of which engine
        self._lost: dict[str, tuple[int, object]] = {}  # by run: losses in a row, and the checkpoint at the last one
        self._has_submitted = False
        self._answers = True  # did the scheduler, when it was last asked?

    @property
    def work(self) -> Work:
        return self.journal.work

    def views(self) -> Iterator[tuple[Living, Item]]:
        """Engines of its own: none."""
        return iter(())

    @contextmanager
    def working(self) -> Iterator[None]:
        """Meanwhile no other process works on the search; what happened before is in the journal.

        Raises WorkspaceLocked, also while an engine of a killed runner lives, or OutputError where it cannot be known
        whether runs were submitted.
        """
        lock = SearchLock(self.store, self.id)
        lock.acquire()
        try:
            refuse_runner(self.store)
            self._writes.settle()
            refuse_unknown(self.store, self.work)
            self._writes.find_unrecorded()
            yield
        finally:
            lock.release()

    @property
    def over(self) -> bool:
        """No job is left, and no more are to be submitted."""
        if self.work.of("submitted"):
            return False
        return self.level > 0 or self.finishing or (not self.work.of("pending") and self._planner.is_over(self.work))

    def heed_requests(self) -> bool:
        """Read what commands in other shells ask for. Is it something new? Raises OutputError."""
        self.journal.refresh()
        before = (self.finishing, self.level)
        asked = self.work.asked.get(self.id, "")
        self.finishing = self.finishing or asked == "finish"
        self.level = max(self.level, ASKED.get(asked, 0))
        return (self.finishing, self.level) != before

    def turn(self) -> None:
        """Ask the scheduler, record what has happened, end and submit what is to be. Raises OutputError."""
        queue, lost = self._writes.settle()
        self._note_silence(queue)
        for item in lost:
            self._count_loss(item)
        for item in self.work.of("submitted"):
            if item.run is not None:
                done = read_run(run_directory(self.store.workspace, item.run)).summary.epochs_done
                self._writes.judge(item, done)
        self._end_runs(queue.states if queue is not None else {})
        if self.level == 0 and not self.finishing:
            self._submit()

    def _note_silence(self, queue: Queue | None) -> None:
        answers = queue is not None or not self.work.of("submitted")
        if self._answers and not answers:
            self._note(f"{self.scheduler.name} does not answer; it is asked again.")
        self._answers = answers

    # ---- runs that are to end ----------------------------------------------------------------------------------------

    def _end_runs(self, states: Mapping[str, str]) -> None:
        """Those that are pruned, or all. As often as it takes: a job may just be beginning, or begin again."""
        waiting, beginning = list[str](), list[str]()
        for item in self.work.of("submitted"):
            step = min(self.level, 2) or int(item.pruned is not None)
            state = states.get(item.job or "")
            if item.job is not None and state in WAITING:
                waiting += [item.job] * (step > 0 or self.finishing)
            elif step and not self._command(item, STEPS[step]) and step == 2 and item.job is not None and state:
                beginning.append(item.job)
        self._cancel(waiting, waiting=True)
        self._cancel(beginning, waiting=False)

    def _command(self, item: Item, what: str) -> bool:
        """Ask its engine, once; has it one?"""
        asked, of = self._asked.get(item.id, ("", None))
        engine = command_run(self.store, item, what, self._by, unless=of if asked == what else None)
        if engine is not None:
            self._asked[item.id] = what, engine
        return engine is not None

    def _cancel(self, jobs: list[str], *, waiting: bool) -> None:
        if not jobs:
            return
        try:
            self.scheduler.cancel(jobs, waiting=waiting)
        except OutputError as error:  # the next turn tries again
            self._note(error.message)

    def _count_loss(self, item: Item) -> None:
        """Its job left the queue without a report. It is submitted again, but not forever."""
        run = run_directory(self.store.workspace, item.run) if item.run is not None else None
        at = newest_checkpoint(run) if run is not None else None
        times, before = self._lost.get(item.id, (0, None))
        times = times + 1 if before == at else 1
        self._lost[item.id] = times, at
        found = self.work.items.get(item.id)
        if times >= MOST_CRASHES and found is not None and found.state == "pending":
            where = f"; its output is in {item.log}" if item.log else ""
            detail = f"its job was cancelled or killed {times} times in a row without a new checkpoint{where}"
            self._writes.record({"event": "ended", "id": item.id, "outcome": "failed", "detail": detail}, item)

    # ---- submitting --------------------------------------------------------------------------------------------------

    def _submit(self) -> None:
        """Have as many runs submitted as may be at once, as long as there are more."""
        while (room := self.template.at_once - len(self.work.of("submitted"))) > 0:
            while self._add_trial(room):
                continue
            if not self.work.of("pending") or not self._submit_some(room):
                return

    def _add_trial(self, room: int) -> bool:
        """Where fewer runs wait than can be submitted; false where no trial was added."""
        with self.journal.writing() as writer:
            if len(writer.work.of("pending")) >= room:
                return False
            events = self._planner.next_events(writer.work)
            writer.add(*events)
        for event in events:
            if event["event"] == "ended":  # of values that no recipe has together
                self._on_event(event, self.work.items[event["id"]])
        return bool(events)

    def _submit_some(self, room: int) -> bool:
        """Submit what waits; does that leave room, because some of it had been done before?"""
        try:
            outcome = submit(self.store, self.journal, self.scheduler, self.template, room)
        except OutputError as error:
            if not self._has_submitted or error.code not in (Cluster.NOT_SUBMITTED.code, Cluster.UNCONFIRMED.code):
                raise
            self._note(f"{error.message} It is tried again.")
            return False
        self._show(outcome)
        self._has_submitted = self._has_submitted or bool(outcome.submitted)
        return bool(outcome.done)

    def _show(self, outcome: Outcome) -> None:
        for item in outcome.done:
            ended = {"event": "ended", "id": item.id, "outcome": item.state, "run": item.run, "detail": item.detail}
            self._on_event(ended, item)
        for id_, (job, log) in outcome.submitted.items():
            self._on_event({"event": "submitted", "id": id_, "job": job, "log": log}, self.work.items[id_])
