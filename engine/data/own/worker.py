"""`python -m engine.data.own.worker`: a process that reads images, so that several do at once.

One task per line on standard input, one or more lines for each on standard output, all JSON. It has neither the lock
nor the pipe of the engine that started it, and ends with its standard input. A task converts the files of a part, or
the rows of an array, into `NAME.npz` (pixels, thumbs) and `NAME.json` (what was found of each) in the working folder;
the second is written last, so that a part is complete or absent.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import stat
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from engine.contract.files.folders import Folder
from engine.contract.files.opening import O_PATH, open_below, open_in
from engine.data.own.pictures import MOST_BYTES, Picture, Unreadable, decode, picture_of_array
from engine.data.own.thumbs import inner_of, thumbs_of

REPORT = 0.2  # seconds between two reports of progress
MEMORY = 6 * 1024**3  # bytes of address space; what needs more is unreadable, and ends nothing else


@dataclass(frozen=True)
class Task:
    folder: str  # where the part is written
    part: str  # its name there; "": only digests are wanted, and answered
    root: str  # that the names are below
    names: list[str]
    rows: list[int]  # instead of names: from, to, of the array at `root`
    size: int  # pixels per side
    fit: str
    fatal: dict[str, str]  # names whose decoding ended a process, and what to say of them
    careful: bool  # report each name before it is decoded

    @property
    def items(self) -> int:
        return self.rows[1] - self.rows[0] if self.rows else len(self.names)


def main() -> None:
    _limit_memory()
    gc.freeze()  # what was imported stays, and needs no looking through while images are decoded
    warnings.simplefilter("ignore")  # of decoders, about what they then decode or refuse
    _say({"ready": True})
    for line in sys.stdin.buffer:
        task = Task(**json.loads(line))
        digests = _only_digests(task) if not task.part else None
        try:
            if digests is None:
                _convert(task)
        except OSError as error:  # the part cannot be written, or the array not be read: no image's fault
            _say({"stopped": f"{error.strerror or error}"})
            continue
        _say({"done": task.part, "digests": digests})


def _limit_memory() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _say(values: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(values).encode() + b"\n")
    sys.stdout.buffer.flush()


class _Reports:
    """Of bytes that were read, now and then."""

    def __init__(self) -> None:
        self._bytes, self._last = 0, time.monotonic()

    def add(self, size: int) -> None:
        self._bytes += size
        if time.monotonic() - self._last >= REPORT:
            _say({"bytes": self._bytes})
            self._bytes, self._last = 0, time.monotonic()


def _only_digests(task: Task) -> list[str | None]:
    reports, files = _Reports(), _Files(Path(task.root))
    digests: list[str | None] = []
    for name in task.names:
        try:
            content = _content(files, name)[0]
        except (OSError, Unreadable):
            digests.append(None)
            continue
        digests.append(blake2b(content, digest_size=16).hexdigest())
        reports.add(len(content))
    files.close()
    return digests


def _convert(task: Task) -> None:
    records: list[dict[str, Any]] = []
    pictures: list[Picture] = []
    for record, picture in _array_pictures(task) if task.rows else _file_pictures(task):
        if picture is not None:
            record |= {
                "row": len(pictures),
                "pixels": picture.digest,
                "width": picture.width,
                "height": picture.height,
                "bits": picture.bits,
                "notes": picture.notes,
            }
            pictures.append(picture)
        records.append(record)
    _write(task, records, pictures)


def _file_pictures(task: Task) -> Iterator[tuple[dict[str, Any], Picture | None]]:
    reports, files = _Reports(), _Files(Path(task.root))
    for number, name in enumerate(task.names):
        if task.careful:
            _say({"at": number})
        record: dict[str, Any] = {"name": name}
        picture = None
        try:
            content, found = _content(files, name)
            record |= {"stat": [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]}
            record |= {"digest": blake2b(content, digest_size=16).hexdigest()}
            if name in task.fatal:
                raise Unreadable(task.fatal[name])
            if not content:
                raise Unreadable("empty")
            picture = decode(content, task.size, task.fit)
            reports.add(len(content))
        except OSError as error:
            record["reason"] = f"cannot be read: {error.strerror}"
        except Unreadable as error:
            record["reason"] = str(error)
        yield record, picture
    files.close()


class _Files:
    """The files below a folder. The folder that the last one lay in stays open: names come in their order."""

    def __init__(self, root: Path) -> None:
        self._root = Folder(root)
        self._root.hold()
        self._above, self._folder = "", -1  # what is open, by its name; -1: nothing

    def opened(self, name: str) -> int:
        """A descriptor; no link is followed. Raises OSError."""
        above, _, last = name.rpartition("/")
        if above and above == self._above and self._folder >= 0:
            try:
                return open_in(self._folder, last, os.O_RDONLY)
            except OSError:
                pass  # why, in words, with the complete path
        with self._root.opened() as root:
            if above and above != self._above:
                self.close()
                self._folder = open_below(self._root.path, root, above, O_PATH | os.O_DIRECTORY)
                self._above = above
            return open_below(self._root.path, root, name, os.O_RDONLY)

    def close(self) -> None:
        if self._folder >= 0:
            os.close(self._folder)
            self._above, self._folder = "", -1


def _content(files: _Files, name: str) -> tuple[bytes, os.stat_result]:
    """A file's bytes, and what it was when it was opened. Raises OSError or Unreadable."""
    descriptor = files.opened(name)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise Unreadable("not a regular file")
        if found.st_size > MOST_BYTES:
            raise Unreadable(f"has {found.st_size:,} bytes, more than {MOST_BYTES:,}")
        content = part = os.read(descriptor, found.st_size)
        while part and len(content) < found.st_size:
            part = os.read(descriptor, found.st_size)
            content += part
        return content, found
    finally:
        os.close(descriptor)


def _array_pictures(task: Task) -> Iterator[tuple[dict[str, Any], Picture | None]]:
    reports, images = _Reports(), np.load(task.root, mmap_mode="r", allow_pickle=False)
    start, end = task.rows
    for row in range(start, end):
        record: dict[str, Any] = {"name": f"{Path(task.root).stem}/{row:06}"}
        picture = None
        try:
            picture = _without_bars(picture_of_array(np.asarray(images[row]), task.size, task.fit))
            reports.add(images[row].nbytes)
        except Unreadable as error:
            record["reason"] = str(error)
        yield record, picture


def _without_bars(picture: Picture) -> Picture:
    """An archive may hold squares that were padded before: what is hashed is the picture between the bars."""
    if picture.inner != picture.pixels.shape[:2]:
        return picture
    height, width = inner_of(picture.pixels[None])[0].tolist()
    return picture._replace(inner=(height, width))


def _write(task: Task, records: list[dict[str, Any]], pictures: list[Picture]) -> None:
    """pixels: uint8 [N, S, S], or [N, S, S, 3] where one is coloured; deep: uint16 [M, S, S], of `deep_rows`."""
    side = task.size
    deep = [(row, picture.pixels) for row, picture in enumerate(pictures) if picture.pixels.dtype == np.uint16]
    pixels = _coloured([picture.pixels for picture in pictures], side)
    grey = _are_grey(pixels)
    for record in records:
        if "row" in record:
            record["grey"] = bool(grey[record["row"]])
    if grey.all():
        pixels = pixels[..., 0]
    folder = Folder(Path(task.folder))
    with folder.file(f"{task.part}.npz").replacing(durable=False) as file:
        np.savez(
            file,
            pixels=pixels,
            thumbs=thumbs_of([picture.pixels for picture in pictures], [picture.inner for picture in pictures]),
            deep_rows=np.array([row for row, _ in deep], np.int64),
            deep=np.stack([values for _, values in deep]) if deep else np.zeros((0, side, side), np.uint16),
        )
    folder.file(f"{task.part}.json").write(json.dumps(records), durable=False)


def _coloured(images: Sequence[np.ndarray], side: int) -> np.ndarray:
    """uint8 [N, S, S, 3] of squares with one channel or three; black where one has more than 8 bits."""
    if images and all(image.ndim == 3 for image in images):  # most are
        return np.stack(images)
    pixels = np.zeros((len(images), side, side, 3), np.uint8)
    for row, image in enumerate(images):
        if image.dtype == np.uint8:
            pixels[row] = image if image.ndim == 3 else image[..., None]
    return pixels


def _are_grey(pixels: np.ndarray) -> np.ndarray:
    """bool [N]: are the three channels of uint8 [N, S, S, 3] alike? Few images need a look at more than one row."""
    middle = pixels[:, pixels.shape[1] // 2]
    grey = _channels_alike(middle)
    grey[grey] = _channels_alike(pixels[grey])
    return grey


def _channels_alike(pixels: np.ndarray) -> np.ndarray:
    red, green, blue = (pixels[..., channel] for channel in range(3))
    alike: np.ndarray = ((red == green) & (red == blue)).all(axis=tuple(range(1, red.ndim)))
    return alike


def _run() -> NoReturn:
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):  # the engine is gone
        os._exit(1)
    sys.exit(0)


if __name__ == "__main__":
    _run()
