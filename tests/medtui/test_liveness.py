"""Another host, another boot, another pid namespace: alive by the heartbeat, else unseen; never crashed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from engine.contract.machine.process_identity import this_process
from engine.contract.machine.scheduler import SchedulerJob, scheduler_job
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.run_record import read_run
from engine.contract.store.status import Status
from medtui.client.control import describe_remote_engine
from medtui.client.liveness import HEARTBEAT_TIMEOUT, Heartbeat, is_alive


def status(**more: Any) -> Status:
    """Of an engine on node7, unless specified otherwise."""
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


def test_on_this_host_the_process_decides_whatever_the_heartbeat() -> None:
    me = this_process()
    assert Heartbeat().update(status(host=me.host, updated=0.0)) == "alive"
    assert Heartbeat().update(status(host=me.host, started=me.started - 60)) == "gone", "the pid was reused"


@pytest.mark.parametrize("change", [{}, {"host": None, "boot": "another boot"}], ids=["host", "boot"])
def test_elsewhere_a_changing_heartbeat_means_alive_and_a_still_one_unseen_after_15_s(change: dict[str, Any]) -> None:
    if "host" in change:
        change = {**change, "host": this_process().host}
    clock = Clock()
    heartbeat = Heartbeat(clock=clock)
    assert is_alive(status(**change)) is None
    assert heartbeat.update(status(**change)) == "checking"
    clock.now = 2.0
    assert heartbeat.update(status(**change, updated=1001.0)) == "alive"
    clock.now = 2.0 + HEARTBEAT_TIMEOUT
    assert heartbeat.update(status(**change, updated=1001.0)) == "alive"
    clock.now += 0.1
    assert heartbeat.update(status(**change, updated=1001.0)) == "unseen"
    assert heartbeat.update(status(**change, updated=1002.0)) == "alive", "it was only late"
    assert HEARTBEAT_TIMEOUT == 15.0


def test_a_clock_that_runs_backwards_elsewhere_is_a_heartbeat_too() -> None:
    clock = Clock()
    heartbeat = Heartbeat(clock=clock)
    assert [heartbeat.update(status(updated=at)) for at in (5000.0, 1.0)] == ["checking", "alive"]


def test_without_a_status_it_is_unseen_in_the_end() -> None:
    clock = Clock()
    heartbeat = Heartbeat(clock=clock)
    assert heartbeat.update(None) == "checking"
    clock.now = HEARTBEAT_TIMEOUT + 1
    assert heartbeat.update(None) == "unseen"


def test_a_run_list_shows_when_it_was_last_seen_and_never_crashed(tmp_path: Path) -> None:
    os.environ.setdefault("TZ", "UTC")
    run = RunDirectory(tmp_path)
    run.status.write(status().model_dump_json())
    assert read_run(run).state == "last seen 0 s ago", "by the file, whatever the other host's clock says"
    os.utime(run.status.path, (1000, 1000))
    assert read_run(run).state.startswith("not seen since 1970-01-01")
    run.status.write(status(host=this_process().host, started=1.0).model_dump_json())
    assert read_run(run).state == "crashed"


def test_another_pid_namespace_counts_as_elsewhere() -> None:
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
def test_elsewhere_the_schedulers_command_is_named(environment: dict[str, str], command: str) -> None:
    words = describe_remote_engine(status(scheduler=scheduler_job(environment)))
    assert words is not None
    assert "node7" in words and "not signalled" in words and words.endswith(command)


def test_on_this_host_and_without_a_scheduler_nothing_is_named() -> None:
    assert describe_remote_engine(status(host=this_process().host)) is None
    assert "scheduler" not in (describe_remote_engine(status()) or "")
    unknown = SchedulerJob(variable="FUTURE_JOB", job="1")
    assert unknown.cancel is None and "scheduler" not in (describe_remote_engine(status(scheduler=unknown)) or "")
