"""What a front end shows of a run: the fold, the newest snapshots, and what was seen of its process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from engine.contract.wire.protocol import CommandAccepted, CommandRejected, Phase, Progress, Resources
from medtui.client.state import RunState

KEPT_POINTS = 4000  # of the running epoch; older ones are thinned out


@dataclass(frozen=True)
class Request:
    """A command that was sent from here."""

    id: str
    command: str
    at: float  # Unix seconds


@dataclass(frozen=True)
class ShutdownChecks:
    """What was seen after the engine's final event. Unix seconds; None is not seen yet."""

    process_gone: float | None = None
    lock_free: float | None = None
    checkpoint_checked: float | None = None
    checkpoint: Literal["none", "verified", "damaged"] | None = None
    trouble: str = ""  # why the checkpoint is damaged


@dataclass(frozen=True)
class RunView:
    """Everything at one moment. A new value replaces the old one; nothing in it changes."""

    catching_up: bool = False  # what it tells of was before we came, and more of it is being read
    reported: str | None = None  # as long as the events name no phase: the phase or the outcome that its status names
    suspended: bool = False  # its process is stopped by a signal (SIGSTOP), and does nothing
    events_lost: bool = False  # its journal does not say how it began, although it trains
    own: bool = True  # started from here, and commanded through its standard input
    run: str | None = None
    state: RunState = field(default_factory=RunState)
    progress: Progress | None = None
    trained: Progress | None = None  # the newest that tells of a step: validation and a pause have neither lr nor speed
    resources: Resources | None = None
    points: tuple[tuple[int, float], ...] = ()  # (step of the run, loss) of the running epoch
    phases: tuple[tuple[Phase, float], ...] = ()  # entered, and when
    requests: tuple[Request, ...] = ()
    diagnosis: dict[str, str] | None = None
    noise: int = 0  # lines that were no events
    died: str | None = None  # how, as text, when it ended without a final event
    unseen: str | None = None  # "not seen since …", where liveness cannot be known
    after: ShutdownChecks = field(default_factory=ShutdownChecks)
    asked_to_start: bool = False
    stops_when_left: bool = False  # the recipe's `on_disconnect`

    @property
    def phase(self) -> Phase:
        return self.state.phase

    @property
    def outcome(self) -> str | None:
        """`completed` … as the engine said, `crashed` for one that could not; None while it runs."""
        if self.catching_up:  # an earlier attempt's is no outcome
            return None
        if self.state.finished is not None:
            return self.state.finished.outcome
        return "crashed" if self.died is not None and self.asked_to_start else None

    @property
    def epoch(self) -> int:
        """The current epoch, from 1; once the run has ended, how many are done."""
        done = self.state.epochs[-1].epoch if self.state.epochs else 0
        if not self.active or self.progress is None or self.progress.epoch is None or self.state.started is None:
            return done
        return min(self.progress.epoch, self.state.started.epochs)

    @property
    def doing(self) -> Progress | None:
        """The newest snapshot, unless what it tells of is over: its epoch, or the pause."""
        now, last = self.progress, self.state.epochs.last
        if now is None or (now.phase == "paused" and self.phase != "paused"):
            return None
        return None if now.epoch is not None and last is not None and now.epoch <= last.epoch else now

    @property
    def active(self) -> bool:
        """Is a job in progress?"""
        return self.asked_to_start and self.outcome is None

    @property
    def status_label(self) -> str:
        """The phase, or how the run ended, for display."""
        if self.outcome is not None:
            return self.outcome
        if self.unseen is not None:
            return self.unseen
        if self.catching_up:  # what was read so far may be of long ago
            return self.reported or "connecting"
        if self.suspended:
            return "suspended"
        if self.asked_to_start and self.phase == "idle":
            return self.reported or "starting"
        return self.phase

    def answer(self, request: Request) -> CommandAccepted | CommandRejected | None:
        return next((answer for answer in reversed(self.state.answers) if answer.id == request.id), None)

    @property
    def unanswered(self) -> Request | None:
        """The newest request that the engine has not answered."""
        if not self.requests or not self.active:
            return None
        last = self.requests[-1]
        return None if self.answer(last) is not None else last
