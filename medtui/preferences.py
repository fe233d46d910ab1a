"""What keys chose and the next console begins with: theme, axis, smoothing, plots. Kept beside the settings.

Settings are the user's file, which nobody else writes; this one is the console's.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

from engine.contract.files.folders import File, Folder
from medtui.settings import settings_file

LIMIT = 64 * 1024  # bytes; a larger file is none of ours


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
    with contextlib.suppress(OSError):
        Folder(settings_file().parent).make()
        file.write(json.dumps(read_preferences(file) | choices, indent=1, sort_keys=True), durable=False)
