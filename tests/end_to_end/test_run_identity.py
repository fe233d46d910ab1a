"""Engines are known by what they are: no removed file, renamed folder, link or other view ends or hides a run."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from driving import MEDTUI, PATIENCE, Engine, json_lines, medtui, tiny, yaml_of

from engine.contract.machine.process_identity import clock
from engine.contract.store.lock import LockState, WorkspaceLock
from engine.contract.store.run_directory import RunDirectory, list_runs
from engine.contract.store.workspace import Workspace
from medtui.machine import orphans as orphans

LONG = tiny(training={"epochs": 5000, "patience": None})


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    """A folder whose engines are ended afterwards, wherever the test has moved it."""
    place = tmp_path / "space"
    place.mkdir()
    (place / "long.yaml").write_text(yaml_of(LONG))
    (place / "tiny.yaml").write_text(yaml_of(tiny(training={"epochs": 1})))
    yield place
    for process in psutil.process_iter(["cmdline"]):
        if str(tmp_path) in " ".join(process.info["cmdline"] or []):
            process.kill()


def detached(workspace: Path) -> tuple[RunDirectory, int]:
    """A run that trains by itself, and its engine's pid."""
    done = medtui("run", "long.yaml", "--detach", "--workspace", workspace, cwd=workspace)
    assert done.returncode == 0, done.stdout + done.stderr
    holder = LockState.read(Workspace(workspace).lock_file).holder
    assert holder is not None and holder.run is not None
    return RunDirectory(workspace / "outputs" / holder.run), holder.pid


def trains(run: RunDirectory, pid: int) -> bool:
    """Does the engine live, and its journal grow?"""
    before, deadline = run.journal.size, time.monotonic() + PATIENCE
    while time.monotonic() < deadline and psutil.pid_exists(pid):
        if run.journal.size > before:
            return True
        time.sleep(0.05)
    return False


def test_a_removed_lock_file_ends_no_healthy_run_and_allows_no_second_start(workspace: Path) -> None:
    run, pid = detached(workspace)
    (workspace / "outputs" / ".medtui.lock").unlink()
    refused = medtui("run", "tiny.yaml", "--workspace", workspace, cwd=workspace)
    assert (refused.returncode, f"engine {pid}, whose lock file was removed" in refused.stderr) == (3, True)
    assert trains(run, pid)
    assert orphans.find_orphans(Workspace(workspace)) == []
    assert medtui("stop", run.name, "--workspace", workspace, cwd=workspace).returncode == 0


def test_a_replaced_lock_file_allows_no_second_start(workspace: Path) -> None:
    run, pid = detached(workspace)
    lock = workspace / "outputs" / ".medtui.lock"
    shutil.copy(lock, lock.with_suffix(".copy"))
    lock.with_suffix(".copy").rename(lock)
    assert medtui("run", "tiny.yaml", "--workspace", workspace, cwd=workspace).returncode == 3
    assert trains(run, pid)


@pytest.mark.parametrize("command", ["stop", pytest.param("kill", marks=pytest.mark.slow)])
def test_a_workspace_that_is_renamed_while_it_trains_keeps_its_run_and_its_controls(
    workspace: Path, command: str
) -> None:
    _, pid = detached(workspace)
    moved = workspace.rename(workspace.with_name("moved"))
    run = list_runs(moved / "outputs")[-1]
    assert trains(run, pid)
    refused = medtui("run", "tiny.yaml", "--workspace", moved, cwd=moved)
    assert refused.returncode == 3
    done = medtui(command, "last", "--workspace", moved, cwd=moved)
    assert done.returncode == 0, done.stdout + done.stderr
    assert psutil.Process(pid).wait(PATIENCE) is None or not psutil.pid_exists(pid)
    outcome = json_lines(run.journal.path.read_text())[-1]["outcome"]
    assert outcome == {"stop": "stopped", "kill": "aborted"}[command]


@pytest.mark.parametrize("through", ["a link to the workspace", "a link to outputs", "the folder itself"])
def test_a_run_is_killed_by_whichever_name_its_workspace_has(workspace: Path, tmp_path: Path, through: str) -> None:
    real = tmp_path / "scratch"
    real.mkdir()
    (workspace / "outputs").symlink_to(real)
    run, pid = detached(workspace)
    link = tmp_path / "link"
    link.symlink_to(workspace)
    other = tmp_path / "other"
    other.mkdir()
    (other / "outputs").symlink_to(real)
    arguments: dict[str, list[str | Path]] = {
        "a link to the workspace": ["last", "--workspace", link],
        "a link to outputs": ["last", "--workspace", other],
        "the folder itself": [real / run.name, "--workspace", workspace],
    }
    done = medtui("kill", *arguments[through], cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_an_engine_of_another_pid_namespace_is_never_treated_as_an_orphan(workspace: Path) -> None:
    inside = [*MEDTUI, "run", "long.yaml", "--detach", "--workspace", str(workspace)]
    line = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", '"$@"; exec sleep 600', "sh", *inside]
    outer = subprocess.Popen(line, cwd=workspace, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert outer.stdout is not None
    said = outer.stdout.readline()
    if "unshare" in said:
        pytest.skip(f"no pid namespace can be made here: {said.strip()}")
    try:
        while not (runs := list_runs(workspace / "outputs")) or not runs[0].status.is_regular:
            assert outer.poll() is None, said + outer.stdout.read()
            time.sleep(0.1)
        place = Workspace(workspace)
        (seen,) = [one for one in orphans.scan_processes(place) if one.is_engine_here]
        while clock() - seen.started < orphans.MIN_AGE + 1:
            time.sleep(0.2)  # a young engine would be left alone for its age
        assert orphans.find_orphans(place) == []
        assert medtui("run", "tiny.yaml", "--workspace", workspace, cwd=workspace).returncode == 3
        status = json.loads(runs[0].status.path.read_text())
        assert status["outcome"] is None
    finally:
        outer.kill()
        outer.wait(PATIENCE)


HOLD = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); input()"


def test_a_process_other_than_an_engine_that_holds_the_lock_is_named(workspace: Path) -> None:
    """Whatever the lock's text says about a previous engine."""
    place = Workspace(workspace)
    place.make_outputs()
    lock = WorkspaceLock(place.lock_file)
    lock.acquire()
    lock.describe("20261122_cells_mini-cnn_1a2b3c")
    lock.release()
    command = [sys.executable, "-c", HOLD, place.lock_file]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdin is not None and other.stdout.readline()
        refused = medtui("run", "tiny.yaml", "--workspace", workspace, cwd=workspace)
        assert refused.returncode == 3
        assert f"process {other.pid} (" in refused.stderr and "not a medtui engine" in refused.stderr
        assert "1a2b3c" not in refused.stderr
        checks = json.loads(medtui("doctor", "--json", "--workspace", workspace, cwd=workspace).stdout)["checks"]
        (found,) = [check for check in checks if check["id"] == "lock"]
        assert (found["level"], f"process {other.pid} " in found["found"], found["remedy"] != "") == (
            "fail",
            True,
            True,
        )
        other.stdin.close()


def test_nobody_but_the_owner_may_open_the_lock(workspace: Path) -> None:
    """Whoever may read a file may hold a lock on it."""
    old = os.umask(0)
    try:
        place = Workspace(workspace)
        place.make_outputs()
        place.lock_file.path.touch(0o644)  # as earlier versions left it
        lock = WorkspaceLock(place.lock_file)
        lock.acquire()
        assert place.lock_file.path.stat().st_mode & 0o777 == 0o600
        lock.release()
        place.outputs.chmod(0o2775)  # a group's
        lock.acquire()
        assert place.lock_file.path.stat().st_mode & 0o777 == 0o660
        lock.release()
    finally:
        os.umask(old)


@pytest.mark.slow
def test_an_engine_that_prepares_is_stopped_and_killed_from_any_shell(workspace: Path) -> None:
    """Before it has a directory: by the lock's holder. A sum over a terabyte keeps it preparing."""
    huge = workspace / "huge.npz"
    with huge.open("wb") as file:
        file.truncate(1 << 40)  # sparse
    recipe = tiny(dataset={"name": "breastmnist", "archive": str(huge), "md5": "0" * 32})
    for command in ("stop", "abort", "kill"):
        engine = Engine(workspace)
        try:
            engine.train(recipe)
            engine.wait_for_phase("preparing")
            time.sleep(1.0)  # within the sum, or the imports before it
            began = time.monotonic()
            done = medtui(command, "last", "--workspace", workspace, cwd=workspace)
            assert done.returncode == 0, (command, done.stdout + done.stderr)
            assert time.monotonic() - began < 20
            assert engine.end() == 7
            assert list_runs(workspace / "outputs") == []
        finally:
            engine.kill()


def test_the_newest_run_is_the_last_one_though_the_clock_was_set_back(workspace: Path) -> None:
    before = medtui("run", "tiny.yaml", "--workspace", workspace, cwd=workspace)
    assert before.returncode == 0
    (older,) = list_runs(workspace / "outputs")
    text = older.manifest.path.read_text()
    year = str(int(text[text.index('"started": "') + 12 :][:4]) + 1)
    older.manifest.path.write_text(
        text.replace('"started": "20', '"started": "20').replace(f'"{int(year) - 1}-', f'"{year}-')
    )
    done = medtui("run", "tiny.yaml", "--set", "training.seed=7", "--workspace", workspace, cwd=workspace)
    assert done.returncode == 0
    shown = json.loads(medtui("show", "last", "--json", "--workspace", workspace, cwd=workspace).stdout)
    assert shown["run"] != older.name
    assert [run.name for run in list_runs(workspace / "outputs")] == [older.name, shown["run"]]


def test_the_escalation_continues_though_the_clock_is_set_back(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.contract.machine.process_identity import ProcessIdentity, start_of, this_process
    from medtui.client.escalation import Escalator, Timeouts

    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout is not None and child.stdout.readline()
    me, real, began = this_process(), time.time, time.monotonic()
    monkeypatch.setattr(time, "time", lambda: real() - 3600 * (time.monotonic() - began))  # an hour back each second
    engine = ProcessIdentity(child.pid, start_of(child.pid), me.host, me.boot)
    timeouts = Timeouts(abort=0.3, terminate=0.3, kill=5.0)
    escalation = Escalator(engine, Workspace(workspace), abort=lambda: None, timeouts=timeouts).escalate()
    assert escalation.succeeded
    assert child.wait(10) == -9
    assert time.monotonic() - began < 10


def test_reading_the_lock_takes_no_lock(workspace: Path) -> None:
    """`LockState` never keeps a starter out for longer than an instant."""
    place = Workspace(workspace)
    place.make_outputs()
    assert LockState.read(place.lock_file) == LockState(held=False)
    with place.lock_file.path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        state = LockState.read(place.lock_file)
    assert (state.held, state.holder, f"process {os.getpid()} " in str(state)) == (True, None, True)


@pytest.mark.parametrize(("umask", "most"), [(0o077, 0o600), (0o027, 0o640), (0o022, 0o644)])
def test_new_files_have_the_mode_that_the_umask_gives_them(workspace: Path, umask: int, most: int) -> None:
    before = os.umask(umask)
    try:
        done = medtui("run", "tiny.yaml", "--workspace", workspace, cwd=workspace)
        assert done.returncode == 0, done.stdout + done.stderr
        assert medtui("runs", "tag", "last", "mine", "--workspace", workspace, cwd=workspace).returncode == 0
    finally:
        os.umask(before)
    files = {path: path.stat().st_mode & 0o777 for path in (workspace / "outputs").rglob("*") if path.is_file()}
    private = {".medtui.lock", "control.jsonl"}
    assert private <= {path.name for path in files} and any(path.suffix == ".png" for path in files)
    assert {path.name: mode for path, mode in files.items() if mode != (0o600 if path.name in private else most)} == {}
