"""The recipes of the list and their unsaved edits. Knows files, no widgets."""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from engine.contract.files import read_bounded, write_text
from engine.contract.process_identity import ProcessIdentity, this_process
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


class Drafts:
    """Unsaved edits on disk, so that neither a hang-up nor a crash loses them.

    Each console has drafts of its own, named by the recipe and a word of the console's: two of them may edit one
    recipe, and neither takes the other's away. What a console left that lives no more is taken over by the next.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._word = secrets.token_hex(4)
        self._owner = asdict(this_process())
        self._taken: dict[str, list[Path]] = {}  # drafts of earlier consoles that were restored here, by recipe

    def keep(self, document: Document) -> None:
        """Keep the unsaved text, or forget it once it is saved. Raises OSError."""
        key = document.entry.key
        own = self.folder / f"{_digest(key)}.{self._word}.json"
        if document.dirty:
            self.folder.mkdir(parents=True, exist_ok=True)
            draft = {"path": key, "text": document.text, "saved": document.saved, "owner": self._owner}
            write_text(own, json.dumps(draft), durable=False, mode=0o600)
        else:
            own.unlink(missing_ok=True)
        for taken in self._taken.pop(key, []):
            taken.unlink(missing_ok=True)

    def restore(self, document: Document) -> bool:
        """Put a kept text back into a document that was just opened. True when there was one."""
        key = document.entry.key
        for path, draft, gone in self._left():
            if draft["path"] != key or draft["text"] == document.text:
                continue
            if draft["saved"] != document.saved:
                document.notes.append("The file has changed since these edits were made.")
            document.text = draft["text"]
            if gone:
                self._taken.setdefault(key, []).append(path)
            return True
        return False

    def without_file(self, root: Path) -> list[Path]:
        """Recipes below a folder whose file is gone, but whose unsaved edits are here."""
        paths = [Path(draft["path"]) for _, draft, _ in self._left()]
        return sorted({path for path in paths if path.is_relative_to(root) and not os.path.lexists(path)})

    def _left(self) -> list[tuple[Path, dict[str, str], bool]]:
        """Drafts that no other living console looks after, newest first; is theirs gone for certain?"""
        found = []
        for path in self.folder.glob("*.json"):
            try:
                draft = json.loads(read_bounded(path, 8 * SIZE_LIMIT))
                values = {name: str(draft[name]) for name in ("path", "text", "saved")}
                owner = draft.get("owner")
                lives = (
                    ProcessIdentity(**owner).is_alive() if isinstance(owner, dict) and owner != self._owner else False
                )
                if not lives:
                    found.append((path.stat().st_mtime, path, values, lives is False))
            except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue
        return [(path, values, gone) for _, path, values, gone in sorted(found, key=lambda one: -one[0])]


def _digest(key: str) -> str:
    return blake2b(os.fsencode(key), digest_size=8).hexdigest()
