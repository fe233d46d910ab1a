"""Unsaved edits of recipes, kept on disk."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path

from engine.contract.files.folders import File, Folder
from engine.contract.machine.process_identity import ProcessIdentity, this_process
from engine.contract.recipe.yaml_reader import SIZE_LIMIT
from medtui.console.recipes.document import Document


class Drafts:
    """Unsaved edits on disk, so that neither a hang-up nor a crash loses them.

    Each console has separate drafts, named by the recipe and a token of the console: two of them may edit one recipe,
    and neither removes the other's drafts. Those of a console that is gone are taken over by the next.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = Folder(folder)
        self._token = secrets.token_hex(4)
        self._owner = asdict(this_process())
        self._taken: dict[str, list[File]] = {}  # drafts of former consoles that were restored here, by recipe

    def keep(self, document: Document) -> None:
        """Save the unsaved text as a draft, or delete the draft once it is saved. Raises OSError."""
        key = document.entry.key
        own = self._files.file(f"{_digest(key)}.{self._token}.json")
        if document.dirty:
            self._files.make()
            draft = {"path": key, "text": document.text, "saved": document.saved, "owner": self._owner}
            own.write(json.dumps(draft), durable=False, private=True)
        else:
            own.delete()
        for taken in self._taken.pop(key, []):
            taken.delete()

    def restore(self, document: Document) -> bool:
        """Restore a draft into a document that was just opened. True when there was one."""
        key = document.entry.key
        for path, draft, gone in self._left():
            if draft["path"] != key or draft["text"] == document.text:
                continue
            if draft["saved"] != document.saved:
                document.notes.append("The file has changed since these edits.")
            document.text = draft["text"]
            if gone:
                self._taken.setdefault(key, []).append(path)
            return True
        return False

    def discard(self, document: Document) -> None:
        """Delete the draft of a recipe whose file is deleted, or has another name now. Raises OSError."""
        document.text = document.saved
        self.keep(document)

    def texts(self) -> dict[str, str]:
        """The edits that the next console to open a recipe restores, by the recipe's key."""
        return {draft["path"]: draft["text"] for _, draft, _ in reversed(self._left())}  # the newest last

    def without_file(self, root: Path) -> list[Path]:
        """Recipes below a folder whose file is gone, but whose unsaved edits are here."""
        paths = [Path(draft["path"]) for _, draft, _ in self._left()]
        return sorted({path for path in paths if path.is_relative_to(root) and not os.path.lexists(path)})

    def _left(self) -> list[tuple[File, dict[str, str], bool]]:
        """Drafts that no other living console owns, newest first; is their console certainly gone?"""
        found = []
        for name in self._names():
            file = self._files.file(name)
            try:
                draft = json.loads(file.content(8 * SIZE_LIMIT))
                values = {name: str(draft[name]) for name in ("path", "text", "saved")}
                owner = draft.get("owner")
                lives = (
                    ProcessIdentity(**owner).is_alive() if isinstance(owner, dict) and owner != self._owner else False
                )
                written = file.info()
                if not lives and written is not None:
                    found.append((written.st_mtime, file, values, lives is False))
            except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue
        return [(file, values, gone) for _, file, values, gone in sorted(found, key=lambda one: -one[0])]

    def _names(self) -> list[str]:
        try:
            return [name for name in self._files.itself.names() if name.endswith(".json") and name[0] != "."]
        except OSError:
            return []


def _digest(key: str) -> str:
    return blake2b(os.fsencode(key), digest_size=8).hexdigest()
