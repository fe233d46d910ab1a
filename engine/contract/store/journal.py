"""A run's journal, `events.jsonl`, as both sides read it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from engine.contract.files.folders import FileOrPath, file_at
from engine.contract.wire.protocol import LINE_LIMIT, AnyEvent, parse_event
from engine.contract.wire.text import counted

_BLOCK = 1024 * 1024  # bytes of one read


def read_journal(path: FileOrPath) -> Iterator[AnyEvent]:
    """Its events in order; a half last line and what is no event are passed over. Raises OSError."""
    with file_at(path).reading() as file:
        skipping = False  # the rest of a line that is longer than the protocol allows
        while line := file.readline(LINE_LIMIT + 1):
            complete = line.endswith(b"\n")
            if complete and not skipping and (event := parse_event(line)) is not None:
                yield event
            skipping = not complete


def damaged_lines(path: FileOrPath) -> int:
    """How many lines of a journal are no JSON objects, a half last one among them. Raises OSError."""
    with file_at(path).reading() as file:
        return sum(not _is_object(line) for line in iter(lambda: file.readline(LINE_LIMIT + 1), b""))


def looks_complete(path: FileOrPath) -> bool:
    """Does each line begin and end as an object does, but for a half last one? Raises OSError.

    For lists of runs, which parse no journal: what is garbage between braces only `damaged_lines` finds.
    """
    lines = complete = 0
    before = b"}\n"  # as if there were a line above the first
    with file_at(path).reading() as file:
        while block := file.read(_BLOCK):
            lines += block.count(b"\n")
            complete += (before + block).count(b"}\n{")
            before = (before + block)[-2:]
    is_half = before[-1:] != b"\n"
    return complete == lines + is_half and (is_half or before == b"}\n")


def describe_damage(path: FileOrPath) -> str:
    """In a few words; "" where every line is one. Raises OSError."""
    damaged = damaged_lines(path)
    return f"{file_at(path).name} has {counted(damaged, 'damaged line')}" if damaged else ""


def _is_object(line: bytes) -> bool:
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def cut_torn_line(path: FileOrPath) -> int:
    """Cut the half last line that a kill or a full disk may have left; how many bytes. Raises OSError."""
    with file_at(path).updating() as file:
        end = size = file.seek(0, 2)
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            file.truncate(end)
        return size - end
