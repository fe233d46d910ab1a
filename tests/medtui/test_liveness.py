"""Another host, another boot, another pid namespace: alive by the heartbeat, else unseen; never crashed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from engine.contract.process_identity import this_process
from engine.contract.scheduler import SchedulerJob, scheduler_job
from engine.contract.status import Status
from medtui.client.control import elsewhere
from medtui.client.liveness import WATCHED_FOR, Heartbeat, is_alive, state_word


def status(**more: Any) -> Status:
    """Of an engine on node7, unless said otherwise."""
    me = this_process()
    values: dict[str, Any] = {
        "engine": "e", "host": "node7", "boot": me.boot, "pid": me.pid, "started": me.started,
        "updated": 1000.0, "phase": "training", "seq": 7,
    }  # fmt: skip
    return Status(**{**values, **more})


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_here_the_process_decides_whatever_the_heartbeat_says() -> None:
    me = this_process()
    assert Heartbeat().look(status(host=me.host, updated=0.0)) == "alive"
    assert Heartbeat().look(status(host=me.host, started=me.started - 60)) == "gone", "the pid was reused"


@pytest.mark.parametrize("change", [{}, {"host": None, "boot": "another boot"}], ids=["host", "boot"])
def test_elsewhere_a_changing_heartbeat_is_life_and_a_still_one_is_unseen_after_15_s(change: dict[str, Any]) -> None:
    if "host" in change:
        change = {**change, "host": this_process().host}
    clock = Clock()
    heartbeat = Heartbeat(clock=clock)
    assert is_alive(status(**change)) is None
    assert heartbeat.look(status(**change)) == "looking"
    clock.now = 2.0
    assert heartbeat.look(status(**change, updated=1001.0)) == "alive"
    clock.now = 2.0 + WATCHED_FOR
    assert heartbeat.look(status(**change, updated=1001.0)) == "alive"
    clock.now += 0.1
    assert heartbeat.look(status(**change, updated=1001.0)) == "unseen"
    assert heartbeat.look(status(**change, updated=1002.0)) == "alive", "it was only late"
    assert WATCHED_FOR == 15.0


def test_a_clock_that_runs_backwards_elsewhere_is_a_heartbeat_too() -> None:
    clock = Clock()
    heartbeat = Heartbeat(clock=clock)
    assert [heartbeat.look(status(updated=at)) for at in (5000.0, 1.0)] == ["looking", "alive"]


def test_without_a_status_it_is_unseen_in_the_end() -> None:
    clock = Clock()
    heartbeat = Heartbeat(clock=clock)
    assert heartbeat.look(None) == "looking"
    clock.now = WATCHED_FOR + 1
    assert heartbeat.look(None) == "unseen"


def test_a_run_list_says_when_it_was_last_seen_and_never_crashed() -> None:
    os.environ.setdefault("TZ", "UTC")
    assert state_word(status()).startswith("not seen since 1970-01-01")
    assert state_word(status(host=this_process().host, started=1.0)) == "crashed"


def test_another_pid_namespace_is_another_place() -> None:
    me = this_process()
    assert me.boot.endswith(str(Path("/proc/self/ns/pid").readlink()))
    elsewhere = me.boot.replace("pid:[", "pid:[1")
    assert is_alive(status(host=me.host, boot=elsewhere)) is None


@pytest.mark.parametrize(
    ("environment", "command"),
    [
        ({"SLURM_JOB_ID": "1234"}, "scancel 1234"),
        ({"PBS_JOBID": "77.head"}, "qdel 77.head"),
        ({"LSB_JOBID": "9"}, "bkill 9"),
        ({"SLURM_JOB_ID": "1; rm -rf ~"}, "scancel '1; rm -rf ~'"),
    ],
)
def test_elsewhere_the_schedulers_own_command_is_named(environment: dict[str, str], command: str) -> None:
    words = elsewhere(status(scheduler=scheduler_job(environment)))
    assert words is not None
    assert "node7" in words and "signals do not" in words and words.endswith(command)


def test_here_and_without_a_scheduler_nothing_is_named() -> None:
    assert elsewhere(status(host=this_process().host)) is None
    assert "scheduler" not in (elsewhere(status()) or "")
    unknown = SchedulerJob(variable="FUTURE_JOB", job="1")
    assert unknown.cancel is None and "scheduler" not in (elsewhere(status(scheduler=unknown)) or "")
