"""Helpers for a console under test: what its screen shows, and waiting until it does."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from textual.pilot import Pilot

from medtui.console.app import ConsoleApp

PATIENCE = 60.0  # seconds; the machine may be loaded
# `medtui` for a terminal, without the engine that it keeps warm: three seconds of a core where a test starts no run
_PROGRAM = "from medtui.console.shell.engines import Engines; Engines.warm_up = lambda engines: None"
ENGINELESS = [sys.executable, "-P", "-c", f"{_PROGRAM}; from medtui.cli import main; main()"]


def screen_text(app: ConsoleApp) -> str:
    """What a person reads now."""
    lines = (strip.text.rstrip() for strip in app.screen._compositor.render_strips(app.size))
    return "\n".join(lines).rstrip() + "\n"


async def wait_for(pilot: Pilot[int], true: Callable[[], object], patience: float = PATIENCE) -> None:
    """Until something is true, checked after each turn of the loop."""
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline, f"not within {patience:.0f} s:\n{screen_text(pilot.app)}"  # type: ignore[arg-type]
        await pilot.pause(0.02)
    await pilot.pause()


async def shows(pilot: Pilot[int], *words: str) -> None:
    """Until the screen has all these words."""
    await wait_for(pilot, lambda: all(word in screen_text(pilot.app) for word in words))  # type: ignore[arg-type]
