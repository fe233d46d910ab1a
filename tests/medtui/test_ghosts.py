"""Ghosts: what may be listed and ended, and what never."""

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

from engine.contract.lock import WorkspaceLock
from engine.contract.process_identity import this_process
from engine.contract.scheduler import SchedulerJob
from engine.contract.workspace import Workspace
from medtui.machine import ghosts as room
from medtui.machine.ghosts import YOUNG, Ghost, Seen, end, ghosts, ghosts_among
from medtui.machine.process_group import Process, is_engine_of

ROOT = Path("/home/ada/space")
OTHER = Path("/home/ada/space2")
ME, NOW = 1000, 1_795_300_000.0


def test_an_engine_is_known_by_its_arguments_only() -> None:
    assert is_engine_of(["python", "-P", "-m", "engine", "--workspace", str(ROOT), "--warm"], ROOT)
    assert not is_engine_of(["python", "-P", "-m", "engine", "--workspace", str(OTHER)], ROOT)
    assert not is_engine_of(["vim", "engine", "--workspace", str(ROOT)], ROOT)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Seen], Process | None]:
    """A process table: consoles, engines of all kinds, bystanders; and who the lock's text names."""
    pids = draw(st.lists(st.integers(2, 99), unique=True, min_size=1, max_size=12))
    started = {pid: NOW - draw(st.sampled_from([1.0, YOUNG - 1, 60.0, 9000.0])) for pid in range(2, 100)}
    table = []
    for pid in pids:
        console = draw(st.integers(2, 99))
        since = started[console] + draw(st.sampled_from([0.0, 0.01, -500.0]))  # -500: the number was reused
        engine = ("python", "-P", "-m", "engine", "--workspace", str(draw(st.sampled_from([ROOT, OTHER]))))
        kinds = [engine, (*engine, "--console", f"{console}:{since}"), (*engine, "--console", "x"), ("bash",)]
        arguments = draw(st.sampled_from(kinds))
        uid = draw(st.sampled_from([ME, 0, 1001]))
        table.append(Seen(pid, started[pid], uid, arguments, 0, draw(st.booleans())))
    holder = draw(st.sampled_from([None, *(Process(one.pid, one.started) for one in table)]))
    return table, holder


@given(tables())
def test_holders_others_and_engines_of_living_consoles_are_never_ghosts(
    made: tuple[list[Seen], Process | None],
) -> None:
    table, holder = made
    found = {ghost.pid for ghost in ghosts_among(table, ME, ROOT, holder, NOW)}
    living = {one.pid: one.started for one in table}
    for one in table:
        words = list(one.arguments)
        if "--console" not in words:
            assert one.pid not in found, "it does not say whose it is"
            continue
        pid, _, since = words[-1].partition(":")
        console_lives = since != "" and int(pid) in living and abs(living[int(pid)] - float(since)) < 0.05
        ghostly = (
            one.uid == ME
            and str(ROOT) in words
            and since != ""
            and not console_lives
            and not one.has_lock_open
            and holder != Process(one.pid, one.started)
            and NOW - one.started > YOUNG
        )
        assert (one.pid in found) == ghostly


def orphaned(tmp_path: Path, workspace: Workspace) -> Iterator[psutil.Process]:
    """An engine whose console was killed while somebody else holds its standard input open."""
    program = (
        "import os, subprocess, sys\n"
        "from engine.contract.workspace import Workspace\n"
        "from pathlib import Path\n"
        "from medtui.client.engine_process import EngineProcess\n"
        "engine = EngineProcess(Workspace(Path(sys.argv[1])))\n"
        "hold = subprocess.Popen(['sleep', '60'], stdout=-3, stderr=-3,\n"
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


def lives(process: psutil.Process) -> bool:
    """Not gone, and no zombie that waits for its adopter."""
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
def ghost(tmp_path: Path, workspace: Workspace) -> Iterator[psutil.Process]:
    yield from orphaned(tmp_path, workspace)


def test_a_real_ghost_is_found_and_ended_and_nobody_else(
    workspace: Workspace, ghost: psutil.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "YOUNG", 0.0)
    engine = Engine(workspace.root)  # no ghost: it does not say that its console is gone
    lock = WorkspaceLock(workspace.lock_file)
    try:
        lock.acquire()
        (found,) = ghosts(workspace)
        assert (found.pid, found.memory > 1e6) == (ghost.pid, True)
        assert ghosts(Workspace(workspace.root / "elsewhere")) == []
        slurm = SchedulerJob(variable="SLURM_JOB_ID", job="7")
        assert "left alone" in end(found, workspace, slurm) and ghost.is_running()
        assert "is gone" in end(replace(found, started=found.started - 60), workspace), "a reused pid is left alone"
        assert ghost.is_running()
        assert "ended" in end(found, workspace)
        assert ghosts(workspace) == []
        assert engine.process.poll() is None
    finally:
        lock.release()
        engine.kill()


def test_a_living_consoles_warm_engine_is_no_ghost(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "YOUNG", 0.0)
    me = this_process()
    engine = Engine(workspace.root, "--warm", "--console", f"{me.pid}:{me.started}")
    try:
        engine.wait_for_event("hello")
        assert ghosts(workspace) == []
        stranger = Engine(workspace.root, "--warm", "--console", f"{me.pid}:{me.started - 60}")
        stranger.wait_for_event("hello")
        assert [one.pid for one in ghosts(workspace)] == [stranger.process.pid]
        stranger.kill()
    finally:
        engine.kill()


def test_an_engine_that_has_the_lock_open_is_no_ghost_whatever_its_text_says(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "YOUNG", 0.0)
    engine = Engine(workspace.root, "--console", "1:1.0")
    try:
        engine.train(tiny(training={"epochs": 500, "patience": None}))
        engine.wait_for_phase("preparing")
        workspace.lock_file.write_text("garbage")
        assert ghosts(workspace) == []
    finally:
        engine.kill()


def test_a_headless_start_ends_ghosts_where_it_may(workspace: Workspace, ghost: psutil.Process) -> None:
    while time.time() - ghost.create_time() <= YOUNG:
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
            assert (str(ghost.pid) in done.stdout) == (allowed == "true")
            assert ("looks after its processes" in done.stdout) == bool(environment)
            assert lives(ghost) != ended
    finally:
        lock.release()


def test_a_ghost_that_ignores_sigterm_is_killed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "TERM_GRACE", 0.3)
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout is not None and child.stdout.readline()
    assert "ended" in end(Ghost(child.pid, psutil.Process(child.pid).create_time(), 0), workspace)
    assert child.wait(10) == -signal.SIGKILL
