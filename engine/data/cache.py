"""Decoded data sets in the user's cache folder: plain `.npy` files, keyed by what they were decoded from.

The members of an `.npz` are `.npy` files already, so decoding is unpacking. `np.load(mmap_mode=…)` silently does
nothing inside an `.npz`; from these files it maps. `cache_entry` binds them to the archive that was hashed.
"""

from __future__ import annotations

import contextlib
import json
import math
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from engine.contract.data.archive_card import SYNTHETIC, SYNTHETIC_LICENCE
from engine.contract.data.datasets import DatasetFacts
from engine.contract.data.sums import cache_folder, checksum_file
from engine.contract.files.file_system import cannot_map
from engine.contract.files.folders import File, Folder
from engine.contract.files.inspection import free_space
from engine.contract.wire.errors import DataError
from engine.contract.wire.recorded import fingerprint
from engine.data.archive import MEMBERS, ArchiveSpec, check_structure, expect_md5, find_archive
from engine.data.archive_file import ArchiveFile, OnRead, no_progress
from engine.data.cache_entry import Damaged, Unrecorded, check_entry, copy_array, write_entry
from engine.data.filling import fill_atomically
from engine.sentences import Archive, Arrays, Cache

_PIXELS = 4 * 1024 * 1024  # bytes of images that are read or copied at once
Log = Callable[[str], None]
Fill = Callable[[File], dict[str, str]]  # writes the arrays into a folder; their digests by name


@dataclass(frozen=True)
class Decoded:
    """A data set as plain arrays on disk."""

    folder: File
    facts: DatasetFacts
    source: str  # the archive's path, or what was generated
    md5: str | None  # of the archive; None for what was generated
    official: bool
    digests: dict[str, str]  # of the arrays' files, by name
    on_read: OnRead = no_progress
    fingerprint: str | None = None  # of the content of all files of a user's own images
    attachments: dict[str, File] = field(default_factory=dict)  # what a run's folder gets a copy of, by its name there

    @property
    def edition(self) -> str:
        """Which content: the fingerprint of a user's own, the archive's MD5, or the version of what was generated."""
        return self.fingerprint or fingerprint(self.md5, self.source)

    def images(self, split: str) -> np.ndarray:
        """uint8 [N, H, W] or [N, H, W, 3], mapped from the file."""
        return mapped_array(self.folder / f"{split}_images.npy")

    def copied(self, images: np.ndarray, split: str, rows: np.ndarray | None = None) -> np.ndarray:
        """These images, or these rows of them, in memory: read in steps, so that it can be ended."""
        n = len(images) if rows is None else len(rows)
        copy = np.empty((n, *images.shape[1:]), images.dtype)
        step = rows_per_step(images)
        for start in range(0, n, step):
            end = min(start + step, n)
            copy[start:end] = images[start:end] if rows is None else images[rows[start:end]]
            self.on_read(f"reading the {split} images", copy[:end].nbytes, copy.nbytes)
        return copy

    def labels(self, split: str) -> np.ndarray:
        """int64 [N] of classes, or [N, K] of zeros and ones for multi-label. Raises DataError when out of range."""
        labels = np.array(mapped_array(self.folder / f"{split}_labels.npy"))
        multi_label = self.facts.task == "multi_label"
        highest = 1 if multi_label else self.facts.classes - 1
        if labels.size and (labels.min() < 0 or labels.max() > highest):
            raise DataError(
                Arrays.LABELS_RANGE,
                path=self.source,
                array=f"{split}_labels",
                highest=highest,
                lowest_found=labels.min(),
                highest_found=labels.max(),
            )
        labels = labels.astype(np.int64)
        self.on_read(f"reading the {split} labels", labels.nbytes, labels.nbytes)
        return labels if multi_label else labels.reshape(len(labels))

    def length(self, split: str) -> int:
        return len(mapped_array(self.folder / f"{split}_images.npy"))

    def statistics(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of the training split by channel, in fractions of 255; computed once."""
        file, digest = self.folder / "statistics.json", self.digests["train_images"]
        channels = 1 if self.facts.channels == 1 else 3
        try:
            stored = json.loads(file.content())
            if stored["train_images"] == digest:
                return _numbers(stored["mean"], channels), _numbers(stored["std"], channels)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass
        images = self.images("train")
        mean, std = channel_statistics(images, rows_per_step(images), self.on_read)
        with contextlib.suppress(OSError):  # a read-only cache: computed again next time
            values = {"train_images": digest, "mean": mean, "std": std}
            file.write(json.dumps(values), durable=False)
        return mean, std


def mapped_array(file: File) -> np.ndarray:
    """The array of a `.npy` file, mapped; in memory where its file system cannot map. Raises OSError or ValueError.

    As `np.load(…, mmap_mode="r")`, which takes a path only and would follow whatever lies there.
    """
    with file.reading() as opened:
        version = np.lib.format.read_magic(opened)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise ValueError(f"format version {version}")
        shape, in_columns, dtype = read_header(opened)
        if dtype.hasobject:
            raise ValueError("objects, which are not read")
        order: Literal["F", "C"] = "F" if in_columns else "C"
        if 0 in shape:  # nothing to map
            return np.empty(shape, dtype, order)
        start = opened.tell()
        try:
            return np.memmap(opened, dtype, "r", start, shape, order)
        except OSError as error:
            if not cannot_map(error):
                raise
        opened.seek(start)
        flat = np.fromfile(opened, dtype, math.prod(shape))
        flat.flags.writeable = False
        return flat.reshape(shape, order=order)


def rows_per_step(images: np.ndarray) -> int:
    """Images that are copied or looked at at once: a few megabytes."""
    return max(1, _PIXELS // max(1, images[:1].nbytes))


def _numbers(values: list[float], channels: int) -> list[float]:
    """One finite number per channel. Raises ValueError."""
    if len(values) != channels or not all(type(value) is float and math.isfinite(value) for value in values):
        raise ValueError(values)
    return values


def channel_statistics(
    images: np.ndarray, chunk: int = 4096, on_read: OnRead = no_progress
) -> tuple[list[float], list[float]]:
    """Mean and population standard deviation by channel, by exact integer sums, in fractions of 255."""
    channels = 3 if images.ndim == 4 else 1
    counts = np.zeros((channels, 256), dtype=np.int64)  # a histogram holds both sums exactly
    for start in range(0, len(images), chunk):
        pixels = np.asarray(images[start : start + chunk]).reshape(-1, channels)
        for channel in range(channels):
            counts[channel] += np.bincount(pixels[:, channel], minlength=256)
        done = min(start + chunk, len(images)) * (images.nbytes // max(1, len(images)))
        on_read("mean and deviation of the training images", done, images.nbytes)
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


def decode(
    spec: ArchiveSpec,
    folders: Sequence[Path],
    log: Log,
    on_read: OnRead = no_progress,
    warn: Log | None = None,
) -> Decoded:
    """An archive's arrays, from the cache or decoded into it. Raises DataError, and what `on_read` raises.

    `log`: slow steps that are about to begin; `warn`: what was found to be damaged, where that differs.
    """
    warn = warn or log
    path = find_archive(spec, folders)
    with ArchiveFile(path, checksum_file(), on_read) as archive:
        md5 = expect_md5(archive.md5(), path, spec)

        def fill(folder: File) -> dict[str, str]:
            if not archive.hashed:  # a sum that was remembered vouches for no byte
                expect_md5(archive.hash(), path, spec)
            return unpack(archive, spec, folder, on_read)

        entry = CacheEntry(cache_key(spec, md5), md5, on_read)
        digests = entry.ensure(fill, log, warn, f"decoding {path.name}")
        synthetic = not spec.official and archive.comment().startswith(SYNTHETIC)
    facts = replace(spec.facts, synthetic=True, licence=SYNTHETIC_LICENCE) if synthetic else spec.facts
    return Decoded(entry.folder, facts, str(path), md5, spec.official, digests, on_read)


def cache_key(spec: ArchiveSpec, md5: str) -> str:
    return f"{spec.facts.label(spec.size)}-{md5}"


def unpack(archive: ArchiveFile, spec: ArchiveSpec, folder: File, on_read: OnRead) -> dict[str, str]:
    """The arrays of an archive that was hashed, in `folder`; their digests. Raises DataError."""
    path = archive.path
    members = check_structure(path, spec, archive.content())
    need, free = sum(member.bytes for member in members.values()), free_space(folder)
    if need > free:
        raise DataError(Cache.NO_SPACE, path=path, folder=folder.parent, need=need, free=free)
    done = 0

    def on_bytes(size: int) -> None:
        nonlocal done
        done += size
        on_read(f"decoding {path.name}", done, need)

    digests = {}
    try:
        with zipfile.ZipFile(archive.content()) as opened:
            for member in MEMBERS:
                with opened.open(f"{member}.npy") as source:
                    digests[member] = copy_array(source, folder / f"{member}.npy", on_bytes)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise DataError(Archive.DAMAGED, path=path, reason=error) from None
    except OSError as error:
        raise DataError(Cache.NOT_DECODED, path=path, folder=folder, reason=error.strerror) from None
    return digests


class CacheEntry:
    """The cache's folder of one key: complete, and bound to the archive with this MD5, or not there.

    `names`: of its arrays. Of a user's own images the fingerprint takes the place of the MD5. `check`: of what else is
    in the folder; raises Damaged.
    """

    def __init__(
        self,
        key: str,
        md5: str | None,
        on_read: OnRead = no_progress,
        names: Sequence[str] = MEMBERS,
        check: Callable[[File], None] = lambda folder: None,
    ) -> None:
        self.folder, self._md5, self._on_read = Folder(cache_folder()).file(f"arrays/{key}"), md5, on_read
        self._names, self._check = names, check

    def ensure(self, fill: Fill, log: Log, warn: Log, doing: str) -> dict[str, str]:
        """The digests of its arrays, which are decoded where there are none, or damaged ones. Raises DataError."""
        try:
            return self.digests()
        except Damaged as damage:
            warn(f"The decoded copy in {self.folder} is damaged ({damage}): {doing} again.")
        except Unrecorded:
            log(doing)

        def record(folder: File) -> None:
            write_entry(folder, self._md5, fill(folder))

        try:
            fill_atomically(self.folder, record, self.is_complete)
            return self.digests()
        except Damaged as damage:
            raise DataError(Cache.DAMAGED_WHILE_WRITTEN, folder=self.folder, reason=damage) from None

    def digests(self, *, reread: bool = False) -> dict[str, str]:
        """Of its arrays as they are. Raises Unrecorded where it is missing or of an older medtui, and Damaged."""
        entry = check_entry(self.folder, self._md5, self._names, self._on_read, reread=reread)
        self._check(self.folder)
        return {name: array.digest for name, array in entry.arrays.items()}

    def is_complete(self) -> bool:
        try:
            self.digests()
        except (Damaged, Unrecorded):
            return False
        return True
