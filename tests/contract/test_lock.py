"""The workspace lock, against real processes: who holds it, who is refused, and when it is free again."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.contract.machine.process_identity import this_process
from engine.contract.sentences import Lock
from engine.contract.store.lock import RETRY, LockState, WorkspaceLock, mode_that_lets_others_lock
from engine.contract.wire.errors import OutputError, WorkspaceLocked

RUN = "20261122_breastmnist_resnet18-adapted_1a2b3c"
PATIENCE = 30  # seconds; a loaded machine may be slow to start Python

# Each says one line when it has done its deed, and lives until its stdin closes.
HOLD = """
import sys
from pathlib import Path
from engine.contract.store.lock import WorkspaceLock
lock = WorkspaceLock(Path(sys.argv[1]))
lock.acquire()
lock.describe(sys.argv[2] or None)
print("held", flush=True)
sys.stdin.read()
"""
PROBE = """
import sys, threading
from pathlib import Path
from engine.contract.store.lock import LockState
threading.Thread(target=lambda: (sys.stdin.read(), __import__("os")._exit(0)), daemon=True).start()
print("probing", flush=True)
while True:
    LockState.read(Path(sys.argv[1]))
"""
SHARE = """
import fcntl, sys, time
file = open(sys.argv[1])
fcntl.flock(file, fcntl.LOCK_SH)
print("shared", flush=True)
sys.stdin.read()
time.sleep(0.3)
"""
TAKE = """
import sys
from pathlib import Path
from engine.contract.wire.errors import WorkspaceLocked
from engine.contract.store.lock import WorkspaceLock
try:
    WorkspaceLock(Path(sys.argv[1])).acquire(patience=0)
except WorkspaceLocked as error:
    print(error.exit_code, error)
else:
    print("taken")
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "outputs").mkdir()
    return tmp_path / "outputs" / ".medtui.lock"


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    """Start a process that reports when it is ready; all are ended afterwards."""
    started: list[subprocess.Popen[str]] = []

    def begin(program: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program, str(path), *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().strip(), "the process died before it was ready"
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait(PATIENCE)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def refusal(path: Path) -> WorkspaceLocked:
    with pytest.raises(WorkspaceLocked) as error:
        WorkspaceLock(path).acquire(patience=0)
    assert error.value.exit_code == 3
    return error.value


def test_a_second_process_is_refused_and_the_holder_named(path: Path, start: Start) -> None:
    holder = start(HOLD, RUN)
    said = subprocess.run([sys.executable, "-c", TAKE, str(path)], capture_output=True, text=True, timeout=PATIENCE)
    assert said.stdout.startswith("3 "), said
    for word in (str(path.parent.parent), f"engine {holder.pid} ", socket.gethostname(), RUN):
        assert word in said.stdout
    assert LockState.read(path).held


def test_a_holder_that_still_prepares_is_named_without_a_run(path: Path, start: Start) -> None:
    holder = start(HOLD, "")
    error = refusal(path)
    assert error.code == Lock.HELD.code
    said = str(error.fields["holder"])
    assert said.startswith(f"engine {holder.pid} ") and "preparing" in said


def test_the_holder_reports_the_start_time_of_its_process(path: Path, start: Start) -> None:
    """Since boot, if the kernel provides it: the machine's clock may be set while it runs."""
    uptime = Path("/proc/uptime")
    now = (lambda: float(uptime.read_text().split()[0])) if uptime.exists() else time.time
    before = now()
    holder = start(HOLD, RUN)
    told = LockState.read(path).holder
    assert told is not None
    assert (told.pid, told.host, told.run) == (holder.pid, socket.gethostname(), RUN)
    boot = Path("/proc/sys/kernel/random/boot_id")
    assert not boot.exists() or told.boot.split()[0] == boot.read_text().strip()
    assert before - 0.1 <= told.started <= now()  # the kernel counts in ticks
    assert abs(told.since - time.time()) < 60


def test_a_killed_holder_leaves_the_workspace_free_at_once(path: Path, start: Start) -> None:
    holder = start(HOLD, RUN)
    holder.send_signal(signal.SIGKILL)
    holder.wait(PATIENCE)
    assert not LockState.read(path).held
    lock = WorkspaceLock(path)
    lock.acquire(patience=0)
    told = LockState.read(path).holder
    assert told is not None
    assert (told.pid, told.run) == (os.getpid(), None), "the text still tells of the dead"
    lock.release()


def test_a_released_lock_can_be_taken_again(path: Path) -> None:
    for _ in range(3):
        lock = WorkspaceLock(path)
        lock.acquire(patience=0)
        assert LockState.read(path).held
        error = refusal(path)
        assert (error.code, error.fields["workspace"]) == (Lock.HELD.code, path.parent.parent)
        lock.release()
        assert not LockState.read(path).held


def test_the_lock_file_is_never_unlinked(path: Path, start: Start) -> None:
    """Were it unlinked, the next starter would lock another inode, and two would hold the workspace."""
    lock = WorkspaceLock(path)
    lock.acquire()
    inode = path.stat().st_ino
    lock.describe(RUN)
    lock.release()
    assert path.stat().st_ino == inode
    holder = start(HOLD, RUN)
    refusal(path)
    holder.kill()
    holder.wait(PATIENCE)
    lock.acquire(patience=0)
    lock.release()
    assert path.stat().st_ino == inode


def test_readers_that_probe_all_the_time_do_not_keep_a_starter_out(path: Path, start: Start) -> None:
    path.touch()
    start(PROBE)
    for _ in range(3):
        lock = WorkspaceLock(path)
        lock.acquire(RETRY)
        lock.release()


def test_a_starter_waits_for_a_reader_that_holds_the_lock_briefly(path: Path, start: Start) -> None:
    path.touch()
    reader = start(SHARE)
    error = refusal(path)
    assert error.code == Lock.HELD.code and "another process" in str(error.fields["holder"])
    assert reader.stdin is not None
    reader.stdin.close()  # it lets go a little later, while the starter is already trying
    lock = WorkspaceLock(path)
    lock.acquire(PATIENCE)
    assert LockState.read(path).held
    lock.release()


def test_a_starter_gives_up_after_its_patience(path: Path, start: Start) -> None:
    start(HOLD, RUN)
    began = time.monotonic()
    with pytest.raises(WorkspaceLocked):
        WorkspaceLock(path).acquire(patience=0.2)
    assert 0.2 <= time.monotonic() - began < 10


def test_a_child_does_not_keep_the_lock(path: Path) -> None:
    """Data loaders and compilers are spawned while the lock is held, and may outlive the engine."""
    lock = WorkspaceLock(path)
    lock.acquire()
    command = [sys.executable, "-c", "import sys; print('here', flush=True); sys.stdin.read()"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"here\n"
        lock.release()
        assert child.poll() is None
        assert not LockState.read(path).held
    finally:
        child.communicate(timeout=PATIENCE)


def test_a_probe_does_not_create_the_file(path: Path) -> None:
    assert not LockState.read(path).held
    assert not path.exists()


GOOD = {"pid": 1, "started": 1.0, "boot": "b", "host": "h", "run": None, "since": 1.0}
DAMAGED = {
    "empty": "",
    "half": '{"pid": 12',
    "no UTF-8": "\xff\xfe",
    "no object": "[1]",
    "no pid": '{"host": "h"}',
    "a pid that is none": json.dumps(GOOD | {"pid": "me"}),
    "deep": "[" * 100_000,
    "a pid without end": json.dumps(GOOD | {"pid": float("inf")}),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_text_still_refuses(path: Path, name: str) -> None:
    """The kernel's lock is the truth, its text is information."""
    lock = WorkspaceLock(path)
    lock.acquire()
    path.write_bytes(DAMAGED[name].encode("latin-1"))
    try:
        error = refusal(path)
        assert error.code == Lock.HELD_BY_OTHER_PROGRAM.code
        program = Path(sys.orig_argv[0]).name
        expected = f"process {os.getpid()} ({program}) of "
        assert str(error.fields["holder"]).startswith(expected), "by the kernel's own list"
    finally:
        lock.release()


@pytest.mark.parametrize("since", [1e300, float("-inf"), float("nan")])
def test_an_invalid_date_still_refuses(path: Path, since: float) -> None:
    lock = WorkspaceLock(path)
    lock.acquire()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"since": since}))  # NaN: as Python writes and reads it
    try:
        error = refusal(path)
        assert f"engine {os.getpid()} on " in str(error.fields["holder"])
        assert "since an unreadable time" in str(error.fields["holder"])
    finally:
        lock.release()


def test_who_holds_a_lock_is_said_as_the_end_of_a_sentence(path: Path) -> None:
    assert str(LockState.read(path)) == "nobody"
    assert str(LockState(held=None, trouble="the lock belongs to ada")) == (
        "an unknown process (the lock belongs to ada)"
    )
    assert str(LockState(held=True, other_holder="process 5 (vim)")) == "process 5 (vim)"


def test_whether_an_engine_holds_a_lock_is_known_with_and_without_its_description(path: Path) -> None:
    lock = WorkspaceLock(path)
    assert not LockState.read(path).held_by_engine
    lock.acquire()
    assert LockState.read(path).held_by_engine
    path.write_text("damaged")
    assert not LockState.read(path).held_by_engine, "this process is no engine by its command line"
    lock.release()
    assert LockState(held=True, other_holder="engine 5 of ada").held_by_engine
    assert not LockState(held=True, other_holder="process 5 (vim) of ada").held_by_engine


UMASK = os.umask(0o022)  # to read it is to set it
os.umask(UMASK)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("outputs", "expected"), [(0o755, 0o600), (0o775, 0o600), (0o2755, 0o600), (0o2775, 0o660)], ids=oct
)
def test_only_who_may_train_here_can_open_the_lock(path: Path, outputs: int, expected: int) -> None:
    """The owner, and in a group's workspace (`chmod g+ws`) the group: whoever can open it can lock it."""
    path.parent.chmod(outputs)
    assert mode_that_lets_others_lock(path) is None, "there is none yet"
    lock = WorkspaceLock(path)
    lock.acquire()
    control = lock.open_control()
    assert mode_of(path) == expected, "whatever the umask"
    assert mode_of(control.path) == expected & ~UMASK
    lock.release()
    assert not control.path.exists(), "it goes with the lock"
    assert mode_that_lets_others_lock(path) is None
    path.chmod(0o666)
    assert mode_that_lets_others_lock(path) == (0o666, expected)
    path.chmod(0o400)
    assert mode_that_lets_others_lock(path) is None, "fewer than may train"
    path.chmod(0o644)
    lock.acquire()
    assert mode_of(path) == expected, "a lock that others could open is corrected"
    lock.release()
    path.unlink()
    path.mkdir(0o777)
    assert mode_that_lets_others_lock(path) is None, "no file"


def test_the_holder_is_identified_by_the_engine_id(path: Path) -> None:
    """Another engine's is not ours, though its host gave it the pid that ours has here."""
    lock = WorkspaceLock(path, "ours")
    lock.acquire()
    state = LockState.read(path)
    assert state.is_of("ours") and not state.is_of("another") and not state.is_of(None)
    assert state.holder is not None
    twin = replace(state.holder, engine="another")
    assert state.holder.is_same(state.holder) and not state.holder.is_same(twin) and not state.holder.is_same(None)
    older = replace(state.holder, engine=None)
    assert older.is_same(state.holder) and not older.is_same(replace(older, host="elsewhere"))
    lock.release()
    assert not LockState.read(path).is_of("ours")


def test_a_lock_is_held_by_the_process_that_took_it_also_without_its_description(path: Path) -> None:
    lock, me = WorkspaceLock(path, "ours"), this_process()
    another = [replace(me, pid=me.pid + 1), replace(me, started=me.started + 60), replace(me, host="elsewhere")]
    assert not LockState.read(path).is_held_by(me)
    lock.acquire()
    assert LockState.read(path).is_held_by(me)
    assert not any(LockState.read(path).is_held_by(one) for one in another)
    path.write_text("damaged")
    assert LockState.read(path).is_held_by(me) and not LockState.read(path).is_held_by(another[0])
    lock.release()
    assert not LockState.read(path).is_held_by(me)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel does not say who holds a lock")
def test_a_text_whose_pid_was_reused_names_nobody(path: Path) -> None:
    lock = WorkspaceLock(path, "new")
    lock.acquire()
    old = json.loads(path.read_text())
    path.write_text(json.dumps(old | {"started": old["started"] - 3600, "engine": "old", "run": RUN}))
    state = LockState.read(path)
    assert (state.held, state.holder, state.run) == (True, None, None)
    lock.release()


def test_a_text_without_a_lock_does_not_refuse(path: Path) -> None:
    path.write_text(json.dumps(GOOD | {"run": "a much longer name than the next holder has" * 9}))
    lock = WorkspaceLock(path)
    lock.acquire(patience=0)
    told = LockState.read(path).holder
    assert told is not None
    assert told.pid == os.getpid()
    lock.release()


def test_a_lock_that_cannot_be_opened_is_an_error_of_the_outputs(tmp_path: Path) -> None:
    path = tmp_path / "outputs" / ".medtui.lock"
    with pytest.raises(OutputError) as error:
        WorkspaceLock(path).acquire(patience=0)
    assert (error.value.code, str(error.value.fields["path"])) == (Lock.NOT_OPENED.code, str(path))


def test_a_file_system_that_cannot_lock_is_reported_with_exit_code_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import fcntl

    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)  # what NFS without a lock daemon answers
    with pytest.raises(WorkspaceLocked) as refused:
        WorkspaceLock(tmp_path / ".medtui.lock").acquire()
    assert (refused.value.code, refused.value.exit_code) == (Lock.UNSUPPORTED.code, 3)
    assert (str(refused.value.fields["folder"]), refused.value.fields["reason"]) == (
        str(tmp_path),
        "No locks available",
    )
