"""The screens by name, each imported when it is first shown."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from textual.screen import Screen


def _screen(module: str, name: str) -> Callable[[], Screen[Any]]:
    def make() -> Screen[Any]:
        screen: Screen[Any] = getattr(import_module(f"medtui.console.{module}.screen"), name)()
        return screen

    return make


SCREENS = {
    "recipes": _screen("recipes", "Recipes"),
    "machine": _screen("machine", "Machine"),
    "live": _screen("live", "Live"),
    "results": _screen("results", "Results"),
    "suites": _screen("suites", "Suites"),
}
