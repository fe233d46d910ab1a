"""Official data set files: where they are looked for, where a fetched one goes, and from where it is fetched.

The user decides by three variables: `MEDTUI_DATA` is a folder of theirs, `MEDTUI_OFFLINE=1` forbids fetching, and
`MEDTUI_MIRROR` is an address that has the official files by their names, for machines that do not reach the internet.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from engine.contract.datasets import Archive
from engine.contract.errors import DataError, UsageError

FOLDER = "~/.medmnist"  # the `medmnist` package's own, so a file that either fetched serves both
SCHEMES = ("http", "https")


def data_folders(given: Sequence[str], root: Path) -> list[Path]:
    """Where files are looked for, first to last. `given`: by `--data`; `root`: the workspace's."""
    environment = os.environ.get("MEDTUI_DATA")
    own = [*given, environment] if environment else [*given]
    places = [*map(Path, own), root / "dataset", Path(FOLDER)]
    return [place for folder in places if (place := _at_home(folder)) is not None]


def fetch_folder(given: Sequence[str]) -> Path:
    """Where a fetched file goes: `--data`, else `$MEDTUI_DATA`, else `~/.medmnist`. Raises DataError."""
    folder = Path(given[0] if given else os.environ.get("MEDTUI_DATA") or FOLDER)
    place = _at_home(folder)
    if place is None:
        raise DataError(f"Expected a home folder for {folder}, found none.", "Give --data FOLDER or set MEDTUI_DATA.")
    return place


def find_file(archive: Archive, folders: Sequence[Path]) -> Path | None:
    """The first folder's that has it."""
    return next((path for folder in folders if (path := folder / archive.file_name).is_file()), None)


def offline() -> bool:
    """Does `MEDTUI_OFFLINE` forbid fetching?"""
    return os.environ.get("MEDTUI_OFFLINE", "").strip().lower() not in ("", "0", "false", "no", "off")


def address(url: str, file_name: str) -> str:
    """Where a file is fetched from: its official address, or its name at `$MEDTUI_MIRROR`. Raises UsageError."""
    mirror = os.environ.get("MEDTUI_MIRROR", "").strip()
    if not mirror:
        return url
    if urlsplit(mirror).scheme not in SCHEMES or not urlsplit(mirror).netloc:
        raise UsageError(
            f"Expected an http or https address in MEDTUI_MIRROR, found {mirror[:200]!r}.",
            "Write one that has the official files by their names, as http://host/folder/.",
        )
    return f"{mirror.rstrip('/')}/{file_name}"


def bytes_words(size: float) -> str:
    """`0.6 MB`, `252 MB`, `12.6 GB`."""
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB"


def _at_home(folder: Path) -> Path | None:
    try:
        return folder.expanduser()
    except RuntimeError:  # a user without a home
        return None
