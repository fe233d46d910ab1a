"""The ladder, climbed: abort, SIGTERM, SIGKILL, and the proof that the engine is gone.

A rung is climbed when the one before has had its time and the engine still lives, or at once by `hurry`. What is said
to have happened was seen: in the engine's own events, in the process table, in the kernel's lock, in the checkpoint.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from engine.contract.checkpoint_file import verified_digest
from engine.contract.errors import MedtuiError
from engine.contract.lock import is_locked, read_holder
from engine.contract.process_identity import ProcessIdentity, same_process
from engine.contract.protocol import CommandAccepted, CommandRejected
from engine.contract.workspace import Workspace
from medtui.client.control import NothingToCommand
from medtui.client.ladder import Rung, RungState
from medtui.client.view import Request
from medtui.client.watch import Watched
from medtui.machine.process_group import EngineGroup, Process, is_engine_of
from medtui.text import clean

Answer = CommandAccepted | CommandRejected


@dataclass(frozen=True)
class Bounds:
    """How long a rung waits before the next is climbed. Seconds."""

    abort: float = 10.0  # at least; longer when the engine says that its batch and checkpoint take longer
    terminate: float = 5.0
    kill: float = 2.0
    tick: float = 0.05


@dataclass(frozen=True)
class Ascent:
    """How far a climb has come. Unix seconds; None has not happened."""

    began: float
    asked: float | None = None
    not_asked: str = ""  # why abort could not be asked for
    answer: Answer | None = None
    terminated: float | None = None
    killed: float | None = None
    forbidden: str = ""  # why a signal could not be sent
    gone: float | None = None
    left: tuple[int, ...] = ()  # pids that outlived all of it
    lock_free: float | None = None
    checkpoint: float | None = None  # when it was looked at
    checkpoint_words: str = ""
    checkpoint_good: bool = True
    next_at: float | None = None  # when the next rung is climbed, if the engine still lives
    over: bool = False

    @property
    def succeeded(self) -> bool:
        return self.gone is not None and self.lock_free is not None and self.checkpoint_good


class Climb:
    """Ends one engine for certain. `climb` blocks; `ascent` may be read and `hurry` called from other threads."""

    def __init__(
        self,
        engine: ProcessIdentity,
        workspace: Workspace,
        *,
        abort: Callable[[], object] | None,
        answer: Callable[[], Answer | None] = lambda: None,
        checkpoints: Callable[[], Sequence[Path]] = tuple,
        tell: Callable[[Ascent], None] = lambda ascent: None,
        bounds: Bounds | None = None,
    ) -> None:
        """`abort` asks the engine to abort, and may raise MedtuiError; None starts at SIGKILL.

        `answer`: what the engine said to that. `checkpoints`: newest first, one of which must be whole afterwards.
        """
        self._engine = engine
        self._workspace = workspace
        self._group = EngineGroup(engine.pid, engine.started, workspace.root)
        self._abort, self._answer, self._checkpoints, self._tell = abort, answer, checkpoints, tell
        self._bounds = bounds or Bounds()
        self._hurried = threading.Event()
        self.ascent = Ascent(began=time.time())

    def hurry(self) -> None:
        """Climb the next rung now."""
        self._hurried.set()

    def climb(self) -> Ascent:
        if self._abort is not None:
            gone = self._ask() or self._signal(signal.SIGTERM, self._bounds.terminate)
        else:
            gone = not self._group.living()
        gone = gone or self._signal(signal.SIGKILL, self._bounds.kill)
        if gone:
            self._change(gone=time.time(), next_at=None)
            self._verify()
        else:
            self._change(left=tuple(process.pid for process in self._group.living()))
        self._change(over=True, next_at=None)
        return self.ascent

    def _change(self, **what: object) -> None:
        self.ascent = replace(self.ascent, **what)  # type: ignore[arg-type]
        self._tell(self.ascent)

    # ---- the rungs: each true when the engine is gone ----------------------------------------------------------------

    def _ask(self) -> bool:
        assert self._abort is not None
        try:
            self._abort()
            self._change(asked=time.time())
        except MedtuiError as error:
            self._change(not_asked=error.message)
            return not self._group.living()
        gone = self._gone_within(self._abort_grace)
        self._abort_grace()  # its answer may have come with its end
        return gone

    def _abort_grace(self) -> float:
        answer = self._answer()
        if answer is not None and self.ascent.answer is None:
            self._change(answer=answer)
        expected = answer.expected if isinstance(answer, CommandAccepted) else 0.0
        return max(self._bounds.abort, expected)

    def _signal(self, number: signal.Signals, grace: float) -> bool:
        """To all of the group, and to who joins it meanwhile."""
        told: frozenset[Process] = frozenset()
        self._change(**{"terminated" if number == signal.SIGTERM else "killed": time.time()})

        def send() -> float:
            nonlocal told
            try:
                told |= frozenset(self._group.signal(number, spare=told))
            except PermissionError:
                if not self.ascent.forbidden:
                    self._change(forbidden="the engine belongs to another user")
            return grace

        return self._gone_within(send)

    def _gone_within(self, grace: Callable[[], float]) -> bool:
        """Wait for the whole group to be gone; `grace`, seconds, is asked for again at every look."""
        began = time.time()
        self._hurried.clear()
        while True:
            until = began + grace()
            if not self._group.living():
                return True
            if until != self.ascent.next_at:
                self._change(next_at=until)
            if self._hurried.is_set() or time.time() > until:
                return False
            self._hurried.wait(self._bounds.tick)

    # ---- the proof ---------------------------------------------------------------------------------------------------

    def _verify(self) -> None:
        deadline = time.monotonic() + self._bounds.kill
        while self._holds_lock() and time.monotonic() < deadline:
            time.sleep(self._bounds.tick)
        if not self._holds_lock():
            self._change(lock_free=time.time())
        words, good = _looked_at(self._checkpoints())
        self._change(checkpoint=time.time(), checkpoint_words=words, checkpoint_good=good)

    def _holds_lock(self) -> bool:
        """Is the lock still that engine's? The next one may have it already."""
        if not is_locked(self._workspace.lock_file):
            return False
        holder = read_holder(self._workspace.lock_file)
        return holder is None or self._group.leader.is_same(holder.pid, holder.started)


def _looked_at(checkpoints: Sequence[Path]) -> tuple[str, bool]:
    """What is there to resume from, in words, and whether that is as it should be."""
    damaged = ""
    for path in checkpoints:
        if not path.exists():  # killed between two renames: the one before is whole
            continue
        try:
            verified_digest(path)
            return f"checkpoint verified{damaged}", True
        except (MedtuiError, OSError) as error:
            damaged = f" ({path.name} is damaged: {clean(str(error), 200)})"
    return (f"no checkpoint is whole{damaged}", False) if damaged else ("no checkpoint to verify", True)


def _is_engine(engine: ProcessIdentity, workspace: Workspace) -> bool:
    """By its arguments: a file may name any process. True when it is gone."""
    process = same_process(engine.pid, engine.started)
    try:
        return process is None or is_engine_of(process.cmdline(), workspace.root)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def climb_of(
    watched: Watched,
    workspace: Workspace,
    by: str,
    *,
    now: bool = False,
    tell: Callable[[Ascent], None] = lambda ascent: None,
    bounds: Bounds | None = None,
) -> Climb:
    """The ladder of a run that is watched; `now` starts at SIGKILL. Raises NothingToCommand.

    Its engine must be known and on this machine: signals reach no other.
    """
    engine = watched.engine
    if engine is None or not engine.is_here:
        raise NothingToCommand("Signals reach no engine that is not on this machine.", "Ask it to abort.")
    if not watched.view.own and not _is_engine(engine, workspace):
        raise NothingToCommand(
            f"Process {engine.pid}, named in the run's status.json, is no engine of this workspace: it is left alone.",
            "Whoever wrote that file named another process.",
        )
    asked: list[Request] = []

    def abort() -> None:
        request = watched.command("abort", by)
        if request is None:
            raise NothingToCommand("The engine does not listen any more.")
        asked.append(request)

    def answer() -> Answer | None:
        return watched.view.answer(asked[-1]) if asked else None

    def checkpoints() -> list[Path]:
        run = watched.run_directory
        return [run.last, run.previous] if run is not None else []

    return Climb(
        engine,
        workspace,
        abort=None if now else abort,
        answer=answer,
        checkpoints=checkpoints,
        tell=tell,
        bounds=bounds,
    )


def ascent_rungs(ascent: Ascent) -> list[Rung]:
    """What was climbed and seen, and what comes next. Pure."""
    found: list[Rung] = []

    def rung(title: str, at: float | None, note: str = "") -> None:
        clock = max(0.0, at - ascent.began) if at is not None else None
        found.append(Rung(title, "waiting" if at is None else "done", clock, note))

    if ascent.asked is not None:
        rung("abort requested", ascent.asked)
        found.append(_answer_rung(ascent))
    elif ascent.not_asked:
        found.append(Rung("abort not requested", "failed", None, clean(ascent.not_asked, 200)))
    if ascent.terminated is not None:
        rung("SIGTERM to its group", ascent.terminated)
    if ascent.killed is not None:
        rung("SIGKILL to its group", ascent.killed)
    if ascent.forbidden:
        found.append(Rung("not permitted", "failed", None, ascent.forbidden))
    if ascent.left:
        found.append(Rung("still there", "failed", None, ", ".join(map(str, ascent.left))))
        return found
    rung("process gone", ascent.gone, _next_words(ascent))
    if ascent.gone is not None:
        if ascent.lock_free is None and ascent.over:
            found.append(Rung("lock free", "failed", None, "a process outside of the engine's group holds it"))
        else:
            rung("lock free", ascent.lock_free)
        if ascent.checkpoint is not None:
            state: RungState = "done" if ascent.checkpoint_good else "failed"
            found.append(Rung(ascent.checkpoint_words, state, ascent.checkpoint - ascent.began))
    return found


def _answer_rung(ascent: Ascent) -> Rung:
    answer = ascent.answer
    if answer is None:
        silent = ascent.terminated is not None or ascent.killed is not None
        return Rung("no answer from the engine", "failed") if silent else Rung("engine's answer", "waiting")
    clock = max(0.0, answer.time - ascent.began)
    if isinstance(answer, CommandRejected):
        return Rung("rejected", "failed", clock, clean(answer.reason, 200))
    return Rung("accepted", "done", clock, clean(answer.note, 200))


def _next_words(ascent: Ascent) -> str:
    """Which signal comes when, while it is waited for."""
    if ascent.gone is not None or ascent.next_at is None or ascent.killed is not None:
        return ""
    name = "SIGTERM" if ascent.terminated is None else "SIGKILL"
    return f"{name} at {max(0.0, ascent.next_at - ascent.began):.0f} s"
