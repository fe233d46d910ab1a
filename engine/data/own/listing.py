"""Which files there are, and what each is said to be: its label, split and group. Nothing of an image is read here."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from engine.contract.data.card import readable
from engine.contract.machine.collection import without_collection
from engine.contract.wire.errors import DataError
from engine.data.own.files import Files, Numbers
from engine.sentences import OwnImages

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
SYSTEM = {"thumbs.db", "desktop.ini", "__macosx"}  # what file managers leave


class Item(NamedTuple):  # which is made a hundred thousand times before a run on as many images
    """One image, by its name below the root, and what is said of it."""

    name: str
    labels: tuple[str, ...]  # one class; or a 0 or 1 for each of several
    split: str | None = None  # train, val, test, where it is given
    group: str | None = None


@dataclass(frozen=True)
class Listing:
    """What a folder, a table or an archive has."""

    root: Path
    files: Files  # those that are to be read
    find_items: Callable[[], list[Item]]  # one per image, in the order of their names
    unusable: dict[str, str] = field(default_factory=dict)  # what is said of names that are not read
    ignored: dict[str, int] = field(default_factory=dict)  # how many of what was not taken for an image
    label_names: tuple[str, ...] = ()  # of several columns of 0 and 1; else ()
    table: str = ""  # digest of the table's bytes
    class_names: tuple[str, ...] = ()  # as an archive names the labels 0, 1, 2 …; () where it does not

    @cached_property
    def items(self) -> list[Item]:
        """Found at their first use: a start on images that are already split needs none."""
        return self.find_items()


@dataclass
class _Found:
    """What is below a root."""

    names: dict[str, list[str]] = field(default_factory=dict)  # of regular files, by folder
    numbers: dict[str, Numbers] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    unusable: dict[str, str] = field(default_factory=dict)


@without_collection()
def list_folder(root: Path, group: str | None) -> Listing:
    """`train|val|test/<class>/…` where such folders are, else `<class>/…`. Raises DataError."""
    found = _Found()
    _walk(root, "", found)
    tops = {folder.partition("/")[0] for folder in found.names if folder}
    splits = {top: SPLIT_NAMES[top.lower()] for top in tops if top.lower() in SPLIT_NAMES}
    if splits and len(splits) < len(tops):
        others = ", ".join(readable(top) for top in sorted(tops - splits.keys())[:5])
        raise DataError(OwnImages.MIXED_FOLDERS, path=root, splits=", ".join(sorted(splits)), others=others)
    said: dict[str, tuple[tuple[str, ...], str | None]] = {}
    names, numbers, unclassed = list[str](), Numbers(), list[str]()
    for folder, in_folder in found.names.items():
        if (of_folder := _said_by_folder(folder, splits)) is None:
            unclassed += in_folder
            continue
        said[folder] = of_folder
        names += in_folder
        numbers.extend(found.numbers[folder])
    found.unusable.update(dict.fromkeys(sorted(unclassed), "not in the folder of a class"))
    if not names:
        raise DataError(OwnImages.NO_CLASS_FOLDERS, path=root)
    files, pattern = Files.sorted(names, numbers.array()), re.compile(group) if group is not None else None

    def items() -> list[Item]:
        return [Item(name, *said[name.rpartition("/")[0]], group_in(pattern, name)) for name in files.names]

    return Listing(root, files, items, found.unusable, dict(found.ignored))


def _said_by_folder(folder: str, splits: dict[str, str]) -> tuple[tuple[str, ...], str | None] | None:
    """The labels and the split of the images in it; None where it is in no folder of a class."""
    parts = folder.split("/") if folder else []
    if len(parts) < (2 if splits else 1):
        return None
    return (parts[1],) if splits else (parts[0],), splits.get(parts[0])


def group_in(pattern: re.Pattern[str] | None, name: str) -> str | None:
    """What the pattern's parentheses match in a file's name; None where it does not match."""
    found = pattern.search(name.rpartition("/")[2]) if pattern is not None else None
    return None if found is None else "|".join(part or "" for part in found.groups())


def _walk(root: Path, below: str, found: _Found) -> None:
    """Every regular file below the root; no link is followed. Raises DataError for an unlisted folder."""
    above, folders = f"{below}/" if below else "", []
    names, numbers = list[str](), Numbers()
    try:
        with os.scandir(root / below) as listed:
            for entry in listed:
                last, status = entry.name, entry.stat(follow_symlinks=False)
                if last[0] == "." or last.lower() in SYSTEM:
                    found.ignored["hidden files and folders"] += 1
                elif stat.S_ISREG(status.st_mode):
                    names.append(above + last)
                    numbers.add(status)
                elif stat.S_ISDIR(status.st_mode):
                    folders.append(above + last)
                else:
                    is_link = stat.S_ISLNK(status.st_mode)
                    found.unusable[above + last] = "a link, which is not followed" if is_link else "not a regular file"
    except OSError as error:
        raise DataError(OwnImages.UNLISTED, path=root / below, reason=error.strerror) from None
    if names:
        found.names[below], found.numbers[below] = names, numbers
    elif below and not folders:  # one meant for a class, perhaps
        found.ignored["folders without images"] += 1
    for name in folders:
        _walk(root, name, found)
