"""The cache of decoded data sets: what is in it. What of it must stay is decided by `needs`; `cache_removal` removes.

An engine decodes again what it does not find, so that nothing here is lost for good.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.contract.data.card import DataCard, own_folder, read_card
from engine.contract.data.sums import cache_folder
from engine.contract.files.folders import File, Folder

ENTRY_LIMIT = 64 * 1024  # bytes of `entry.json`
OWN, OWN_SPLITS = "own-", "own-splits-"  # how the keys of converted images begin, and of their splits


@dataclass(frozen=True)
class DecodedCopy:
    """One folder of decoded arrays."""

    folder: File
    content: str | None  # MD5 of the archive, or the fingerprint of own images; None: generated, or not recorded
    bytes: int
    source: str = ""  # of splits of own images: the name of the folder, table or archive
    images: str = ""  # of splits of own images: the fingerprint of the images, without that of a table
    needed_by: tuple[str, ...] = ()  # why it must stay: an engine, or runs that can be resumed
    completed_runs: tuple[str, ...] = ()  # that were trained on it: evaluating one of them reads it

    @property
    def key(self) -> str:
        return self.folder.name

    @property
    def file(self) -> File:
        return self.folder

    @property
    def what(self) -> str:
        return f"decoded {self.title}"

    @property
    def is_own(self) -> bool:
        """Is it of the user's own images?"""
        return self.key.startswith(OWN)

    @property
    def used_by(self) -> tuple[str, ...]:
        """Why it stays; () where nothing uses it."""
        return self.needed_by + tuple(reason for reason in self.completed_runs if reason not in self.needed_by)

    @property
    def title(self) -> str:
        """`breastmnist-64`, `cells-v3`, `own images, 64 px`, without the digests that make a key unique."""
        if self.key.startswith(OWN_SPLITS):
            return f"splits of {self.source or 'own images'}"
        parts = self.key.split("-")
        if self.is_own and len(parts) > 1:
            return f"own images, {parts[1]} px"
        return self.key.removesuffix(f"-{self.content}") if self.content else self.key


def decoded_copies(cancelled: Callable[[], bool] = lambda: False) -> list[DecodedCopy]:
    """What the cache holds; of what cannot be listed, nothing. Never raises."""
    arrays = Folder(cache_folder()).file("arrays")
    try:
        names = arrays.names()
    except OSError:
        return []
    found = []
    for name in names:
        if cancelled():
            break
        folder = arrays / name
        if name[0] != "." and folder.is_folder:
            card = read_card(folder / "card.json") if name.startswith(OWN_SPLITS) else None
            source, images = (Path(card.path).name, card.fingerprint) if card is not None else ("", "")
            found.append(DecodedCopy(folder, _content(folder), bytes_of(folder, cancelled), source, images))
    return found


def _content(folder: File) -> str | None:
    try:
        found = json.loads((folder / "entry.json").content(ENTRY_LIMIT))["archive"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if isinstance(found, str) else None


def bytes_of(folder: File, cancelled: Callable[[], bool] = lambda: False) -> int:
    """Bytes of the files below it, as far as they can be listed and until `cancelled`. Never raises."""
    total = 0
    try:
        for _, found in folder.walk():
            if cancelled():
                break
            total += found.st_size if stat.S_ISREG(found.st_mode) else 0
    except OSError:
        pass
    return total


def parts_of_own(cancelled: Callable[[], bool] = lambda: False) -> int:
    """Bytes of conversions of own images that were ended: the next one goes on there, and removes them."""
    folder = own_folder()
    try:
        names = folder.names()
    except OSError:
        return 0
    return sum(bytes_of(folder / name, cancelled) for name in names if name.endswith(".parts"))


def own_cards() -> list[DataCard]:
    """What is known of the user's own images that were read here. Never raises."""
    folder = own_folder()
    try:
        names = folder.names()
    except OSError:
        return []
    cards = (read_card(folder / name) for name in names if name.endswith(".card.json"))
    return [card for card in cards if card is not None]
