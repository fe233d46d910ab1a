"""An engine process: commands in, events out, one job.

The main thread does the job. One thread reads commands and answers at once, however long a batch takes; one is the
heartbeat: status file, resources, `control.jsonl`.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import json
import platform
import queue
import secrets
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from types import FrameType
from typing import Any, Literal

import psutil

from engine.commands import answer
from engine.contract.machine.process_identity import this_process
from engine.contract.machine.scheduler import REPEAT_WINDOW, WARNINGS, meaning_of, scheduler_job
from engine.contract.store.find_run import find_run
from engine.contract.store.lock import WorkspaceLock
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.slots import ItemLock, SlotLock
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import ABORTED, COMPLETED, MedtuiError, ProtocolError
from engine.contract.wire.jobs import JOBS, Start
from engine.contract.wire.protocol import (
    AnyCommand,
    CommandAccepted,
    CommandRejected,
    Diagnosis,
    ErrorInfo,
    Hello,
    PhaseChanged,
    Resources,
    RunFinished,
    parse_command,
)
from engine.control import Aborted, Control, run_handlers
from engine.control_file import ControlFile
from engine.diagnosis import facts
from engine.events import EventStream, Pipe, now
from engine.failure import as_failure, as_import_failure
from engine.process import Arrivals, may_be_interrupted, redirect_stderr, restore_default_sigterm, signals_handled
from engine.run.job import Job, JobResult
from engine.standard_input import StandardInput

_SIGNALS = {number.name for number in WARNINGS} | {"SIGINT"}  # `by` of a command that a client sent for a signal
HEARTBEAT = 1.0  # seconds between status files
POLL = 0.5  # seconds between polls of control.jsonl
ANSWERING = 2.0  # seconds, at most, for commands that came before the end; who floods the engine does not keep it


class Session:
    def __init__(self, protocol_out: int, commands_in: int, workspace: Workspace, *, warm: bool = False) -> None:
        me = this_process()
        self.engine = secrets.token_hex(8)
        self.workspace = workspace
        self.warm = warm
        self.pipe = Pipe(protocol_out)
        self.stream = EventStream(
            self.pipe,
            {
                "engine": self.engine,
                "host": me.host,
                "boot": me.boot,
                "pid": me.pid,
                "started": me.started,
                "scheduler": scheduler_job(),
            },
        )
        self.control = Control()
        self.job: Job | None = None
        self._standard_input = StandardInput(commands_in)
        self._starts: queue.SimpleQueue[Start | None] = queue.SimpleQueue()
        self._claimed = False  # a start was accepted
        self._control_files: list[ControlFile] = []
        self._signalled: list[tuple[int, Literal["stop", "abort", "checkpoint"]]] = []  # to be reported
        self._handled: dict[str, float] = {}  # what was asked for by a signal, of ours or our client's, and when first
        self._sigterm_ends = False
        self._failed_parts: set[str] = set()  # parts of the heartbeat that have failed
        self._over = threading.Event()
        self.stream.emit(
            Hello(
                time=now(),
                engine=self.engine,
                pid=me.pid,
                started=me.started,
                host=me.host,
                boot=me.boot,
                versions={"python": platform.python_version(), "medtui": _version()},
                jobs=list(JOBS),
            )
        )

    def run(self) -> int:
        """Answer commands, do one job, end. Returns the exit code."""
        threading.Thread(target=self._read_commands, name="commands", daemon=True).start()
        if self.warm:
            self._warm_up()
        start = self._starts.get()
        if start is None:
            self.pipe.close()
            return COMPLETED
        exit_code = self._run_job(start)
        self.pipe.close()
        return exit_code

    def _warm_up(self) -> None:
        """Import what jobs need. What cannot be imported is reported by the job that needs it, as an event."""
        with contextlib.suppress(Exception):
            for job in JOBS.values():
                if job.warms_up:
                    _imported(job.work)
            resolve_name("engine.run.warm_up:warm_up")()

    # ---- the job -------------------------------------------------------------------------------------------------

    def _run_job(self, start: Start) -> int:
        lock = self._lock_for(start)
        find = partial(find_run, self.workspace.outputs, here=Path(start.folder or ""))
        job = Job(start, self.workspace, self.stream, self.control, lock, self._adopt, find)
        self.job = job
        with signals_handled(self._on_signal, self._on_interrupt) as arrivals:
            heartbeat = threading.Thread(target=self._heartbeat_loop, args=(arrivals,), name="heartbeat", daemon=True)
            result = self._result(job, lock, heartbeat)
            self._report_signals()
            self._finish(job, result, heartbeat)
        if lock:
            lock.release()
        return result.exit_code

    def _lock_for(self, start: Start) -> WorkspaceLock | None:
        if not start.holds_workspace:
            return None
        if (slot := start.slot) is not None:
            return SlotLock(self.workspace.folder, slot.number, slot.owner, slot.runner, self.engine)
        if (item := start.suite_item) is not None:
            return ItemLock(self.workspace.folder, item, self.engine)
        return WorkspaceLock(self.workspace.lock_file, self.engine)

    def _result(self, job: Job, lock: WorkspaceLock | None, heartbeat: threading.Thread) -> JobResult:
        try:
            if lock:
                self.workspace.make_outputs()
                lock.acquire()
                self._listen_while_preparing(lock)
            heartbeat.start()
            job.enter("preparing")  # before the imports, which take seconds
            result: JobResult = _imported(job.start.work)(job, job.start)
            return result
        except Aborted:
            return JobResult("aborted", ABORTED, None)
        except Exception as error:
            failure = as_failure(error, has_log=job.run is not None)
            if job.run is not None:
                self.stream.report(failure)
            return JobResult("failed", failure.exit_code, _info(failure))

    def _finish(self, job: Job, result: JobResult, heartbeat: threading.Thread) -> None:
        """The final events, after the answers to all earlier commands."""
        summary = self.stream.summary
        metrics = {"validation": summary.validation, "test": summary.test} | {
            name: value for name, value in result.metrics.items() if value is not None
        }
        with self.control.decision_lock:  # after this event every command is rejected
            self.stream.emit(PhaseChanged(time=now(), phase="finished"))
        self._answer_remaining(heartbeat)
        self.stream.emit(
            RunFinished(
                time=now(),
                outcome=result.outcome,
                exit_code=result.exit_code,
                metrics=metrics,
                run_dir=str(job.run.root) if job.run else None,
                error=result.error,
            )
        )

    def _answer_remaining(self, heartbeat: threading.Thread) -> None:
        """Commands that were written before the end of the job have an answer. No heartbeat follows."""
        self._standard_input.finish(ANSWERING)
        self._over.set()
        if heartbeat.is_alive():
            heartbeat.join(HEARTBEAT)
        if not heartbeat.is_alive():  # else it hangs in a disk that does not answer
            self._guarded("commands", self._poll_control_files)

    def _listen_while_preparing(self, lock: WorkspaceLock) -> None:
        """Before there is a run directory, others reach the lock's holder through a file next to the lock."""
        lock.file.folder.hold()  # by it this engine is known as the workspace's, wherever that is moved
        with contextlib.suppress(OSError):  # without it only signals reach an engine that prepares
            self._control_files.append(ControlFile(lock.open_control(), self.engine))

    def _adopt(self, run: RunDirectory) -> None:
        """The run directory exists: journal, log and control file begin."""
        self.stream.open_journal(run)
        redirect_stderr(run.log)
        self._control_files.append(ControlFile(run.control, self.engine))
        self.stream.write_status()

    # ---- commands ------------------------------------------------------------------------------------------------

    def _read_commands(self) -> None:
        self._standard_input.each(self._handle_line)
        if not self._standard_input.finishing:
            self._disconnected()

    def _handle_line(self, line: bytes) -> None:
        try:
            self._answer_line(line)
        except Exception:  # whatever one line does, the next is handled
            traceback.print_exc(file=sys.stderr)

    def _answer_line(self, line: bytes) -> None:
        try:
            command = parse_command(line)
        except ProtocolError as error:
            id_, name = _identify_command(line)
            self._reject(id_, name, error.message, "unknown", "stdin")
            return
        self.handle(command, "stdin")

    def handle(self, command: AnyCommand, via: Any) -> None:
        """Answer a command and set in motion what it asks."""
        with self.control.decision_lock:
            phase = self.stream.phase
            if self._claimed and phase == "idle":
                phase = "preparing"
            reply = answer(command.command, phase, self.control.requested)
            if not reply.accepted:
                self._reject(command.id, command.command, reply.text, command.by, via)
                return
            if isinstance(command, Start):
                self._claimed = True
            from_signal = command.by in _SIGNALS  # its client's; ours may be on its way
            if reply.action == "abort" and not from_signal:
                restore_default_sigterm()  # before a word is said: the main thread may be stuck while it holds the pipe
            self.stream.emit(
                CommandAccepted(
                    time=now(),
                    id=command.id,
                    command=command.command,
                    expected=self.control.expected_delay,
                    by=command.by,
                    via=via,
                    note=reply.text,
                )
            )
            if reply.action in ("pause", "resume", "stop", "abort", "checkpoint"):
                if from_signal:
                    self._handled.setdefault(reply.action, time.monotonic())
                self.control.request(reply.action)
        if isinstance(command, Start):
            self._starts.put(command)
        elif reply.action == "shutdown":
            self._starts.put(None)
        elif reply.action == "diagnose":
            self.stream.emit(Diagnosis(time=now(), id=command.id, facts=facts()))

    def _reject(self, id_: str, command: str, reason: str, by: str, via: Any) -> None:
        self.stream.emit(CommandRejected(time=now(), id=id_, command=command, reason=reason, by=by, via=via))

    def _disconnected(self) -> None:
        """Standard input was closed: no more commands come this way."""
        with self.control.decision_lock:
            if not self._claimed:
                self._starts.put(None)
                return
        job = self.job
        if job is None or job.run is None:
            self.control.request("abort")
        elif job.start.stops_when_left:
            self.stream.log("Client disconnected; the run stops (runtime.on_disconnect).", "warning")
            self.control.request("stop")
        else:
            self.stream.log("Client disconnected; the run continues.")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """A scheduler's warning aborts, or saves; SIGINT stops, and a moment later aborts. Sets flags only, or raises
        Aborted.

        One request comes several times: to the group, to us and to our client. SIGTERM that comes a moment after an
        abort has its default action: see `_restore_default_sigterm`.
        """
        action = self._action_for(number)
        if action != "checkpoint" and action in self._handled:
            return
        if action not in self._handled:
            self._signalled.append((number, action))
        self._handled.setdefault(action, time.monotonic())
        if action == "checkpoint":
            self.control.save_from_signal()
        elif action == "stop":
            self.control.stop_from_signal()
        else:
            self.control.abort_from_signal()
            self._on_interrupt(number, frame)

    def _action_for(self, number: int) -> Literal["stop", "abort", "checkpoint"]:
        if number != signal.SIGINT:
            return "checkpoint" if meaning_of(number) == "checkpoint" else "abort"
        stopped = self._handled.get("stop")
        again = stopped is not None and time.monotonic() - stopped > REPEAT_WINDOW
        return "abort" if again or self.job is None or self.job.run is None else "stop"

    def _restore_default_sigterm(self) -> None:
        """Once the moment is over in which an abort may come several times."""
        asked = self._handled.get("abort")
        if not self._sigterm_ends and asked is not None and time.monotonic() - asked > REPEAT_WINDOW:
            self._sigterm_ends = True
            restore_default_sigterm()

    def _on_interrupt(self, _number: int, frame: FrameType | None) -> None:
        """The main thread, taken out of a read that blocks. Raises Aborted where that is safe."""
        if may_be_interrupted(frame):
            self.control.interrupted()

    def _report_signals(self) -> None:
        """What a signal requested, reported once; its handler could not."""
        with self.control.decision_lock:
            while self._signalled:
                number, action = self._signalled.pop(0)
                by, expected = signal.Signals(number).name, self.control.expected_delay
                self.stream.emit(
                    CommandAccepted(time=now(), id="", command=action, expected=expected, by=by, via="signal")
                )

    # ---- the heartbeat -------------------------------------------------------------------------------------------

    def _heartbeat_loop(self, arrivals: Arrivals) -> None:
        """Until the job is over. Whatever one part of a beat raises, the others and the next beat continue."""
        resources = _Resources()
        last = 0.0
        while not self._over.wait(POLL):
            self._guarded("commands", self._poll_control_files)
            if arrivals.unhandled():
                run_handlers()
            self._guarded("signals", self._report_signals)
            self._guarded("signals", self._restore_default_sigterm)
            self.control.interrupt()  # the first time may have come where it could not be heeded
            if time.monotonic() - last >= HEARTBEAT:
                last = time.monotonic()
                self._guarded("resources", lambda: self.stream.snapshot(resources.now()))
                self._guarded("status", self._write_status)

    def _guarded(self, part: str, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:
            if part not in self._failed_parts:  # logged once
                self._failed_parts.add(part)
                with contextlib.suppress(Exception):
                    traceback.print_exc(file=sys.stderr)
                    reason = f"{type(error).__name__}: {str(error)[:200]}"
                    self.stream.log(f"The heartbeat continues without {part} for now: {reason}.", "warning")

    def _poll_control_files(self) -> None:
        for file in tuple(self._control_files):
            for command in file.poll():
                self.handle(command, "control")
            for words in file.take_warnings():
                self.stream.log(words, "warning")

    def _write_status(self) -> None:
        with contextlib.suppress(OSError):  # a full disk must not end the heartbeat
            self.stream.write_status()


class _Resources:
    """What this process uses. Where the system does not say, the next call asks again."""

    def __init__(self) -> None:
        self._process: psutil.Process | None = None
        self._counted = time.monotonic(), time.process_time()

    def now(self) -> Resources:
        """Raises psutil.Error."""
        if self._process is None:
            self._process = psutil.Process()
        memory = self._process.memory_info().rss
        return Resources(time=now(), cpu_percent=self._cpu_percent(), memory=memory)

    def _cpu_percent(self) -> float:
        """Of one core, since the last call or the beginning. By clocks as fine as the time between calls is short."""
        (before, used_before), self._counted = self._counted, (time.monotonic(), time.process_time())
        at, used = self._counted
        return round(100 * (used - used_before) / max(at - before, 1e-3), 1)


# ---- helpers ---------------------------------------------------------------------------------------------------------


def _info(error: MedtuiError) -> ErrorInfo:
    return ErrorInfo(kind=error.kind, code=error.code, message=error.message, hint=error.hint)


def _identify_command(line: bytes) -> tuple[str, str]:
    """Id and name of a command that cannot be understood, as far as they can."""
    try:
        values = json.loads(line)
        asked = (str(values.get(name, ""))[:200] for name in ("id", "command"))
        id_, command = (text.encode(errors="replace").decode() for text in asked)  # JSON may hold lone surrogates
        return id_, command
    except (ValueError, AttributeError, RecursionError):
        return "", ""


def _version() -> str:
    try:
        return importlib.metadata.version("medtui")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


_import_failures: dict[str, MedtuiError] = {}  # a second attempt at a package that failed half-way fails otherwise


def _imported(work: str) -> Callable[..., JobResult]:
    """The function of a job, its libraries imported. Raises InstallationError, the same each time."""
    if work in _import_failures:
        raise _import_failures[work]
    try:
        found: Callable[..., JobResult] = resolve_name(work)
    except Exception as error:  # a broken package, or a variable that it cannot read, may raise anything
        _import_failures[work] = as_import_failure(error)
        raise _import_failures[work] from error
    gc.freeze()  # modules stay: the collector need not look through their million objects while a run goes on
    return found
