"""The runner of a suite, a search or the queue: owns the workspace, gives slots to engines, records how they end.

It can be killed at any moment. What it decides is in the journal before it is done; what its engines did is in their
run directories; an engine that outlives it holds its slot's lock and is adopted by the next runner.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from engine.contract.store.lock import LockState, WorkspaceLock, locks_of
from engine.contract.store.run_directory import RunDirectory, is_run
from engine.contract.store.run_record import read_run
from engine.contract.store.slots import slot_lock_name
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import DiskFull, MedtuiError, UsageError, WorkspaceLocked
from engine.contract.wire.jobs import Slot, Train
from engine.contract.wire.protocol import ErrorInfo
from medtui.client.attached import AttachedRun
from medtui.client.engine_process import EngineProcess
from medtui.client.escalation import Escalator
from medtui.client.own_engine import OwnEngine
from medtui.client.resume import resume_command
from medtui.suites.known_runs import KnownRuns
from medtui.suites.settling import holds_slot, left_behind, run_left
from medtui.suites.slots import Slots
from medtui.suites.store import Store, newest_checkpoint
from medtui.suites.work import ENDED_ON_REQUEST, Event, Item, Work

TAKING = 3.0  # seconds for engines of a runner that was killed just now, and could not start, to end
REPEATED = 3.0  # seconds before a slot that was not free is tried again
LINGERING = 20.0  # seconds for an engine to go after its final event
MOST_CRASHES = 5  # deaths of its engine in a row, without a new checkpoint, after which a run counts as failed
STEPS = {1: "stop", 2: "abort"}
ASKED = {"stop": 1, "abort": 2}
NO_SPACE = ("space.no_bytes", "space.no_files")  # codes of what an engine says that finds no room for a run


@dataclass
class Living:
    """A run in its slot."""

    item: str
    slot: int
    handle: OwnEngine | AttachedRun | None  # None: an adopted engine that has no run directory yet
    reported: bool = False  # is its run in the journal?
    asked: int = 0  # the step that its engine was asked for last
    over_since: float | None = None  # when its final event was seen

    @property
    def own(self) -> bool:
        return isinstance(self.handle, OwnEngine)


class Planner(Protocol):
    """What decides, while a runner works, which runs there are to be: of a search."""

    def next_events(self, work: Work) -> list[Event]:
        """What adds the runs that are to be done next. Only called where none waits; none: there are no more."""

    def is_over(self, work: Work) -> bool:
        """Are there no more to come, as things are?"""

    def describe_end(self, work: Work) -> str:
        """Why there are no more, where that is not what its budget says; else empty."""

    def judged(self, work: Work, item: Item, epochs: int | None) -> Event | None:
        """What prunes a run that is not pruned yet; `epochs`: how many it has, where that is known already."""


class Runner:
    def __init__(
        self,
        store: Store,
        slots: Slots,
        *,
        has_gpu: bool = False,
        by: str = "medtui suite",
        planner: Planner | None = None,
        on_event: Callable[[Event, Item], None] = lambda event, item: None,
    ) -> None:
        self.store, self.slots = store, slots
        self.workspace: Workspace = store.workspace
        self.id = secrets.token_hex(8)
        self.living: dict[int, Living] = {}
        self.level = 0  # 1 asked to stop, 2 to abort, 3 to kill
        self.finishing = False  # starts no more runs
        self.trouble: ErrorInfo | None = None  # why, where none of them could succeed
        self._has_gpu, self._by, self._planner, self._on_event = has_gpu, by, planner, on_event
        self._lock = WorkspaceLock(self.workspace.lock_file, self.id, store.owner)
        self._not_before: dict[int, float] = {}  # by slot
        self.journal = store.make()

    @property
    def work(self) -> Work:
        return self.journal.work

    # ---- the workspace -----------------------------------------------------------------------------------------------

    def take_workspace(self) -> None:
        """Take the workspace, and see what an earlier runner left. Raises WorkspaceLocked or OutputError."""
        deadline = time.monotonic() + TAKING
        while True:
            try:
                self._lock.acquire()
                break
            except WorkspaceLocked:
                holder = LockState.read(self.workspace.lock_file).holder
                if holder is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        self._known = KnownRuns(self.workspace.outputs, has_gpu=self._has_gpu)
        self.journal.refresh()
        for item in self.work.of("claimed", "running"):
            self._take_over(item)
        if self.store.kind == "suite":  # a search recovers its own; an entry of the queue is known by its number only
            for item in self.work.of("pending"):
                self._find_lost(item)

    def close(self) -> None:
        for living in self.living.values():
            if living.handle is not None:
                living.handle.close()
        self._lock.release()

    def _take_over(self, item: Item) -> None:
        """What an earlier runner had begun: its engine lives and is adopted, or its files say how it ended."""
        if holds_slot(self.store, item):
            slot = item.slot or 0
            self.living[slot] = Living(item.id, slot, None)
        else:
            self._settle_from_files(item)

    def _find_lost(self, item: Item) -> None:
        """Its run, of which a damaged journal has no word: one that lives is adopted, one that can be is resumed."""
        run = self._known.of(self.store.owner, item.id) if item.run is None else None
        if run is None or self._known.ended(item) is not None:
            return
        record = read_run(run)
        if (slot := self._slot_of(run)) is not None:
            self.living[slot] = Living(item.id, slot, None)
            self._record({"event": "claimed", "id": item.id, "slot": slot, "runner": self.id, "after": None}, item.id)
        elif record.outcome not in ("completed", "failed") and (run.last.is_regular or run.previous.is_regular):
            self._record({"event": "started", "id": item.id, "run": run.name}, item.id)
            self._record({"event": "interrupted", "id": item.id, "at": None}, item.id)

    def _slot_of(self, run: RunDirectory) -> int | None:
        """That an engine holds which trains this run."""
        holders = (LockState.read(file).holder for file in locks_of(self.workspace.folder))
        ours = (one for one in holders if one is not None and one.owner == self.store.owner)
        return next((one.slot for one in ours if one.run == run.name), None)

    def _slot_state(self, slot: int) -> LockState:
        return LockState.read(self.workspace.folder.file(slot_lock_name(slot)))

    # ---- one turn ----------------------------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Nothing lives, and nothing more is to be started."""
        if self.living:
            return False
        more = self.work.next is not None or (self._planner is not None and not self._planner.is_over(self.work))
        return self.finishing or self.level > 0 or not more

    def turn(self) -> None:
        """Record what has happened, and start what can be started. Never waits long. Raises OutputError."""
        self.journal.refresh()
        self._heed_requests()
        for living in list(self.living.values()):
            self._look_at(living)
        if self.level == 0 and not self.finishing:
            now = time.monotonic()
            for slot in range(1, self.slots.count + 1):
                if slot not in self.living and self._not_before.get(slot, 0.0) <= now and not self._start_next(slot):
                    break

    def request(self, level: int) -> None:
        """Ask every run to stop (1) or to abort (2), or kill it (3); none is started any more."""
        self.level = max(self.level, level)
        if level == 3:
            for living in self.living.values():
                self._kill(living)

    def _heed_requests(self) -> None:
        """Of commands in other shells."""
        asked = self.work.asked.get(self.id)
        self.finishing = self.finishing or asked == "finish"
        if asked in ASKED and ASKED[asked] > self.level:
            self.request(ASKED[asked])

    def _look_at(self, living: Living) -> None:
        item = self.work.items.get(living.item)
        if item is None:  # the journal was damaged
            return
        self._judge(item, living)
        self._ask(living)
        if isinstance(living.handle, OwnEngine):
            self._look_at_own(living, item, living.handle)
        else:
            self._look_at_adopted(living, item)

    def _judge(self, item: Item, living: Living | None = None) -> None:
        """Prune it, where its search decides so. By its epochs alone, so that it does not matter when this looks."""
        if self._planner is None or item.pruned is not None or item.run is None:
            return
        epochs = None
        if living is not None:
            last = living.handle.view.state.epochs.last if living.handle is not None else None
            epochs = last.epoch if last is not None else 0
        if (event := self._planner.judged(self.work, item, epochs)) is not None:
            self._record(event, item.id)

    def _ask(self, living: Living) -> None:
        """Pass on the step that was requested, once."""
        item = self.work.items.get(living.item)
        step = min(self.level, 2) or int(item is not None and item.pruned is not None)
        if step > living.asked and living.handle is not None:
            try:
                living.handle.command(STEPS[step], self._by)
            except MedtuiError:  # it has just ended
                return
            living.asked = step

    def _kill(self, living: Living) -> None:
        handle = living.handle
        engine = handle.engine if handle is not None else None
        if handle is None or engine is None:
            return
        run = handle.run_directory
        checkpoints = [run.last, run.previous] if run is not None else []
        self._record({"event": "kill_asked", "run": run.name if run is not None else ""}, living.item)
        Escalator(engine, self.workspace, abort=None, checkpoints=lambda: checkpoints).escalate()

    def _look_at_own(self, living: Living, item: Item, handle: OwnEngine) -> None:
        view = handle.view
        if not living.reported and view.state.started is not None:
            living.reported = True
            self._record({"event": "started", "id": item.id, "run": view.state.started.run}, item.id)
        if view.outcome is None or self._lingers(living, handle):
            return
        del self.living[living.slot]
        item, finished = self.work.items[item.id], view.state.finished
        if view.outcome == "crashed" or finished is None:
            self._record_death(item, handle.run_directory, view.died or "")
            return
        error = finished.error or ErrorInfo(kind="", message="")
        is_locked, has_no_space = error.kind == WorkspaceLocked.kind, error.code in NO_SPACE
        if is_locked:
            self._not_before[living.slot] = time.monotonic() + REPEATED
        if has_no_space or error.kind == DiskFull.kind:  # the others would fail alike, one by one
            self.finishing, self.trouble = True, error
        was_not_begun = finished.outcome == "aborted" and view.state.started is None and self.level > 0
        if is_locked or has_no_space or was_not_begun:
            self._record({"event": "released", "id": item.id}, item.id)
        else:
            self._record_end(item, finished.outcome, item.run, error.message)

    def _lingers(self, living: Living, handle: OwnEngine) -> bool:
        """Does an engine live that has reported its end? One that does so for long is killed."""
        if not handle.engine.is_alive():
            return False
        living.over_since = living.over_since or time.monotonic()
        if time.monotonic() - living.over_since > LINGERING:
            Escalator(handle.engine, self.workspace, abort=None).escalate()
        return handle.engine.is_alive() is not False

    def _look_at_adopted(self, living: Living, item: Item) -> None:
        state = self._slot_state(living.slot)
        holder = state.holder if state.held else None
        if holder is None or holder.owner != self.store.owner:
            if living.handle is not None:
                living.handle.close()
            del self.living[living.slot]
            self._settle_from_files(self.work.items[item.id])
        elif living.handle is None and holder.run is not None:
            run = RunDirectory(self.workspace.outputs / holder.run)
            living.handle = AttachedRun(run, self.workspace)
            self._record({"event": "started", "id": item.id, "run": run.name}, item.id)

    # ---- starting ----------------------------------------------------------------------------------------------------

    def _start_next(self, slot: int) -> bool:
        """Give the slot to the next run; false where there is none. Runs that are done already are recorded so."""
        while True:
            with self.journal.writing() as writer:
                if self.work.next is None and self._planner is not None:
                    writer.add(*self._planner.next_events(self.work))
                item = self.work.next
                if item is None:
                    return False
                run = self._run_of(item)
                ended = self._known.ended(item, again=self.store.kind == "queue") if run is None else None
                if ended is None:
                    after = read_run(run).engine_id if run is not None else None
                    given = {"slot": slot, "runner": self.id, "after": after}
                    writer.add({"event": "claimed", "id": item.id, **given})
            if ended is not None:
                self._record_end(item, ended["outcome"], ended["run"], ended["detail"])
                continue
            return self._start(self.work.items[item.id], run, slot)

    def _run_of(self, item: Item) -> RunDirectory | None:
        """What there is of it to be resumed."""
        run = RunDirectory(self.workspace.outputs / item.run) if item.run is not None else None
        return run if run is not None and is_run(run.root) else None

    def _start(self, item: Item, run: RunDirectory | None, slot: int) -> bool:
        try:
            start = self._start_command(item, run, slot)
        except UsageError as error:  # it was completed or changed by hand meanwhile
            completed = run is not None and read_run(run).outcome == "completed"
            self._record_end(item, "completed" if completed else "failed", item.run, "" if completed else error.message)
            return True
        environment = self.slots.environment(slot)
        engine = OwnEngine(
            self.workspace, warm=False, engine=lambda: EngineProcess(self.workspace, environment=environment)
        )
        engine.begin(start)
        self.living[slot] = Living(item.id, slot, engine)
        return True

    def _start_command(self, item: Item, run: RunDirectory | None, slot: int) -> Train:
        given = Slot(number=slot, owner=self.store.owner, runner=self.id, item=item.id)
        if run is not None:
            start = resume_command(run, self.workspace, by=self._by, data=item.data, command_line=sys.argv)
        else:
            recipe = {name: dict(section) for name, section in item.recipe.items()}
            if self.slots.threads and recipe.get("runtime", {}).get("threads") is None:
                recipe.setdefault("runtime", {})["threads"] = self.slots.threads
            data = list(item.data)
            start = Train(id=secrets.token_hex(4), by=self._by, recipe=recipe, data=data, command_line=sys.argv)
        return start.model_copy(update={"slot": given, "offline": item.offline, "folder": item.folder})

    # ---- what became of it -------------------------------------------------------------------------------------------

    def _settle_from_files(self, item: Item) -> None:
        """Record what the files of a run say whose engine is gone."""
        run = run_left(self.store, item) or self._known.of(self.store.owner, item.id)
        for event in list(left_behind(self.work, item, run)):
            item = self.work.items[item.id]
            if event["event"] == "interrupted":
                self._record_death(item, run, "")
            elif event["event"] == "ended":
                self._record_end(item, event["outcome"], event["run"], "")
            else:
                self._record(event, item.id)

    def _record_death(self, item: Item, run: RunDirectory | None, how: str) -> None:
        if item.kill_asked or (self.level == 3 and run is not None):
            self._record_end(item, "killed", run.name if run is not None else None, "")
            return
        if run is None and (run := self._unreported_run(item)) is not None:
            self._record({"event": "started", "id": item.id, "run": run.name}, item.id)
        at = newest_checkpoint(run) if run is not None else None
        self._record({"event": "interrupted", "id": item.id, "at": at}, item.id)
        crashes = self.work.items[item.id].crashes
        if crashes >= MOST_CRASHES:
            detail = f"its engine died {crashes} times in a row without a new checkpoint. {how}".strip()
            self._record_end(item, "failed", item.run, detail)

    def _unreported_run(self, item: Item) -> RunDirectory | None:
        """That its engine had made when it died, and not reported yet."""
        self._known = KnownRuns(self.workspace.outputs, has_gpu=self._has_gpu)
        return self._known.of(self.store.owner, item.id)

    def _record_end(self, item: Item, outcome: str, run: str | None, detail: str) -> None:
        if outcome in ("completed", "stopped"):
            self._judge(item)
        ended = {"event": "ended", "id": item.id, "outcome": outcome, "run": run, "detail": detail}
        self._record({**ended, "with_all": self.level > 0 and outcome in ENDED_ON_REQUEST}, item.id)

    def _record(self, event: Event, item: str) -> None:
        self.journal.write(event)
        if (found := self.work.items.get(item)) is not None:
            self._on_event(event, found)

    def views(self) -> Iterator[tuple[Living, Item]]:
        for _, living in sorted(self.living.items()):
            if (item := self.work.items.get(living.item)) is not None:
                yield living, item
