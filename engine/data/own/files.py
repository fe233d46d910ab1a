"""The files that are to be read, and what tells whether one has changed: names in a list, numbers in one array.

A start on 100,000 images looks at each file's times and at nothing else; an object per file and number would take
longer to make than the system takes to answer.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import numpy as np

Stat = tuple[int, int, int, int]  # bytes, mtime and ctime in nanoseconds, inode
_WORD = (1 << 64) - 1  # times may be before 1970, and inodes use all 64 bits


def stat_of(found: os.stat_result) -> Stat:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


class Numbers:
    """The numbers of files, in the order in which they are added."""

    def __init__(self) -> None:
        self._words = array("Q")

    def add(self, found: os.stat_result) -> None:
        self._words.extend((found.st_size, found.st_mtime_ns & _WORD, found.st_ctime_ns & _WORD, found.st_ino & _WORD))

    def extend(self, others: Numbers) -> None:
        self._words.extend(others._words)

    def array(self) -> np.ndarray:
        """uint64 [N, 4]."""
        return np.array(self._words, dtype=np.uint64).reshape(-1, 4)


@dataclass(frozen=True)
class Files:
    """Regular files below a root."""

    names: list[str]  # sorted
    numbers: np.ndarray  # uint64 [N, 4]: a Stat per file; times are the same bits as int64

    @classmethod
    def sorted(cls, names: list[str], numbers: np.ndarray) -> Files:
        order = sorted(range(len(names)), key=names.__getitem__)
        return cls([names[at] for at in order], numbers[order])

    @classmethod
    def of(cls, stats: Mapping[str, Stat]) -> Files:
        words = [[word & _WORD for word in stat] for stat in stats.values()]
        return cls.sorted(list(stats), np.array(words, dtype=np.uint64).reshape(-1, 4))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def bytes(self) -> int:
        return int(self.numbers[:, 0].sum())

    @property
    def last_changed(self) -> int:
        """The newest ctime, in nanoseconds; 0 without files."""
        return int(self._times[:, 1].max(initial=0))

    @cached_property
    def stats(self) -> dict[str, Stat]:
        """By name."""
        sizes, inodes = self.numbers[:, 0].tolist(), self.numbers[:, 3].tolist()
        modified, changed = self._times[:, 0].tolist(), self._times[:, 1].tolist()
        return dict(zip(self.names, zip(sizes, modified, changed, inodes, strict=True), strict=True))

    @cached_property
    def digest(self) -> str:
        """Of every name, size, time and inode: equal where nothing can have changed."""
        found = blake2b("\0".join(self.names).encode("utf-8", "surrogateescape"), digest_size=16)
        found.update(self.numbers.tobytes())
        return found.hexdigest()

    @property
    def _times(self) -> np.ndarray:
        """int64 [N, 2]: mtime and ctime."""
        return self.numbers[:, 1:3].astype(np.int64)
