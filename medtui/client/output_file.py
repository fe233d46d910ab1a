"""A file or folder that a command writes because its user named it: what never gives way to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.contract.data.tables import ENDINGS
from engine.contract.files.folders import file_at
from engine.contract.files.paths import absolute, path_status
from engine.contract.wire.errors import OutputError
from medtui.client.inputs import Inputs
from medtui.sentences import OutputFile, Suites

NOTHING = Inputs()


def check_output(path: Path, *, force: bool, inputs: Inputs = NOTHING, is_picture: bool = False) -> None:
    """Before anything is computed for it; `path` as it was named, since a link is not followed. Raises OutputError.

    Only a regular file is ever replaced, on request: a device, a pipe, a folder, a link and what it leads to stay, and
    so do what the command reads (`inputs`) and pictures, unless it makes one (`is_picture`).
    """
    check_named(path)
    file = file_at(path)
    if file.is_there and not file.is_regular:
        raise OutputError(OutputFile.NO_FILE, path=path)
    check_unread(path, inputs)
    if file.is_there and not is_picture and path.suffix.lower() in ENDINGS:
        raise OutputError(OutputFile.PICTURE, path=path)
    if file.is_there and not force:
        raise OutputError(OutputFile.EXISTS, path=path)
    if not (folder := path_status(path.parent)).is_folder:
        raise OutputError(OutputFile.NO_FOLDER, path=path, why=folder.why)


def check_named(path: Path) -> None:
    """To other programs `-` is standard output; here it would be a file of that name. Raises OutputError."""
    if path == Path("-"):
        raise OutputError(OutputFile.STANDARD_OUTPUT)


def check_ending(path: Path, endings: Sequence[str], remedy: str = "Choose another name.") -> None:
    """Does its name say what is written? "" among the endings: it may have none. Raises OutputError."""
    if path.suffix.lower() not in endings:
        *most, last = filter(None, endings)
        known = f"{', '.join(most)} or {last}" if most else last
        raise OutputError(OutputFile.ENDING, endings=known, path=path, remedy=remedy)


def check_unread(path: Path, inputs: Inputs) -> None:
    """Raises OutputError."""
    if inputs.have(path):
        raise OutputError(OutputFile.INPUT, path=path)


def write_text(path: Path, text: str) -> None:
    """Into a file that was checked before. Raises OutputError."""
    try:
        file_at(path).write(text)
    except OSError as error:
        raise OutputError(Suites.UNWRITABLE, path=path, reason=error.strerror) from None


def export_folder(path: Path) -> Path:
    """From the root. Neither a link, which is not followed, nor a file gives way to it. Raises OutputError."""
    check_named(path)
    file = file_at(path)
    if not path.name or (file.is_there and not file.is_folder):
        raise OutputError(OutputFile.IS_NO_FOLDER, path=path)
    return absolute(path)


def check_new_output(path: Path) -> None:
    """As `check_output`, where nothing can ask to replace a file, as in the console. Raises OutputError."""
    if file_at(path).is_regular:
        raise OutputError(OutputFile.NOT_NEW, path=path)
    check_output(path, force=False)
