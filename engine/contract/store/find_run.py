"""Which run a name or abbreviation refers to."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from engine.contract.files.folders import Folder
from engine.contract.files.paths import absolute, expanded
from engine.contract.recipe.names import alternatives
from engine.contract.sentences import Runs
from engine.contract.store.lock import LockState
from engine.contract.store.run_directory import ARCHIVE, RunDirectory, is_run, list_runs, refuse_unlisted
from engine.contract.store.run_record import read_run, resolved_of_run
from engine.contract.wire.errors import UsageError
from engine.contract.wire.text import shortened

HASH_PREFIX = re.compile("[0-9a-f]{4,32}")  # shorter ones say too little


def find_run(outputs: Path, word: str, here: Path | None = None) -> RunDirectory:
    """The run that `word` means. Raises UsageError or OutputError.

    `word`: a directory, a name, a unique part of it, the beginning of its recipe's hash, or `last`: the run that holds
    the workspace, else the one that was last started or resumed. `here`: what a relative directory is below, where
    that is not the current folder.
    """
    if not word:
        raise UsageError(Runs.NO_NAME)
    with contextlib.suppress(OSError, ValueError, UsageError):  # too long for a file name, a NUL, no current folder
        if is_run(named_folder := absolute((here or Path()) / expanded(word))):
            return RunDirectory(named_folder)
    refuse_unlisted(outputs)
    runs = list_runs(outputs)
    if not runs:
        raise _archived(outputs, word) or UsageError(Runs.NONE_YET, folder=outputs)
    if word == "last":
        held = LockState.of_workspace(Folder(outputs)).run
        return next((run for run in runs if run.name == held), runs[-1])
    named = [run for run in runs if run.name == word] or [run for run in runs if word in run.name]
    hashed = [run for run in runs if _has_hash(run, word)] if not named and HASH_PREFIX.fullmatch(word) else []
    found = named or hashed
    if len(found) == 1:
        return found[0]
    names = ", ".join(run.name for run in found[:5])
    if named:
        raise UsageError(Runs.AMBIGUOUS_NAME, count=len(named), word=word, names=names)
    if hashed:
        raise UsageError(Runs.AMBIGUOUS_HASH, count=len(hashed), word=word, names=names)
    instead = alternatives("run", word, [run.name for run in runs])
    unknown = UsageError(Runs.UNKNOWN, folder=outputs, found=shortened(word), alternatives=instead)
    raise _archived(outputs, word, are_all=False) or unknown


def _archived(outputs: Path, word: str, *, are_all: bool = True) -> UsageError | None:
    """That the run which `word` means is archived, or where none is left that every run is."""
    archived = list_runs(outputs / ARCHIVE)
    named = [run for run in archived if word in run.name]
    if len(named) == 1:
        return UsageError(Runs.ARCHIVED, run=named[0].name)
    return UsageError(Runs.ALL_ARCHIVED, folder=outputs) if archived and are_all else None


def _has_hash(run: RunDirectory, word: str) -> bool:
    """Does either of its hashes, of what was asked for and of what was done, begin so? As lists show them."""
    record = read_run(run)
    hashes = (record.summary.recipe_hash, (record.manifest or {}).get("recipe_hash"), resolved_of_run(record)[1])
    return any(isinstance(found, str) and found.startswith(word) for found in hashes)
