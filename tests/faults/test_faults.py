"""Each fault is one typed event and one sentence, and what was good stays good."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from driving import tiny
from kit import Fault, ForkServer, go_on, new_run, only_run

from engine.contract.sentence import Sentence
from engine.contract.store.journal import read_journal
from engine.contract.store.run_directory import RunDirectory
from engine.sentences import Failure


def error_of(run: RunDirectory) -> tuple[list[str], Any]:
    """The kinds of the alarms, and the error of the final event."""
    events = list(read_journal(run.journal))
    assert events[-1].event == "run.finished"
    return [event.kind for event in events if event.event == "alarm"], events[-1].error


@pytest.mark.parametrize(
    ("fault", "kind", "sentence"),
    [
        (Fault("write", "*/checkpoints/*", 6, errno=28), "disk_full", Failure.DISK_FULL),
        (Fault("rename", "*/last.safetensors", 2, errno=30), "file", Failure.NOT_ALLOWED_AT),
    ],
    ids=["disk full", "unwritable"],
)
def test_a_file_that_cannot_be_written_is_one_alarm_and_one_sentence(
    fault: Fault, kind: str, sentence: Sentence, fork_server: ForkServer, tmp_path: Path
) -> None:
    assert fork_server.run(tmp_path, new_run(tiny()), fault=fault).status == 5
    alarms, error = error_of(only_run(tmp_path))
    assert (alarms, error.kind) == ([kind], kind)
    assert error.code == sentence.code
    assert os.strerror(fault.errno) in error.message and error.hint


@pytest.mark.slow
def test_too_little_memory_is_one_alarm_and_one_sentence_and_the_run_can_resume(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    big = tiny(dataset={"name": "cells", "limit": 3000}, training={"epochs": 1, "batch_size": 3000})
    ended = fork_server.run(tmp_path, new_run(big), memory=300_000_000)
    run = only_run(tmp_path)
    alarms, error = error_of(run)
    assert (ended.status, alarms, error.kind) == (5, ["out_of_memory"], "out_of_memory")
    assert error.code in (Failure.MEMORY.code, Failure.MEMORY_LIMIT.code)  # the limit of the machine, where known
    assert fork_server.run(tmp_path, go_on(run)).status == 0
