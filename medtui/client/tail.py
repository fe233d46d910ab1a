"""A run's journal, followed while it grows."""

from __future__ import annotations

import os
from pathlib import Path

from engine.contract.files import open_regular


class JournalTail:
    """What is new in a journal since the last look: whole lines only."""

    def __init__(self, path: Path, *, from_end: bool = False) -> None:
        self._path = path
        self._offset = path.stat().st_size if from_end else 0

    def fresh(self) -> tuple[bool, list[bytes]]:
        """Is it another journal than before (cut shorter), and its new lines. Nothing where it cannot be read."""
        try:
            with open_regular(self._path) as file:
                anew = file.seek(0, os.SEEK_END) < self._offset
                self._offset = 0 if anew else self._offset
                file.seek(self._offset)
                text = file.read()
        except OSError:
            return False, []
        whole, newline, _ = text.rpartition(b"\n")
        if not newline:
            return anew, []
        self._offset += len(whole) + 1
        return anew, whole.split(b"\n")
