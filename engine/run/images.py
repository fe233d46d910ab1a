"""The images that `predict` is given: files, folders, patterns and .npz archives, each read as the model needs it."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from engine.contract.data.datasets import TaskKind
from engine.contract.files.folders import named_by_user
from engine.contract.files.paths import expanded, path_status
from engine.contract.store.model_bundle import ModelBundle
from engine.contract.wire.errors import DataError
from engine.data.own.pictures import MOST_BYTES, Picture, Unreadable, decode, picture_of_array
from engine.data.prediction_archive import read_archive
from engine.sentences import Images

SUFFIXES = {".png", ".jpg", ".jpeg", ".jfif", ".tif", ".tiff", ".bmp", ".gif", ".webp"}  # of the files in a folder
_GREY = "L"


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

    @property
    def labels(self) -> bool:
        """Does every image have its label?"""
        return bool(self.entries) and all(entry.label is not None for entry in self.entries)


def list_images(words: Sequence[str], here: Path, bundle: ModelBundle) -> Listed:
    """What the words name, in their order; a name that leads nowhere is an image that cannot be read. Raises DataError.

    here: what relative paths are below.
    """
    parts = [_named(word, here, bundle) for word in words]
    listed = _together(parts)
    if not listed.entries:
        others = f" ({listed.ignored} files in folders do not have the name of an image)" if listed.ignored else ""
        raise DataError(Images.NONE, ignored=others)
    return listed


def _together(parts: Sequence[Listed]) -> Listed:
    entries = [entry for part in parts for entry in part.entries]
    return Listed(entries, sum(part.ignored for part in parts), [why for part in parts for why in part.unused])


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


def _named(word: str, here: Path, bundle: ModelBundle) -> Listed:
    path = here / expanded(word)
    there = path_status(path)
    if there.is_folder:
        return _in_folder(path, word, bundle)
    if there.is_there:
        archive = path.suffix.lower() == ".npz"
        return _in_archive(path, word, bundle) if archive else Listed([_file(path, word, bundle)])
    matches = sorted(glob.glob(str(path), recursive=True)) if glob.has_magic(word) else []  # noqa: PTH207
    if not matches:
        return Listed([_missing(word, there.trouble or "there is no such file")])
    return _together([_named(_shown(match, word, here), here, bundle) for match in matches])


def _shown(match: str, word: str, here: Path) -> str:
    """As the pattern was written: relative where it is."""
    return match if expanded(word).is_absolute() else os.path.relpath(match, here)


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
            raise Unreadable(f"cannot be read: {error.strerror or error}") from None
        if not content:
            raise Unreadable("empty")
        return decode(content, bundle.size, bundle.fit)

    return Entry(shown, read)


def _missing(word: str, reason: str) -> Entry:
    def read() -> Picture:
        raise Unreadable(reason)

    return Entry(word, read)


# ---- archives -------------------------------------------------------------------------------------------------------


def _in_archive(path: Path, word: str, bundle: ModelBundle) -> Listed:
    name, images, given = read_archive(path)
    labels, unused = None, []
    try:
        labels = _checked(path, given, len(images), bundle.task, len(bundle.class_names)) if given else None
    except DataError as error:  # of other classes, as of images that are to be unlike: predicted all the same
        unused.append(error.message)
    fitting = images.dtype == np.uint8 and images.shape[1:3] == (bundle.size, bundle.size)
    ready = fitting and images.shape[3:] in ((), (3,))

    def reading(row: int) -> Callable[[], Picture | np.ndarray]:
        return lambda: images[row] if ready else picture_of_array(images[row], bundle.size, bundle.fit)

    rows = range(len(images))
    label = [labels[row] if labels is not None else None for row in rows]
    return Listed([Entry(f"{word}:{name}[{row}]", reading(row), label[row]) for row in rows], unused=unused)


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
