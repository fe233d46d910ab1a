"""The data card: what was found in a user's own images when they were read, as JSON next to the decoded arrays.

The cache folder also keeps the last card of each folder, table or archive, so that both sides know its facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, ValidationError

from engine.contract.data.datasets import DatasetFacts, Symmetry, TaskKind
from engine.contract.data.sums import cache_folder
from engine.contract.files.folders import File, Folder
from engine.contract.files.paths import absolute

FOLDER = "own"  # in the cache folder
LIMIT = 64 * 1024 * 1024  # bytes
NOT_STATED = "not stated"  # the licence of images of which nothing says it
NAMED = 1000  # unusable files that a card names

Count = Annotated[int, Ge(0), Le(2**53)]


class Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Unusable(Values):
    """A file that is not among the images, and why."""

    file: str
    reason: str


class DuplicateCounts(Values):
    """Images with the same content as another, exactly or nearly."""

    exact: Count = 0  # images with the same pixels as an image before them
    near: Count = 0  # nearly the same, and not exactly
    across_splits: Count = 0  # sets of duplicates with images in more than one split, before any was dropped
    other_label: Count = 0  # sets of duplicates whose images have different labels
    dropped: Count = 0  # images left out of the splits
    examples: tuple[tuple[str, ...], ...] = ()  # the files of some sets, those across splits first


class DataCard(Values):
    """What was found in a user's own images."""

    format: Literal[1] = 1
    kind: str  # folder, csv or npz
    path: str
    fingerprint: str  # of all files, and of the table
    task: TaskKind
    class_names: tuple[str, ...]
    symmetry: Symmetry
    channels: Literal[1, 3]
    size: Count  # pixels per side, after resizing
    fit: str
    images: dict[str, Count]  # per split
    per_class: dict[str, dict[str, Count]]  # per split and class
    how_split: str  # in words
    groups: Count | None  # None: no groups are known
    groups_across_splits: Count  # of splits that were given
    widths: tuple[Count, Count, Count]  # pixels: smallest, median, largest
    heights: tuple[Count, Count, Count]
    bits: Count  # per channel of the deepest image
    notes: dict[str, Count]  # of how many images something is so: oblong, turned by EXIF, several frames …
    unusable: Count
    unusable_files: tuple[Unusable, ...]  # at most `NAMED`
    ignored: dict[str, Count]  # what was not taken for images: hidden files …
    duplicates: DuplicateCounts
    licence: str = NOT_STATED
    synthetic: bool = False  # generated images, as the archive says

    def facts(self, before: DatasetFacts) -> DatasetFacts:
        """The facts of a source, with what is known since its images were read."""
        return replace(
            before,
            task=self.task,
            class_names=self.class_names,
            channels=self.channels,
            splits=dict(self.images),
            licence=self.licence,
            synthetic=self.synthetic,
        )


def source_key(kind: str, path: Path) -> str:
    """By what the cache knows a folder, table or archive of a user's."""
    return blake2b(f"{kind}|{absolute(path)}".encode(errors="surrogateescape"), digest_size=16).hexdigest()


def own_folder() -> File:
    return Folder(cache_folder()).file(FOLDER)


def last_card_file(kind: str, path: Path) -> File:
    return own_folder() / f"{source_key(kind, path)}.card.json"


def last_card(kind: str, path: Path) -> DataCard | None:
    """Of the last time that it was read here, by any recipe; None where it was not. Never raises."""
    return read_card(last_card_file(kind, path))


def read_card(file: File) -> DataCard | None:
    try:
        return DataCard.model_validate_json(file.content(LIMIT))
    except (OSError, ValidationError, RecursionError):
        return None


def readable(name: str) -> str:
    """A file's name as text, with what is no text escaped."""
    return name.encode(errors="backslashreplace").decode()


def total(counts: Mapping[str, int]) -> int:
    return sum(counts.values())
