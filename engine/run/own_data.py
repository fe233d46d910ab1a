"""Is a run's data what it was trained on? Of a user's own images nothing but their content says so."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import replace

from engine.contract.data.card import read_card
from engine.contract.files.folders import File
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.recorded import resolved_of
from engine.contract.store.run_directory import RunDirectory, read_object
from engine.contract.wire.errors import DriftError
from engine.contract.wire.text import counted
from engine.data.cache import Decoded
from engine.run.drift import Change
from engine.sentences import OwnImages

FILES, CARD = "images.csv", "data_card.json"
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
    unusable, new_unusable = _unusable(run.metrics / CARD), _unusable(data.attachments.get(CARD))
    found = [_what_became_of(name, after, new_unusable) for name, digest in before.items() if digest != after.get(name)]
    found += [f"{name} is new" for name in after if name not in before]
    for name in unusable.keys() | new_unusable.keys():  # in no split, but part of what the fingerprint is of
        if name not in before and name not in after and (name not in unusable or name not in new_unusable):
            found.append(f"{name}, which is not among the images, is {'gone' if name in unusable else 'new'}")
    if not found:
        return "files that are not among the images, or the table"
    more = f", and {counted(len(found) - 1, 'more file')}" if len(found) > 1 else ""
    return found[0] + more


def _what_became_of(name: str, after: Mapping[str, str], unusable: Mapping[str, str]) -> str:
    if name in after:
        return f"{name} changed"
    return (
        f"{name} changed and cannot be used any more ({unusable[name]})" if name in unusable else f"{name} is missing"
    )


def _unusable(card: File | None) -> dict[str, str]:
    """Why files are not among the images, by name; those that the card names."""
    found = read_card(card) if card is not None else None
    return {one.file: one.reason for one in found.unusable_files} if found is not None else {}


def _digests(file: File) -> dict[str, str]:
    try:
        rows = csv.DictReader(io.StringIO(file.content(LIMIT).decode(), newline=""))
        return {row["file"]: row["digest"] for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError):
        return {}
