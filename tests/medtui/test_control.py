"""`control.jsonl`: what is obeyed, what is ignored and logged; both of its ends."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.contract.store.lock import WorkspaceLock
from engine.contract.store.run_directory import RunDirectory, make_run_directory
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import UsageError
from engine.contract.wire.protocol import Stop
from engine.control_file import READ_LIMIT, ControlFile
from medtui.client import control
from medtui.client.control import NothingToCommand, append_command, resolve_run
from medtui.sentences import Control

ME = "9f8e7d6c"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return make_run_directory(tmp_path, "20261122_cells_mini-cnn_1a2b3c")


def stop(id_: str = "1", engine: str | None = ME) -> Stop:
    return Stop(id=id_, by="ada", engine=engine)


def write(run: RunDirectory, *lines: bytes) -> None:
    with run.control.path.open("ab") as file:
        file.write(b"".join(lines))


def test_a_command_is_read_once_and_a_repeated_one_is_ignored_and_logged(run: RunDirectory) -> None:
    file = ControlFile(run.control, ME)
    append_command(run.control, stop("1"))
    assert [command.id for command in file.poll()] == ["1"]
    assert file.take_warnings() == []
    append_command(run.control, stop("1"))
    append_command(run.control, stop("2"))
    assert [command.id for command in file.poll()] == ["2"]
    assert ["earlier id" in words for words in file.take_warnings()] == [True]


def test_yesterdays_stop_does_not_stop_a_resumed_run(run: RunDirectory) -> None:
    append_command(run.control, stop("1", ME))
    append_command(run.control, stop("2", "yesterday"))
    file = ControlFile(run.control, ME)
    assert file.poll() == []
    append_command(run.control, stop("3", "yesterday"))
    assert file.poll() == []
    (words,) = file.take_warnings()
    assert "another engine" in words


def test_garbage_is_ignored_and_logged_once(run: RunDirectory) -> None:
    file = ControlFile(run.control, ME)
    write(run, b"garbage\n", b"\x00\xff\n", b"[]\n", b'{"command":"dance","id":"1"}\n', b"\n")
    write(run, stop("2", ME).line().replace(b'"ada"', b'"' + b"a" * 5000 + b'"'))
    write(run, b'{"command":"start","id":"9","engine":"9f8e7d6c"}\n', stop("3").line())
    assert [command.id for command in file.poll()] == ["3"]
    assert len(file.take_warnings()) == 1
    write(run, b"more garbage\n")
    assert (file.poll(), file.take_warnings()) == ([], [])


def test_half_a_line_waits_for_its_other_half(run: RunDirectory) -> None:
    file = ControlFile(run.control, ME)
    line = stop("1").line()
    write(run, line[:20])
    assert (file.poll(), file.take_warnings()) == ([], [])
    write(run, line[20:])
    assert [command.id for command in file.poll()] == ["1"]


@pytest.mark.parametrize("missing", [1, 2, 20])
def test_half_a_line_of_a_dead_writer_is_no_command_and_does_not_swallow_the_next(
    run: RunDirectory, missing: int
) -> None:
    file = ControlFile(run.control, ME)
    write(run, stop("dead").line()[:-missing])
    append_command(run.control, stop("1"))
    assert [command.id for command in file.poll()] == ["1"]


@given(st.lists(st.binary(max_size=200), max_size=8), st.integers(0, 8))
def test_no_bytes_before_or_after_prevent_a_command_from_being_read(
    tmp_path_factory: pytest.TempPathFactory, noise: list[bytes], at: int
) -> None:
    run = make_run_directory(tmp_path_factory.mktemp("runs"), "run")
    file = ControlFile(run.control, ME)
    heard = []
    for piece in noise[:at]:
        write(run, piece)
        heard += file.poll()
    append_command(run.control, stop("mine"))
    heard += file.poll()
    for piece in noise[at:]:
        write(run, piece)
        heard += file.poll()
    assert [command.id for command in heard] == ["mine"]


def test_a_flood_without_a_line_end_does_not_stop_command_reading(run: RunDirectory) -> None:
    file = ControlFile(run.control, ME)
    write(run, b"x" * (READ_LIMIT + 10))
    append_command(run.control, stop("1"))
    assert [command.id for _ in range(3) for command in file.poll()] == ["1"]


def test_an_empty_line_before_a_flood_does_not_stop_command_reading(run: RunDirectory) -> None:
    file = ControlFile(run.control, ME)
    write(run, b"\n" + b"x" * (READ_LIMIT + 10))
    append_command(run.control, stop("1"))
    assert [command.id for _ in range(3) for command in file.poll()] == ["1"]


def test_a_file_that_was_cut_is_read_from_its_start(run: RunDirectory) -> None:
    file = ControlFile(run.control, ME)
    for number in range(3):
        append_command(run.control, stop(f"{number}"))
    assert len(file.poll()) == 3
    os.truncate(run.control, 0)
    append_command(run.control, stop("new"))
    assert [command.id for command in file.poll()] == ["new"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_another_users_file_is_ignored_and_logged(run: RunDirectory) -> None:
    file = ControlFile(run.control, ME)
    append_command(run.control, stop())
    os.chown(run.control, 54321, -1)
    assert file.poll() == []
    assert ["belongs to user 54321" in words for words in file.take_warnings()] == [True]


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_an_entry_that_is_not_a_file_is_not_waited_for(run: RunDirectory, tmp_path: Path, kind: str) -> None:
    file = ControlFile(run.control, ME)
    run.control.path.unlink()
    if kind == "fifo":
        os.mkfifo(run.control)
    else:
        (tmp_path / "elsewhere").write_bytes(stop().line())
        run.control.path.symlink_to(tmp_path / "elsewhere")
    assert file.poll() == []
    with pytest.raises(NothingToCommand) as refused:
        append_command(run.control, stop())
    assert (refused.value.code, refused.value.fields["path"]) == (Control.UNWRITABLE.code, run.control)


def test_while_an_engine_prepares_last_does_not_mean_an_older_run(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    older = make_run_directory(workspace.make_outputs(), "20261122_cells_mini-cnn_1a2b3c")
    older.manifest.path.write_text('{"started": "2026-11-22T00:00:00+00:00"}')
    lock = WorkspaceLock(workspace.lock_file)
    lock.acquire()
    try:
        with pytest.raises(UsageError) as refused:
            resolve_run(workspace, "last")
        assert refused.value.code == Control.NO_DIRECTORY_YET.code
        assert str(refused.value.fields["holder"]).startswith(f"engine {os.getpid()} ")
        assert resolve_run(workspace, older.name) == older
    finally:
        lock.release()
    assert resolve_run(workspace, "last") == older


def test_only_the_engines_user_may_write(run: RunDirectory) -> None:
    assert stat.S_IMODE(run.control.path.stat().st_mode) == 0o600


def test_many_writers_at_once_leave_complete_lines(run: RunDirectory) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from engine.contract.wire.protocol import Stop; from engine.contract.store.run_directory import RunDirectory\n"
        "from medtui.client.control import append_command\n"
        "for n in range(50): append_command(RunDirectory(Path(sys.argv[1])).control, Stop(id=f'{sys.argv[2]}-{n}'))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, run.root, str(number)]) for number in range(4)]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    ids = {json.loads(line)["id"] for line in run.control.path.read_text().splitlines()}
    assert ids == {f"{writer}-{n}" for writer in range(4) for n in range(50)}


def test_a_stopped_writer_does_not_block_the_others_permanently(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "WRITER_PATIENCE", 0.1)
    with run.control.path.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(NothingToCommand) as refused:
            append_command(run.control, stop())
        assert (refused.value.code, refused.value.fields["path"]) == (Control.UNWRITABLE.code, run.control)
    append_command(run.control, stop())


@pytest.mark.parametrize(
    "line", [b"junk", b'{"engine": "9f8e7d6c", "command": "pause"', b'{"engine": "9f8e7d6c", "command": "%d"}'], ids=str
)
def test_a_flood_is_read_in_bounded_steps_and_a_command_after_it_is_read(run: RunDirectory, line: bytes) -> None:
    file = ControlFile(run.control, ME)
    with run.control.path.open("ab") as flood:
        for number in range(400_000):
            flood.write((line % number if b"%d" in line else line) + b"\n")
    append_command(run.control, stop("1"))
    heard: list[str] = []
    polls = 0
    while not heard:
        began = time.thread_time()
        heard = [command.id for command in file.poll()]
        assert time.thread_time() - began < 1.0
        polls += 1
        assert polls < 60, "half a minute"
    assert heard == ["1"]
    assert 1 <= len(file.take_warnings()) <= 2


def test_a_command_amid_a_flood_is_read(run: RunDirectory) -> None:
    file = ControlFile(run.control, ME)
    write(run, b"junk\n" * 500_000)
    append_command(run.control, stop("1"))
    write(run, b"more junk\n" * 500_000)
    assert [command.id for _ in range(60) for command in file.poll()] == ["1"]
