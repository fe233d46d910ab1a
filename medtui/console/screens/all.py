"""The four screens by name, each imported when it is first shown."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from textual.screen import Screen


def _room(module: str, name: str) -> Callable[[], Screen[Any]]:
    def make() -> Screen[Any]:
        screen: Screen[Any] = getattr(import_module(f"medtui.console.screens.{module}"), name)()
        return screen

    return make


SCREENS = {
    "recipes": _room("recipes", "Recipes"),
    "machine": _room("machine", "Machine"),
    "live": _room("live", "Live"),
    "results": _room("results", "Results"),
}
