"""Standard output that may go away: when nobody reads any more, the run goes on."""

from __future__ import annotations

import contextlib
import os
from typing import Any, TextIO


class LastingOutput:
    """A text stream whose writes never fail; after the first failure they go nowhere."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream or open(os.devnull, "w")  # noqa: PTH123, SIM115 - None: the descriptor was closed
        self._open = True

    def write(self, text: str) -> int:
        if self._open:
            try:
                self._stream.write(text)
            except (OSError, ValueError):
                self._close()
        return len(text)

    def flush(self) -> None:
        if self._open:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)  # isatty, fileno, encoding

    def _close(self) -> None:
        """Point the descriptor at nothing, so that the interpreter's own last flush does not fail either."""
        self._open = False
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
