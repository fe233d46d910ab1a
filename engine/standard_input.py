"""Commands from the engine's client, one line each, on standard input."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from engine.contract.wire.lines import lines_of


class StandardInput:
    """Read by one thread. `finish`, from another, lets it end with what was written until now."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._finish_read, self._finish_write = os.pipe()
        self._ended = threading.Event()
        self.finishing = False  # it ends, or ended, because `finish` was called: the client has not disconnected

    def each(self, handle: Callable[[bytes], None]) -> None:
        """Call `handle` with every line that is not blank, until the other end is closed or `finish` was called."""
        for line in lines_of(self._descriptor, self._finish_read):
            if line.strip():
                handle(line)
        self._ended.set()

    def finish(self, patience: float) -> None:
        """Wait until every line that is there now was handled, at most `patience` seconds: more may always come."""
        self.finishing = True
        os.write(self._finish_write, b".")
        self._ended.wait(patience)
