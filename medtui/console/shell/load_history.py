"""What a run has used of the machine over the last minutes: one sample per snapshot of the engine."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.contract.wire.protocol import Resources
    from medtui.client.view import RunView
    from medtui.machine.gpu import Gpus

KEPT = 240  # samples, about one per second


@dataclass(frozen=True)
class LoadSample:
    cpu: float  # percent of one core, by the engine
    memory: int  # bytes, of the engine
    gpus: Gpus | None = None  # of the machine; None before the first poll


class LoadHistory:
    """Of the run that is shown; another run begins anew."""

    def __init__(self) -> None:
        self.samples: deque[LoadSample] = deque(maxlen=KEPT)
        self._run: str | None = None
        self._last: Resources | None = None

    def add(self, view: RunView | None, gpus: Gpus | None) -> None:
        """The newest snapshot of a view, once."""
        if view is None:
            return
        if view.run != self._run:
            self._run = view.run
            self.samples.clear()
        if view.resources is None or view.resources is self._last:
            return
        self._last = view.resources
        self.samples.append(LoadSample(view.resources.cpu_percent, view.resources.memory, gpus))
