"""The palette's providers, each imported when it is first opened."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from textual.command import Provider


def _provider(module: str, name: str) -> Callable[[], type[Provider]]:
    def load() -> type[Provider]:
        provider: type[Provider] = getattr(import_module(f"medtui.console.palette.{module}"), name)
        return provider

    return load


PROVIDERS = {
    _provider("actions", "KeymapCommands"),
    _provider("recipes", "RecipeEntries"),
    _provider("runs", "RunEntries"),
    _provider("data_sets", "DataSetEntries"),
    _provider("settings", "SettingEntries"),
}
