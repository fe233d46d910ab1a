"""Decoded data sets in the user's cache folder: plain `.npy` files, keyed by what they were decoded from.

The members of an `.npz` are `.npy` files already, so decoding is unpacking. `np.load(mmap_mode=…)` silently does
nothing inside an `.npz`; from these files it maps.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs

from engine.contract.datasets import SPLITS, DatasetFacts
from engine.contract.errors import DataError
from engine.contract.files import write_text
from engine.data import cells
from engine.data.archive import MEMBERS, Wanted, check_structure, find_archive, verify_archive

_CHUNK = 1024 * 1024  # bytes
ABANDONED = 24 * 3600.0  # seconds


def cache_folder() -> Path:
    """`$MEDTUI_CACHE`, else the platform's own place for caches."""
    given = os.environ.get("MEDTUI_CACHE")
    return Path(given) if given else Path(platformdirs.user_cache_dir("medtui"))


def md5_memory() -> Path:
    """The file that remembers which archive has which MD5."""
    return cache_folder() / "verified.json"


@dataclass(frozen=True)
class Decoded:
    """A data set as plain arrays on disk."""

    folder: Path
    facts: DatasetFacts
    source: str  # the archive's path, or what was drawn
    md5: str | None  # of the archive; None for what was drawn
    official: bool

    def images(self, split: str, *, mapped: bool) -> np.ndarray:
        """uint8 [N, H, W] or [N, H, W, 3]; mapped from the file, or read into memory."""
        array: np.ndarray = np.load(self.folder / f"{split}_images.npy", mmap_mode="r" if mapped else None)
        return array

    def labels(self, split: str) -> np.ndarray:
        """int64 [N] of classes, or [N, K] of zeros and ones for multi-label. Raises DataError when out of range."""
        labels = np.load(self.folder / f"{split}_labels.npy")
        multi_label = self.facts.task == "multi_label"
        highest = 1 if multi_label else self.facts.classes - 1
        if labels.size and (labels.min() < 0 or labels.max() > highest):
            raise DataError(
                f"{self.source}: expected {split}_labels from 0 to {highest}, found {labels.min()} to {labels.max()}.",
                "Fetch the official file again, or mend this one.",
            )
        labels = labels.astype(np.int64)
        return labels if multi_label else labels.reshape(len(labels))

    def length(self, split: str) -> int:
        return len(np.load(self.folder / f"{split}_images.npy", mmap_mode="r"))

    def statistics(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of the training split by channel, in shares of 255; computed once."""
        file = self.folder / "statistics.json"
        try:
            stored = json.loads(file.read_text())
            return stored["mean"], stored["std"]
        except (OSError, ValueError, KeyError, TypeError):
            mean, std = channel_statistics(self.images("train", mapped=True))
        with contextlib.suppress(OSError):  # a read-only cache: computed again next time
            write_text(file, json.dumps({"mean": mean, "std": std}), durable=False)
        return mean, std


def channel_statistics(images: np.ndarray, chunk: int = 4096) -> tuple[list[float], list[float]]:
    """Mean and population standard deviation by channel, by exact integer sums, in shares of 255."""
    channels = 3 if images.ndim == 4 else 1
    counts = np.zeros((channels, 256), dtype=np.int64)  # a histogram holds both sums exactly
    for start in range(0, len(images), chunk):
        pixels = np.asarray(images[start : start + chunk]).reshape(-1, channels)
        for channel in range(channels):
            counts[channel] += np.bincount(pixels[:, channel], minlength=256)
    values = np.arange(256, dtype=np.int64)
    mean, std = [], []
    for channel_counts in counts.tolist():
        n = sum(channel_counts)
        total = sum(c * v for c, v in zip(channel_counts, values.tolist(), strict=True))
        squares = sum(c * v * v for c, v in zip(channel_counts, values.tolist(), strict=True))
        variance = (n * squares - total * total) / (n * n)
        mean.append(total / n / 255)
        std.append(max(variance, 1e-12) ** 0.5 / 255)
    return mean, std


def decode(wanted: Wanted, folders: Sequence[Path], say: Callable[[str], None]) -> Decoded:
    """The data set's arrays, from the cache or decoded into it. Raises DataError."""
    if wanted.facts.synthetic:
        key = f"{wanted.facts.name}-v{cells.VERSION}"
        folder = _in_cache(key, cells_fill, say, f"drawing {wanted.facts.title}")
        return Decoded(folder, wanted.facts, f"drawn by medtui ({key})", None, official=False)
    path = find_archive(wanted, folders)
    md5 = verify_archive(path, wanted, md5_memory())

    def fill(folder: Path) -> None:
        members = check_structure(path, wanted)
        need, free = sum(member.bytes for member in members.values()), shutil.disk_usage(folder).free
        if need > free:
            raise DataError(
                f"Decoding {path} needs {need:,} bytes in {folder.parent}, found {free:,} free.",
                "Free some, or set MEDTUI_CACHE to another disk.",
            )
        _unpack(path, folder)

    folder = _in_cache(f"{wanted.facts.label(wanted.size)}-{md5}", fill, say, f"decoding {path.name}")
    return Decoded(folder, wanted.facts, str(path), md5, official=wanted.official)


def cells_fill(folder: Path) -> None:
    for split in SPLITS:
        images, labels = cells.draw(split)
        np.save(folder / f"{split}_images.npy", images)
        np.save(folder / f"{split}_labels.npy", labels)


def _unpack(path: Path, folder: Path) -> None:
    """Raises DataError when the archive breaks off or a checksum is wrong."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in MEMBERS:
                with archive.open(f"{member}.npy") as source, (folder / f"{member}.npy").open("wb") as target:
                    shutil.copyfileobj(source, target, _CHUNK)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}.", "Fetch it again.") from None
    except OSError as error:
        raise DataError(f"Decoding {path} into {folder} failed: {error.strerror}.", "Free or mend the disk.") from None


def _in_cache(key: str, fill: Callable[[Path], None], say: Callable[[str], None], doing: str) -> Path:
    """The cache's folder of this key, filled under a temporary name and renamed, so that it is whole or not there."""
    target = cache_folder() / "arrays" / key
    if _is_whole(target):
        return target
    say(doing)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        temporary = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=target.parent))
    except OSError as error:
        raise DataError(
            f"The cache folder {target.parent} cannot be written: {error.strerror}.",
            "Set MEDTUI_CACHE to a folder that can.",
        ) from None
    try:
        fill(temporary)
        if target.exists():  # damaged, or another engine was faster
            shutil.rmtree(target, ignore_errors=True)
        os.rename(temporary, target)  # noqa: PTH104
    except OSError:
        if not _is_whole(target):
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _sweep(folder: Path) -> None:
    """Remove what killed decodings have left, after a day."""
    for left in folder.glob(".*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED:
                shutil.rmtree(left, ignore_errors=True)


def _is_whole(folder: Path) -> bool:
    """Do header and size of every array agree? Bit rot is not looked for at a start."""
    try:
        for member in MEMBERS:
            np.load(folder / f"{member}.npy", mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return True
