"""A sequence that grows at its end, event by event, and is still a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar, overload

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

CHUNK = 64  # items; what is copied when one more comes

T = TypeVar("T")


class Growing(Sequence[T]):
    """Like a tuple, but `added` costs the same however long it is: a fold over n events stays linear in n.

    Full chunks are shared between the values, and only the last one is copied. Nothing in it changes, so it may be
    read by any thread while another makes the next one.
    """

    __slots__ = ("_chunks", "_rest")

    def __init__(self, items: Iterable[T] = ()) -> None:
        all_ = tuple(items)
        full = len(all_) - len(all_) % CHUNK
        self._chunks: tuple[tuple[T, ...], ...] = tuple(all_[at : at + CHUNK] for at in range(0, full, CHUNK))
        self._rest = all_[full:]

    def added(self, item: T) -> Growing[T]:
        """With one more at the end."""
        rest = (*self._rest, item)
        return _from_chunks(self._chunks, rest) if len(rest) < CHUNK else _from_chunks((*self._chunks, rest), ())

    def first(self, count: int) -> Growing[T]:
        """The first `count` of it."""
        if count >= len(self):
            return self
        full, left = divmod(max(0, count), CHUNK)
        rest = self._chunks[full] if full < len(self._chunks) else self._rest
        return _from_chunks(self._chunks[:full], rest[:left])

    @property
    def last(self) -> T | None:
        if self._rest:
            return self._rest[-1]
        return self._chunks[-1][-1] if self._chunks else None

    def __len__(self) -> int:
        return CHUNK * len(self._chunks) + len(self._rest)

    def __iter__(self) -> Iterator[T]:
        return chain(chain.from_iterable(self._chunks), self._rest)

    @overload
    def __getitem__(self, at: int) -> T: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[T, ...]: ...

    def __getitem__(self, at: int | slice) -> T | tuple[T, ...]:
        if isinstance(at, slice):
            return tuple(self[one] for one in range(*at.indices(len(self))))
        if at < 0:
            at += len(self)
        if not 0 <= at < len(self):
            raise IndexError(f"of {len(self)} items")
        full, left = divmod(at, CHUNK)
        return self._chunks[full][left] if full < len(self._chunks) else self._rest[left]

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, Growing):
            return (self._chunks, self._rest) == (other._chunks, other._rest)
        return isinstance(other, tuple) and tuple(self) == other

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Growing({tuple(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _from_chunks, (self._chunks, self._rest)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """As a field of a message: it is made by folds, and never read from JSON."""
        return core_schema.is_instance_schema(cls)


def _from_chunks(chunks: tuple[tuple[T, ...], ...], rest: tuple[T, ...]) -> Growing[T]:
    grown: Growing[T] = Growing.__new__(Growing)
    grown._chunks, grown._rest = chunks, rest
    return grown
