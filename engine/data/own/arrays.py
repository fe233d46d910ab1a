"""An .npz file of a user's own images: which arrays it has, and what their labels say."""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from engine.contract.data.datasets import SPLITS
from engine.contract.files.folders import File
from engine.contract.wire.errors import DataError
from engine.data.archive import read_header
from engine.data.cache_entry import copy_array
from engine.data.own.listing import Item
from engine.sentences import OwnArrays, OwnImages

GIVEN = {f"{split}_images": (f"{split}_labels", split) for split in SPLITS}
PAIRS: dict[str, tuple[str, str | None]] = {**GIVEN, "images": ("labels", None)}  # images: their labels, their split
MOST_BYTES = 1024**4  # of one array, as its header declares it
NAMES = "class_names"  # an array that names the classes of labels that are numbers, as an exported archive has it
MOST_NAMES = 10_000_000  # bytes of that array


@dataclass(frozen=True)
class Member:
    """An array as its header declares it."""

    shape: tuple[int, ...]
    dtype: np.dtype
    bytes: int  # of the .npy file

    @property
    def rows(self) -> int:
        return self.shape[0] if self.shape else 0


def members_of(path: Path, content: BinaryIO) -> dict[str, Member]:
    """The arrays of images and labels, checked by their headers: nothing is allocated for what they only claim.

    Raises DataError.
    """
    try:
        with zipfile.ZipFile(content) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            found = {name.removesuffix(".npy"): _member(path, archive, name) for name in names}
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError, OSError) as error:
        raise DataError(OwnArrays.DAMAGED, path=path, reason=error) from None
    pairs = {images: labels for images, (labels, _) in PAIRS.items() if images in found}
    if not pairs or ("images" in pairs and len(pairs) > 1):
        raise DataError(OwnArrays.NO_ARRAYS, path=path, found=", ".join(found)[:200] or "none")
    for images, labels in pairs.items():
        if labels not in found:
            raise DataError(OwnArrays.NO_LABELS, path=path, images=images, labels=labels)
        _check_pair(path, images, found[images], labels, found[labels])
    return {name: found[name] for pair in pairs.items() for name in pair}


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> Member:
    info = archive.getinfo(name)
    try:
        with archive.open(info) as file:
            shape, _, dtype = read_header(file)
            header = file.tell()
    except (ValueError, SyntaxError, tokenize.TokenError, RecursionError) as error:
        raise DataError(OwnArrays.DAMAGED, path=path, reason=f"{name}: {str(error)[:80]}") from None
    if dtype.hasobject:
        raise DataError(OwnArrays.OBJECTS, path=path, name=name.removesuffix(".npy"))
    if info.file_size != header + math.prod(shape) * dtype.itemsize or info.file_size > MOST_BYTES:
        raise DataError(OwnArrays.DAMAGED, path=path, reason=f"{name} does not have the size that it declares")
    return Member(shape, dtype, info.file_size)


def _check_pair(path: Path, images: str, pixels: Member, labels: str, classes: Member) -> None:
    channels = pixels.shape[3:]
    deep = pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2 and channels in ((), (1,))
    if len(pixels.shape) not in (3, 4) or channels not in ((), (1,), (3,), (4,)) or not (pixels.dtype == "u1" or deep):
        shape = "×".join(map(str, pixels.shape)) or "a scalar"
        raise DataError(OwnArrays.NO_IMAGES, path=path, name=images, found=f"{shape} of {pixels.dtype}")
    several = len(classes.shape) == 2 and classes.shape[1] > 1
    if len(classes.shape) not in (1, 2) or classes.rows != pixels.rows or classes.dtype.kind not in "uibU":
        found = f"{'×'.join(map(str, classes.shape)) or 'a scalar'} of {classes.dtype}"
        raise DataError(OwnArrays.WRONG_LABELS, path=path, name=labels, images=pixels.rows, found=found)
    if several and classes.dtype.kind == "U":
        raise DataError(OwnImages.NOT_ZERO_OR_ONE, path=path, found="text")


def extract(path: Path, content: BinaryIO, names: list[str], folder: File, on_bytes: object) -> None:
    """Copy arrays as `.npy` files, so that they can be mapped. Raises DataError."""
    try:
        with zipfile.ZipFile(content) as archive:
            for name in names:
                target = folder / f"{name}.npy"
                target.delete()
                with archive.open(f"{name}.npy") as source:
                    copy_array(source, target, on_bytes)  # type: ignore[arg-type]
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise DataError(OwnArrays.DAMAGED, path=path, reason=error) from None


def items_of(path: Path, content: BinaryIO) -> tuple[list[Item], tuple[str, ...]]:
    """Each image with its label; and names of the columns, for several labels per image. Raises DataError."""
    items: list[Item] = []
    width = 1
    with zipfile.ZipFile(content) as archive:
        for images, (labels, split) in PAIRS.items():
            if f"{images}.npy" not in archive.namelist():
                continue
            with archive.open(f"{labels}.npy") as file:
                values = np.lib.format.read_array(file, allow_pickle=False)
            values = values.astype(np.int64) if values.dtype.kind == "b" else values
            values = values.reshape(len(values), -1)
            width = max(width, values.shape[1])
            if values.shape[1] > 1 and not np.isin(values, (0, 1)).all():
                raise DataError(OwnImages.NOT_ZERO_OR_ONE, path=path, found=f"{values.min()} to {values.max()}")
            rows = values.tolist()
            items += [Item(f"{images}/{n:06}", tuple(map(str, row)), split) for n, row in enumerate(rows)]
    if any(len(item.labels) != width for item in items):
        raise DataError(OwnArrays.UNEVEN_LABELS, path=path)
    return items, tuple(f"label {n}" for n in range(width)) if width > 1 else ()


def class_names_of(path: Path, content: BinaryIO) -> tuple[str, ...]:
    """As the archive names its classes; () where it does not, or not in a way that can be used. Raises DataError."""
    with zipfile.ZipFile(content) as archive:
        if f"{NAMES}.npy" not in archive.namelist():
            return ()
        found = _member(path, archive, f"{NAMES}.npy")
        if found.dtype.kind != "U" or len(found.shape) != 1 or found.bytes > MOST_NAMES:
            return ()
        with archive.open(f"{NAMES}.npy") as file:
            names = tuple(map(str, np.lib.format.read_array(file, allow_pickle=False).tolist()))
    return names if len(set(names)) == len(names) >= 2 and all(names) else ()
