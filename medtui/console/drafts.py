"""Unsaved edits of recipes, kept on disk."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from engine.contract.files import read_bounded, write_text
from engine.contract.process_identity import ProcessIdentity, this_process
from engine.contract.yaml_reader import SIZE_LIMIT

if TYPE_CHECKING:
    from medtui.console.recipe_store import Document


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
