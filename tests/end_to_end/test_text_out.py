"""What leaves for a terminal or a script: no control, no markup, and all of it, however slow the reader."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from driving import MEDTUI, medtui, tiny, yaml_of
from forked import CommandOutput, Commands
from test_junk import HOSTILE, assert_safe

from engine.contract.store.lock import WorkspaceLock
from engine.contract.store.run_directory import RunDirectory, list_runs

PIPE = 4096  # bytes, the least that a pipe can hold


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With one real run of seconds."""
    root = tmp_path_factory.mktemp("text_out")
    (root / "recipe.yaml").write_text(yaml_of(tiny(training={"epochs": 1})))
    assert medtui("run", "recipe.yaml", cwd=root).returncode == 0
    return root


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    commands = Commands(impatient=True)
    yield commands
    commands.close()


@pytest.fixture
def run(workspace: Path) -> RunDirectory:
    (found,) = list_runs(workspace / "outputs")
    return found


# ---- a slow reader (F14) -------------------------------------------------------------------------------------------


def late_reader(arguments: list[str], cwd: Path, *, error: bool = False) -> tuple[int, bytes]:
    """Exit code and output through a small non-blocking pipe that is read only once the writer waits."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE)
    os.set_blocking(writing, False)
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stderr" if error else "stdout": writing}
    process = subprocess.Popen([*MEDTUI, *arguments], cwd=cwd, stdin=subprocess.DEVNULL, **streams)  # type: ignore[call-overload]
    os.close(writing)
    _await_full(reading, process)
    with os.fdopen(reading, "rb") as pipe:
        content = pipe.read()
    return process.wait(60), content


def _await_full(reading: int, process: subprocess.Popen[bytes]) -> None:
    """Until no more goes in, or the writer has ended."""
    ended, before = threading.Event(), -1
    threading.Thread(target=lambda: (process.wait(), ended.set()), daemon=True).start()
    while not ended.wait(0.5):
        there = int.from_bytes(fcntl.ioctl(reading, termios.FIONREAD, bytes(4)), "little")
        if there == before and there > PIPE // 2:
            return
        before = there


@pytest.mark.parametrize("command", ["recipe schema", "attach last --json", "data list --json"])
def test_a_late_reader_gets_all_output_from_a_non_blocking_pipe(command: str, workspace: Path) -> None:
    arguments = command.split()
    code, received = late_reader(arguments, workspace)
    assert (code, received.decode()) == (0, medtui(*arguments, cwd=workspace).stdout)
    assert len(received) > PIPE


def test_run_json_ends_with_its_last_event_however_late_the_reader_comes(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(yaml_of(tiny(training={"epochs": 1})))
    code, received = late_reader(["run", "recipe.yaml", "--json"], tmp_path)
    events = [json.loads(line) for line in received.splitlines()]
    assert code == 0 and len(received) > PIPE
    assert (events[0]["event"], events[-1]["event"]) == ("hello", "run.finished")


def test_an_error_arrives_complete_through_a_non_blocking_pipe(workspace: Path) -> None:
    words = [f"--set=training.x{number}={'y' * 200}" for number in range(100)]
    code, received = late_reader(["run", "quickstart", *words], workspace, error=True)
    assert code == 2
    assert received.startswith(b"medtui: ") and received.endswith(b"\n")


def test_a_reader_that_disconnects_ends_a_command_as_usual(workspace: Path) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE)
    os.set_blocking(writing, False)
    process = subprocess.Popen(
        [*MEDTUI, "recipe", "schema"], cwd=workspace, stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    _await_full(reading, process)  # type: ignore[arg-type]
    os.close(reading)
    assert (process.communicate(timeout=60)[1], process.returncode) == ("", 0)


# ---- hostile text (A14) --------------------------------------------------------------------------------------------

FORGED = "\x1b]0;owned\x07\x9b2J\x7f\u202e[/x][bold]!\r\n"


def said(done: CommandOutput) -> str:
    assert_safe(done, "")
    return (done.out_bytes + done.err_bytes).decode()


def forged(path: Path, old: str, new: str) -> Callable[[], int]:
    """Put `new` for `old` in a file of JSON; gives what puts it back."""
    before = path.read_bytes()
    text = before.decode().replace(json.dumps(old), json.dumps(new, ensure_ascii=True))
    assert text != before.decode()
    path.write_text(text)
    return lambda: path.write_bytes(before)


@pytest.mark.parametrize("text", [*HOSTILE, FORGED], ids=lambda text: ascii(text)[:20])
def test_a_tag_of_any_text_is_shown_by_runs_and_show(
    text: str, run: RunDirectory, workspace: Path, commands: Commands
) -> None:
    run.labels.path.write_text(json.dumps({"tags": [text], "note": text}))
    done = [commands(*words, cwd=workspace) for words in (["runs"], ["show"], ["runs", "tag", run.name])]
    assert [one.code for one in done] == [0, 0, 0]
    shown = [said(one) for one in done]
    if text == "[/x]":
        assert all("[/x]" in one for one in shown)
    run.labels.path.unlink()


def test_forged_names_in_a_journal_reach_no_terminal_and_no_script_raw(
    run: RunDirectory, workspace: Path, commands: Commands
) -> None:
    back = [forged(run.journal.path, word, FORGED) for word in (run.name, "basophil", "cells")]
    done = commands("attach", "last", cwd=workspace)
    assert done.code == 0 and said(done).count("·]0;owned··2J··[/x][bold]!··") >= 3
    done = commands("attach", "last", "--json", cwd=workspace)
    assert done.code == 0 and said(done)
    events = [json.loads(line) for line in done.out_bytes.split(b"\n")[:-1]]
    started = next(event for event in events if event["event"] == "run.started")
    assert (started["run"], started["dataset"], started["class_names"][0]) == (FORGED, FORGED, FORGED)
    back[0]()


def test_raw_control_characters_inside_json_are_escaped_and_mean_the_same(
    run: RunDirectory, workspace: Path, commands: Commands
) -> None:
    before = run.journal.path.read_bytes()
    line = '{"event":"log",\t"time":1,\r"level":"info","message":"\x7f\x9b2J\u202e\u2028\U000e0041 é漢"}'
    run.journal.path.write_bytes(line.encode() + b"\n" + before)
    done = commands("attach", "last", "--json", cwd=workspace)
    run.journal.path.write_bytes(before)
    assert said(done)
    assert json.loads(done.out_bytes.split(b"\n")[0]) == json.loads(line)
    assert "é漢" in done.out, "what is only text stays readable"


def test_lines_that_are_not_json_are_left_out_and_counted_once(
    run: RunDirectory, workspace: Path, commands: Commands
) -> None:
    before = run.journal.path.read_bytes()
    junk = b'{"event":"log","message":"\xff"}\n\x1b[2J\nnull\n' + b"[" * 100_000 + b'\n{"event":"x","time":NaN}\n'
    run.journal.path.write_bytes(junk + before)
    done = commands("attach", "last", "--json", cwd=workspace)
    run.journal.path.write_bytes(before)
    assert (done.code, done.out_bytes) == (0, before)
    assert done.err == "medtui: 5 lines skipped: not a JSON object in UTF-8.\n"


@pytest.mark.parametrize("command", [["run", "recipe.yaml"], ["run", "recipe.yaml", "--wait"], ["runs"]])
def test_the_text_of_a_lock_is_shown_without_control_characters(
    command: list[str], workspace: Path, commands: Commands
) -> None:
    lock = WorkspaceLock(workspace / "outputs" / ".medtui.lock")
    lock.acquire()
    lock.describe(FORGED)
    values = json.loads(lock.file.path.read_text())
    lock.file.path.write_text(json.dumps(values | {"host": FORGED}))
    try:
        done = commands(*command, cwd=workspace, patience=8 if "--wait" in command else 60)
    finally:
        lock.release()
    shown = said(done)
    assert "owned" in shown or command == ["runs"]


ARGUMENTS = [
    ["runs", f"--{FORGED}"],
    [FORGED],
    ["show", FORGED],
    ["attach", FORGED],
    ["attach", FORGED, "--json"],
    ["stop", FORGED, "--json"],
    ["evaluate", "\udcff\udc9b"],
    ["recipe", "validate", FORGED],
    ["recipe", "validate", "\udcff", "--json"],
    ["run", "--set", f"dataset.name={FORGED}"],
    ["run", "--set", FORGED],
    ["run", f"--model-name={FORGED}", "--json"],
    ["run", "\udc9b2J", "--json"],
    ["run", "--epochs", FORGED],
    ["data", "fetch", FORGED],
    ["data", "list", "--data", f"/nowhere/{FORGED}"],
    ["score", "\udcff" + FORGED],
    ["runs", "note", "last", FORGED],
    ["runs", "--workspace", FORGED],
    ["recipe", "init", f"/nowhere/{FORGED}"],
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=lambda arguments: ascii(" ".join(arguments))[:40])
def test_command_line_text_is_repeated_without_control_characters(
    arguments: list[str], workspace: Path, commands: Commands
) -> None:
    done = commands(*arguments, cwd=workspace)
    assert said(done)
    if "--json" in arguments and done.out:
        assert json.loads(done.out.splitlines()[-1])


SHOWN = ("MEDTUI_DATA", "MEDTUI_SETTINGS")  # what doctor names a problem of
OTHERS = ("MEDTUI_MIRROR", "TERM", "MEDTUI_CACHE", "USER")


@pytest.mark.parametrize("name", [*SHOWN, *OTHERS])
def test_an_environment_variable_is_shown_without_control_characters(
    name: str, workspace: Path, commands: Commands
) -> None:
    environment = {name: FORGED.strip() + "\udcff"}
    for command in (["data", "list"], ["runs"]):
        assert said(commands(*command, cwd=workspace, environment=environment))


@pytest.mark.parametrize("name", [*SHOWN, *OTHERS])
@pytest.mark.everyday("MEDTUI_SETTINGS")
def test_doctor_shows_an_environment_variable_without_control_characters(name: str, workspace: Path) -> None:
    """Its engine is forked with it, which those of `Commands` are not."""
    environment = {**os.environ, name: FORGED.strip() + "\udcff"}
    done = subprocess.run([*MEDTUI, "doctor"], cwd=workspace, env=environment, capture_output=True, check=False)
    assert said(CommandOutput(done.returncode, done.stdout, done.stderr))


def test_folders_and_files_of_any_name_are_listed_without_control_characters(
    workspace: Path, tmp_path: Path, commands: Commands
) -> None:
    odd = os.fsencode(FORGED.replace("/", "|")) + b"\xff"
    place = Path(os.fsdecode(bytes(tmp_path) + b"/" + odd))
    (place / "outputs").mkdir(parents=True)
    (source,) = list_runs(workspace / "outputs")
    _copy(source.root, tmp_path).rename(place / "outputs" / place.name)
    for command in (
        ["runs"],
        ["runs", "--json"],
        ["show"],
        ["show", "--json"],
        ["attach"],
        ["runs", "archive", "last"],
    ):
        assert said(commands(*command, "--workspace", str(place), cwd=tmp_path))


def _copy(folder: Path, to: Path) -> Path:
    import shutil

    return Path(shutil.copytree(folder, to / "copy"))
