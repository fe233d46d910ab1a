"""Which model a name or folder refers to: a run's best, or a bundle that was copied from one."""

from __future__ import annotations

from pathlib import Path

from engine.contract.files.paths import absolute, expanded, is_there, path_status
from engine.contract.sentences import ModelDescription
from engine.contract.store.find_run import find_run
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.run_record import read_run
from engine.contract.wire.errors import UsageError

DESCRIPTION = "model.json"


def find_model(outputs: Path, word: str) -> tuple[Path, RunDirectory | None]:
    """The folder with the model that `word` means, and its run, which a bundle has not.

    `word`: a folder with `model.json`, that file, or a run, as `find_run` knows it. Raises UsageError or OutputError.
    """
    given = expanded(word)
    if word and given.name == DESCRIPTION and path_status(given).is_file:
        return absolute(given.parent), None
    if word and is_there(given / DESCRIPTION):
        return absolute(given), None
    run = find_run(outputs, word)
    require_description(run)
    return absolute(run.checkpoints.path), run


def require_description(run: RunDirectory) -> None:
    """Raises UsageError."""
    if run.model_bundle.is_there:
        return
    is_over = read_run(run).outcome in ("completed", "stopped") and run.best.is_there
    raise UsageError(
        ModelDescription.MISSING if is_over else ModelDescription.NONE, run=run.name, path=run.model_bundle
    )
