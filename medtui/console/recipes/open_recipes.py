"""The open recipes, the one being edited, and their drafts. Knows files, not widgets."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from medtui.console.recipes.document import Document, Entry
from medtui.console.recipes.drafts import Drafts
from medtui.console.recipes.store import delete, open_document, rename, save, stamp_of


class OpenRecipes:
    def __init__(self, drafts: Drafts) -> None:
        self.documents: dict[str, Document] = {}  # by their entry's key
        self.current: Document | None = None
        self.drafts = drafts

    @property
    def dirty(self) -> set[str]:
        """Keys of those with unsaved edits."""
        return {key for key, document in self.documents.items() if document.dirty}

    @property
    def unsaved(self) -> list[str]:
        """Their names."""
        return [document.entry.name for document in self.documents.values() if document.dirty]

    def open(self, entry: Entry) -> tuple[Document, bool]:
        """The document of an entry, now the current one; True when a draft was restored.

        Raises OSError, UnicodeDecodeError, TooLarge.
        """
        document, restored = self.documents.get(entry.key), False
        if document is None:
            document, restored = open_document(entry, self.drafts)
            self.documents[entry.key] = document
        self.current = document
        return document, restored

    def take_from_disk(self, document: Document, fresh: str) -> None:
        """Replace the edits by the text of the file. Raises OSError."""
        document.text = document.saved = fresh
        document.stamp, document.fresh_on_disk = stamp_of(document.entry.path), None
        self.drafts.keep(document)

    def keep_copy(self, document: Document, path: Path) -> None:
        """Keep its edits as an unsaved recipe of this name, which no file has. Raises OSError."""
        copy = Document(Entry(path.name, path, "workspace"), document.text, "")
        self.drafts.keep(copy)
        self.documents[copy.entry.key] = copy

    def save(self, document: Document, path: Path) -> Document:
        """Write it, as itself or as another recipe of the workspace, which then is the current one. Raises OSError."""
        if path == document.entry.path:
            save(document, path)
            saved = document
        else:
            saved = Document(Entry(path.name, path, "workspace"), document.text, "")
            save(saved, path)
            document.text = document.saved
            self.documents[saved.entry.key] = self.current = saved
        with contextlib.suppress(OSError):  # it is saved; a draft that cannot be removed loses nothing
            self.drafts.keep(document)
        return saved

    def rename_file(self, document: Document, path: Path) -> None:
        """Give its file another name; its unsaved edits go with it. Raises OSError."""
        former = document.entry
        rename(former.path, path)
        renamed = replace(document, entry=Entry(path.name, path, "workspace"))
        del self.documents[former.key]
        self.documents[renamed.entry.key] = renamed
        if self.current is document:
            self.current = renamed
        self.drafts.keep(renamed)
        self.drafts.discard(document)

    def delete(self, document: Document) -> None:
        """Delete its file and its unsaved edits. Raises OSError."""
        delete(document.entry.path)
        del self.documents[document.entry.key]
        if self.current is document:
            self.current = None
        self.drafts.discard(document)

    def keep_drafts(self) -> None:
        """Write unsaved edits to disk. Small files. Raises OSError."""
        for document in self.documents.values():
            self.drafts.keep(document)

    def discard_all(self) -> None:
        for document in self.documents.values():
            if document.dirty:
                document.text = document.saved
                self.drafts.keep(document)
