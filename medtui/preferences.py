"""What keys chose and the next console begins with: theme, axis, smoothing, plots, columns. Kept beside the settings.

Settings are the user's file, which nobody else writes; this one is the console's. Several consoles keep their choices
in it: each changes only what it chose, and the last choice counts. Beside it stands which workspaces were used.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from engine.contract.files.file_system import try_lock
from engine.contract.files.folders import File, Folder
from medtui.settings import CHOICES, Settings, settings_file

LIMIT = 64 * 1024  # bytes; a larger file is none of ours
MOST_WORKSPACES = 300  # that are remembered
PATIENCE = 2.0  # seconds for another console to finish writing


def preferences_file() -> File:
    return Folder(settings_file().parent).file("remembered.json")


def read_preferences(file: File | None = None) -> dict[str, Any]:
    """The choices by name; none where the file is missing, damaged or cannot be read."""
    try:
        values = json.loads((file or preferences_file()).content(LIMIT))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def remember(**choices: Any) -> None:
    """Keep these choices with the others. Where the file cannot be written they last as long as this console."""
    file = preferences_file()
    with contextlib.suppress(OSError), _locked(file):
        file.write(json.dumps(read_preferences(file) | choices, indent=1, sort_keys=True), durable=False)


def workspaces_file() -> File:
    return Folder(settings_file().parent).file("workspaces.json")


def used_workspaces() -> list[Path]:
    """Where this user has listed or trained runs, the newest last; they need not be there any more."""
    known = read_preferences(workspaces_file()).get("workspaces")
    return [Path(one) for one in known if isinstance(one, str) and one[:1] == "/"] if isinstance(known, list) else []


def remember_workspace(root: Path) -> None:
    """For `medtui runs --all`. Where the file cannot be written, it is not remembered."""
    if root in used_workspaces():
        return
    file = workspaces_file()
    with contextlib.suppress(OSError), _locked(file):
        known = dict.fromkeys([*map(str, used_workspaces()), str(root)])
        file.write(json.dumps({"workspaces": list(known)[-MOST_WORKSPACES:]}, indent=1), durable=False)


@contextlib.contextmanager
def _locked(file: File) -> Iterator[None]:
    """One process at a time reads and writes this file. Raises OSError."""
    Folder(file.path.parent).make()
    lock = file.with_name(f".{file.path.stem}.lock")
    descriptor = lock.descriptor(os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + PATIENCE
        while not try_lock(descriptor) and time.monotonic() < deadline:
            time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


class Preferences:
    """The choices of one console: as it found them, and as its keys change them. A thread writes them."""

    def __init__(self) -> None:
        self._values = read_preferences()
        self._changed: dict[str, Any] = {}  # not written yet
        self._lock = threading.Lock()
        self._writer: threading.Thread | None = None

    def get(self, name: str) -> Any:
        """Whatever the file holds there: None, or a value that has to be checked."""
        return self._values.get(name)

    def keep(self, **choices: Any) -> None:
        """Never waits, never raises."""
        with self._lock:
            self._values |= choices
            self._changed |= choices
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="preferences", daemon=True)
                self._writer.start()

    def close(self, patience: float) -> None:
        """Wait at most `patience` seconds for what is being written."""
        writer = self._writer
        if writer is not None:
            writer.join(patience)

    def _write(self) -> None:
        while True:
            with self._lock:
                choices, self._changed = self._changed, {}
                if not choices:
                    self._writer = None
                    return
            remember(**choices)


# ---- settings that were chosen with keys ----------------------------------------------------------------------------


def keep_setting(preferences: Preferences, name: str, given: object, chosen: object) -> None:
    """`given`: what the settings file says. Once it says something else, that counts again."""
    preferences.keep(**{f"setting_{name}": {"given": given, "chosen": chosen}})


def with_chosen(settings: Settings, preferences: Preferences) -> Settings:
    """The settings of the file, but for what keys chose since it says what it says."""
    for name in (field.name for field in fields(settings) if field.name in CHOICES):
        kept = preferences.get(f"setting_{name}")
        if not isinstance(kept, dict) or kept.get("given") != getattr(settings, name):
            continue
        if kept.get("chosen") in CHOICES[name] and type(kept["chosen"]) is type(getattr(settings, name)):
            settings = replace(settings, **{name: kept["chosen"]})
    return settings
