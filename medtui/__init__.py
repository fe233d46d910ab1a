"""medtui: train image classifiers from a terminal, and use what was trained.

`import medtui` imports nothing heavy; `medtui.load` brings a trained model into a program or a notebook.
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.api import Model

__all__ = ["load"]


def load(
    run: str | PathLike[str] = "last", *, workspace: str | PathLike[str] | None = None, device: str = "auto"
) -> Model:
    """A trained model, with `predict(images)`, and its run's `metrics`, `per_class` and `history` as pandas frames.

    run: as on the command line: a run's name, a unique part of it, its folder, or `last`; or the folder of a bundle.
    workspace: the folder that holds outputs/; found from the current folder unless given. Raises UsageError.
    """
    from os import fspath
    from pathlib import Path

    from engine.api import load as load_model
    from engine.contract.store.find_model import find_model
    from engine.contract.store.workspace import find_workspace

    outputs = find_workspace(Path(workspace) if workspace is not None else None).outputs
    folder, found = find_model(outputs, fspath(run))
    return load_model(folder, found, device)
