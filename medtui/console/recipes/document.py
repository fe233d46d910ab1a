"""A recipe of the list, and one that is being edited."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.contract.files.folders import File, file_at, named_by_user

Kind = Literal["shipped", "workspace", "run"]
Mark = Literal["edited", "draft"]  # unsaved edits: of this console, and left by an earlier one


@dataclass(frozen=True)
class Entry:
    """A recipe in the list."""

    name: str
    path: Path
    kind: Kind

    @property
    def title(self) -> str:
        """What it is called where there is room."""
        return self.name if self.kind == "run" else self.path.name

    @property
    def key(self) -> str:
        return str(self.path)

    @property
    def file(self) -> File:
        """A run's recipe without following links; of the user's own, wherever they lead. Raises OSError."""
        return file_at(self.path) if self.kind == "run" else named_by_user(self.path)


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
