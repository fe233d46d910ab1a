"""Which size the images of an .npz file have, by the header of their array: nothing else of it is read."""

from __future__ import annotations

import ast
import zipfile
from pathlib import Path

from engine.contract.data.archives import open_data_file
from engine.contract.data.datasets import SIZES

ARRAYS = ("train_images", "images", "val_images", "test_images")
HEADER = 10_000  # bytes of a .npy header at most


def image_sides(path: Path) -> tuple[int, int] | None:
    """Height and width; None where that cannot be read. Never raises."""
    try:
        with open_data_file(path) as file, zipfile.ZipFile(file) as archive:
            there = set(archive.namelist())
            name = next((f"{name}.npy" for name in ARRAYS if f"{name}.npy" in there), None)
            if name is None:
                return None
            with archive.open(name) as member:
                return _sides(member.read(HEADER))
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, zipfile.BadZipFile, RuntimeError):
        return None


def _sides(start: bytes) -> tuple[int, int] | None:
    r"""Of `\x93NUMPY`, the version, the header's length, and a dictionary as Python writes it."""
    length = 2 if start[6:7] == b"\x01" else 4
    end = 8 + length + int.from_bytes(start[8 : 8 + length], "little")
    shape = ast.literal_eval(start[8 + length : end].decode("latin-1").strip())["shape"]
    if start[:6] != b"\x93NUMPY" or not 3 <= len(shape) <= 4:
        return None
    height, width = shape[1:3]
    return (height, width) if type(height) is type(width) is int and height > 0 < width else None


def closest_size(sides: tuple[int, int]) -> int:
    """The smallest size that loses no pixel, else the largest."""
    return next((size for size in sorted(SIZES) if size >= max(sides)), max(SIZES))
