"""Machines that lack something, or have it broken: one sentence or a complete run, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import openpyxl
import pytest
from driving import MEDTUI, PATIENCE, Engine, medtui, tiny, yaml_of

from engine.contract.store.lock import LockState
from engine.contract.store.workspace import Workspace
from medtui.client.own_engine import OwnEngine

ROOT = Path(__file__).resolve().parents[2]
BROKEN = "raise RuntimeError('damaged by hand')\n"
# Python imports this at its start: a machine whose clock has no battery
IN_1970 = """
import time
_time, _localtime, _gmtime = time.time, time.localtime, time.gmtime
_offset = _time() - 90_000.0
time.time = lambda: _time() - _offset
time.localtime = lambda seconds=None: _localtime(time.time() if seconds is None else seconds)
time.gmtime = lambda seconds=None: _gmtime(time.time() if seconds is None else seconds)
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    engines: list[Engine] = []

    def start(*arguments: str, **environment: str) -> Engine:
        engines.append(Engine(tmp_path, *arguments, environment=environment))
        return engines[-1]

    yield start
    for one in engines:
        one.kill()


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "not warm"])
def test_a_broken_torch_is_reported_as_an_event_by_a_warm_engine_too(
    warm: bool, tmp_path: Path, engine: Callable[..., Engine]
) -> None:
    (tmp_path / "lib/torch").mkdir(parents=True)
    (tmp_path / "lib/torch/__init__.py").write_text(BROKEN)
    started = engine(*["--warm"] * warm, PYTHONPATH=str(tmp_path / "lib"))
    started.train(tiny())
    finished = started.wait_for_event("run.finished")
    assert (finished["outcome"], finished["exit_code"], started.end()) == ("failed", 2, 2)
    assert finished["error"]["kind"] == "installation" and "damaged by hand" in finished["error"]["message"]


@pytest.mark.slow
def test_a_variable_that_torch_cannot_read_is_named(engine: Callable[..., Engine]) -> None:
    started = engine(TORCH_LOGS="nonsense")
    started.train(tiny())
    error = started.wait_for_event("run.finished")["error"]
    assert started.end() == 2 and error["kind"] == "installation" and "TORCH_LOGS" in error["hint"]


@pytest.mark.slow
def test_a_run_is_complete_although_the_clock_says_1970(tmp_path: Path, engine: Callable[..., Engine]) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/sitecustomize.py").write_text(IN_1970)
    started = engine(PYTHONPATH=f"{tmp_path / 'lib'}{os.pathsep}{ROOT}")
    started.train(tiny(training={"epochs": 1}))
    finished = started.wait_for_event("run.finished")
    assert finished["time"] < 1e6, "the clock is set back"
    assert (finished["outcome"], started.end(), started.of("alarm")) == ("completed", 0, [])
    (workbook,) = (tmp_path / "outputs").glob("*/reports/report.xlsx")
    assert "Summary" in openpyxl.load_workbook(workbook).sheetnames


@pytest.mark.slow
def test_without_proc_commands_answer_in_sentences(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml_of(tiny(training={"epochs": 1}, evaluation={"test": False})))
    for arguments in (["doctor"], ["runs"], ["run", "tiny.yaml"]):
        hidden = ["unshare", "--mount", "sh", "-c", 'umount --lazy /proc && exec "$@"', "sh", *MEDTUI, *arguments]
        done = subprocess.run(hidden, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False)
        if "umount" in done.stderr or "unshare" in done.stderr:
            pytest.skip(f"cannot hide /proc here: {done.stderr.strip()}")
        assert "Traceback" not in done.stderr and done.returncode in (0, 1, 2), (arguments, done.stderr)


def test_a_disk_without_free_inodes_is_not_to_be_made_writable(disk: Callable[[str], Path], tmp_path: Path) -> None:
    workspace = disk("nr_inodes=40,size=50m")
    (tmp_path / "tiny.yaml").write_text(yaml_of(tiny()))
    with pytest.raises(OSError):
        for number in range(100):
            (workspace / f"{number}").touch()
    for command in (["run", tmp_path / "tiny.yaml"], ["doctor"]):
        done = medtui(*command, "--workspace", workspace, cwd=tmp_path)
        told = done.stdout + done.stderr
        assert done.returncode in (1, 2) and "df -i" in told and "Make it writable" not in told, told


@pytest.mark.slow
def test_a_limit_on_the_size_of_files_refuses_before_the_first_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_text(yaml_of(tiny(model={"name": "resnet18", "pretrained": False})))
    limited = ["bash", "-c", 'ulimit -f 51200 && exec "$@"', "bash", *MEDTUI, "run", "large.yaml"]
    done = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2 and "ulimit -f" in done.stderr, done.stdout + done.stderr
    assert not [path for path in (tmp_path / "outputs").iterdir() if path.name[0] != "."]


def test_standard_output_on_a_full_disk_is_reported_and_the_run_completes(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml_of(tiny(training={"epochs": 1})))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*MEDTUI, "run", "tiny.yaml", "--json"], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 0 and "No space left on device" in done.stderr
    assert json.loads(next((tmp_path / "outputs").glob("*/status.json")).read_text())["outcome"] == "completed"


TAKE_AT_ONCE = """
import sys, time
from engine.contract.store.lock import WorkspaceLock
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import MedtuiError
from pathlib import Path
lock = WorkspaceLock(Workspace(Path(sys.argv[1])).lock_file, "another")
print("waiting", flush=True)
while True:
    try:
        lock.acquire()
        break
    except MedtuiError:
        time.sleep(0.001)
print("taken", flush=True)
sys.stdin.read()
"""


def test_the_lock_is_free_for_who_waits_for_an_engine_though_another_takes_it_at_once(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    own = OwnEngine(workspace, warm=False)
    own.start(tiny(training={"epochs": 2000, "patience": None}), [], [], "test")
    deadline = time.monotonic() + PATIENCE
    while own.view.state.epochs.last is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    command = [sys.executable, "-c", TAKE_AT_ONCE, str(tmp_path)]
    next_one = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert next_one.stdout is not None and next_one.stdout.readline() == "waiting\n"
        own.command("abort", "test")
        assert next_one.stdout.readline() == "taken\n"
        began = time.monotonic()
        while own.view.after.lock_free is None:
            assert time.monotonic() - began < PATIENCE, own.view.after
            time.sleep(0.02)
        assert LockState.read(workspace.lock_file).held, "by the other one"
    finally:
        next_one.kill()
        next_one.wait()
