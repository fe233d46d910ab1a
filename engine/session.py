"""An engine's life: commands in, events out, one job.

The main thread does the job. One thread reads commands and answers at once, however long a batch takes; one is the
heartbeat: status file, resources, `control.jsonl`.
"""

from __future__ import annotations

import contextlib
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
from importlib import import_module
from typing import Any

import psutil

from engine.commands import answer
from engine.contract.errors import ABORTED, COMPLETED, MedtuiError, ProtocolError
from engine.contract.lines import lines_of
from engine.contract.lock import WorkspaceLock
from engine.contract.process_identity import this_process
from engine.contract.protocol import (
    AnyCommand,
    CommandAccepted,
    CommandRejected,
    Diagnosis,
    ErrorInfo,
    Hello,
    PhaseChanged,
    Resources,
    RunFinished,
    Start,
    parse_command,
)
from engine.contract.run_directory import RunDirectory
from engine.contract.scheduler import scheduler_job
from engine.contract.workspace import Workspace
from engine.control import Aborted, Control
from engine.control_file import ControlFile
from engine.diagnosis import facts
from engine.events import EventStream, Pipe, now
from engine.failure import as_failure
from engine.process import become_log, let_sigterm_end_us, signals_handled
from engine.run.job import Job, JobResult

JOBS = {
    "train": ("engine.run.train_job", "train"),
    "score": ("engine.run.score_job", "score"),
    "evaluate": ("engine.run.evaluate_job", "evaluate_again"),
    "data.fetch": ("engine.run.data_jobs", "fetch"),
    "data.verify": ("engine.run.data_jobs", "verify"),
}
HEARTBEAT = 1.0  # seconds between status files
POLL = 0.5  # seconds between looks at control.jsonl


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
        self._commands_in = commands_in
        self._starts: queue.SimpleQueue[Start | None] = queue.SimpleQueue()
        self._claimed = False  # a start was accepted
        self._answering = threading.Lock()
        self._control_file: ControlFile | None = None
        self._signalled: int | None = None  # the first signal that asked for an end
        self._signal_told = False
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
            )
        )

    def live(self) -> int:
        """Answer commands, do one job, end. Returns the exit code."""
        threading.Thread(target=self._read_commands, name="commands", daemon=True).start()
        if self.warm:
            import_module("engine.run.train_job")
        start = self._starts.get()
        if start is None:
            self.pipe.close()
            return COMPLETED
        exit_code = self._do(start)
        self._over.set()
        self.pipe.close()
        return exit_code

    # ---- the job -------------------------------------------------------------------------------------------------

    def _do(self, start: Start) -> int:
        lock = WorkspaceLock(self.workspace.lock_file) if start.job == "train" else None
        job = Job(start, self.workspace, self.stream, self.control, lock, self._adopt)
        self.job = job
        heartbeat = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        with signals_handled(self._on_signal):
            result = self._result(job, lock, heartbeat)
            self._tell_signal()
            self._finish(job, result)
        self._over.set()
        if heartbeat.is_alive():
            heartbeat.join(HEARTBEAT)
        self._last_status(job)
        if lock:
            lock.release()
        return result.exit_code

    def _result(self, job: Job, lock: WorkspaceLock | None, heartbeat: threading.Thread) -> JobResult:
        try:
            if lock:
                self.workspace.make_outputs()
                lock.acquire()
            heartbeat.start()
            job.enter("preparing")  # before the imports, which take seconds
            module, function = JOBS[job.start.job]
            result: JobResult = getattr(import_module(module), function)(job)
            return result
        except Aborted:
            return JobResult("aborted", ABORTED, None)
        except Exception as error:
            failure = as_failure(error)
            if job.run is not None:
                self.stream.alarm(failure.kind, failure.message, failure.hint)
            return JobResult("failed", failure.exit_code, _info(failure))

    def _finish(self, job: Job, result: JobResult) -> None:
        summary = self.stream.summary
        metrics = {"validation": summary.validation, "test": summary.test} | {
            name: value for name, value in result.metrics.items() if value is not None
        }
        with self._answering:  # after this event every command is rejected
            self.stream.emit(PhaseChanged(time=now(), phase="finished"))
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

    def _last_status(self, job: Job) -> None:
        if job.run is not None:
            with contextlib.suppress(OSError):
                self.stream.sync_journal()
                self.stream.write_status()

    def _adopt(self, run: RunDirectory) -> None:
        """The run directory exists: journal, log and control file begin."""
        self.stream.open_journal(run)
        become_log(run.log)
        self._control_file = ControlFile(run.control, self.engine)
        self.stream.write_status()

    # ---- commands ------------------------------------------------------------------------------------------------

    def _read_commands(self) -> None:
        for line in lines_of(self._commands_in):
            if line.strip():
                try:
                    self._obey_line(line)
                except Exception:  # whatever one line does, the next is heard
                    traceback.print_exc(file=sys.stderr)
        self._disconnected()

    def _obey_line(self, line: bytes) -> None:
        try:
            command = parse_command(line)
        except ProtocolError as error:
            id_, name = _who_asked(line)
            self._reject(id_, name, error.message, "unknown", "stdin")
            return
        self.obey(command, "stdin")

    def obey(self, command: AnyCommand, via: Any) -> None:
        """Answer a command and set in motion what it asks."""
        with self._answering:
            phase = self.stream.phase
            if self._claimed and phase == "idle":
                phase = "preparing"
            reply = answer(command.command, phase)
            if not reply.accepted:
                self._reject(command.id, command.command, reply.text, command.by, via)
                return
            if isinstance(command, Start):
                self._claimed = True
            self.stream.emit(
                CommandAccepted(
                    time=now(),
                    id=command.id,
                    command=command.command,
                    expected=self.control.expected,
                    by=command.by,
                    via=via,
                    note=reply.text,
                )
            )
        if isinstance(command, Start):
            self._starts.put(command)
        elif reply.action == "shutdown":
            self._starts.put(None)
        elif reply.action == "diagnose":
            self.stream.emit(Diagnosis(time=now(), id=command.id, facts=facts()))
        elif reply.action in ("pause", "resume", "stop", "abort", "checkpoint"):
            if reply.action == "abort":
                let_sigterm_end_us()
            self.control.ask(reply.action)

    def _reject(self, id_: str, command: str, reason: str, by: str, via: Any) -> None:
        self.stream.emit(CommandRejected(time=now(), id=id_, command=command, reason=reason, by=by, via=via))

    def _disconnected(self) -> None:
        """Standard input was closed: nobody sends commands this way any more."""
        with self._answering:
            if not self._claimed:
                self._starts.put(None)
                return
        job = self.job
        if job is None or job.run is None:
            self.control.ask("abort")
        elif job.start.on_disconnect == "stop":
            self.stream.log("Who started the run has gone; it stops (runtime.on_disconnect).", "warning")
            self.control.ask("stop")
        else:
            self.stream.log("Who started the run has gone; it goes on by itself.")

    def _on_signal(self, number: int, _frame: Any) -> None:
        """The first SIGTERM aborts; the next has its default action. Sets flags only.

        SIGUSR1, a scheduler's warning before the time limit, aborts too, however often it comes.
        """
        self._signalled = self._signalled or number
        self.control.abort_from_signal()
        if number != signal.SIGUSR1:
            signal.signal(number, signal.SIG_DFL)

    def _tell_signal(self) -> None:
        """What a signal asked for, told once; its handler could not."""
        with self._answering:
            if self._signalled is None or self._signal_told:
                return
            self._signal_told = True
            by, expected = signal.Signals(self._signalled).name, self.control.expected
            self.stream.emit(
                CommandAccepted(time=now(), id="", command="abort", expected=expected, by=by, via="signal")
            )

    # ---- the heartbeat -------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        process = psutil.Process()
        process.cpu_percent()
        last = 0.0
        while not self._over.wait(POLL):
            if self._control_file is not None:
                for command in self._control_file.poll():
                    self.obey(command, "control")
                for words in self._control_file.remarks():
                    self.stream.log(words, "warning")
            self._tell_signal()
            if time.monotonic() - last >= HEARTBEAT:
                last = time.monotonic()
                memory = process.memory_info().rss
                self.stream.snapshot(Resources(time=now(), cpu_percent=process.cpu_percent(), memory=memory))
                with contextlib.suppress(OSError):  # a full disk must not end the heartbeat
                    self.stream.write_status()


# ---- helpers ---------------------------------------------------------------------------------------------------------


def _info(error: MedtuiError) -> ErrorInfo:
    return ErrorInfo(kind=error.kind, message=error.message, hint=error.hint)


def _who_asked(line: bytes) -> tuple[str, str]:
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
