"""A user's own images, converted once: all that could be read, in one array in the cache, by the digest of their files.

A start reads names, sizes and times of the files. Where they are as they were, so is the content, and the cache has it
under its fingerprint. Else the images are converted in parts by several processes; parts that are done stay, so that a
conversion which was ended goes on where it was.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from engine.contract.data.card import own_folder, source_key
from engine.contract.files.file_system import try_lock
from engine.contract.files.folders import File
from engine.contract.files.inspection import free_space
from engine.contract.wire.errors import DataError
from engine.contract.wire.text import counted, format_bytes
from engine.data.access import Access
from engine.data.archive_file import OnRead
from engine.data.cache import CacheEntry, mapped_array
from engine.data.cache_entry import Damaged, Unrecorded
from engine.data.own import dicom
from engine.data.own.listing import Listing
from engine.data.own.worker import Task
from engine.data.own.workers import Workers
from engine.sentences import OwnImages

VERSION = 1  # of how images are converted: another one converts again
OF_ARRAYS = "-b"  # the same of arrays alone, after it
NAMES = ("images", "thumbs")  # the arrays of an entry
PART = 256  # images
RECORDS = "records.json"
RECORDS_LIMIT = 8 * 1024**3  # bytes
SETTLED = 0.02  # seconds, after which a change of a file gives it another time


@dataclass(frozen=True)
class Request:
    """What is converted, and how."""

    kind: str  # folder, csv or npz
    path: Path  # of that
    listing: Listing
    size: int  # pixels per side
    fit: str

    @property
    def key(self) -> str:
        """Of the source, as the cache knows it."""
        return f"{source_key(self.kind, self.path)}-{self.size}-{self.fit}"


@dataclass(frozen=True)
class Pool:
    """images.npy: uint8 [N, S, S] or [N, S, S, 3]; thumbs.npy: uint8 [N, 256]; a record for each file."""

    folder: File
    fingerprint: str  # of all files, those that are no images too
    digests: dict[str, str]

    def images(self) -> np.ndarray:
        return mapped_array(self.folder / "images.npy")

    def thumbs(self) -> np.ndarray:
        return mapped_array(self.folder / "thumbs.npy")

    def records(self) -> list[dict[str, Any]]:
        """By name: its digest, and what the image is; or the reason why it is none. Raises DataError."""
        try:
            found: list[dict[str, Any]] = json.loads((self.folder / RECORDS).content(RECORDS_LIMIT))
        except (OSError, ValueError) as error:
            raise DataError(OwnImages.CACHE_DAMAGED, folder=self.folder, reason=error) from None
        return found


Prepare = Callable[[File], list[Task]]  # the tasks of all parts, given the working folder


def pool_of(request: Request, tasks: Prepare, access: Access) -> Pool:
    """From the cache, or converted into it. Raises DataError, InstallationError, and what `access` raises."""
    index = own_folder() / f"{source_key(request.kind, request.path)}.json"
    known = _read(index)
    if known.get("listing") == request.listing.files.digest:
        if (pool := _cached(request, str(known["fingerprint"]), access)) is not None:
            return pool
    elif known.get("files") == len(request.listing.files) and known.get("bytes") == request.listing.files.bytes:
        pool = _touched_only(request, access)
        if pool is not None:
            _remember(index, request, pool.fingerprint)
            return pool
    with _working_folder(request, access.on_read) as folder:
        known = _read(index)  # another engine may have been at it
        same = known.get("listing") == request.listing.files.digest
        if same and (pool := _cached(request, str(known["fingerprint"]), access)) is not None:
            return pool
        pool = _converted(request, folder, tasks(folder), access)
        _remember(index, request, pool.fingerprint)
        folder.delete_tree()
    return pool


def _entry(request: Request, fingerprint: str, access: Access) -> CacheEntry:
    reads = "-dicom" if dicom.can_be_read() else ""  # what could not be read without the extra is read with it
    version = f"{VERSION}{OF_ARRAYS if request.kind == 'npz' else ''}"
    key = f"own-{request.size}-{request.fit}-v{version}{reads}-{fingerprint}"
    return CacheEntry(key, fingerprint, access.on_read, NAMES)


def _cached(request: Request, fingerprint: str, access: Access) -> Pool | None:
    entry = _entry(request, fingerprint, access)
    try:
        return Pool(entry.folder, fingerprint, entry.digests())
    except Unrecorded:
        return None
    except Damaged as damage:
        access.warn(f"The converted images in {entry.folder} are damaged ({damage}): converting again")
        return None


def _touched_only(request: Request, access: Access) -> Pool | None:
    """The pool, where only times have changed, or a copy elsewhere is read: digests are faster than a conversion."""
    if request.kind == "npz":
        return None
    names = request.listing.files.names
    steps = [names[start : start + PART] for start in range(0, len(names), PART)]
    tasks = [Task("", "", str(request.listing.root), step, [], request.size, request.fit, {}, False) for step in steps]
    on_bytes = _progress("checking the images", request.listing.files.bytes, access.on_read)
    found = {
        name: digest
        for task, digests in Workers(tasks, on_bytes).results()
        for name, digest in zip(task.names, digests, strict=True)
    }
    return _cached(request, fingerprint_of(request.listing, found), access)


def fingerprint_of(listing: Listing, digests: dict[str, str | None]) -> str:
    """BLAKE2b-16 of name, size and digest of every file, in the order of their names."""
    overall = blake2b(digest_size=16)
    for name in listing.files.names:
        overall.update(json.dumps([name, listing.files.stats[name][0], digests.get(name)]).encode())
    return overall.hexdigest()


# ---- converting ------------------------------------------------------------------------------------------------------


def file_tasks(request: Request, folder: File) -> list[Task]:
    """Parts of the files of a listing."""
    names, root = request.listing.files.names, str(request.listing.root)
    return [
        Task(str(folder), f"{number:06}", root, names[start : start + PART], [], request.size, request.fit, {}, False)
        for number, start in enumerate(range(0, len(names), PART))
    ]


def _converted(request: Request, folder: File, tasks: Sequence[Task], access: Access) -> Pool:
    if time.time() - request.listing.files.last_changed / 1e9 < SETTLED:
        time.sleep(SETTLED)
    left = [task for task in tasks if not _is_done(request.listing, folder, task)]
    done = len(tasks) - len(left)
    images = sum(task.items for task in left)
    again = f" ({done} of {len(tasks)} parts were done before)" if done else ""
    access.log(f"converting {counted(images, 'image')} to {request.size} px{again}")
    total = sum(request.listing.files.stats[name][0] for task in left for name in task.names)
    if request.kind == "npz":
        total = sum(task.items for task in left) * _row_bytes(left)
    on_bytes = _progress("converting the images", total, access.on_read)
    for _ in Workers(left, on_bytes).results() if left else ():
        pass
    records = [record for task in tasks for record in json.loads((folder / f"{task.part}.json").content(RECORDS_LIMIT))]
    by_name = {record["name"]: record.get("digest") for record in records}
    digests = {name: by_name.get(name) for name in request.listing.files.names}
    if request.kind == "npz":
        digests = {name: str(_read(folder / "archive.json")["digest"]) for name in request.listing.files.names}
    fingerprint = fingerprint_of(request.listing, digests)
    entry = _entry(request, fingerprint, access)
    parts = [folder / f"{task.part}.npz" for task in tasks]

    def fill(target: File) -> dict[str, str]:
        return assemble(records, parts, request.size, target, access.on_read)

    found = entry.ensure(fill, lambda text: None, access.warn, "putting the images together")
    return Pool(entry.folder, fingerprint, found)


def _row_bytes(tasks: Sequence[Task]) -> int:
    return int(np.load(tasks[0].root, mmap_mode="r", allow_pickle=False)[:1].nbytes) if tasks else 0


def _is_done(listing: Listing, folder: File, task: Task) -> bool:
    """Was a part converted from these very files?"""
    records = _read(folder / f"{task.part}.json")
    if not isinstance(records, list) or not (folder / f"{task.part}.npz").is_regular:
        return False
    if task.rows:
        return len(records) == task.items
    found = {record["name"]: tuple(record.get("stat", ())) for record in records}
    return found == {name: listing.files.stats[name] for name in task.names}


def _progress(activity: str, total: int, on_read: OnRead) -> Callable[[int], None]:
    done = 0

    def on_bytes(size: int) -> None:
        nonlocal done
        done += size
        on_read(activity, min(done, total), total)

    return on_bytes


@contextmanager
def _working_folder(request: Request, on_read: OnRead) -> Iterator[File]:
    """Where parts are kept until all are there; for one engine at a time. Raises DataError."""
    folder = own_folder() / f"{request.key}.parts"
    try:
        folder.folder.make()
        folder.parent.make_folder(exist_ok=True)
        descriptor = (own_folder() / f"{request.key}.lock").descriptor(os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise DataError(OwnImages.CACHE_UNWRITABLE, folder=folder.parent, reason=error.strerror) from None
    try:
        while not try_lock(descriptor):
            on_read("waiting for another engine that converts these images", 0, 0)
            time.sleep(0.1)
        folder.make_folder(exist_ok=True)
        yield folder
    finally:
        os.close(descriptor)


def _remember(index: File, request: Request, fingerprint: str) -> None:
    listing = request.listing
    values = {"listing": listing.files.digest, "files": len(listing.files), "bytes": listing.files.bytes}
    with suppress(OSError):  # a read-only cache: digests are computed again next time
        index.write(json.dumps({**values, "fingerprint": fingerprint}), durable=False)


def _read(file: File) -> Any:
    try:
        return json.loads(file.content(RECORDS_LIMIT))
    except (OSError, ValueError, RecursionError):
        return {}


# ---- putting the parts together --------------------------------------------------------------------------------------


def assemble(
    records: list[dict[str, Any]], parts: Sequence[File], size: int, folder: File, on_read: OnRead
) -> dict[str, str]:
    """Write the arrays and the records of all parts; the digests of the arrays. Raises DataError.

    Images with more than 8 bits are scaled by the depth of the deepest of them, so that they stay comparable.
    """
    readable = sum("reason" not in record for record in records)
    channels = 1 if all(record["grey"] for record in records if "reason" not in record) else 3
    shape = (readable, size, size) if channels == 1 else (readable, size, size, 3)
    deepest = max((record["bits"] for record in records if record.get("bits", 0) > 8), default=8)
    need, free = readable * (size * size * channels + 256), free_space(folder)
    if need > free:
        where = folder.parent
        raise DataError(OwnImages.NO_SPACE, need=format_bytes(need), folder=where, free=format_bytes(free))
    images, thumbs = _Array(folder / "images.npy", shape), _Array(folder / "thumbs.npy", (readable, 256))
    row = 0
    for number, part in enumerate(parts):
        arrays = _part(part)
        pixels = arrays["pixels"]
        if channels == 3 and pixels.ndim == 3:
            pixels = np.repeat(pixels[..., None], 3, axis=3)
        scaled = np.rint(arrays["deep"] * (255 / (2**deepest - 1))).clip(0, 255).astype(np.uint8)
        pixels[arrays["deep_rows"]] = scaled if channels == 1 else scaled[..., None]
        images.add(pixels)
        thumbs.add(arrays["thumbs"])
        step = size * size * channels * PART
        on_read("putting the images together", (number + 1) * step, len(parts) * step)
    for record in records:
        record.pop("stat", None)
        if "reason" not in record:
            record["row"], row = row, row + 1
    (folder / RECORDS).write(json.dumps(records), durable=False)
    return {"images": images.close(), "thumbs": thumbs.close()}


def _part(part: File) -> dict[str, np.ndarray]:
    with part.reading() as file, np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


class _Array:
    """A uint8 array that is written row by row, with the digest of its file."""

    def __init__(self, file: File, shape: tuple[int, ...]) -> None:
        header = BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
        self._file = os.fdopen(file.descriptor(os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb")
        self._digest = blake2b(digest_size=16)
        self._write(header.getvalue())

    def _write(self, content: bytes) -> None:
        self._digest.update(content)
        self._file.write(content)

    def add(self, rows: np.ndarray) -> None:
        self._write(np.ascontiguousarray(rows, dtype=np.uint8).tobytes())

    def close(self) -> str:
        self._file.close()
        return self._digest.hexdigest()
