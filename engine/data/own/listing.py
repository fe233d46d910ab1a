"""Which files there are, and what each is said to be: its label, split and group. Nothing of an image is read here."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from engine.contract.data.card import readable
from engine.contract.machine.collection import without_collection
from engine.contract.wire.errors import DataError
from engine.sentences import OwnImages

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
SYSTEM = {"thumbs.db", "desktop.ini", "__macosx"}  # what file managers leave

Stat = tuple[int, int, int, int]  # bytes, mtime and ctime in nanoseconds, inode


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
    items: list[Item]  # one per image, in the order of their names
    stats: dict[str, Stat]  # of the files that are to be read, by name
    unusable: dict[str, str] = field(default_factory=dict)  # what is said of names that are not read
    ignored: dict[str, int] = field(default_factory=dict)  # how many of what was not taken for an image
    label_names: tuple[str, ...] = ()  # of several columns of 0 and 1; else ()
    table: str = ""  # digest of the table's bytes
    class_names: tuple[str, ...] = ()  # as an archive names the labels 0, 1, 2 …; () where it does not

    @cached_property
    def names(self) -> list[str]:
        return sorted(self.stats)

    @property
    def bytes(self) -> int:
        return sum(found[0] for found in self.stats.values())

    @cached_property
    def digest(self) -> str:
        """Of every name, size, time and inode: equal where nothing can have changed."""
        names, stats = self.names, self.stats
        found = blake2b("\0".join(names).encode("utf-8", "surrogateescape"), digest_size=16)
        found.update(repr([stats[name] for name in names]).encode())  # in one piece: there may be millions
        return found.hexdigest()


@without_collection()
def list_folder(root: Path, group: str | None) -> Listing:
    """`train|val|test/<class>/…` where such folders are, else `<class>/…`. Raises DataError."""
    ignored: Counter[str] = Counter()
    unusable: dict[str, str] = {}
    stats: dict[str, Stat] = {}
    _walk(root, "", stats, ignored, unusable)
    tops = {name.partition("/")[0] for name in stats if "/" in name}
    splits = {top: SPLIT_NAMES[top.lower()] for top in tops if top.lower() in SPLIT_NAMES}
    if splits and len(splits) < len(tops):
        others = ", ".join(readable(top) for top in sorted(tops - splits.keys())[:5])
        raise DataError(OwnImages.MIXED_FOLDERS, path=root, splits=", ".join(sorted(splits)), others=others)
    pattern = re.compile(group) if group is not None else None
    items, ordered = [], dict[str, Stat]()
    said: dict[str, tuple[tuple[str, ...], str | None] | None] = {}
    for name in sorted(stats):
        above = name.rpartition("/")[0]
        if above not in said:
            said[above] = _said_by_folder(above, splits)
        if (of_folder := said[above]) is None:
            unusable[name] = "not in the folder of a class"
            continue
        ordered[name] = stats[name]
        items.append(Item(name, *of_folder, group_in(pattern, name) if pattern is not None else None))
    if not items:
        raise DataError(OwnImages.NO_CLASS_FOLDERS, path=root)
    return Listing(root, items, ordered, unusable, dict(ignored))


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


def _walk(root: Path, below: str, stats: dict[str, Stat], ignored: Counter[str], unusable: dict[str, str]) -> None:
    """Every regular file below the root, into `stats`; no link is followed. Raises DataError for an unlisted folder."""
    above, folders = f"{below}/" if below else "", []
    try:
        with os.scandir(root / below) as listed:
            for entry in listed:
                last, found = entry.name, entry.stat(follow_symlinks=False)
                if last.startswith(".") or last.lower() in SYSTEM:
                    ignored["hidden files and folders"] += 1
                elif stat.S_ISREG(found.st_mode):
                    stats[above + last] = stat_of(found)
                elif stat.S_ISDIR(found.st_mode):
                    folders.append(above + last)
                else:
                    is_link = stat.S_ISLNK(found.st_mode)
                    unusable[above + last] = "a link, which is not followed" if is_link else "not a regular file"
    except OSError as error:
        raise DataError(OwnImages.UNLISTED, path=root / below, reason=error.strerror) from None
    for name in folders:
        _walk(root, name, stats, ignored, unusable)


def stat_of(found: os.stat_result) -> Stat:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
