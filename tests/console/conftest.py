"""The console in a terminal of the test's size, with an isolated clock, date and machine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest
from stand_ins import START, Scripted, scripted_engine

from engine.contract.store.workspace import Workspace
from medtui.client import preflight
from medtui.console.app import ConsoleApp
from medtui.console.shell import garbage
from medtui.console.shell.capability import marks
from medtui.settings import Settings


@pytest.fixture(autouse=True)
def isolated_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Isolated settings and drafts, UTC, braille, 24-bit colours, 24 GB of free memory, no CUDA, float32."""
    path = tmp_path / "config" / "settings.yaml"
    monkeypatch.setenv("MEDTUI_SETTINGS", str(path))
    monkeypatch.setenv("MEDTUI_MARKS", "braille")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("COLORTERM", "truecolor")  # pictures are half blocks
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(preflight, "has_cuda_build", lambda: False)
    monkeypatch.setattr(preflight, "cpu_has_bfloat16", lambda: False)
    monkeypatch.setattr(
        preflight, "memory", lambda: SimpleNamespace(available=24_000_000_000, total=32_000_000_000, limit=None)
    )
    # a console keeps its objects for as long as its process lives: here that is many consoles
    monkeypatch.setattr(garbage.gc, "freeze", lambda: None)
    time.tzset()
    marks.cache_clear()
    yield path
    monkeypatch.undo()
    time.tzset()
    marks.cache_clear()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    root = tmp_path / "work"
    root.mkdir()
    return Workspace(root)


@pytest.fixture
def scripts() -> list[Scripted]:
    """The scripted engines that the console made, in order."""
    return []


@pytest.fixture
def console(workspace: Workspace, scripts: list[Scripted]) -> Callable[..., ConsoleApp]:
    """Makes the app; its engines are scripted."""

    def make(**more: object) -> ConsoleApp:
        def make_engine(workspace: Workspace) -> object:
            engine, script = scripted_engine(workspace)
            scripts.append(script)
            return engine

        options = {"settings": Settings(bell=False, notify=False), "warm": False, "make_engine": make_engine}
        app = ConsoleApp(workspace, **{**options, **more})  # type: ignore[arg-type]
        app.today, app.now = lambda: date(2026, 11, 22), lambda: START + 58
        return app

    return make


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files of this process go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder
