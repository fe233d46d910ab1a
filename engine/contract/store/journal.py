"""A run's journal, `events.jsonl`, as both sides read it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from engine.contract.files.folders import FileOrPath, file_at
from engine.contract.wire.protocol import LINE_LIMIT, AnyEvent, parse_event


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
