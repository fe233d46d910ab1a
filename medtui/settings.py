"""The user's settings of the console: one small YAML file, `$MEDTUI_SETTINGS` or the platform's location for it.

theme: light            # dark | light
bell: false             # ring when a run ends, an alarm is raised, an engine dies
notify: true            # desktop notification (OSC 9) for the same
keys:                   # actions by their id (`?` shows them), keys by Textual's names, several by commas
  live.log_scale: L
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.contract.files.paths import expanded, is_file
from engine.contract.wire.errors import MedtuiError
from medtui.actions import remapped

THEMES = ("dark", "light")


@dataclass(frozen=True)
class Settings:
    theme: str = "dark"
    bell: bool = True
    notify: bool = True
    keys: dict[str, str] = field(default_factory=dict)  # by action, the accepted ones
    warnings: tuple[str, ...] = ()  # what in the file was not understood


def settings_file() -> Path:
    if given := os.environ.get("MEDTUI_SETTINGS"):
        return expanded(given)
    import platformdirs

    return Path(platformdirs.user_config_dir("medtui")) / "settings.yaml"


def read_settings(path: Path | None = None) -> Settings:
    """The settings of a file; what is missing or wrong gets its default, with a warning for what is wrong."""
    path = path or settings_file()
    if not is_file(path):
        return Settings()
    from engine.contract.recipe.yaml_reader import read_yaml_file  # most have no such file

    try:
        values = read_yaml_file(path).values
    except MedtuiError as error:
        return Settings(warnings=(str(error),))
    return settings_of(values, path.name)


def settings_of(values: dict[str, Any], source: str = "settings") -> Settings:
    warnings = [f"{source}: {name} is unknown" for name in values if name not in ("theme", "bell", "notify", "keys")]
    theme = values.get("theme", "dark")
    if theme not in THEMES:
        warnings.append(f"{source}: expected theme dark or light, found {theme!r}")
        theme = "dark"
    switches = {}
    for name in ("bell", "notify"):
        switches[name] = values.get(name, True)
        if not isinstance(switches[name], bool):
            warnings.append(f"{source}: expected {name} true or false, found {switches[name]!r}")
            switches[name] = True
    keys = values.get("keys") or {}
    if not isinstance(keys, dict):
        warnings.append(f"{source}: expected action ids under keys, found {keys!r}")
        keys = {}
    accepted, refused = remapped({str(id_): _key_text(key) for id_, key in keys.items()})
    return Settings(theme, switches["bell"], switches["notify"], accepted, (*warnings, *refused))


def _key_text(key: Any) -> str:
    """A key as it was written: YAML reads a bare 7 as a number, y stays a letter."""
    return str(key).lower() if isinstance(key, bool) else str(key)
