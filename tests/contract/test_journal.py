"""A journal as it may be left behind: half a last line, lines that are no events, lines without end."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.contract.store.journal import cut_torn_line, damaged_lines, looks_complete, read_journal
from engine.contract.wire.protocol import LINE_LIMIT, Log

BLOCK_OF_LOOK = 1024 * 1024
BLOCK = 65536  # bytes; a file is searched from its end in such pieces
LINES = b"".join(Log(time=0.0, seq=seq, message="well").line() for seq in (1, 2, 3))


def journal(folder: Path, content: bytes) -> Path:
    path = folder / "events.jsonl"
    path.write_bytes(content)
    return path


def test_events_are_read_in_order_and_all_else_is_passed_over(tmp_path: Path) -> None:
    first, second, third = LINES.splitlines(keepends=True)
    endless = b'{"event":"log","message":"' + b"x" * (2 * LINE_LIMIT) + b'"}\n'
    content = first + b"no event\n" + endless + second + b"\n" + third + first[:-1]
    assert [event.seq for event in read_journal(journal(tmp_path, content))] == [1, 2, 3]


@pytest.mark.parametrize(
    ("content", "damaged"),
    [
        (b"", 0),
        (LINES, 0),
        (LINES + b"{}\n", 0),
        (LINES + b"{}", 1),
        (b"[1]\n" + LINES + b"\n", 2),
        (b"\xff\n{\n" + b"[" * 100_000 + b"\n" + LINES, 3),
    ],
    ids=["empty", "well", "an object that is no event", "half", "no objects", "no JSON"],
)
def test_a_line_that_is_no_object_or_has_no_end_is_counted_as_damaged(
    tmp_path: Path, content: bytes, damaged: int
) -> None:
    assert damaged_lines(journal(tmp_path, content)) == damaged


@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize("garbage", [b"garbage\n", b"\n", b"{half\n", b"\0" * 50 + b"\n", b'half"}\n'])
@pytest.mark.parametrize("torn", [b"", b'{"ev'])
def test_a_quick_look_sees_garbage_between_lines_and_takes_half_a_last_line_for_none(
    tmp_path: Path, place: int, garbage: bytes, torn: bytes
) -> None:
    lines = LINES.splitlines(keepends=True)
    assert looks_complete(journal(tmp_path, LINES + torn)) and looks_complete(journal(tmp_path, torn))
    harmed = b"".join([*lines[:place], garbage, *lines[place:]])
    assert not looks_complete(journal(tmp_path, harmed + torn))


@pytest.mark.parametrize("length", range(BLOCK_OF_LOOK - 4, BLOCK_OF_LOOK + 4))
def test_a_quick_look_goes_on_over_the_ends_of_blocks(tmp_path: Path, length: int) -> None:
    first = b'{"x": "' + b"y" * (length - 10) + b'"}\n'
    assert looks_complete(journal(tmp_path, first + LINES)) and not looks_complete(
        journal(tmp_path, first + b"?" + LINES)
    )


@pytest.mark.parametrize("torn", [0, 1, 9, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1, 200_000])
@pytest.mark.parametrize("complete", [b"", b"\n", LINES, b"y" * (BLOCK - 1) + b"\n"], ids=len)
def test_a_torn_last_line_is_cut_and_nothing_else(tmp_path: Path, complete: bytes, torn: int) -> None:
    path = journal(tmp_path, complete + b"x" * torn)
    assert cut_torn_line(path) == torn
    assert path.read_bytes() == complete
