"""One experiment tracker as the follower sees it, and which there are."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from engine.contract.files.folders import File
from engine.contract.recipe.names import alternatives
from engine.contract.recipe.runtime_section import TRACKERS
from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.errors import InstallationError, UsageError
from medtui.client.trackers import is_installed
from medtui.sentences import Tracking
from medtui.track.records import WEIGHTS, Artifact, End, Record, RunFacts

# by name: what implements it, which alone imports its package
_CLASSES = {
    "tensorboard": "medtui.track.tools.tensorboard:TensorBoard",
    "mlflow": "medtui.track.tools.mlflow:MLflow",
    "wandb": "medtui.track.tools.wandb:WandB",
    "trackio": "medtui.track.tools.trackio:Trackio",
}
assert tuple(_CLASSES) == TRACKERS


class Tracker(Protocol):
    """The record of one run in a tool. What the tool has already is not added again. May raise anything."""

    def begin(self, facts: RunFacts) -> None:
        """Open the record of this run, or continue the one that is there."""

    def write(self, records: Sequence[Record]) -> None:
        """Add what is missing, in this order."""

    def close(self, end: End | None) -> None:
        """`end`: how the run ended; None while it has not."""

    @property
    def where(self) -> str:
        """Where it is to be seen: a folder, an address or a command."""


@dataclass(frozen=True)
class Source:
    """The run that is tracked."""

    run: RunDirectory
    outputs: Path  # of its workspace: where a tool has its files, unless its environment says otherwise
    weights: bool = False  # are the weights of the best epoch sent too?

    def file(self, artifact: Artifact) -> File | None:
        """The file of an artifact that is to be sent; None for weights, unless asked for, and for what is gone."""
        if artifact.name == WEIGHTS and not self.weights:
            return None
        file = self.run.folder.file(artifact.path)
        return file if file.is_regular else None

    def files(self, records: Sequence[Record]) -> Iterator[File]:
        """Those of the artifacts among these records."""
        for record in records:
            if isinstance(record, Artifact) and (file := self.file(record)) is not None:
                yield file


def open_tracker(name: str, source: Source) -> Tracker:
    """Raises UsageError for an unknown name, InstallationError where its package is missing."""
    if name not in _CLASSES:
        raise UsageError(Tracking.UNKNOWN, found=name, alternatives=alternatives("tracker", name, list(_CLASSES)))
    if not is_installed(name):
        raise InstallationError(Tracking.NO_PACKAGE, tracker=name)
    module, _, attribute = _CLASSES[name].partition(":")
    tracker: Tracker = getattr(importlib.import_module(module), attribute)(source)
    return tracker
