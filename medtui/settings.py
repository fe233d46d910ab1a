"""The user's settings of the console: one small YAML file, `$MEDTUI_SETTINGS` or the platform's location for it.

theme: light            # dark | light
pictures: auto          # auto | kitty | iterm | sixel | blocks | off: how they are shown
bell: false             # ring when a run ends, an alarm is raised, an engine dies
notify: true            # desktop notification (OSC 9) for the same; or, for when nobody looks:
notify:
  desktop: true
  command: [~/bin/page, me]          # run with the facts in its environment
  url: https://ntfy.sh/my-topic      # sent a JSON object by POST
  on: [end, failure, alarm, stall]   # what for
keys:                   # actions by their id (`?` shows them), keys by Textual's names, several by commas
  live.log_scale: L
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from engine.contract.files.paths import expanded, is_there
from engine.contract.sentence import Sentence
from engine.contract.sentences import Yaml
from engine.contract.wire.errors import MedtuiError
from medtui.actions import remapped
from medtui.sentences import Notify, SettingsFile
from medtui.text import clean

THEMES = ("dark", "light")
PICTURES = ("auto", "kitty", "iterm", "sixel", "blocks", "off")
NAMES = ("theme", "pictures", "bell", "notify", "keys")


Occasion = Literal["end", "failure", "alarm", "stall"]
OCCASIONS: tuple[Occasion, ...] = get_args(Occasion)
NOTIFY_FIELDS = ("desktop", "command", "url", "on")
CHOICES: dict[str, tuple[object, ...]] = {"theme": THEMES, "bell": (True, False), "notify": (True, False)}  # by keys


@dataclass(frozen=True)
class Away:
    """How to notify somebody who does not look at the screen. Command and address may hold secrets: never shown."""

    command: tuple[str, ...] = field(default=(), repr=False)
    url: str | None = field(default=None, repr=False)
    on: tuple[Occasion, ...] = OCCASIONS
    warnings: tuple[str, ...] = ()  # what in the file was not understood

    def __bool__(self) -> bool:
        return bool(self.command or self.url)


@dataclass(frozen=True)
class Settings:
    theme: str = "dark"
    bell: bool = True
    notify: bool = True  # on the desktop
    away: Away = field(default_factory=lambda: Away())
    keys: dict[str, str] = field(default_factory=dict)  # by action, the accepted ones
    warnings: tuple[str, ...] = ()  # what in the file was not understood
    pictures: str = "auto"


@dataclass(frozen=True)
class Described:
    """A setting, for people."""

    name: str  # as the file has it
    value: str
    help: str
    field: str | None = None  # of Settings, where it is one of CHOICES


def describe_settings(settings: Settings) -> list[Described]:
    """Every setting of the file. Command and address may hold secrets: only whether they are set."""
    away = settings.away
    return [
        Described("theme", settings.theme, "Colours of the console: dark or light.", "theme"),
        Described("pictures", settings.pictures, f"How pictures are shown: {', '.join(PICTURES)}."),
        Described("bell", _yes(settings.bell), "Ring when a run ends, an alarm is raised or an engine dies.", "bell"),
        Described("notify.desktop", _yes(settings.notify), "Desktop notification for the same.", "notify"),
        Described(
            "notify.command", "set" if away.command else "not set", "A program that notifies you while you are away."
        ),
        Described("notify.url", "set" if away.url else "not set", "An address that is notified while you are away."),
        Described("notify.on", ", ".join(away.on) or "nothing", "What you are notified of while you are away."),
        Described("keys", f"{len(settings.keys)} changed", "Keys by the action's id; the help lists the ids."),
    ]


def _yes(value: bool) -> str:
    return "true" if value else "false"


def settings_file() -> Path:
    if given := os.environ.get("MEDTUI_SETTINGS"):
        return expanded(given)
    import platformdirs

    return Path(platformdirs.user_config_dir("medtui")) / "settings.yaml"


def read_settings(path: Path | None = None) -> Settings:
    """The settings of a file; what is missing or wrong gets its default, with a warning for what is wrong."""
    path = path or settings_file()
    if not is_there(path):  # anything else that is no file is reported below
        return Settings()
    from engine.contract.recipe.yaml_reader import read_yaml_file  # most have no such file

    try:
        values = read_yaml_file(path).values
    except MedtuiError as error:
        return Settings(warnings=_warnings_of(error, path))
    return settings_of(values, path.name)


def _warnings_of(error: MedtuiError, path: Path) -> tuple[str, ...]:
    """In words about settings: the reader's are about recipes. An empty file sets nothing, which is no fault."""
    if error.code == Yaml.EMPTY.code:
        return ()
    if error.code == Yaml.FOLDER.code:
        return (" ".join(SettingsFile.FOLDER.text(path=path)),)
    if error.code == Yaml.NOT_SECTIONS.code:
        return (" ".join(SettingsFile.NO_NAMES.text(path=path, found=error.fields["found"])),)
    return (str(error),)


def settings_of(values: dict[str, Any], source: str = "settings") -> Settings:
    warnings = [f"{source}: {name} is unknown" for name in values if name not in NAMES]
    theme = values.get("theme", "dark")
    if theme not in THEMES:
        warnings.append(f"{source}: expected theme dark or light, found {theme!r}")
        theme = "dark"
    pictures = values.get("pictures", "auto")
    pictures = {True: "auto", False: "off"}[pictures] if isinstance(pictures, bool) else pictures  # `off` is no text
    if pictures not in PICTURES:
        warnings.append(f"{source}: expected pictures {', '.join(PICTURES[:-1])} or off, found {pictures!r}")
        pictures = "auto"
    bell = values.get("bell", True)
    if not isinstance(bell, bool):
        warnings.append(f"{source}: expected bell true or false, found {bell!r}")
        bell = True
    desktop, away = _notify_of(values.get("notify", True), source)
    keys = values.get("keys") or {}
    if not isinstance(keys, dict):
        warnings.append(f"{source}: expected action ids under keys, found {keys!r}")
        keys = {}
    accepted, refused = remapped({str(id_): _key_text(key) for id_, key in keys.items()})
    every = (*warnings, *away.warnings, *refused)
    return Settings(theme, bell, desktop, away, accepted, every, pictures)


# ---- notify ---------------------------------------------------------------------------------------------------------


def _notify_of(value: Any, source: str) -> tuple[bool, Away]:
    """Is the desktop notified, and who else. What is wrong is as if it were not there, with a warning."""
    if value is None or isinstance(value, bool):
        return value is not False, Away()
    known = ", ".join(NOTIFY_FIELDS)
    if not isinstance(value, dict):
        return True, Away(warnings=(_text(Notify.SHAPE, source=source, known=known, found=_kind(value)),))
    warnings = [
        _text(Notify.UNKNOWN, source=source, name=clean(str(name), 40), known=known)
        for name in value
        if name not in NOTIFY_FIELDS
    ]
    desktop = value.get("desktop", True)
    if not isinstance(desktop, bool):
        warnings.append(_text(Notify.DESKTOP, source=source, found=_kind(desktop)))
        desktop = True
    command, url, on = value.get("command"), value.get("url"), value.get("on", list(OCCASIONS))
    if found := _wrong_command(command):
        warnings.append(_text(Notify.COMMAND, source=source, found=found))
        command = None
    if found := _wrong_url(url):
        warnings.append(_text(Notify.URL, source=source, found=found))
        url = None
    if found := _wrong_occasions(on):
        warnings.append(_text(Notify.ON, source=source, known=", ".join(OCCASIONS), found=found))
        on = OCCASIONS
    return desktop, Away(tuple(map(str, command or ())), url, tuple(on), tuple(warnings))


def _wrong_command(value: Any) -> str:
    """What it is instead of a command; "" where it is one, or none is given."""
    if value is None:
        return ""
    if not isinstance(value, list):
        return _kind(value)
    if not value:
        return "an empty list"
    wrong = [part for part in value if isinstance(part, bool) or not isinstance(part, str | int | float)]
    if wrong:
        return f"{_kind(wrong[0])} in the list"
    return "" if str(value[0]) else "a list that begins with an empty text"


def _wrong_url(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return _kind(value)
    from urllib.parse import urlsplit  # most have no address

    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "an address that cannot be read"
    if parts.scheme not in ("http", "https"):
        return "an address that begins otherwise"
    if not host or not value.isascii() or not value.isprintable() or " " in value:
        return "an address that is not valid"
    return ""


def _wrong_occasions(value: Any) -> str:
    if not isinstance(value, list):
        return _kind(value)
    wrong = [one for one in value if one not in OCCASIONS]
    return clean(repr(wrong[0]), 40) if wrong else ""


def _kind(value: Any) -> str:
    """A value by its kind alone: it may hold a secret."""
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list", dict: "fields"}
    return kinds.get(type(value), "nothing")


def _text(sentence: Sentence, **fields: object) -> str:
    return " ".join(filter(None, sentence.text(**fields)))


def _key_text(key: Any) -> str:
    """A key as it was written: YAML reads a bare 7 as a number, y stays a letter."""
    return str(key).lower() if isinstance(key, bool) else str(key)
