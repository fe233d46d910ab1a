"""Is a run's data what it was trained on? Of a user's own images nothing but their content says so."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from engine.contract.files.folders import File
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.recorded import resolved_of
from engine.contract.store.run_directory import RunDirectory, read_object
from engine.contract.wire.errors import DriftError
from engine.data.cache import Decoded
from engine.run.drift import Change
from engine.sentences import OwnImages

FILES = "images.csv"
LIMIT = 1024**3  # bytes of that


def refuse_other_data(run: RunDirectory, recipe: Recipe, data: Decoded) -> None:
    """Raises DriftError, which names a file, where a user's own images are not those that the run was trained on."""
    if data.fingerprint is None:
        return
    recorded = resolved_of(read_object(run.manifest) or {}, recipe).data
    if recorded is not None and recorded != data.edition:
        raise DriftError(OwnImages.OTHER_DATA, run=run.name, changed=changed_files(run, data) or "their fingerprint")


def with_files(changes: list[Change], run: RunDirectory, data: Decoded) -> list[Change]:
    """The changes, that of the data with the names of the files that are not what they were."""
    named = changed_files(run, data) if any(change.kind == "data" for change in changes) else ""
    if not named:
        return changes
    return [replace(change, now=f"{change.now}: {named}") if change.kind == "data" else change for change in changes]


def changed_files(run: RunDirectory, data: Decoded) -> str:
    """`a.png changed`, `b.png is new`, and how many more; "" where that is not known."""
    now = data.attachments.get(FILES)
    before, after = _digests(run.metrics / FILES), _digests(now) if now is not None else {}
    if not before or not after:
        return ""
    found = [
        f"{name} {'changed' if name in after else 'is missing'}" for name in before if before[name] != after.get(name)
    ]
    found += [f"{name} is new" for name in after if name not in before]
    if not found:
        return "files that are not images, or the table"
    return found[0] + (f", and {len(found) - 1:,} more files" if len(found) > 1 else "")


def _digests(file: File) -> dict[str, str]:
    try:
        rows = csv.DictReader(io.StringIO(file.content(LIMIT).decode(), newline=""))
        return {row["file"]: row["digest"] for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError):
        return {}
