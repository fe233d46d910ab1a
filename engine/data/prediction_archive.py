"""The images, and where they are given the labels, of an .npz file that is to be predicted."""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from engine.contract.files.folders import named_by_user
from engine.contract.wire.errors import DataError
from engine.data.archive import read_header
from engine.sentences import Images

PAIRS = {"images": "labels", "test_images": "test_labels"}  # images: their labels
_BROKEN: tuple[type[Exception], ...] = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
_BROKEN += (OSError, ValueError, SyntaxError, tokenize.TokenError)


def read_archive(path: Path) -> tuple[str, np.ndarray, tuple[str, np.ndarray] | None]:
    """Name and array of the images, uint8 [N, H, W(, C)] or uint16 [N, H, W], and of the labels. Raises DataError."""
    try:
        with named_by_user(path).reading() as content, zipfile.ZipFile(content) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}
            name = next((name for name in PAIRS if name in names), None)
            if name is None:
                raise DataError(Images.NO_ARRAY, path=path, found=", ".join(sorted(names))[:200] or "none")
            images = _array(path, archive, name)
            labels = PAIRS[name] if PAIRS[name] in names else None
            return name, images, (labels, _array(path, archive, labels, images=False)) if labels else None
    except _BROKEN as error:
        raise DataError(Images.NOT_AN_ARCHIVE, path=path, reason=str(error)[:200]) from None


def _array(path: Path, archive: zipfile.ZipFile, name: str, *, images: bool = True) -> np.ndarray:
    """Read after its header was checked: nothing is allocated for what it only claims."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as file:
        shape, _, dtype = read_header(file)
        if dtype.hasobject or info.file_size != file.tell() + math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{name} does not have the size that it declares")
    if images and not _are_images(shape, dtype):
        found = f"{'×'.join(map(str, shape)) or 'a scalar'} of {dtype}"
        raise DataError(Images.NO_IMAGES, path=path, array=name, found=found)
    with archive.open(info) as file:
        values: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
        return values


def _are_images(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    if len(shape) not in (3, 4) or 0 in shape:
        return False
    deep = dtype.kind == "u" and dtype.itemsize == 2 and shape[3:] in ((), (1,))
    return (dtype == np.uint8 and shape[3:] in ((), (1,), (3,), (4,))) or deep
