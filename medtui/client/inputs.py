"""What a command reads: nothing of it gives way to what the command writes.

Files are told apart by device and inode, so that no link, no second name and no `..` makes another one of them.
"""

from __future__ import annotations

import csv
import glob
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.contract.data.tables import ENDINGS, MOST_BYTES, delimiter_of, text_of
from engine.contract.files.folders import named_by_user
from engine.contract.files.paths import absolute, expanded, is_file, is_folder, is_there, place_of
from engine.contract.files.patterns import matching
from engine.contract.recipe.data_source import SearchPaths
from engine.contract.recipe.own_images import OwnImages
from engine.contract.recipe.sources import DatasetSection, data_source
from engine.contract.store.find_model import DESCRIPTION

_NO_PICTURES = (".csv", ".json", ".jsonl", ".html", ".htm")  # what commands write, perhaps next to the pictures


@dataclass(frozen=True)
class Inputs:
    """Files, folders, patterns and tables, as a user names them."""

    words: Sequence[str | Path] = ()
    root: Path | None = None  # what the rows of tables are below, where it is not the table's own folder
    delimiter: str | None = None  # of tables; None: found out

    def with_more(self, words: Sequence[str | Path]) -> Inputs:
        return replace(self, words=[*self.words, *words])

    def have(self, file: Path) -> bool:
        """Is it read, or may it be a picture below a folder that is? Where it is not there, by name. Never raises."""
        paths = [path for word in self.words if str(word) for path in _matches(word)]
        if not is_there(file):
            return absolute(file) in map(absolute, paths)
        return any(self._reads(path, file) for path in paths)

    def _reads(self, path: Path, file: Path) -> bool:
        place = place_of(file)
        if place_of(path) == place:
            return True
        if is_folder(path):
            if file.suffix.lower() in _NO_PICTURES:
                return False
            return place_of(path) in map(place_of, absolute(file).parents) or place in _places_below(path)
        return path.suffix.lower() not in (*ENDINGS, ".npz") and self._names(path, file)

    def _names(self, table: Path, file: Path) -> bool:
        """Does any cell of it name the file? Which column the names are in is for the engine to find out."""
        place, folder, root = place_of(file), place_of(file.parent), self.root or table.parent
        for cell in _cells(table, self.delimiter):
            path = root / expanded(cell.replace("\\", "/"))
            if place in (place_of(path), place_of(os.path.normpath(path))):
                return True
            if _completes(path.name, file.name) and place_of(path.parent) == folder:
                return True
        return False


def inputs_of(section: Mapping[str, Any], search_paths: SearchPaths, words: Sequence[str] = ()) -> Inputs:
    """Of a source by its section, and of the words that named it: one may be a recipe's file."""
    source = data_source(DatasetSection.model_validate(section))
    root = source.root(search_paths) if isinstance(source, OwnImages) else None
    recipes = [word for word in words if is_file(expanded(word))]
    return Inputs([*source.reads(search_paths), *recipes], root, section.get("delimiter"))


def files_of_model(folder: Path) -> list[Path]:
    """Of a bundle; others may be in its folder."""
    return [folder / DESCRIPTION, *folder.glob("*.safetensors")]


def _matches(word: str | Path) -> list[Path]:
    """What a word names: a pattern is one only where nothing has that very name."""
    path = expanded(word)
    if is_there(path) or not glob.has_magic(str(path)):
        return [path]
    return matching(path)


def _places_below(folder: Path) -> Iterator[tuple[int, int] | None]:
    return (place_of(os.path.join(above, name)) for above, _, names in os.walk(folder) for name in names)  # noqa: PTH118


def _cells(table: Path, delimiter: str | None) -> set[str]:
    """All that could be read; what is no text has none."""
    found = set[str]()
    with suppress(OSError, UnicodeDecodeError, csv.Error):
        text = text_of(named_by_user(table).content(MOST_BYTES))
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter or delimiter_of(text)):
            found.update(map(str.strip, row))
    return found - {""}


def _completes(written: str, name: str) -> bool:
    """Is a file meant by a name without its ending?"""
    return name.lower() in {f"{written}{ending}".lower() for ending in ENDINGS}
