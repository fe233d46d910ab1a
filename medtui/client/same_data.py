"""Are the results of two runs of the same images? Else neither metrics nor curves can be compared."""

from __future__ import annotations

from typing import Protocol


class DataOfRun(Protocol):
    @property
    def dataset(self) -> str | None: ...

    @property
    def size(self) -> int | None: ...  # pixels per side

    @property
    def synthetic(self) -> bool: ...

    @property
    def limit(self) -> int | None: ...  # images of each split


def same_data(one: DataOfRun, other: DataOfRun) -> bool:
    return _which(one) == _which(other)


def _which(run: DataOfRun) -> tuple[object, ...]:
    return run.dataset, run.size, run.synthetic, run.limit
