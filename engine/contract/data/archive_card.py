"""The card of a portable archive: what its arrays do not say. JSON next to it, `NAME.card.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from engine.contract.data.card import Count, Values
from engine.contract.data.datasets import Symmetry, TaskKind
from engine.contract.files.folders import File, named_by_user

LIMIT = 16 * 1024 * 1024  # bytes
SYNTHETIC = b"synthetic, made by medtui"  # the comment of a zip archive; its arrays are as the official ones
SYNTHETIC_LICENCE = "MIT"  # of such images
ENDING = ".card.json"


class ArchiveCard(Values):
    format: Literal[1] = 1
    name: str
    title: str
    made_from: str  # what was packed, by its last name
    task: TaskKind
    class_names: tuple[str, ...]
    symmetry: Symmetry
    licence: str
    synthetic: bool
    channels: Literal[1, 3]
    size: Count  # pixels per side
    images: dict[str, Count]  # per split
    per_class: dict[str, dict[str, Count]]  # per split and class
    how_split: str
    md5: str  # of the archive


def card_of(archive: Path | File) -> str:
    """The name of the card of an archive: `breast.npz` has `breast.card.json`."""
    return f"{archive.name.removesuffix('.npz')}{ENDING}"


def read_archive_card(archive: Path) -> ArchiveCard | None:
    """Of the archive at a path; None where there is none that can be read."""
    try:
        content = named_by_user(archive.with_name(card_of(archive))).content(LIMIT)
        return ArchiveCard.model_validate_json(content)
    except (OSError, ValidationError, RecursionError):
        return None
