"""Escalation: abort, SIGTERM, SIGKILL, and the proof that the engine is gone.

A step is taken when the previous one has timed out and the engine is still alive, or at once by `skip_wait`. Whatever
is reported was observed: in the engine's own events, in the process table, in the kernel's lock, in the checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.contract.files.folders import File
from engine.contract.files.owners import user_name
from engine.contract.machine.process_identity import ProcessIdentity, same_process
from engine.contract.store.checkpoint_file import verified_digest
from engine.contract.store.lock import LockState
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import MedtuiError
from engine.contract.wire.protocol import CommandAccepted, CommandRejected
from medtui.client.control import NothingToCommand
from medtui.client.escalation_steps import EscalationStep, StepState
from medtui.client.process_group import EngineGroup, Process, is_engine_in
from medtui.client.run_handle import RunHandle
from medtui.client.view import Request
from medtui.sentences import Control
from medtui.text import clean

Answer = CommandAccepted | CommandRejected
RECORDING = 0.5  # seconds for a disk to take the record of a kill, before it is killed without


@dataclass(frozen=True)
class Timeouts:
    """How long a step waits before the next one is taken. Seconds."""

    abort: float = 10.0  # at least; longer when the engine says that its batch and checkpoint take longer
    terminate: float = 5.0
    kill: float = 2.0
    tick: float = 0.05


@dataclass(frozen=True)
class Escalation:
    """How far an escalation has come. Unix seconds; None: has not happened."""

    began: float
    requested_at: float | None = None
    abort_error: str = ""  # why abort could not be asked for
    outcome: str = ""  # of a run that was over before it could be asked to abort
    answer: Answer | None = None
    terminated: float | None = None
    killed: float | None = None
    forbidden: str = ""  # why a signal could not be sent
    gone: float | None = None
    left: tuple[int, ...] = ()  # pids that outlived all of it
    lock_free: float | None = None
    checkpoint: float | None = None  # when it was verified
    checkpoint_summary: str = ""
    checkpoint_good: bool = True
    next_at: float | None = None  # when the next step is taken, if the engine is still alive
    over: bool = False

    @property
    def succeeded(self) -> bool:
        return self.gone is not None and self.lock_free is not None and self.checkpoint_good

    @property
    def unneeded(self) -> bool:
        """Had the run ended by itself, its process too?"""
        return bool(self.outcome) and self.terminated is None and self.killed is None


class Escalator:
    """Ends one engine for certain. `escalate` blocks; `escalation` and `skip_wait` may be used from other threads."""

    def __init__(
        self,
        engine: ProcessIdentity,
        workspace: Workspace,
        *,
        abort: Callable[[], object] | None,
        answer: Callable[[], Answer | None] = lambda: None,
        checkpoints: Callable[[], Sequence[File]] = tuple,
        on_change: Callable[[Escalation], None] = lambda escalation: None,
        on_signal: Callable[[], None] = lambda: None,
        timeouts: Timeouts | None = None,
    ) -> None:
        """`abort` asks the engine to abort, and may raise MedtuiError; None starts at SIGKILL.

        `answer`: the engine's answer to that. `on_signal`: before the first one. `checkpoints`: newest first, one of
        which must be intact afterwards.
        """
        self._engine = engine
        self._workspace = workspace
        self._group = EngineGroup(engine.pid, engine.started, workspace.folder)
        self._abort, self._answer, self._checkpoints, self._on_change = abort, answer, checkpoints, on_change
        self._on_signal = on_signal
        self._timeouts = timeouts or Timeouts()
        self._skip_wait = threading.Event()
        self.escalation = Escalation(began=time.time())

    def skip_wait(self) -> None:
        """Take the next step now."""
        self._skip_wait.set()

    def escalate(self) -> Escalation:
        if self._abort is not None:
            gone = self._request_abort() or self._signal(signal.SIGTERM, self._timeouts.terminate)
        else:
            gone = not self._group.living()
        gone = gone or (not self.escalation.forbidden and self._signal(signal.SIGKILL, self._timeouts.kill))
        if gone:
            self._change(gone=time.time(), next_at=None)
            self._verify()
        else:
            self._change(left=tuple(process.pid for process in self._group.living()))
        self._change(over=True, next_at=None)
        return self.escalation

    def _change(self, **what: object) -> None:
        self.escalation = replace(self.escalation, **what)  # type: ignore[arg-type]
        self._on_change(self.escalation)

    # ---- the steps: each true when the engine is gone ----------------------------------------------------------------

    def _request_abort(self) -> bool:
        """In a separate thread: whoever writes to a disk that does not answer never comes back."""
        done, gave_up = threading.Event(), False

        def ask() -> None:
            assert self._abort is not None
            try:
                self._abort()
                found: dict[str, object] = {"requested_at": time.time()}
            except MedtuiError as error:
                over = error.code in (Control.RUN_OVER.code, Control.RUN_OVER_RESUMABLE.code)
                found = {"outcome": error.fields["outcome"]} if over else {"abort_error": error.message}
            if not gave_up:
                self._change(**found)
            done.set()

        threading.Thread(target=ask, name="escalation-abort", daemon=True).start()
        deadline = time.monotonic() + self._timeouts.abort
        while not done.wait(self._timeouts.tick):
            if self._skip_wait.is_set() or time.monotonic() > deadline:
                gave_up = True
                self._change(abort_error="the disk does not respond")
                break
        if self.escalation.abort_error:
            self._skip_wait.clear()
            return not self._group.living()
        gone = self._gone_within(self._abort_grace)
        self._abort_grace()  # its answer may have come with its end
        return gone

    def _abort_grace(self) -> float:
        answer = self._answer()
        if answer is not None and self.escalation.answer is None:
            self._change(answer=answer)
        expected = answer.expected if isinstance(answer, CommandAccepted) else 0.0
        return max(self._timeouts.abort, expected)

    def _signal(self, number: signal.Signals, grace: float) -> bool:
        """To all of the group, and to who joins it meanwhile."""
        if self.escalation.terminated is None:
            self._tell_of_signal()
        signalled: frozenset[Process] = frozenset()
        self._change(**{"terminated" if number == signal.SIGTERM else "killed": time.time()})

        def send() -> float:
            nonlocal signalled
            try:
                signalled |= frozenset(self._group.signal(number, spare=signalled))
            except PermissionError:
                self._change(forbidden=f"the engine belongs to {_owner_of(self._engine.pid)}")
                return 0.0  # it will be no different later
            return grace

        return self._gone_within(send)

    def _tell_of_signal(self) -> None:
        """Before the engine is gone, which others see at once; a disk that does not answer is not waited for."""
        thread = threading.Thread(target=self._on_signal, name="escalation-record", daemon=True)
        thread.start()
        thread.join(RECORDING)

    def _gone_within(self, grace: Callable[[], float]) -> bool:
        """Wait for the whole group to be gone; `grace`, seconds, is evaluated again at every poll."""
        began, shown_from = time.monotonic(), time.time()  # the machine's clock may be set meanwhile
        self._skip_wait.clear()
        while True:
            patience = grace()
            if not self._group.living():
                return True
            if shown_from + patience != self.escalation.next_at:
                self._change(next_at=shown_from + patience)
            if self._skip_wait.is_set() or time.monotonic() > began + patience:
                return False
            self._skip_wait.wait(self._timeouts.tick)

    # ---- the proof ---------------------------------------------------------------------------------------------------

    def _verify(self) -> None:
        deadline = time.monotonic() + self._timeouts.kill
        while self._holds_lock() and time.monotonic() < deadline:
            time.sleep(self._timeouts.tick)
        if not self._holds_lock():
            self._change(lock_free=time.time())
        summary, good = _verify_newest(self._checkpoints())
        self._change(checkpoint=time.time(), checkpoint_summary=summary, checkpoint_good=good)

    def _holds_lock(self) -> bool:
        return any(LockState.read(lock).is_held_by(self._engine) for lock in self._workspace.locks)


def _verify_newest(checkpoints: Sequence[File]) -> tuple[str, bool]:
    """What there is to resume from, as text, and whether that is as it should be."""
    damaged = ""
    for path in checkpoints:
        if not path.is_there:  # killed between two renames: the previous one is intact
            continue
        try:
            verified_digest(path)
            return f"checkpoint verified{damaged}", True
        except (MedtuiError, OSError) as error:
            damaged = f" ({path.name} is damaged: {clean(str(error), 200)})"
    return (f"no intact checkpoint{damaged}", False) if damaged else ("no checkpoint to verify", True)


def _owner_of(pid: int) -> str:
    try:
        return user_name(Path(f"/proc/{pid}").stat().st_uid)
    except OSError:
        return "another user"


def _is_engine(engine: ProcessIdentity, workspace: Workspace) -> bool:
    """By what it is: a file may name any process. True when it is gone."""
    return same_process(engine.pid, engine.started) is None or is_engine_in(engine.pid, workspace.folder)


def escalator_for(
    handle: RunHandle,
    workspace: Workspace,
    by: str,
    *,
    now: bool = False,
    on_change: Callable[[Escalation], None] = lambda escalation: None,
    on_signal: Callable[[RunDirectory], None] = lambda run: None,
    timeouts: Timeouts | None = None,
) -> Escalator:
    """The escalator for a run; `now` starts at SIGKILL. Raises NothingToCommand.

    Its engine must be known and on this machine: signals reach no other. `on_signal` is called before the first one,
    with the run where it has a directory.
    """
    engine = handle.engine
    if engine is None or not engine.is_here:
        raise NothingToCommand(Control.OTHER_MACHINE)
    if not handle.view.own and not _is_engine(engine, workspace):
        raise NothingToCommand(Control.NOT_AN_ENGINE, pid=engine.pid)
    requests: list[Request] = []

    def abort() -> None:
        request = handle.command("abort", by)
        if request is None:
            raise NothingToCommand(Control.NOT_LISTENING)
        requests.append(request)

    def answer() -> Answer | None:
        return handle.view.answer(requests[-1]) if requests else None

    def record() -> None:
        if (run := handle.run_directory) is not None:
            record_kill(run, engine, by)
            on_signal(run)

    def checkpoints() -> list[File]:
        run = handle.run_directory
        return [run.last, run.previous] if run is not None else []

    return Escalator(
        engine,
        workspace,
        abort=None if now else abort,
        answer=answer,
        checkpoints=checkpoints,
        on_change=on_change,
        on_signal=record,
        timeouts=timeouts,
    )


def record_kill(run: RunDirectory, engine: ProcessIdentity, by: str) -> None:
    """For whoever reads how the run ended: an engine that is killed cannot report it.

    None of an engine that may not be signalled; a disk that is full does not matter.
    """
    with contextlib.suppress(OSError, MedtuiError):
        os.kill(engine.pid, 0)
        run.killed.write(json.dumps({"pid": engine.pid, "started": engine.started, "by": by, "time": time.time()}))


def steps_taken(escalation: Escalation) -> list[EscalationStep]:
    """What was done and seen, and what follows. Pure."""
    found: list[EscalationStep] = []

    def step(title: str, at: float | None, note: str = "") -> None:
        clock = max(0.0, at - escalation.began) if at is not None else None
        found.append(EscalationStep(title, "waiting" if at is None else "done", clock, note))

    if escalation.requested_at is not None:
        step("abort requested", escalation.requested_at)
        found.append(_answer_step(escalation))
    elif escalation.outcome:
        found.append(EscalationStep("run had already ended", "done", None, escalation.outcome))
    elif escalation.abort_error:
        found.append(EscalationStep("abort not requested", "failed", None, clean(escalation.abort_error, 200)))
    if escalation.terminated is not None:
        step("SIGTERM to group", escalation.terminated)
    if escalation.killed is not None:
        step("SIGKILL to group", escalation.killed)
    if escalation.forbidden:
        found.append(EscalationStep("not permitted", "failed", None, escalation.forbidden))
    if escalation.left:
        found.append(EscalationStep("still alive", "failed", None, ", ".join(map(str, escalation.left))))
        return found
    step("process gone", escalation.gone, _describe_next(escalation))
    if escalation.gone is not None:
        if escalation.lock_free is None and escalation.over:
            note = "held by a process outside the engine's group"
            found.append(EscalationStep("its lock free", "failed", None, note))
        else:
            step("its lock free", escalation.lock_free)
        if escalation.checkpoint is not None:
            state: StepState = "done" if escalation.checkpoint_good else "failed"
            found.append(EscalationStep(escalation.checkpoint_summary, state, escalation.checkpoint - escalation.began))
    return found


def _answer_step(escalation: Escalation) -> EscalationStep:
    answer = escalation.answer
    if answer is None:
        silent = escalation.terminated is not None or escalation.killed is not None
        return (
            EscalationStep("no answer from the engine", "failed")
            if silent
            else EscalationStep("engine's answer", "waiting")
        )
    clock = max(0.0, answer.time - escalation.began)
    if isinstance(answer, CommandRejected):
        return EscalationStep("rejected", "failed", clock, clean(answer.reason, 200))
    return EscalationStep("accepted", "done", clock, clean(answer.note, 200))


def _describe_next(escalation: Escalation) -> str:
    """Which signal comes when, while it is waited for."""
    if escalation.gone is not None or escalation.next_at is None or escalation.killed is not None:
        return ""
    name = "SIGTERM" if escalation.terminated is None else "SIGKILL"
    return f"{name} at {max(0.0, escalation.next_at - escalation.began):.0f} s"
