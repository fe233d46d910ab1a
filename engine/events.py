"""The engine's output: every state event to the journal and the pipe, snapshots to the pipe and the status file.

The engine never waits for a reader: the pipe has its own thread and bounded queue, and a closed pipe means
"no reader", not "stop".
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections import deque
from typing import Any, TypeVar

from engine.contract.files.file_system import append_all, flush
from engine.contract.files.folders import File
from engine.contract.sentence import Sentence
from engine.contract.store.journal import cut_torn_line, read_journal
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.run_log import format_log_lines
from engine.contract.store.status import RunSummary, Status, fold_summary
from engine.contract.wire.errors import MedtuiError
from engine.contract.wire.monitor import Monitor
from engine.contract.wire.protocol import (
    Alarm,
    AnyEvent,
    Event,
    Log,
    Phase,
    PhaseChanged,
    Progress,
    Resources,
    RunFinished,
    RunStarted,
    parse_event,
)

QUEUE_LIMIT = 10_000  # state events that wait for a slow reader; a longer gap is reread from the journal
FLUSH_PATIENCE = 5.0  # seconds to let a reader finish when the engine ends

E = TypeVar("E", bound=Event)


class Pipe:
    """JSON lines to one reader, best effort, from a separate thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque(maxlen=QUEUE_LIMIT)
        self._snapshots: dict[str, bytes] = {}
        self._wake = threading.Condition()
        self._closing = self._broken = self._over = False
        self._thread = threading.Thread(target=self._write, name="pipe", daemon=True)
        self._thread.start()

    def put(self, line: bytes, *, last: bool = False) -> None:
        """`last`: of a run. No snapshot comes after it, nor one that waits: who reads to the end finds this line."""
        with self._wake:
            self._lines.append(line)
            if last:
                self._snapshots.clear()
                self._over = True
            self._wake.notify()

    def put_snapshot(self, kind: str, line: bytes) -> None:
        """Replaces an unsent snapshot of the same kind."""
        with self._wake:
            if not self._over:
                self._snapshots[kind] = line
                self._wake.notify()

    def close(self) -> None:
        """Let the reader have what is queued, for a while."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(FLUSH_PATIENCE)

    def _write(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._lines or self._snapshots or self._closing)
                if not (self._lines or self._snapshots):
                    return
                batch = b"".join([*self._lines, *self._snapshots.values()])
                self._lines.clear()
                self._snapshots.clear()
            if not self._broken:
                self._broken = not self._write_all(batch)

    def _write_all(self, data: bytes) -> bool:
        view = memoryview(data)
        try:
            while view:
                with contextlib.suppress(BlockingIOError):  # our parent left the pipe non-blocking
                    view = view[os.write(self._descriptor, view) :]
                    continue
                select.select([], [self._descriptor], [])
        except (OSError, ValueError):  # EPIPE and the like: there is no reader
            return False
        return True


class RunLog:
    """The log lines in run.log. Best effort: what a full disk does not take now follows later, or is lost."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self._unwritten: deque[bytes] = deque(maxlen=QUEUE_LIMIT)  # from before there was a run directory, too
        self._monitor: Monitor = "auc"

    def begin(self, file: File) -> None:
        """Raises OSError."""
        self._descriptor = file.descriptor(os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._write()

    def record(self, event: AnyEvent) -> None:
        if isinstance(event, RunStarted):
            self._monitor = event.monitor
        if lines := format_log_lines(event, self._monitor):
            self._unwritten.append(lines.encode())
            self._write()

    def _write(self) -> None:
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):
            while self._unwritten:
                lines = self._unwritten[0]
                written = os.write(self._descriptor, lines)
                if written < len(lines):  # cutting it off could take what a library wrote meanwhile
                    self._unwritten[0] = lines[written:]
                    return
                self._unwritten.popleft()


class EventStream:
    """Numbers, journals and sends events; keeps the summary that `status.json` is made of."""

    def __init__(self, pipe: Pipe, identity: dict[str, Any]) -> None:
        """`identity`: engine, host, boot, pid and started, for the status file."""
        self._pipe = pipe
        self._identity = identity
        self._lock = threading.Lock()
        self._seq = 0
        self._journal: int | None = None
        self._unwritten: deque[bytes] = deque()  # from before there was a run directory, or with the disk full
        self._log = RunLog()
        self._run: RunDirectory | None = None
        self._phase: Phase = "idle"
        self._finished = False  # the final event was emitted
        self._summary = RunSummary()
        self._progress: Progress | None = None
        self._resources: Resources | None = None
        self._curve: list[tuple[int, float]] = []

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def summary(self) -> RunSummary:
        return self._summary

    def emit(self, event: AnyEvent) -> None:
        """One state event: numbered, journaled, sent. Events are made with `time=now()`. None comes after a run's
        final event: it is the end for every reader."""
        with self._lock:
            if self._finished:
                return
            self._finished = isinstance(event, RunFinished)
            numbered = event.model_copy(update={"seq": self._seq + 1})
            line = numbered.line()
            self._seq += 1
            if isinstance(event, PhaseChanged):
                self._phase = event.phase
            self._summary = fold_summary(self._summary, numbered)
            self._unwritten.append(line)
            if self._journal is not None:
                with contextlib.suppress(OSError):  # a full disk: kept, and reported by `sync_journal`
                    self._write_journal()
            self._log.record(numbered)
            if not self._finished:
                self._pipe.put(line)
                return
        with contextlib.suppress(OSError):  # a reader of the final event finds the same in the files
            self.sync_journal()
            self.write_status()
        self._pipe.put(line, last=True)

    def snapshot(self, event: Progress | Resources, curve: list[tuple[int, float]] | None = None) -> None:
        if isinstance(event, Progress):
            self._progress = event
            self._curve = curve or []
        else:
            self._resources = event
        self._pipe.put_snapshot(event.event, event.line())

    def log(self, message: str, level: Any = "info") -> None:
        self.emit(Log(time=now(), level=level, message=message))

    def note(self, sentence: Sentence, level: Any = "info", **fields: object) -> None:
        """A log line of a catalogue: what a run does of its own accord."""
        self.log(sentence.text(**fields)[0], level)

    def alarm(self, kind: str, sentence: Sentence, **fields: object) -> None:
        message, hint = sentence.text(**fields)
        self.emit(Alarm(time=now(), kind=kind, code=sentence.code, message=message, hint=hint))

    def report(self, error: MedtuiError) -> None:
        """An alarm of what ended, or will end, the run."""
        self.emit(Alarm(time=now(), kind=error.kind, code=error.code, message=error.message, hint=error.hint))

    def open_journal(self, run: RunDirectory) -> None:
        """From here on events and log lines go to the run directory, those so far first. Raises OSError.

        The journal of an earlier attempt is continued, and `seq` with it: readers see a gap and reread it.
        """
        with self._lock:
            self._run = run
            if run.journal.is_there:
                self._continue(run.journal)
            self._journal = run.journal.descriptor(os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            self._write_journal()
            self._log.begin(run.log)

    def _continue(self, journal: File) -> None:
        """Number on from the last event of an earlier attempt, and know what it knew."""
        cut_torn_line(journal)
        summary, last = RunSummary(), 0
        for event in read_journal(journal):
            summary, last = fold_summary(summary, event), max(last, event.seq or 0)
        self._summary = summary.model_copy(update={"outcome": None, "since": None})
        pending = [parse_event(line) for line in self._unwritten]
        self._unwritten = deque(e.model_copy(update={"seq": last + (e.seq or 0)}).line() for e in pending if e)
        self._seq += last

    def sync_journal(self) -> None:
        """Before a checkpoint is written, the journal must hold what led to it. Raises OSError when it cannot."""
        with self._lock:
            if self._journal is not None:
                self._write_journal()
                flush(self._journal)

    def _write_journal(self) -> None:
        """Append what is not written yet, complete lines or nothing. Raises OSError."""
        assert self._journal is not None
        while self._unwritten:
            append_all(self._journal, self._unwritten[0])
            self._unwritten.popleft()

    def write_status(self) -> None:
        """Replace `status.json`; the heartbeat."""
        run = self._run
        if run is None:
            return
        with self._lock:
            status = Status(
                **self._summary.model_dump(exclude={"worked"}),
                **self._identity,
                worked=self._summary.worked_at(now()),
                updated=now(),
                phase=self._phase,
                seq=self._seq,
                progress=self._progress,
                resources=self._resources,
                curve=self._curve,
            )
        run.status.write(status.model_dump_json(), durable=False)


def now() -> float:
    return time.time()
