"""Orphaned engines: what may be listed and ended, and what never."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from driving import Engine, medtui, tiny
from hypothesis import given
from hypothesis import strategies as st

from engine.contract.machine.engines import workspace_argument
from engine.contract.machine.process_identity import clock, start_of, this_process
from engine.contract.machine.scheduler import SchedulerJob
from engine.contract.store.lock import WorkspaceLock
from engine.contract.store.workspace import Workspace
from medtui.client.process_group import Process
from medtui.machine import orphans as orphans_module
from medtui.machine.orphans import MIN_AGE, OrphanedEngine, ProcessInfo, end_orphan, find_orphans, select_orphans

ROOT = Path("/home/ada/space")
OTHER = Path("/home/ada/space2")
ME, NOW = 1000, 1_795_300_000.0


def test_an_engine_is_known_by_its_arguments_only() -> None:
    assert workspace_argument(["python", "-P", "-m", "engine", "--workspace", str(ROOT), "--warm"]) == str(ROOT)
    assert workspace_argument(["vim", "engine", "--workspace", str(ROOT)]) is None
    assert workspace_argument(["python", "-m", "engine", "--workspace"]) is None


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[ProcessInfo], Process | None]:
    """A process table: consoles, engines of all kinds, bystanders; and who the lock's text names."""
    pids = draw(st.lists(st.integers(2, 99), unique=True, min_size=1, max_size=12))
    started = {pid: NOW - draw(st.sampled_from([1.0, MIN_AGE - 1, 60.0, 9000.0])) for pid in range(2, 100)}
    table = []
    for pid in pids:
        console = draw(st.integers(2, 99))
        since = started[console] + draw(st.sampled_from([0.0, 0.01, -500.0]))  # -500: the number was reused
        engine = ("python", "-P", "-m", "engine", "--workspace", str(draw(st.sampled_from([ROOT, OTHER]))))
        kinds = [engine, (*engine, "--console", f"{console}:{since}"), (*engine, "--console", "x"), ("bash",)]
        arguments = draw(st.sampled_from(kinds))
        uid = draw(st.sampled_from([ME, 0, 1001]))
        here = workspace_argument(arguments) == str(ROOT)
        holds = draw(st.sampled_from([True, False, None]))
        table.append(ProcessInfo(pid, started[pid], uid, arguments, 0, here, holds, draw(st.booleans())))
    holder = draw(st.sampled_from([None, *(Process(one.pid, one.started) for one in table)]))
    return table, holder


@given(tables())
def test_lock_holders_other_processes_and_engines_of_live_consoles_are_never_orphans(
    made: tuple[list[ProcessInfo], Process | None],
) -> None:
    table, holder = made
    found = {orphan.pid for orphan in select_orphans(table, ME, [holder] if holder else [], NOW)}
    living = {one.pid: one.started for one in table}
    for one in table:
        words = list(one.arguments)
        if "--console" not in words:
            assert one.pid not in found, "it does not say whose it is"
            continue
        pid, _, since = words[-1].partition(":")
        console_lives = since != "" and int(pid) in living and abs(living[int(pid)] - float(since)) < 0.05
        is_orphaned = (
            one.uid == ME
            and str(ROOT) in words
            and since != ""
            and not console_lives
            and one.holds_lock is False
            and one.shares_namespace
            and holder != Process(one.pid, one.started)
            and NOW - one.started > MIN_AGE
        )
        assert (one.pid in found) == is_orphaned


def orphaned(tmp_path: Path, workspace: Workspace) -> Iterator[psutil.Process]:
    """An engine whose console was killed while somebody else holds its standard input open."""
    program = (
        "import os, subprocess, sys\n"
        "from engine.contract.store.workspace import Workspace\n"
        "from pathlib import Path\n"
        "from medtui.client.engine_process import EngineProcess\n"
        "engine = EngineProcess(Workspace(Path(sys.argv[1])))\n"
        "hold = subprocess.Popen(['sleep', '600'], stdout=-3, stderr=-3,\n"
        "                        pass_fds=[engine._process.stdin.fileno()])\n"
        "print(engine.pid, hold.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, workspace.root], capture_output=True, text=True, check=False)
    engine, hold = map(int, done.stdout.split())
    process = psutil.Process(engine)
    try:
        yield process
    finally:
        os.kill(hold, signal.SIGKILL)
        if process.is_running():
            process.kill()


def is_orphan(engine: Engine, workspace: Workspace) -> bool:
    """This very process: one that it has just forked has its arguments, and is listed where age does not count."""
    return engine.process.pid in [one.pid for one in find_orphans(workspace)]


def is_alive(process: psutil.Process) -> bool:
    """Still running, and not a zombie that waits for its adopter."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    place = Workspace(tmp_path)
    place.make_outputs()
    return place


@pytest.fixture
def orphan(tmp_path: Path, workspace: Workspace) -> Iterator[psutil.Process]:
    yield from orphaned(tmp_path, workspace)


def test_a_real_orphan_is_found_and_ended_and_nobody_else(
    workspace: Workspace, orphan: psutil.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans_module, "MIN_AGE", 0.0)
    engine = Engine(workspace.root)  # no orphan: it does not say that its console is gone
    lock = WorkspaceLock(workspace.lock_file)
    try:
        lock.acquire()
        (found,) = find_orphans(workspace)
        assert (found.pid, found.memory > 1e6) == (orphan.pid, True)
        assert find_orphans(Workspace(workspace.root / "elsewhere")) == []
        slurm = SchedulerJob(variable="SLURM_JOB_ID", job="7")
        assert "left alone" in end_orphan(found, workspace, slurm) and orphan.is_running()
        assert "is gone" in end_orphan(replace(found, started=found.started - 60), workspace), (
            "a reused pid is left alone"
        )
        assert orphan.is_running()
        assert "ended" in end_orphan(found, workspace)
        assert find_orphans(workspace) == []
        assert engine.process.poll() is None
    finally:
        lock.release()
        engine.kill()


def test_a_live_consoles_warm_engine_is_not_an_orphan(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans_module, "MIN_AGE", 0.0)
    me = this_process()
    engine = Engine(workspace.root, "--warm", "--console", f"{me.pid}:{me.started}")
    try:
        engine.wait_for_event("hello")
        assert not is_orphan(engine, workspace)
        other_holder = Engine(workspace.root, "--warm", "--console", f"{me.pid}:{me.started - 60}")
        other_holder.wait_for_event("hello")
        assert is_orphan(other_holder, workspace) and not is_orphan(engine, workspace)
        other_holder.kill()
    finally:
        engine.kill()


def test_an_engine_that_has_the_lock_open_is_not_an_orphan_whatever_its_text(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans_module, "MIN_AGE", 0.0)
    engine = Engine(workspace.root, "--console", "1:1.0")
    try:
        engine.train(tiny(training={"epochs": 500, "patience": None}))
        engine.wait_for_phase("preparing")
        workspace.lock_file.path.write_text("garbage")
        assert not is_orphan(engine, workspace)
    finally:
        engine.kill()


@pytest.mark.slow
def test_a_headless_start_ends_orphans_where_allowed(workspace: Workspace, orphan: psutil.Process) -> None:
    while clock() - start_of(orphan.pid) <= MIN_AGE:
        time.sleep(0.1)  # a young engine is left alone, and its age cannot be hurried
    cases = [
        ("false", {}, False),
        ("true", {"SLURM_JOB_ID": "7"}, False),
        ("true", {}, True),
    ]
    lock = WorkspaceLock(workspace.lock_file)
    lock.acquire()  # so that the start itself is refused at once
    try:
        for allowed, environment, ended in cases:
            done = medtui(
                *("run", "quickstart", "--allow-process-kill", allowed, "--workspace", workspace.root),
                cwd=workspace.root,
                environment=environment,
            )
            assert done.returncode == 3
            assert (str(orphan.pid) in done.stdout) == (allowed == "true")
            assert ("manages its processes" in done.stdout) == bool(environment)
            assert is_alive(orphan) != ended
    finally:
        lock.release()


def test_an_orphan_that_ignores_sigterm_is_killed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans_module, "TERM_GRACE", 0.3)
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout is not None and child.stdout.readline()
    assert "ended" in end_orphan(OrphanedEngine(child.pid, start_of(child.pid), 0), workspace)
    assert child.wait(10) == -signal.SIGKILL
