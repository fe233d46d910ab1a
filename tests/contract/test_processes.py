"""When a process started, and what the warnings of a scheduler ask for."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from engine.contract.machine.process_identity import ProcessIdentity, process_here, start_of, this_process
from engine.contract.machine.scheduler import meaning_of


def test_a_start_is_psutil_s_on_the_clock_that_nobody_sets() -> None:
    me = psutil.Process()
    assert start_of(os.getpid()) == pytest.approx(me.create_time() - psutil.boot_time(), abs=1.1)  # a whole second
    with pytest.raises(psutil.NoSuchProcess):
        start_of(2**22 + 1)  # above every pid of Linux


def test_a_process_is_the_same_within_a_clock_tick_and_only_on_its_host_since_its_boot() -> None:
    me = this_process()
    assert me.is_same(process_here(os.getpid())) and me.is_alive() is True

    def other(**changes: object) -> ProcessIdentity:
        return ProcessIdentity(**{**vars(me), **changes})  # type: ignore[arg-type]

    assert me.is_same(other(started=me.started + 0.04)) and not me.is_same(other(started=me.started + 0.06))
    assert not any(me.is_same(other(**change)) for change in ({"pid": 1}, {"host": "x"}, {"boot": "x"}))
    assert other(started=me.started + 1).is_alive() is False
    assert other(host="x").is_alive() is None and other(boot="x").is_alive() is None


@pytest.mark.parametrize(
    ("environment", "number", "meaning"),
    [
        ({"JOB_ID": "1"}, signal.SIGUSR1, "checkpoint"),  # Grid Engine is about to suspend
        ({"JOB_ID": "1"}, signal.SIGUSR2, "end"),
        ({"JOB_ID": "1"}, signal.SIGTERM, "end"),
        ({"SLURM_JOB_ID": "1"}, signal.SIGUSR1, "end"),
        ({"SLURM_JOB_ID": "1", "JOB_ID": "1"}, signal.SIGUSR1, "end"),
        ({}, signal.SIGUSR1, "end"),
    ],
)
def test_only_grid_engine_s_sigusr1_asks_for_no_more_than_a_checkpoint(
    environment: dict[str, str], number: int, meaning: str
) -> None:
    assert meaning_of(number, environment) == meaning
