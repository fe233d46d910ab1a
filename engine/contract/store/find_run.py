"""Which run a name or abbreviation refers to."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from engine.contract.files.folders import Folder
from engine.contract.files.paths import absolute, expanded
from engine.contract.machine.engines import LOCK_FILE
from engine.contract.recipe.names import unknown_name
from engine.contract.store.lock import LockState
from engine.contract.store.run_directory import ARCHIVE, RunDirectory, is_run, list_runs, refuse_unlisted
from engine.contract.store.run_record import read_run, resolved_of_run
from engine.contract.wire.errors import UsageError

HASH_PREFIX = re.compile("[0-9a-f]{4,32}")  # shorter ones say too little


def find_run(outputs: Path, word: str, here: Path | None = None) -> RunDirectory:
    """The run that `word` means. Raises UsageError or OutputError.

    `word`: a directory, a name, a unique part of it, the beginning of its recipe's hash, or `last`: the run that holds
    the workspace, else the one that was last started or resumed. `here`: what a relative directory is below, where
    that is not the current folder.
    """
    if not word:
        raise UsageError("Expected a run, found an empty name.", "Pass a run's name, or `last`.")
    with contextlib.suppress(OSError, ValueError, UsageError):  # too long for a file name, a NUL, no current folder
        if is_run(named_folder := absolute((here or Path()) / expanded(word))):
            return RunDirectory(named_folder)
    refuse_unlisted(outputs)
    runs = list_runs(outputs)
    if not runs:
        raise UsageError(f"There is no run in {outputs} yet.", "`medtui run quickstart` starts one.")
    if word == "last":
        held = LockState.read(Folder(outputs).file(LOCK_FILE)).run
        return next((run for run in runs if run.name == held), runs[-1])
    named = [run for run in runs if run.name == word] or [run for run in runs if word in run.name]
    what = "in their names"
    if not named and HASH_PREFIX.fullmatch(word):
        named, what = [run for run in runs if _has_hash(run, word)], "as the beginning of their hash"
    if len(named) == 1:
        return named[0]
    if named:
        names = ", ".join(run.name for run in named[:5])
        raise UsageError(f"{len(named)} runs have {word!r} {what}: {names}.", "Type more of the name.")
    archived = [run for run in list_runs(outputs / ARCHIVE) if word in run.name]
    if len(archived) == 1:
        name = archived[0].name
        raise UsageError(f"{name} is archived.", f"`medtui runs unarchive {name}` restores it.")
    raise UsageError(f"In {outputs}, {unknown_name('run', word, [run.name for run in runs])}.", "See `medtui runs`.")


def _has_hash(run: RunDirectory, word: str) -> bool:
    """Does either of its hashes, of what was asked for and of what was done, begin so? As lists show them."""
    record = read_run(run)
    hashes = (record.summary.recipe_hash, (record.manifest or {}).get("recipe_hash"), resolved_of_run(record)[1])
    return any(isinstance(found, str) and found.startswith(word) for found in hashes)
