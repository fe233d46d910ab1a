"""The journal of a suite or of the queue: the truth about its runs, written by a runner and by commands meanwhile.

Each line is a JSON object. Whoever writes holds the file's lock, has read what others wrote before, and flushes to the
disk before anything follows from it. A line that a kill tore is none, even where only its end is missing: the next
writer marks it, so that it never becomes one, and begins a new one. Lines that cannot be read are passed over and
counted (`Work.unreadable`): whoever shows the work says so.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from engine.contract.files.file_system import append_all, end_of_torn_line, flush, flush_folder
from engine.contract.files.folders import File
from engine.contract.wire.errors import OutputError
from medtui.sentences import Suites
from medtui.suites.work import Event, Work

PATIENCE = 10.0  # seconds for another writer
_ID = re.compile(rb'"id": *"([0-9]+)"')
LINE_LIMIT = 64 * 1024 * 1024  # bytes; a plan is one line


class WorkJournal:
    """`work` is what was read of it, up to the last `refresh`."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.work = Work()
        self._read = 0  # bytes
        self._lines = 0
        self._identity: tuple[int, int] | None = None  # device and inode of the file that was read
        self.refresh()

    @property
    def was_replaced(self) -> bool:
        """Is the file gone, another one, or shorter than what was read of it?"""
        return self._is_other(self.file.info())

    def _is_other(self, info: os.stat_result | None) -> bool:
        if self._read == 0:
            return False
        return info is None or (info.st_dev, info.st_ino) != self._identity or info.st_size < self._read

    def refresh(self) -> bool:
        """Read what was added; was there anything? Raises OutputError, also where the file is another one now."""
        try:
            with self.file.reading() as file:
                info = os.fstat(file.fileno())
                if self._is_other(info):
                    raise OutputError(Suites.REPLACED, path=self.file)
                self._identity = (info.st_dev, info.st_ino)
                file.seek(self._read)
                before = self._read
                while (line := file.readline(LINE_LIMIT)).endswith(b"\n"):
                    self._read += len(line)
                    self._apply(line)
                return self._read > before
        except FileNotFoundError:
            if self._read > 0:
                raise OutputError(Suites.REPLACED, path=self.file) from None
            return False
        except OSError as error:
            raise OutputError(Suites.UNREADABLE, path=self.file, reason=error.strerror) from None

    def _apply(self, line: bytes) -> None:
        self._lines += 1
        with contextlib.suppress(ValueError, RecursionError):
            if not line.strip() or self.work.apply(json.loads(line)):
                return
        self.work.unreadable.append(self._lines)
        for id_ in _ID.findall(line):  # of what it has lost: nobody else gets that number
            self.work.count(id_.decode())

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Nobody else writes meanwhile, and `work` is up to date. Raises OutputError."""
        try:
            new = os.O_CREAT if self._read == 0 else 0  # one that is gone is not begun again without what it held
            descriptor = self.file.descriptor(os.O_RDWR | os.O_APPEND | new)
        except FileNotFoundError:
            raise OutputError(Suites.REPLACED, path=self.file) from None
        except OSError as error:
            raise OutputError(Suites.UNWRITABLE, path=self.file, reason=error.strerror) from None
        try:
            self._lock(descriptor)
            self.refresh()
            yield Writer(self, descriptor)
            self.refresh()
        finally:
            os.close(descriptor)

    def write(self, *events: Event) -> None:
        """Add events whatever the others wrote. Raises OutputError."""
        with self.writing() as writer:
            writer.add(*events)

    def _lock(self, descriptor: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise OutputError(Suites.UNWRITABLE, path=self.file, reason="another process is writing") from None
                time.sleep(0.01)
            except OSError as error:
                raise OutputError(Suites.UNWRITABLE, path=self.file, reason=error.strerror) from None


class Writer:
    """Of a journal that is locked."""

    def __init__(self, journal: WorkJournal, descriptor: int) -> None:
        self._journal, self._descriptor = journal, descriptor

    @property
    def work(self) -> Work:
        return self._journal.work

    def add(self, *events: Event) -> None:
        """All of them, on the disk when this returns. Raises OutputError."""
        if not events:
            return
        at = round(time.time(), 3)
        lines = b"".join(json.dumps({**event, "time": at}).encode() + b"\n" for event in events)
        try:
            is_new = os.fstat(self._descriptor).st_size == 0
            append_all(self._descriptor, end_of_torn_line(self._descriptor) + lines)
            flush(self._descriptor)
            if is_new:
                with self._journal.file.folder.opened() as folder:
                    flush_folder(folder)
        except OSError as error:
            raise OutputError(Suites.UNWRITABLE, path=self._journal.file, reason=error.strerror) from None
        self._journal.refresh()
