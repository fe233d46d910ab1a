"""The recipes of the list and their unsaved edits. Knows files, no widgets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from engine.contract.files import write_text
from engine.contract.recipe_file import shipped_recipes
from engine.contract.run_directory import list_runs
from engine.contract.workspace import Workspace
from engine.contract.yaml_reader import SIZE_LIMIT

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


def entries(workspace: Workspace) -> list[Entry]:
    """The quickstart first, then shipped ones, files of the workspace, and those of runs, newest first."""
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
    if path.stat().st_size > SIZE_LIMIT:
        raise TooLarge(f"expected at most 256 KiB, found {path.stat().st_size:,} bytes")
    return path.read_bytes().decode("utf-8-sig")


def stamp_of(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def open_document(entry: Entry) -> Document:
    """Raises OSError, UnicodeDecodeError, TooLarge."""
    text = read_text(entry.path)
    return Document(entry, text, text, stamp_of(entry.path))


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
    """Write the whole text in one step. Raises OSError."""
    write_text(path, document.text)
    document.saved = document.text
    document.fresh_on_disk = None
    document.stamp = stamp_of(path)


class Drafts:
    """Unsaved edits on disk, so that neither a hang-up nor a crash loses them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _file(self, entry: Entry) -> Path:
        return self.folder / f"{blake2b(entry.key.encode(), digest_size=8).hexdigest()}.json"

    def keep(self, document: Document) -> None:
        """Keep the unsaved text, or forget it once it is saved. Raises OSError."""
        file = self._file(document.entry)
        if not document.dirty:
            file.unlink(missing_ok=True)
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = {"path": document.entry.key, "text": document.text, "saved": document.saved}
        write_text(file, json.dumps(draft), durable=False)

    def restore(self, document: Document) -> bool:
        """Put a kept text back into a document that was just opened. True when there was one."""
        try:
            draft = json.loads(self._file(document.entry).read_text(encoding="utf-8"))
            text, saved = str(draft["text"]), str(draft["saved"])
        except (OSError, ValueError, KeyError, TypeError):
            return False
        if text == document.text:
            return False
        if saved != document.saved:
            document.notes.append("The file has changed since these edits were made.")
        document.text = text
        return True
