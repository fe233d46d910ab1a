"""What is known of a run by its files alone: of one that ended, that lives, that was killed, or that is elsewhere."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.contract.machine.process_identity import ProcessIdentity, this_process
from engine.contract.store.run_directory import RunDirectory, make_run_directory
from engine.contract.store.run_record import FRESH, read_run, resolved_of_run
from engine.contract.store.status import Status, read_status
from engine.contract.wire.protocol import Hello, PhaseChanged, RunFinished

DEAD = replace(this_process(), started=this_process().started - 3600)  # this pid, of an earlier process
ELSEWHERE = replace(this_process(), host="another-host")
MANIFEST = {"started": "2026-11-22T23:30:00.000+00:00"}


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """With a manifest and an empty journal."""
    (tmp_path / "outputs").mkdir()
    run = make_run_directory(tmp_path / "outputs", "20261122_cells_mini-cnn_abcdef")
    run.manifest.path.write_text(json.dumps(MANIFEST))
    run.journal.path.touch()
    return run


def write_status(run: RunDirectory, process: ProcessIdentity, **values: Any) -> None:
    at = {"host": process.host, "boot": process.boot, "pid": process.pid, "started": process.started}
    status = {"engine": "e1", **at, "updated": 60.0, "phase": "training", "seq": 1, **values}
    run.status.path.write_bytes(Status.model_validate(status).line())
    assert read_status(run) is not None


def write_journal(run: RunDirectory, *events: Any) -> None:
    run.journal.path.write_bytes(b"".join(event.line() for event in events))


def hello(seq: int, process: ProcessIdentity, engine: str = "e1") -> Hello:
    at = {"host": process.host, "boot": process.boot, "pid": process.pid, "started": process.started}
    return Hello(time=0.0, seq=seq, engine=engine, versions={}, **at)


def finished(seq: int) -> RunFinished:
    return RunFinished(time=9.0, seq=seq, outcome="stopped", exit_code=6, metrics={}, run_dir="/work/outputs/r")


def test_a_run_of_a_living_engine_is_in_the_phase_of_its_status(run: RunDirectory) -> None:
    """And its summary is that of the status, without a look at the journal."""
    write_journal(run, hello(1, this_process()), finished(2))
    write_status(run, this_process(), epochs_done=7)
    record = read_run(run)
    assert (record.alive, record.outcome, record.state) == (True, None, "training")
    assert (record.engine, record.engine_id) == (this_process(), "e1")
    assert record.summary.epochs_done == 7
    assert record.damage == ()


def test_a_run_whose_engine_ended_without_reporting_has_crashed(run: RunDirectory) -> None:
    write_status(run, DEAD, epochs_done=7)
    record = read_run(run)
    assert (record.alive, record.outcome, record.state) == (False, "crashed", "crashed")
    assert record.summary.epochs_done == 0, "as the journal has it, of which the status may be ahead"


def test_a_run_whose_engine_was_killed_on_request_reads_killed(run: RunDirectory) -> None:
    write_status(run, DEAD)
    killed = {"pid": DEAD.pid, "started": DEAD.started, "by": "ada", "time": 9.0}
    run.killed.write(json.dumps(killed))
    record = read_run(run)
    assert (record.outcome, record.state, record.killed_by) == ("crashed", "killed", "ada")
    run.killed.write(json.dumps(killed | {"started": DEAD.started - 1}))  # an earlier attempt was
    assert (read_run(run).state, read_run(run).killed_by) == ("crashed", None)


def test_a_run_that_ended_is_what_its_status_or_else_its_journal_says(run: RunDirectory) -> None:
    write_status(run, DEAD, outcome="completed")
    assert (read_run(run).outcome, read_run(run).state) == ("completed", "completed")
    write_journal(run, hello(1, DEAD), finished(2))
    write_status(run, DEAD)
    assert read_run(run).outcome == "stopped"


def test_a_new_attempt_of_a_run_that_ended_has_no_outcome_yet(run: RunDirectory) -> None:
    """The engine that introduced itself last counts, where the status is an earlier one's."""
    write_journal(run, hello(1, DEAD), finished(2), hello(3, this_process(), engine="e2"))
    write_status(run, DEAD)
    record = read_run(run)
    assert (record.outcome, record.alive) == (None, True)
    assert (record.engine, record.engine_id) == (this_process(), "e2")
    run.status.path.unlink()
    record = read_run(run)
    assert (record.engine_id, record.state) == ("e2", "running")


def test_the_status_s_engine_stays_where_the_journal_names_the_same(run: RunDirectory) -> None:
    write_journal(run, hello(1, replace(DEAD, pid=1)))
    write_status(run, DEAD)
    assert read_run(run).engine == DEAD


def test_a_run_on_another_machine_was_last_seen_when_its_status_was_written(run: RunDirectory) -> None:
    write_status(run, ELSEWHERE)
    record = read_run(run)
    assert (record.alive, record.outcome) == (None, None)
    assert record.state.startswith("last seen ")
    long_ago = time.time() - FRESH - 60
    os.utime(run.status.path, (long_ago, long_ago))
    assert record.state == f"not seen since {time.strftime('%Y-%m-%d %H:%M', time.localtime(60.0))}"


def test_a_run_that_only_a_journal_tells_of_on_another_machine_was_never_seen(run: RunDirectory) -> None:
    write_journal(run, hello(1, ELSEWHERE))
    assert read_run(run).state == "never seen"


def test_a_run_of_which_nothing_can_be_read_is_unreadable_and_has_not_crashed(run: RunDirectory) -> None:
    record = read_run(run)
    assert (record.engine, record.alive, record.outcome, record.state) == (None, False, None, "unreadable")


def test_the_time_worked_is_the_longer_of_status_and_journal(run: RunDirectory) -> None:
    """A killed engine's journal ends with its last event, its status with its last heartbeat."""
    write_status(run, DEAD, worked=12.0)
    write_journal(run, hello(1, DEAD), PhaseChanged(time=1.0, seq=2, phase="training"))
    assert read_run(run).summary.worked == 12.0
    write_status(run, DEAD)
    assert read_run(run).summary.worked is None


def test_each_file_that_cannot_be_read_is_named_with_the_reason(run: RunDirectory) -> None:
    run.manifest.path.write_text("{")
    run.journal.path.unlink()
    run.journal.path.mkdir()
    assert read_run(run).damage == (
        "manifest.json is damaged",
        "status.json is missing",
        "events.jsonl is unreadable: a folder, not a regular file",
    )


@pytest.mark.parametrize("content", [b"", b"\x00\xff garbled"])
def test_a_journal_that_lost_its_events_is_damage_and_a_new_runs_is_not(run: RunDirectory, content: bytes) -> None:
    write_status(run, DEAD, seq=40, outcome="completed")
    run.journal.path.write_bytes(content)
    assert "events.jsonl is damaged" in read_run(run).damage
    write_status(run, DEAD, seq=0)
    assert "events.jsonl is damaged" not in read_run(run).damage


def test_what_a_run_started_from_is_known_by_summary_or_manifest(run: RunDirectory) -> None:
    write_status(run, DEAD, outcome="completed", weights="ImageNet")
    assert read_run(run).weights == "ImageNet"
    run.manifest.path.write_text(json.dumps(MANIFEST | {"decisions": {"weights": "from scratch"}}))
    assert read_run(run).weights == "ImageNet"
    write_status(run, DEAD, outcome="completed")
    assert read_run(run).weights == "from scratch"
    run.manifest.path.unlink()
    assert read_run(run).weights is None


def test_what_was_decided_is_known_by_the_summary_or_by_what_an_old_manifest_says(run: RunDirectory) -> None:
    write_status(run, DEAD, outcome="completed", resolved={"data": "cells-v1"}, resolved_hash="0" * 32)
    resolved, hash_ = resolved_of_run(read_run(run))
    assert resolved is not None and (resolved.data, hash_) == ("cells-v1", "0" * 32)
    write_status(run, DEAD, outcome="completed")
    run.manifest.path.write_text(json.dumps(MANIFEST | {"resolved": {"data": "cells-v2"}}))
    resolved, hash_ = resolved_of_run(read_run(run))
    assert resolved is not None and (resolved.data, hash_) == ("cells-v2", None), "without a recipe there is no hash"
    run.manifest.path.unlink()
    assert resolved_of_run(read_run(run)) == (None, None)
