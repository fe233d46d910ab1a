"""A run's journal, `events.jsonl`, as both sides read it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

from engine.contract.files import open_regular
from engine.contract.protocol import LINE_LIMIT, AnyEvent, parse_event
from engine.contract.status import RunSummary, fold_summary


def read_journal(path: Path) -> Iterator[AnyEvent]:
    """Its events in order; a half last line and what is no event are passed over. Raises OSError."""
    with open_regular(path) as file:
        skipping = False  # the rest of a line that is longer than the protocol allows
        while line := file.readline(LINE_LIMIT + 1):
            whole = line.endswith(b"\n")
            if whole and not skipping and (event := parse_event(line)) is not None:
                yield event
            skipping = not whole


def journal_summary(path: Path) -> RunSummary:
    """The run at one glance, as its journal has it; empty where there is none."""
    try:
        return reduce(fold_summary, read_journal(path), RunSummary())
    except OSError:
        return RunSummary()


def cut_torn_line(path: Path) -> int:
    """Cut the half last line that a kill or a full disk may have left; how many bytes. Raises OSError."""
    with open_regular(path, os.O_RDWR) as file:
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
