"""The recipes of the list, opened and saved. Knows files, not widgets."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from engine.contract.files.folders import Folder, file_at
from engine.contract.files.paths import absolute, is_file, is_folder, path_status
from engine.contract.recipe.reader import names_recipes
from engine.contract.recipe.shipped import shipped_recipes
from engine.contract.store.run_directory import list_runs
from engine.contract.store.workspace import Workspace
from medtui.console.recipes.document import Document, Entry
from medtui.console.recipes.drafts import Drafts
from medtui.console.shell.text_file import TooLarge, read_text

SHOWN_RUNS = 40


def entries(workspace: Workspace, drafts: Drafts) -> list[Entry]:
    """The quickstart first, then shipped ones, files of the workspace, and those of runs, newest first.

    A recipe whose file is gone is listed as long as it has unsaved edits, and so is a file that became a suite's.
    """
    shipped = shipped_recipes()
    folder = next(iter(shipped.values())).parent if shipped else None
    order = sorted(shipped, key=lambda name: (name != "quickstart", name))
    found = [Entry(name, shipped[name], "shipped") for name in order]
    edited = drafts.texts()
    for source in (workspace.root, workspace.root / "recipes"):
        if source == folder or not is_folder(source):
            continue
        paths = sorted(
            path for path in _listed(source) if path.suffix.lower() in (".yaml", ".yml") and path.name[0] != "."
        )
        found += [
            Entry(path.name, path, "workspace")
            for path in paths
            if is_file(path) and (str(path) in edited or not names_recipes(file_at(path)))
        ]
    found += [Entry(path.name, path, "workspace") for path in drafts.without_file(workspace.root)]
    runs = list_runs(workspace.outputs)[-SHOWN_RUNS:]
    return found + [Entry(run.name, run.recipe.path, "run") for run in reversed(runs) if run.recipe.is_regular]


def left_drafts(found: Sequence[Entry], drafts: Drafts) -> set[str]:
    """Keys of those recipes whose edits an earlier console left unsaved."""
    texts = drafts.texts()
    return {entry.key for entry in found if entry.key in texts and _text_of(entry) != texts[entry.key]}


def _text_of(entry: Entry) -> str | None:
    try:
        return read_text(entry.file)
    except (OSError, UnicodeDecodeError, TooLarge):
        return None


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # one without permission to list
        return []


def stamp_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def open_document(entry: Entry, drafts: Drafts) -> tuple[Document, bool]:
    """The document of an entry; True when a draft was restored. Raises OSError, UnicodeDecodeError, TooLarge."""
    try:
        text = read_text(entry.file)
        document = Document(entry, text, text, stamp_of(entry.path))
    except FileNotFoundError:
        document = Document(entry, "", "")
        if drafts.restore(document):
            document.notes = ["The file is gone; saving creates it again."]
            return document, True
        raise
    return document, drafts.restore(document)


def changed_on_disk(document: Document) -> str | None:
    """The text of the file, when something else changed it; None when it is unchanged."""
    if stamp_of(document.entry.path) == document.stamp:
        return None
    text = _text_of(document.entry)
    return text if text != document.saved else None


def save(document: Document, path: Path) -> None:
    """Write the text atomically: a link stays a link, and a file keeps its mode. Raises OSError."""
    mode = _writable_mode(path)
    file_at(absolute(path)).write(document.text, mode=mode)
    document.saved = document.text
    document.fresh_on_disk = None
    document.stamp = stamp_of(path)


def rename(path: Path, new: Path) -> None:
    """Give a file another name, of which another file may be replaced; a link is renamed itself. Raises OSError."""
    _writable_mode(path)
    _writable_mode(new)
    Folder(path.parent).file(path.name).move(Folder(new.parent).file(new.name))


def delete(path: Path) -> None:
    """Delete a file, of a link the link. Raises OSError."""
    _writable_mode(path)
    Folder(path.parent).file(path.name).delete()


def _writable_mode(path: Path) -> int | None:
    """The mode of a file, None where there is none. Raises OSError for one that is write-protected."""
    found = path_status(path).mode
    mode = stat.S_IMODE(found) if found is not None else None
    if mode is not None and not (mode & 0o222 and os.access(absolute(path), os.W_OK)):
        raise PermissionError(errno.EACCES, "it is write-protected", str(path))
    return mode
