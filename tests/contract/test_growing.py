"""`Growing` is a tuple to everybody who reads it, however it was made."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.contract.store.growing import CHUNK, Growing

STEPS = st.lists(st.one_of(st.just("add"), st.integers(0, 5 * CHUNK)), max_size=12)


@given(begin=st.integers(0, 5 * CHUNK), steps=STEPS, at=st.integers(-6 * CHUNK, 6 * CHUNK), upto=st.integers(-9, 99))
def test_it_equals_a_tuple_built_in_the_same_way(begin: int, steps: list[str | int], at: int, upto: int) -> None:
    growing, known = Growing(range(begin)), tuple(range(begin))
    earlier = [(growing, known)]
    for number, step in enumerate(steps):
        if isinstance(step, int):
            growing, known = growing.first(step), known[:step]
        else:
            growing, known = growing.added(-number), (*known, -number)
        earlier.append((growing, known))
    for one, other in earlier:  # none of them was changed by those that came after it
        assert tuple(one) == other and len(one) == len(other) and one.last == (other[-1] if other else None)
        assert one == Growing(other) and one == other and hash(one) == hash(other)
        assert one[at:] == other[at:] and one[:upto] == other[:upto] and one[::-3] == other[::-3]
        assert pickle.loads(pickle.dumps(one)) == one
    if -len(known) <= at < len(known):
        assert growing[at] == known[at]
    else:
        with pytest.raises(IndexError):
            growing[at]


@pytest.mark.parametrize("length", [1, CHUNK, CHUNK + 1])
def test_it_equals_nothing_else(length: int) -> None:
    growing = Growing(range(length))
    others = [range(1, length + 1), range(length - 1), range(length + 1), [*range(length - 1), -1]]
    for other in others:
        assert growing != Growing(other) and growing != tuple(other)
    assert growing != list(range(length)) and growing != "text"
