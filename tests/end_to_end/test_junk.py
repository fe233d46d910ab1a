"""Whatever stands in the files of a run: no command ends with a traceback, and no control reaches the terminal."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from driving import medtui, tiny, yaml_of
from forked import CommandOutput, Commands
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract.store.run_directory import RunDirectory, list_runs

HOSTILE = [
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b2J\x9d0;owned\x9c",
    "\x7f\b\b\r\n\x00 completed",
    "\u202edetelpmoc\u2066\u200f\u2028",
    "[/x]",
    "[bold red]x[/bold red] [link=https://example.org]y[/link] [@click=app.quit]z",
    "\ud800 and \udcff",
    "é 漢字 👩‍🔬 e\u0301\u0301",
    "x" * 1_000_000,
    "",
]
ODD = [None, True, -1, 0, 10**400, 2**53 + 1, 1e308, float("nan"), float("inf"), [], {}, [[]], {"": None}, "NaN"]
ODD_BYTES = [
    b"",
    b"\xff\xfe\x00",
    b"\x1b[2J\x9b\x00\r\n",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"event":"log","time":1,"seq":3,"message":"\xff"}\n',
    b"null",
    b"[1]\n{}\n",
    b"1" * 6000,
]
COMMANDS = (
    ("runs",),
    ("runs", "--json"),
    ("show", "RUN"),
    ("show", "RUN", "--json"),
    ("attach", "RUN"),
    ("attach", "RUN", "--json"),
    ("runs", "tag", "RUN"),
    ("runs", "tag", "RUN", "mine"),
    ("runs", "note", "RUN"),
    ("stop", "RUN"),
)


@pytest.fixture(scope="module")
def run_command() -> Iterator[Commands]:
    commands = Commands(impatient=True)
    yield commands
    commands.close()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A real run of a few seconds, finished and tagged, in a separate workspace."""
    root = tmp_path_factory.mktemp("finished")
    (root / "recipe.yaml").write_text(yaml_of(tiny(training={"epochs": 1})))
    assert medtui("run", "recipe.yaml", cwd=root).returncode == 0
    (run,) = list_runs(root / "outputs")
    assert medtui("runs", "tag", run.name, "good", cwd=root).returncode == 0
    assert medtui("evaluate", run.name, cwd=root).returncode == 0
    return run


def files_of(run: RunDirectory) -> list[Path]:
    """Every file that a command may read, and the workspace's lock; relative to the workspace."""
    root = run.root.parent.parent
    found = sorted(path for path in root.rglob("*") if path.is_file() and path.stat().st_size < 500_000)
    names = [path.relative_to(root) for path in found]
    known = {name.name for name in names}
    assert {"manifest.json", "status.json", "events.jsonl", "labels.json", "recipe.yaml", ".medtui.lock"} <= known
    return names


def assert_safe(done: CommandOutput, what: object) -> None:
    shown = done.out_bytes + done.err_bytes
    assert done.code != 70 and b"Traceback" not in shown, f"{what}: {done.code}\n{done.err}"
    text = shown.decode()  # it is UTF-8
    controls = {hex(ord(one)) for one in text if one != "\n" and not one.isprintable() and one != "\u00a0"}
    assert not controls, f"{what}: {controls}"
    lines = [line for line in text.split("\n") if not line.lstrip().startswith(("{", '"'))]  # JSON has whole values
    assert max(map(len, lines), default=0) < 10_000, f"{what}: a line of {max(map(len, lines))} characters"


def put(value: Any, key_path: list[Any], new: Any) -> Any:
    """The value with something else at a path, which is followed as far as it exists."""
    if not key_path or not isinstance(value, dict | list) or not value:
        return new
    at = key_path[0]
    if isinstance(value, dict):
        key = sorted(value)[at % len(value)]
        return {**value, key: put(value[key], key_path[1:], new)}
    at %= len(value)
    return [*value[:at], put(value[at], key_path[1:], new), *value[at + 1 :]]


junk_values = st.sampled_from([*HOSTILE, *ODD])
places = st.lists(st.integers(0, 40), min_size=1, max_size=4)


@st.composite
def spoilings(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """A way to spoil a file's content."""
    how = draw(st.sampled_from(["bytes", "value", "value", "value", "line", "cut", "flip"]))
    odd, at = draw(st.sampled_from(ODD_BYTES) | st.binary(max_size=40)), draw(st.integers(0, 10**6))
    key_path, new = draw(places), draw(junk_values)

    def spoil(content: bytes) -> bytes:
        at_ = at % (len(content) + 1)
        if how == "bytes":
            return odd
        if how == "line":
            lines = content.split(b"\n")
            return b"\n".join([*lines[: at % len(lines)], odd, *lines[at % len(lines) :]])
        if how == "cut":
            return content[:at_]
        if how == "flip":
            return content[:at_] + odd[:1] + content[at_ + 1 :]
        return _with_value(content, at, key_path, new)

    return spoil


def _with_value(content: bytes, at: int, key_path: list[int], new: Any) -> bytes:
    """Another value in one of the file's JSON objects; for a file of none, text in the middle."""

    def spoilt(text: bytes) -> bytes:
        return json.dumps(put(json.loads(text), key_path, new), ensure_ascii="\ud800" in str(new)).encode()

    with contextlib.suppress(ValueError):
        return spoilt(content)
    lines = content.split(b"\n")
    number = at % max(1, len(lines) - 1)
    try:
        lines[number] = spoilt(lines[number])
    except ValueError:
        lines[number] += str(new)[:5000].encode(errors="replace")
    return b"\n".join(lines)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers(0, 1000), spoil=spoilings(), commands=st.permutations(COMMANDS))
def test_junk_in_any_file_of_a_run_is_a_mark_and_no_traceback(
    finished: RunDirectory,
    run_command: Commands,
    tmp_path_factory: pytest.TempPathFactory,
    number: int,
    spoil: Callable[[bytes], bytes],
    commands: list[tuple[str, ...]],
) -> None:
    source, workspace = finished.root.parent.parent, tmp_path_factory.mktemp("junk")
    shutil.copytree(source, workspace, dirs_exist_ok=True)
    names = files_of(finished)
    name = names[number % len(names)]
    path = workspace / name
    path.write_bytes(spoil(path.read_bytes()))
    for command in commands[:5]:
        arguments = [finished.name if word == "RUN" else word for word in command]
        assert_safe(run_command(*arguments, cwd=workspace), (name, command, path.read_bytes()[:300]))
    shutil.rmtree(workspace)
