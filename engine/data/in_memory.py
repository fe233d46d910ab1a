"""A split's images in memory, which are read into it while the first batches are made.

The first touch of hundreds of megabytes may take longer than everything else that a start on images from the cache
does. Until all are there, batches are read from the mapped file, which has the same bytes.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np

from engine.data.cache import rows_per_step

AT_ONCE = 32 * 1024 * 1024  # bytes; fewer are not worth a thread


class InMemory:
    """Images, uint8 [N, H, W] or [N, H, W, 3], that a thread is reading into memory."""

    def __init__(self, mapped: Any) -> None:
        """mapped: an array, or what is indexed and taken from like one."""
        self.shape, self.dtype, self.nbytes = mapped.shape, mapped.dtype, mapped.nbytes
        self._source = mapped
        self.reader = threading.Thread(target=_read, args=(weakref.ref(self), mapped), name="images", daemon=True)
        self.reader.start()

    def take(self, rows: np.ndarray, axis: Any = None, out: Any = None, mode: Any = "raise") -> np.ndarray:
        """As `np.take` asks for it."""
        found: np.ndarray = self._source.take(rows, axis=axis, out=out, mode=mode)
        return found

    def use(self, copy: np.ndarray) -> None:
        """`copy` holds all of them now."""
        self._source = copy


def _read(images: weakref.ref[InMemory], mapped: Any) -> None:
    """Ends early when nobody holds the images any more."""
    copy = np.empty(mapped.shape, mapped.dtype)
    step = rows_per_step(copy)
    for start in range(0, len(copy), step):
        if images() is None:
            return
        copy[start : start + step] = mapped[start : start + step]
    if (owner := images()) is not None:
        owner.use(copy)
