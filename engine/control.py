"""What was asked of a running job, obeyed at batch boundaries. Set from other threads, read by the job's own."""

from __future__ import annotations

import threading
from typing import Literal


class Aborted(Exception):
    """Ends the job from wherever it is, by command or SIGTERM."""


class Control:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._paused = self._stopped = self._aborted = self._save = False
        self.expected = 0.0  # seconds until a command shows effect: a batch and a checkpoint, as last measured

    def ask(self, what: Literal["pause", "resume", "stop", "abort", "checkpoint"]) -> None:
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

    def abort_from_signal(self) -> None:
        """For signal handlers, which may interrupt a holder of the lock: sets the flag and nothing else."""
        self._aborted = True

    @property
    def wants_pause(self) -> bool:
        return self._paused

    @property
    def wants_stop(self) -> bool:
        return self._stopped

    @property
    def wants_abort(self) -> bool:
        return self._aborted

    def take_checkpoint_wish(self) -> bool:
        """Was a checkpoint asked for since the last time?"""
        with self._changed:
            wished, self._save = self._save, False
            return wished

    def raise_if_aborted(self) -> None:
        """Raises Aborted."""
        if self._aborted:
            raise Aborted

    def hold(self) -> None:
        """Wait while paused; returns on resume, stop or abort."""
        with self._changed:
            while self._paused and not (self._stopped or self._aborted):
                self._changed.wait(0.5)  # a signal sets its flag without notifying
