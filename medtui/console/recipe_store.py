"""The recipes of the list, opened and saved. Knows files, no widgets."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.contract.files import read_bounded, write_text
from engine.contract.recipe_file import shipped_recipes
from engine.contract.run_directory import list_runs
from engine.contract.workspace import Workspace
from engine.contract.yaml_reader import SIZE_LIMIT
from medtui.console.drafts import Drafts

Kind = Literal["shipped", "workspace", "run"]
SHOWN_RUNS = 40


@dataclass(frozen=True)
class Entry:
    """A recipe in the list."""

    name: str
    path: Path
    kind: Kind

    @property
    def key(self) -> str:
        return str(self.path)


def entries(workspace: Workspace, drafts: Drafts) -> list[Entry]:
    """The quickstart first, then shipped ones, files of the workspace, and those of runs, newest first.

    A recipe whose file is gone stands among them as long as there are unsaved edits of it.
    """
    shipped = shipped_recipes()
    folder = next(iter(shipped.values())).parent if shipped else None
    order = sorted(shipped, key=lambda name: (name != "quickstart", name))
    found = [Entry(name, shipped[name], "shipped") for name in order]
    for place in (workspace.root, workspace.root / "recipes"):
        if place == folder or not place.is_dir():
            continue
        paths = sorted(
            path for path in place.glob("*.y*ml") if path.suffix in (".yaml", ".yml") and path.name[0] != "."
        )
        found += [Entry(path.name, path, "workspace") for path in paths if path.is_file()]
    found += [Entry(path.name, path, "workspace") for path in drafts.without_file(workspace.root)]
    runs = list_runs(workspace.outputs)[-SHOWN_RUNS:]
    return found + [Entry(run.name, run.recipe, "run") for run in reversed(runs) if run.recipe.is_file()]


@dataclass
class Document:
    """One recipe being edited. `saved` is what the file held when it was last read or written."""

    entry: Entry
    text: str
    saved: str
    stamp: tuple[int, int] | None = None  # of the file: mtime in ns, size
    fresh_on_disk: str | None = None  # what the file holds now, where that is another text
    notes: list[str] = field(default_factory=list)

    @property
    def dirty(self) -> bool:
        return self.text != self.saved


class TooLarge(Exception):
    """A file that is no recipe."""


def read_text(path: Path) -> str:
    """Raises OSError, UnicodeDecodeError, TooLarge."""
    try:
        return read_bounded(path, SIZE_LIMIT).decode("utf-8-sig")
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise TooLarge("expected at most 256 KiB") from None
        raise


def stamp_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def open_document(entry: Entry, drafts: Drafts) -> tuple[Document, bool]:
    """The document of an entry; True when unsaved edits came back. Raises OSError, UnicodeDecodeError, TooLarge."""
    try:
        text = read_text(entry.path)
        document = Document(entry, text, text, stamp_of(entry.path))
    except FileNotFoundError:
        document = Document(entry, "", "")
        if drafts.restore(document):
            document.notes = ["The file is gone; ^s writes it anew."]
            return document, True
        raise
    return document, drafts.restore(document)


def changed_on_disk(document: Document) -> str | None:
    """The text that the file holds now, when somebody else changed it; None when it is as we know it."""
    if stamp_of(document.entry.path) == document.stamp:
        return None
    try:
        text = read_text(document.entry.path)
    except (OSError, UnicodeDecodeError, TooLarge):
        return None
    return text if text != document.saved else None


def save(document: Document, path: Path) -> None:
    """Write the whole text in one step: a link stays one, and a file keeps its mode. Raises OSError."""
    place = path.resolve()
    mode = stat.S_IMODE(place.stat().st_mode) if place.exists() else 0o644
    if place.exists() and not (mode & 0o222 and os.access(place, os.W_OK)):
        raise PermissionError(errno.EACCES, "it is write-protected", str(path))
    write_text(place, document.text, mode=mode)
    document.saved = document.text
    document.fresh_on_disk = None
    document.stamp = stamp_of(path)
