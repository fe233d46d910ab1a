"""A run's journal, followed while it grows."""

from __future__ import annotations

import os
from collections.abc import Iterator

from engine.contract.files.folders import FileOrPath, file_at
from engine.contract.wire.protocol import LINE_LIMIT

SLICE = 256 * 1024  # bytes that are read at once


class JournalTail:
    """What is new in a journal since the last poll: complete lines only."""

    def __init__(self, path: FileOrPath, *, from_end: bool = False) -> None:
        self._file = file_at(path)
        self._offset = self._file.size if from_end else 0
        self._skipping = False  # the rest of a line that is longer than the protocol allows

    def fresh(self) -> Iterator[bytes | None]:
        """Its new lines, slice by slice; None where it is another journal than before (cut shorter).

        Nothing where it cannot be read.
        """
        try:
            with self._file.reading() as file:
                if file.seek(0, os.SEEK_END) < self._offset:
                    self._offset, self._skipping = 0, False
                    yield None
                while True:
                    file.seek(self._offset)
                    lines = self._take_complete_lines(file.read(SLICE) + file.readline(LINE_LIMIT))
                    if lines is None:
                        return
                    yield from lines
        except OSError:
            return

    def _take_complete_lines(self, text: bytes) -> list[bytes] | None:
        """The complete lines of what was read, which are then consumed; None where there are none yet."""
        complete, newline, _ = text.rpartition(b"\n")
        if not newline and len(text) <= LINE_LIMIT:
            return None
        self._offset += len(complete) + 1 if newline else len(text)
        lines = complete.split(b"\n") if newline else []
        skipping, self._skipping = self._skipping, not newline
        return lines[1:] if skipping else lines
