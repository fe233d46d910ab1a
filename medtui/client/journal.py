"""A run's journal, read back."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from pathlib import Path

from engine.contract.protocol import AnyEvent, parse_event
from medtui.client.state import RunState, fold


def read_journal(path: Path) -> Iterator[AnyEvent]:
    """Its events in order; a half last line and what is no event are passed over. Raises OSError."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n") and (event := parse_event(line)) is not None:
                yield event


def replay(path: Path) -> RunState:
    """The state that a whole journal makes."""
    return reduce(fold, read_journal(path), RunState())
