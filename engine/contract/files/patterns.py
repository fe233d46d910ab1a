"""Which paths a pattern such as `scans/**/*.png` names.

Not by `glob`, which follows links to folders below `**`: a loop of links counted images many times, and one to `/usr`
never ended.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from engine.contract.files.paths import is_folder, is_link, is_there


def matching(pattern: Path, here: Path | None = None) -> list[Path]:
    """What has such a path, in the order of their names; `here`: what a relative pattern is below.

    A folder that is a link is entered only where the pattern has its very name. What is below a folder that matches is
    that folder's, and is not named again. Hidden names match only what begins with a dot.
    """
    anchor = Path(pattern.anchor) if pattern.anchor else here or Path()
    found = {anchor}
    parts = pattern.parts[bool(pattern.anchor) :]
    for number, part in enumerate(parts, 1):
        found = {path for above in found for path in _in(above, part, is_last=number == len(parts))}
    return sorted(path for path in found if found.isdisjoint(path.parents))


def _in(folder: Path, part: str, *, is_last: bool) -> Iterator[Path]:
    if part == "**":
        yield folder
        yield from _below(folder, with_files=is_last)
    elif not glob.has_magic(part):
        if is_there(folder / part) or is_link(folder / part):
            yield folder / part
    else:
        for entry in _entries(folder):
            named = fnmatch(entry.name, part) and part.startswith(".") >= entry.name.startswith(".")
            if named and (_may_be_entered(entry) or (is_last and not is_folder(entry))):
                yield folder / entry.name


def _below(folder: Path, *, with_files: bool) -> Iterator[Path]:
    for entry in _entries(folder):
        if entry.name.startswith("."):
            continue
        if _may_be_entered(entry):
            yield folder / entry.name
            yield from _below(folder / entry.name, with_files=with_files)
        elif with_files and not is_folder(entry):
            yield folder / entry.name


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:  # no folder, or one that may not be read
        return []


def _may_be_entered(entry: os.DirEntry[str]) -> bool:
    return is_folder(entry) and not is_link(entry)
