"""What was requested of a running job, handled at batch boundaries. Set from other threads, read by the job's own."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


class Aborted(Exception):
    """Ends the job from wherever it is, by command or SIGTERM."""


INTERRUPT = signal.SIGURG  # to the main thread, out of a call that blocks; without a handler it does nothing


def run_handlers() -> None:
    """Have the main thread run the handlers of signals, out of a call that blocks if need be."""
    main = threading.main_thread().ident
    if main is not None:
        signal.pthread_kill(main, INTERRUPT)


@dataclass(frozen=True)
class Requested:
    """What was requested and accepted so far, whether the job has acted on it or not."""

    pause: bool = False
    stop: bool = False
    abort: bool = False


class Control:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._paused = self._stopped = self._aborted = self._save = False
        self._interruptible = False
        self.decision_lock = threading.Lock()  # held to answer a command, and to enter a phase that answers otherwise
        self.expected_delay = 0.0  # seconds until a command shows effect: a batch and a checkpoint, as last measured

    def request(self, what: Literal["pause", "resume", "stop", "abort", "checkpoint"]) -> None:
        with self._changed:
            if what in ("pause", "resume"):
                self._paused = what == "pause"
            elif what == "stop":
                self._stopped = True
            elif what == "abort":
                self._aborted = True
            else:
                self._save = True
            self._changed.notify_all()
        self.interrupt()

    def abort_from_signal(self) -> None:
        """For signal handlers, which may interrupt a holder of the lock: sets the flag and nothing else."""
        self._aborted = True

    def stop_from_signal(self) -> None:
        self._stopped = True

    def save_from_signal(self) -> None:
        self._save = True

    @property
    def requested(self) -> Requested:
        return Requested(self._paused, self._stopped, self._aborted)

    @property
    def pause_requested(self) -> bool:
        return self._paused

    @property
    def stop_requested(self) -> bool:
        return self._stopped

    @property
    def abort_requested(self) -> bool:
        return self._aborted

    def take_checkpoint_request(self) -> bool:
        """Was a checkpoint requested since the last call?"""
        with self._changed:
            requested, self._save = self._save, False
            return requested

    def raise_if_aborted(self) -> None:
        """Raises Aborted."""
        if self._aborted:
            raise Aborted

    def wait_while_paused(self) -> None:
        """Wait while paused; returns on resume, stop or abort."""
        with self._changed:
            while self._paused and not (self._stopped or self._aborted):
                self._changed.wait(0.5)  # a signal sets its flag without notifying

    # ---- out of a call that blocks -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """The main thread, while an abort may end it anywhere, also out of a read that blocks. Raises Aborted.

        Only for work that leaves nothing half done outside of memory and temporary files.
        """
        try:
            self._interruptible = True
            self.raise_if_aborted()  # an abort from here on finds the flag set, one from before is seen here
            yield
        finally:
            self._interruptible = False
        self.raise_if_aborted()

    def interrupt(self) -> None:
        """Have the main thread look at an abort now, by a signal that ends a call which blocks."""
        if self._aborted and self._interruptible:
            run_handlers()

    def interrupted(self) -> None:
        """For signal handlers, in the main thread. Raises Aborted, once, where it may."""
        if self._aborted and self._interruptible:
            self._interruptible = False  # what tidies up after it is not interrupted again
            raise Aborted
