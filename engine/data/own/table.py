"""A table of a user's own images: which column says what, and the files that its rows name.

Read by the `csv` module: every value stays the text that it is. A library for data frames would take half a second to
import at each start, and would make the label `001` a number and the label `NA` a missing value.
"""

from __future__ import annotations

import csv
import io
import os
import re
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from engine.contract.data.card import readable
from engine.contract.data.tables import ENDINGS, MOST_BYTES, delimiter_of, text_of
from engine.contract.files.folders import named_by_user
from engine.contract.files.paths import absolute
from engine.contract.recipe.setting import names_of
from engine.contract.wire.errors import DataError, RecipeError
from engine.data.own.files import Files, Stat, stat_of
from engine.data.own.listing import SPLIT_NAMES, Item, Listing, group_in
from engine.sentences import Images, Table

FILE_NAMES = ("path", "file", "filename", "filepath", "image", "imagepath", "imagefile", "img", "imagename", "imageid")
LABEL_NAMES = ("label", "labels", "class", "classname", "target", "diagnosis", "dx", "category", "y")
SPLIT_COLUMNS = ("split", "set", "subset", "partition", "usage")
GROUP_NAMES = ("patient", "patientid", "subject", "subjectid", "case", "caseid", "group", "groupid")
OUTSIDE = "outside of the table's folder; name a folder that holds all files as `root`"
MOST_CLASSES = 100  # of a column that is taken for the labels without being named


@dataclass(frozen=True)
class Columns:
    """Which column says what, by their names."""

    file: str
    labels: tuple[str, ...]
    split: str | None
    group: str | None  # a column
    pattern: re.Pattern[str] | None  # or a pattern for names of files

    @property
    def description(self) -> str:
        said = [f"files from {self.file!r}", f"labels from {', '.join(map(repr, self.labels[:8]))}"]
        said += [f"splits from {self.split!r}"] if self.split else []
        said += [f"groups from {self.group!r}"] if self.group else []
        return ", ".join(said)


@dataclass(frozen=True)
class Rows:
    """A table as text: its header, and a value per column of each row, by line of the file."""

    path: Path
    header: list[str]
    rows: list[tuple[int, dict[str, str]]]
    digest: str  # of its bytes

    def values(self, column: str) -> list[str]:
        return [row[column] for _, row in self.rows]


def list_table(path: Path, root: Path, options: Mapping[str, Any]) -> tuple[Listing, Columns]:
    """The images that a table names. Raises DataError, or RecipeError as `find_columns` does."""
    rows = read_rows(path, options["delimiter"])
    if not rows.rows:
        raise DataError(Table.NO_ROWS, path=path)
    columns = find_columns(rows, options)
    files = _Files(root)
    items: dict[str, Item] = {}
    stats: dict[str, Stat] = {}
    unusable: dict[str, str] = {}
    repeated: Counter[str] = Counter()
    for line, row in rows.rows:
        try:
            name, found = files.find(row[columns.file])
            item = _item(name, row, columns)
        except _Unusable as problem:
            unusable[f"{readable(row[columns.file][:200])} (line {line})"] = str(problem)
            continue
        if (before := items.get(name)) is not None:
            if before != item:
                raise DataError(Table.TWO_ROWS, path=path, file=readable(name), number=line)
            repeated["rows that repeat another"] += 1
            continue
        items[name], stats[name] = item, found
    if not items:
        name, why = next(iter(unusable.items()))
        raise DataError(Table.NO_IMAGES, path=path, root=root, example=f"{name}: {why}")
    ordered = [items[name] for name in sorted(items)]
    several = columns.labels if len(columns.labels) > 1 else ()
    listing = Listing(root, Files.of(stats), lambda: ordered, unusable, dict(repeated), several, rows.digest)
    return listing, columns


def read_rows(path: Path, delimiter: str | None, at_least: int = 2) -> Rows:
    """at_least: columns; one is enough where images alone are named, and no recipe is there to be corrected. Raises
    DataError."""
    try:
        content = named_by_user(path).content(MOST_BYTES)
    except OSError as error:
        raise DataError(Table.UNREADABLE, path=path, reason=error.strerror) from None
    try:
        text = text_of(content)
    except UnicodeDecodeError as error:
        raise DataError(Table.NOT_TEXT, path=path, position=error.start) from None
    delimiter = delimiter or delimiter_of(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = [name.strip() for name in next(reader, [])]
        if len(header) < at_least or not all(header[:1]) or len(set(header)) < len(header):
            found = ", ".join(header)[:100] or "nothing"
            raise DataError(Table.NO_HEADER if at_least > 1 else Images.NO_HEADER, path=path, found=found)
        rows = []
        for values in reader:
            if any(values):
                if len(values) != len(header):
                    fields = {"number": reader.line_num, "found": len(values), "columns": len(header)}
                    raise DataError(Table.UNEVEN if at_least > 1 else Images.UNEVEN, path=path, **fields)
                rows.append((reader.line_num, dict(zip(header, (value.strip() for value in values), strict=True))))
    except csv.Error as error:
        raise DataError(Table.UNREADABLE, path=path, reason=f"line {reader.line_num}: {error}") from None
    return Rows(path, header, rows, blake2b(content, digest_size=16).hexdigest())


# ---- columns ---------------------------------------------------------------------------------------------------------


def find_columns(rows: Rows, options: Mapping[str, Any]) -> Columns:
    """Those that the recipe names, and those that are plain from their names and values.

    Raises RecipeError for one that is named and not there, DataError for one that is not found.
    """
    named = {name: options[name] for name in ("path_column", "split_column")}
    given = names_of(options["label_columns"])
    for column in (*filter(None, named.values()), *given):
        if column not in rows.header:
            raise RecipeError(Table.NO_COLUMN, path=rows.path, column=column, columns=", ".join(rows.header)[:200])
    file = named["path_column"] or column_named(rows.header, FILE_NAMES)
    if file is None:
        raise DataError(Table.NO_FILE_COLUMN, path=rows.path, columns=", ".join(rows.header)[:200])
    split = named["split_column"] or _split_column(rows)
    group, pattern = _group_of(rows, options["group"])
    labels = given or _label_columns(rows, {file, split, group})
    return Columns(file, labels, split, group, pattern)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def column_named(header: Sequence[str], known: Sequence[str]) -> str | None:
    plain = {_plain(name): name for name in reversed(header)}
    return next((plain[name] for name in known if name in plain), None)


def _split_column(rows: Rows) -> str | None:
    """Taken without being named where any of its values is the name of a split: a row with another value is unusable.

    Were the column left out for one misspelt value, images of the given test split would be trained on.
    """
    column = column_named(rows.header, SPLIT_COLUMNS)
    known = column is not None and any(value.lower() in SPLIT_NAMES for value in rows.values(column))
    return column if known else None


def _group_of(rows: Rows, given: str | None) -> tuple[str | None, re.Pattern[str] | None]:
    if given is None:
        return column_named(rows.header, GROUP_NAMES), None
    if given in rows.header:
        return given, None
    try:
        pattern = re.compile(given)
    except re.error:
        pattern = None
    if pattern is None or not pattern.groups:
        raise RecipeError(Table.NO_GROUP, path=rows.path, group=given[:60], columns=", ".join(rows.header)[:200])
    return None, pattern


def _label_columns(rows: Rows, others: set[str | None]) -> tuple[str, ...]:
    if (column := column_named(rows.header, LABEL_NAMES)) is not None:
        return (column,)
    left = [name for name in rows.header if name not in others]
    values = {name: set(rows.values(name)) - {""} for name in left}
    zero_one = [name for name in left if values[name] and values[name] <= {"0", "1"}]
    if len(zero_one) > 1:
        return tuple(zero_one)
    few = columns_of_few_values(rows, left)
    if len(few) != 1:
        raise DataError(Table.NO_LABEL_COLUMN, path=rows.path, columns=", ".join(left)[:200] or "none besides the file")
    return (few[0],)


def columns_of_few_values(rows: Rows, columns: Sequence[str]) -> list[str]:
    """Those that may hold classes: two values or more, each of four rows or more on average."""
    counts = {name: len(set(rows.values(name)) - {""}) for name in columns}
    return [name for name in columns if 2 <= counts[name] <= min(MOST_CLASSES, len(rows.rows) // 4)]


def other_columns(rows: Rows, file: str) -> list[str]:
    """Those that are neither the files nor, by their names, splits or groups."""
    others = {file, column_named(rows.header, SPLIT_COLUMNS), column_named(rows.header, GROUP_NAMES)}
    return [name for name in rows.header if name not in others]


# ---- rows ------------------------------------------------------------------------------------------------------------


class _Unusable(Exception):
    """What is wrong with one row."""


def _item(name: str, row: Mapping[str, str], columns: Columns) -> Item:
    labels = tuple(row[column] for column in columns.labels)
    if not all(labels):
        raise _Unusable("no label")
    if len(labels) > 1:
        labels = tuple(value.removesuffix(".0") for value in labels)
        if not set(labels) <= {"0", "1"}:
            raise _Unusable(f"a label that is neither 0 nor 1: {next(one for one in labels if one not in '01')[:40]}")
    split = None
    if columns.split is not None:
        split = SPLIT_NAMES.get(row[columns.split].lower())
        if split is None:
            raise _Unusable(f"no split: {row[columns.split][:40] or 'nothing'}")
    group = row[columns.group] or None if columns.group is not None else group_in(columns.pattern, name)
    return Item(name, labels, split, group)


class _Files:
    """The files that rows name, below a root; each folder is listed once."""

    def __init__(self, root: Path) -> None:
        self._root = absolute(root)
        self._folders: dict[str, dict[str, os.DirEntry[str]]] = {}

    def find(self, written: str) -> tuple[str, Stat]:
        """The name below the root, its ending completed where it lacks one. Raises _Unusable."""
        if not written or "\0" in written:
            raise _Unusable("no file is named")
        path = os.path.normpath(self._root / written.replace("\\", "/"))
        folder, last = os.path.split(path)
        entries = self._listed(folder)
        found = [last] if last in entries else [name for name in (f"{last}{end}" for end in ENDINGS) if name in entries]
        if not found:  # endings in capitals
            found = [name for name in entries if name.lower() in {f"{last}{end}".lower() for end in ENDINGS}]
        if not found:
            raise _Unusable("no such file")
        if len(found) > 1:
            raise _Unusable(f"several files: {', '.join(sorted(found))}"[:200])
        return self._checked(str((Path(folder) / found[0]).relative_to(self._root)), entries[found[0]])

    def _listed(self, folder: str) -> dict[str, os.DirEntry[str]]:
        """Nothing for a folder that is not below the root, or reached by a link."""
        if folder not in self._folders:
            if not f"{folder}/".startswith(f"{str(self._root).rstrip('/')}/"):
                raise _Unusable(OUTSIDE)
            self._folders[folder] = {}
            try:
                if str(absolute(folder)) == folder:
                    with os.scandir(folder) as entries:
                        self._folders[folder] = {entry.name: entry for entry in entries}
            except OSError:
                pass
        return self._folders[folder]

    @staticmethod
    def _checked(name: str, entry: os.DirEntry[str]) -> tuple[str, Stat]:
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError:
            raise _Unusable("no such file") from None
        if stat.S_ISLNK(found.st_mode):
            raise _Unusable("a link, which is not followed")
        if not stat.S_ISREG(found.st_mode):
            raise _Unusable("not a regular file")
        return name, stat_of(found)
