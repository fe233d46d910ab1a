"""What a system does not report is unknown, and ends nothing: psutil may raise anything on an unusual /proc."""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pytest
from driving import Engine, medtui, tiny

from engine.contract.recipe.reader import build_recipe
from engine.contract.store.workspace import Workspace
from medtui.client.preflight import preflight
from medtui.machine.hardware import HardwareReader

# Python imports this at its start: psutil is as where /proc is hidden, half mounted, or of another kernel.
BROKEN = """
import psutil
def refuse(*_, **__):
    raise {error}
for name in ("virtual_memory", "cpu_percent", "cpu_times", "disk_usage", "swap_memory", "boot_time"):
    setattr(psutil, name, refuse)
for name in ("memory_info", "cpu_percent"):
    setattr(psutil.Process, name, refuse)
"""
ERRORS = [
    "psutil.AccessDenied(1)",
    "psutil.NoSuchProcess(1)",
    "FileNotFoundError(2, 'No such file or directory', '/proc/stat')",
    "ValueError('invalid literal for int()')",
    "RuntimeError('no sysfs')",
]


def broken(folder: Path, error: str) -> dict[str, str]:
    (folder / "lib").mkdir()
    (folder / "lib/sitecustomize.py").write_text(BROKEN.format(error=error))
    root = Path(__file__).resolve().parents[2]
    return {"PYTHONPATH": f"{folder / 'lib'}{os.pathsep}{root}"}


def one_and_others(errors: list[str]) -> list[Any]:
    """The others are of a kind with the first: the call that raised is given up for whatever it raised."""
    return [errors[0], *(pytest.param(error, marks=pytest.mark.slow) for error in errors[1:])]


@pytest.mark.parametrize("error", one_and_others(ERRORS[:3]))
@pytest.mark.slow
def test_a_run_completes_although_the_system_reports_no_memory_or_load(tmp_path: Path, error: str) -> None:
    engine = Engine(tmp_path, environment=broken(tmp_path, error))
    try:
        engine.train(tiny(training={"epochs": 1}))
        finished = engine.wait_for_event("run.finished")
        assert (finished["outcome"], engine.end()) == ("completed", 0), finished
    finally:
        engine.kill()


@pytest.mark.slow
@pytest.mark.parametrize("error", one_and_others(ERRORS[3:]))
def test_doctor_answers_although_the_system_reports_nothing(tmp_path: Path, error: str) -> None:
    done = medtui("doctor", "--json", "--workspace", ".", cwd=tmp_path, environment=broken(tmp_path, error))
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr
    assert {"memory", "disk", "cores"} <= {check["id"] for check in json.loads(done.stdout)["checks"]}


def test_machine_screen_and_preflight_show_what_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise psutil.AccessDenied(1)

    for name in ("virtual_memory", "cpu_percent", "cpu_times", "disk_usage"):
        monkeypatch.setattr(psutil, name, refuse)
    found = HardwareReader()(tmp_path)
    assert found.cores == () and found.load == 0.0 and found.disk_free
    ready = preflight(build_recipe(tiny()), Workspace(tmp_path), [], date(2026, 1, 1))
    assert ready.memory_free is None or ready.memory_free > 0
