"""Work in a child process, as long as it gives signs of life: its result, its errors, and what becomes of silence."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

# In a process of its own, as commands are: a fork of one with threads is another matter
PROGRAM = """
import json, os, sys, time
from engine.contract.sentence import Sentence
from engine.contract.wire.errors import MedtuiError, UsageError
from medtui.client.timeout import run_with_timeout

def large(alive):
    return {"text": "x" * 300_000, "dots": "....", "none": None}

def chatty(alive):
    for _ in range(8):
        alive()
        time.sleep(0.25)
    return "after 2 s"

def busy(alive):
    began = time.process_time()
    while time.process_time() - began < 1.5:
        pass
    return "computed"

def silent(alive):
    open(sys.argv[2], "w").write(str(os.getpid()))
    time.sleep(600)

def refused(alive):
    raise UsageError(Sentence("Expected a run, found none.", "Name one."))

def broken(alive):
    return 1 // 0

def ended(alive):
    os._exit(0)

def loud(alive):
    print("to nowhere", flush=True)
    os.write(2, b"to nowhere")
    return sys.stdin.read()

try:
    print(json.dumps(run_with_timeout(globals()[sys.argv[1]], "the outputs", patience=1.0)))
except MedtuiError as error:
    print(json.dumps([type(error).__name__, error.message, error.hint]))
"""


@pytest.fixture
def pid_file(tmp_path: Path) -> Path:
    return tmp_path / "pid"


def result(work: str, pid_file: Path) -> object:
    command = [sys.executable, "-c", PROGRAM, work, str(pid_file)]
    done = subprocess.run(command, input="typed", capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        ("large", {"text": "x" * 300_000, "dots": "....", "none": None}),
        ("chatty", "after 2 s"),
        ("busy", "computed"),
        ("loud", ""),
        ("refused", ["UsageError", "Expected a run, found none.", "Name one."]),
    ],
)
def test_work_has_its_result_or_error_however_large_and_as_long_as_it_lives(
    work: str, expected: object, pid_file: Path
) -> None:
    """Twice its patience is no matter for work that reports, or computes. Its output and input are nobody's."""
    assert result(work, pid_file) == expected


def test_an_error_that_nobody_foresaw_and_an_end_without_a_result_are_said(pid_file: Path) -> None:
    kind, message, _ = result("broken", pid_file)  # type: ignore[misc]
    assert kind == "MedtuiError" and "ZeroDivisionError" in message
    kind, message, _ = result("ended", pid_file)  # type: ignore[misc]
    assert kind == "DiskNotResponding" and "without a result" in message


def test_silence_ends_after_the_patience_and_the_child_is_killed(pid_file: Path) -> None:
    kind, message, _ = result("silent", pid_file)  # type: ignore[misc]
    assert kind == "DiskNotResponding" and "the outputs" in message
    stat = Path(f"/proc/{pid_file.read_text()}/stat")
    for _ in range(200):  # it is adopted and buried by another process
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("it lives on")
