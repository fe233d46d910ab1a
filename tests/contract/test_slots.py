"""Slots: who may take them and who may take the workspace meanwhile, with real processes that hold the locks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.contract.files.folders import Folder
from engine.contract.sentences import Lock
from engine.contract.store.lock import LockState, WorkspaceLock
from engine.contract.store.slots import SlotLock
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import WorkspaceLocked
from medtui.client.control import preparing

HOLD_WORKSPACE = """
import sys
from pathlib import Path
from engine.contract.store.lock import WorkspaceLock
lock = WorkspaceLock(Path(sys.argv[1]) / ".medtui.lock", sys.argv[2], sys.argv[3])
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""
HOLD_SLOT = """
import sys
from pathlib import Path
from engine.contract.files.folders import Folder
from engine.contract.store.slots import SlotLock
lock = SlotLock(Folder(Path(sys.argv[1])), int(sys.argv[4]), sys.argv[3], sys.argv[2], "engine1")
lock.acquire()
lock.describe("run1")
print("held", flush=True)
sys.stdin.read()
"""

Hold = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    (tmp_path / "outputs").mkdir()
    return tmp_path / "outputs"


@pytest.fixture
def hold(outputs: Path) -> Iterator[Hold]:
    started: list[subprocess.Popen[str]] = []

    def begin(program: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program, str(outputs), *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait(30)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def refusal(take: WorkspaceLock) -> WorkspaceLocked:
    with pytest.raises(WorkspaceLocked) as refused:
        take.acquire(patience=0)
    return refused.value


def test_who_takes_the_workspace_of_a_suite_is_refused_and_told_which(outputs: Path, hold: Hold) -> None:
    runner = hold(HOLD_WORKSPACE, "r1", "suite grid")
    refused = refusal(WorkspaceLock(outputs / ".medtui.lock"))
    assert refused.code == Lock.HELD.code and f"suite grid (runner {runner.pid} on " in refused.message
    state = LockState.read(outputs / ".medtui.lock")
    assert state.is_of("r1") and state.holder is not None and state.holder.is_runner and state.run is None
    assert preparing(Workspace(outputs.parent)) is None  # a runner is no engine that prepares a run


def test_a_slot_is_given_by_the_runner_that_holds_the_workspace_and_by_no_other(outputs: Path, hold: Hold) -> None:
    folder = Folder(outputs)
    assert refusal(SlotLock(folder, 1, "suite grid", "r1")).code == Lock.RUNNER_GONE.code
    hold(HOLD_WORKSPACE, "r1", "suite grid")
    hold(HOLD_SLOT, "r1", "suite grid", "1")
    assert refusal(SlotLock(folder, 1, "suite grid", "r1")).code == Lock.HELD.code
    assert refusal(SlotLock(folder, 2, "suite grid", "r0")).code == Lock.RUNNER_GONE.code
    second = SlotLock(folder, 2, "suite grid", "r1")
    second.acquire(patience=0)
    second.release()


def test_engines_whose_runner_was_killed_keep_the_workspace_for_their_suite(outputs: Path, hold: Hold) -> None:
    runner = hold(HOLD_WORKSPACE, "r1", "suite grid")
    engine = hold(HOLD_SLOT, "r1", "suite grid", "1")
    runner.kill()
    runner.wait(30)
    by_hand = refusal(WorkspaceLock(outputs / ".medtui.lock"))
    assert by_hand.code == Lock.SLOT_HELD.code and f"engine {engine.pid} of suite grid" in by_hand.message
    assert by_hand.hint.startswith("`medtui suite resume grid` continues with it")
    assert refusal(WorkspaceLock(outputs / ".medtui.lock", "q", "the queue")).code == Lock.SLOT_HELD.code
    adopting = WorkspaceLock(outputs / ".medtui.lock", "r2", "suite grid")
    adopting.acquire(patience=0)
    adopting.release()
    engine.kill()
    engine.wait(30)
    WorkspaceLock(outputs / ".medtui.lock").acquire(patience=0)


def test_a_refusal_by_an_engine_of_the_queue_says_the_command_of_the_queue(outputs: Path, hold: Hold) -> None:
    runner = hold(HOLD_WORKSPACE, "r1", "the queue")
    hold(HOLD_SLOT, "r1", "the queue", "1")
    runner.kill()
    runner.wait(30)
    hint = refusal(WorkspaceLock(outputs / ".medtui.lock")).hint
    assert hint is not None and hint.startswith("`medtui queue start` continues with it")


def test_the_locks_of_a_workspace_are_its_own_and_those_of_its_slots(outputs: Path) -> None:
    for name in (".medtui.slot-10.lock", ".medtui.slot-2.lock", ".medtui.slot-x.lock", "other"):
        (outputs / name).touch()
    names = [file.name for file in Workspace(outputs.parent).locks]
    assert names == [".medtui.lock", ".medtui.slot-2.lock", ".medtui.slot-10.lock"]
