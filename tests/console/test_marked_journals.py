"""A list of runs marks one whose journal does not reach the end that the run reported: by its ends alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from stand_ins import make_run
from suite_fixture import make_alive

from engine.contract.store.workspace import Workspace
from medtui.client.runs import read_run_row


def torn(file: Path) -> None:
    os.truncate(file, 100)


def without_its_last_line(file: Path) -> None:
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))


def ending_in_garbage(file: Path) -> None:
    without_its_last_line(file)
    file.write_bytes(file.read_bytes() + b"garbage\n")


@pytest.mark.parametrize("outcome", ["completed", "failed", "stopped"])
@pytest.mark.parametrize("harm", [torn, without_its_last_line, ending_in_garbage])
def test_a_run_that_ended_is_marked_where_its_journal_does_not_reach_its_end(
    harm: Callable[[Path], None], outcome: str, tmp_path: Path
) -> None:
    run = make_run(Workspace(tmp_path), "ended", outcome)
    assert read_run_row(run).damage == ()
    harm(run.journal.path)
    row = read_run_row(run)
    assert (row.state, row.damage) == (outcome, ("events.jsonl is damaged",))


@pytest.mark.parametrize("alive", [True, False])
def test_a_run_that_has_not_reported_its_end_is_not_marked_for_a_half_last_line(alive: bool, tmp_path: Path) -> None:
    """Its engine is writing it, or a kill tore it: a resume cuts it off."""
    run = make_run(Workspace(tmp_path), "unfinished", None)
    if alive:
        make_alive(run)
    with run.journal.path.open("ab") as journal:
        journal.write(b'{"event":"epo')
    assert read_run_row(run).damage == ()
