"""The images that `predict` is given: files, folders, patterns, tables, .npz archives, read as the model needs it."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from engine.contract.data.archive_card import read_archive_card
from engine.contract.data.datasets import TaskKind
from engine.contract.data.tables import ENDINGS
from engine.contract.files.folders import named_by_user
from engine.contract.files.paths import expanded, is_file, path_status
from engine.contract.files.patterns import matching
from engine.contract.store.model_bundle import ModelBundle
from engine.contract.wire.errors import DataError
from engine.contract.wire.text import counted
from engine.data.own.arrays import class_names_of
from engine.data.own.pictures import MOST_BYTES, Picture, Unreadable, decode, picture_of_array
from engine.data.own.table import (
    FILE_NAMES,
    LABEL_NAMES,
    Rows,
    column_named,
    columns_of_few_values,
    other_columns,
    read_rows,
)
from engine.data.prediction_archive import read_archive
from engine.sentences import Images

SUFFIXES = {*ENDINGS, ".jfif"}  # of the files in a folder
TABLES = {".csv", ".tsv"}
_GREY = "L"
NO_FILE = "there is no such file"
ADDRESS = "it is an address, and none is fetched; expected a file"
NO_ROW_FILE = f"{NO_FILE} (--root says what the paths of a table are relative to)"


@dataclass(frozen=True)
class Entry:
    """One image: how it is called in the output, and how it is read."""

    name: str
    read: Callable[[], Picture | np.ndarray]  # raises Unreadable; an array has the model's size already
    label: np.ndarray | None = None  # int64 scalar, or [K] for multi-label


@dataclass(frozen=True)
class Listed:
    entries: list[Entry]
    ignored: int = 0  # files in folders that are not images, by their names
    unused: list[str] = field(default_factory=list)  # why labels that are there are not of this model's classes
    label_columns: list[str] = field(default_factory=list)  # of tables: which the labels are from
    file_columns: list[str] = field(default_factory=list)  # which the files are from, where another could be meant

    @property
    def labelled(self) -> int:
        return sum(entry.label is not None for entry in self.entries)

    @property
    def labels(self) -> bool:
        """Does every image have its label?"""
        return 0 < self.labelled == len(self.entries)

    @property
    def unevaluated(self) -> list[str]:
        """Why there is no evaluation, though labels were given; none is expected without labels."""
        if self.labels or self.unused or not self.labelled:
            return self.unused
        return [f"{self.labelled:,} of {len(self.entries):,} images have a label, and all must have one"]


def list_images(words: Sequence[str], here: Path, bundle: ModelBundle, root: Path | None = None) -> Listed:
    """What the words name, in their order; a name that leads nowhere is an image that cannot be read. Raises DataError.

    here: what relative paths are below; root: what those of tables are below, where it is not the table's own folder.
    """
    parts = [_named(word, here, bundle, root) for word in words]
    listed = _together(parts)
    if not listed.entries:
        others = f" ({counted(listed.ignored, 'other file')} in folders)" if listed.ignored else ""
        raise DataError(Images.NONE, ignored=others)
    return listed


def _together(parts: Sequence[Listed]) -> Listed:
    entries = [entry for part in parts for entry in part.entries]
    return Listed(
        entries,
        sum(part.ignored for part in parts),
        [why for part in parts for why in part.unused],
        list(dict.fromkeys(column for part in parts for column in part.label_columns)),
        list(dict.fromkeys(column for part in parts for column in part.file_columns)),
    )


def pixels_of(entry: Entry, bundle: ModelBundle) -> np.ndarray:
    """uint8 [S, S] or [S, S, 3], as the bundle has it. Raises Unreadable."""
    found = entry.read()
    if isinstance(found, np.ndarray):
        return _in_channels(found, bundle.channels)
    pixels = found.pixels
    if pixels.dtype != np.uint8:
        depth = bundle.bits if bundle.bits > 8 else found.bits
        pixels = np.rint(pixels * (255 / (2**depth - 1))).clip(0, 255).astype(np.uint8)
    return _in_channels(pixels, bundle.channels)


def _in_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    if channels == 1 and pixels.ndim == 3:
        return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).convert(_GREY))
    if channels == 3 and pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2)
    return pixels


def entry_of(image: str | os.PathLike[str] | np.ndarray, bundle: ModelBundle, number: int) -> Entry:
    """One image that a program has: a path, or an array [H, W] or [H, W, C]; `number` names it in messages."""
    if not isinstance(image, np.ndarray):
        if (kind := Path(image).suffix.lower()) in {*TABLES, ".npz"}:
            what = "a table" if kind in TABLES else "an archive"
            return _missing(os.fspath(image), f"it is {what}, which `medtui predict` reads; expected a picture here")
        return _file(expanded(image), os.fspath(image), bundle)
    array = image

    def read() -> Picture:
        deep = array.dtype == np.uint16 and array.ndim == 2
        if not (deep or (array.dtype == np.uint8 and (array.ndim == 2 or array.shape[2:] in ((1,), (3,), (4,))))):
            shape = "×".join(map(str, array.shape)) or "a scalar"
            raise Unreadable(f"expected uint8 H×W or H×W×3, or uint16 H×W, found {shape} of {array.dtype}")
        return picture_of_array(array, bundle.size, bundle.fit)

    return Entry(f"image {number}", read)


# ---- what a word names ----------------------------------------------------------------------------------------------


def _named(word: str, here: Path, bundle: ModelBundle, root: Path | None) -> Listed:
    path = here / expanded(word)
    there = path_status(path)
    if there.is_folder:
        return _in_folder(path, word, bundle)
    if there.is_there:
        kind = path.suffix.lower()
        if kind in TABLES:
            return _in_table(path, word, bundle, root)
        return _in_archive(path, word, bundle) if kind == ".npz" else Listed([_file(path, word, bundle)])
    matches = matching(expanded(word), here) if glob.has_magic(word) else []
    if not matches:
        return Listed([_missing(word, ADDRESS if _is_address(word) else there.trouble or NO_FILE)])
    return _together([_named(_shown(match, word, here), here, bundle, root) for match in matches])


def _is_address(word: str) -> bool:
    return re.match(r"[a-z][a-z0-9+.-]*://", word, re.IGNORECASE) is not None


def _shown(match: Path, word: str, here: Path) -> str:
    """As the pattern was written: relative where it is."""
    return str(match) if expanded(word).is_absolute() else os.path.relpath(match, here)


def _in_folder(path: Path, word: str, bundle: ModelBundle) -> Listed:
    """Every image below a folder, in the order of their names; hidden files are passed over, links not followed."""
    entries: list[Entry] = []
    ignored = 0
    for name in _walk(path):
        shown = os.path.join(word, name)  # noqa: PTH118 - keeps a leading ./
        if Path(name).suffix.lower() in SUFFIXES:
            entries.append(_file(path / name, shown, bundle))
        else:
            ignored += 1
    return Listed(entries, ignored)


def _walk(root: Path, below: str = "") -> Iterator[str]:
    try:
        with os.scandir(root / below) as listed:
            found = sorted((entry.name, entry.stat(follow_symlinks=False).st_mode) for entry in listed)
    except OSError:
        return
    for last, mode in found:
        name = f"{below}/{last}" if below else last
        if last.startswith("."):
            continue
        if stat.S_ISDIR(mode):
            yield from _walk(root, name)
        else:
            yield name


def _file(path: Path, shown: str, bundle: ModelBundle) -> Entry:
    def read() -> Picture:
        try:
            file = named_by_user(path)
            content = file.content(min(file.size, MOST_BYTES))  # a limit is allocated, so none that is far too large
        except OSError as error:
            raise Unreadable(str(error.strerror or error)) from None
        if not content:
            raise Unreadable("empty")
        return decode(content, bundle.size, bundle.fit)

    return Entry(shown, read)


def _missing(word: str, reason: str) -> Entry:
    def read() -> Picture:
        raise Unreadable(reason)

    return Entry(word, read)


# ---- tables ---------------------------------------------------------------------------------------------------------


def _in_table(path: Path, word: str, bundle: ModelBundle, root: Path | None) -> Listed:
    """One image per row, with its label where there is one; relative paths are below `root` or the table's folder."""
    rows = read_rows(path, None, at_least=1)
    column = column_named(rows.header, FILE_NAMES) or (rows.header[0] if len(rows.header) == 1 else None)
    below, shown_below = (path.parent, Path(word).parent) if root is None else (root, root)
    if column is not None and _is_image(below, column):
        raise DataError(Images.NO_HEADER, path=path, found=column[:100])
    if column is None:
        raise DataError(Images.NO_FILE_COLUMN, path=path, columns=", ".join(rows.header)[:200])
    labels, unused, labelled_by = _labels_of_rows(rows, column, bundle)
    named = zip(rows.values(column), labels, strict=True)
    entries = [replace(_file_of_row(below, shown_below, name, bundle), label=label) for name, label in named]
    return Listed(
        entries,
        unused=[f"{path}: {unused}"] if unused else [],
        label_columns=[labelled_by] if labelled_by is not None else [],
        file_columns=[column] if column_named([name for name in rows.header if name != column], FILE_NAMES) else [],
    )


def _is_image(below: Path, name: str) -> bool:
    """Is it that of a file, in a list that has no header?"""
    return Path(name).suffix.lower() in SUFFIXES or is_file(below / expanded(name.replace("\\", "/")))


def _file_of_row(below: Path, shown_below: Path, name: str, bundle: ModelBundle) -> Entry:
    """A name may lack its ending, as in the tables that a run is trained from."""
    shown = str(shown_below / name)
    if not name or "\0" in name:
        return _missing(shown, "a row names no file")
    if _is_address(name):
        return _missing(name, ADDRESS)
    path = below / expanded(name.replace("\\", "/"))
    completed = [Path(f"{path}{ending}") for ending in ("", *ENDINGS, *map(str.upper, ENDINGS))]
    there = next((one for one in completed if path_status(one).is_there), None)
    return _file(there, shown, bundle) if there else _missing(shown, NO_ROW_FILE)


def _labels_of_rows(rows: Rows, file: str, bundle: ModelBundle) -> tuple[list[np.ndarray | None], str, str | None]:
    """A label per row, or None for each and why not, and the column that they are from.

    They are names of the model's classes, their numbers, or 0/1 per class.
    """
    nothing: list[np.ndarray | None] = [None] * len(rows.rows)
    names = list(bundle.class_names)
    if bundle.task == "multi_label":
        if not set(names) <= set(rows.header):
            return nothing, "", None
        values = [[row[name].removesuffix(".0") for name in names] for _, row in rows.rows]
        if not all(set(row) <= {"0", "1"} for row in values):
            return nothing, "expected 0 or 1 in each column of a class", None
        return [np.array([int(value) for value in row], np.int64) for row in values], "", None
    column, unused = _label_column(rows, file, names)
    given = rows.values(column) if column is not None else []
    if column is None or not any(given):
        return nothing, unused, None
    numbers = {str(number): number for number in range(len(names))}
    known = {name: number for number, name in enumerate(names)}
    by_number = not set(given) & set(known) and set(given) <= set(numbers)
    known = numbers if by_number else known
    if wrong := sorted(set(given) - set(known)):
        found = wrong[0] or "a row without one"
        expected = f"expected the classes of the model ({_some(names)}), or their numbers, in {column}"
        return nothing, f"{expected}; found {found}", None
    return [np.array(known[value], np.int64) for value in given], "", column


def _label_column(rows: Rows, file: str, names: Sequence[str]) -> tuple[str | None, str]:
    """The column of the labels, by its name, or as the only one that holds classes of the model; else why one that
    training would have taken is not."""
    if (column := column_named(rows.header, LABEL_NAMES)) is not None:
        return column, ""
    left = other_columns(rows, file)
    of_classes = [name for name in left if (values := set(rows.values(name)) - {""}) and values <= set(names)]
    if len(of_classes) == 1:
        return of_classes[0], ""
    if of_classes:
        return None, f"each of the columns {', '.join(of_classes)[:200]} holds classes of the model; name one `label`"
    if len(few := columns_of_few_values(rows, left)) == 1:
        return None, f"the values of {few[0]} are not the classes of the model ({_some(names)})"
    return None, ""


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


# ---- archives -------------------------------------------------------------------------------------------------------


def _in_archive(path: Path, word: str, bundle: ModelBundle) -> Listed:
    name, images, given = read_archive(path)
    labels, unused = None, []
    try:
        labels = _checked(path, given, len(images), bundle.task, len(bundle.class_names)) if given else None
        if labels is not None and (why := _of_other_classes(path, bundle)):
            labels, unused = None, [why]
    except DataError as error:  # of other classes, as of images that are to be unlike: predicted all the same
        unused.append(error.message)
    fitting = images.dtype == np.uint8 and images.shape[1:3] == (bundle.size, bundle.size)
    ready = fitting and images.shape[3:] in ((), (3,))

    def reading(row: int) -> Callable[[], Picture | np.ndarray]:
        return lambda: images[row] if ready else picture_of_array(images[row], bundle.size, bundle.fit)

    rows = range(len(images))
    label = [labels[row] if labels is not None else None for row in rows]
    return Listed([Entry(f"{word}:{name}[{row}]", reading(row), label[row]) for row in rows], unused=unused)


def _of_other_classes(path: Path, bundle: ModelBundle) -> str:
    """Why its labels are of other classes than the model's, by the names in it or in its card; "" if they are not."""
    with named_by_user(path).reading() as content:
        names = class_names_of(path, content)
    card = read_archive_card(path)
    names = names or (card.class_names if card is not None else ())
    if not names or names == tuple(bundle.class_names):
        return ""
    expected = f"expected labels of the model's classes ({_some(bundle.class_names)})"
    return f"{expected}, found those of {_some(names)} in {path.name}"


def _checked(path: Path, given: tuple[str, np.ndarray], images: int, task: TaskKind, classes: int) -> np.ndarray:
    """Labels int64 [N] or [N, K]. Raises DataError for those that are not of this model's classes."""
    name, values = given
    several = task == "multi_label"
    shape = (images, classes) if several else (images,)
    plain = values[:, 0] if not several and values.ndim == 2 and values.shape[1] == 1 else values
    highest = 1 if several else classes - 1
    if plain.dtype.kind not in "uib" or plain.shape != shape:
        found = f"{'×'.join(map(str, values.shape)) or 'a scalar'} of {values.dtype}"
        raise DataError(Images.LABELS, path=path, array=name, images=images, highest=highest, found=found)
    labels: np.ndarray = plain.astype(np.int64)
    if len(labels) and not (labels.min() >= 0 and labels.max() <= highest):
        found = f"{labels.min()} to {labels.max()}"
        raise DataError(Images.LABELS, path=path, array=name, images=images, highest=highest, found=found)
    return labels
