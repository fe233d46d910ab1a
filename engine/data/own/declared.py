"""What the card and the comment of an .npz file say and its arrays do not: names of classes, licence, is it synthetic.

A card counts for the archive whose MD5 it has, and for no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.contract.data.archive_card import SYNTHETIC, SYNTHETIC_LICENCE, card_of, read_archive_card
from engine.contract.data.card import NOT_STATED, readable
from engine.contract.data.sums import checksum_file
from engine.contract.files.paths import is_there
from engine.data.access import Access
from engine.data.archive_file import ArchiveFile


@dataclass(frozen=True)
class Declared:
    class_names: tuple[str, ...] = ()
    licence: str = NOT_STATED
    synthetic: bool = False


def declared_by(path: Path, access: Access) -> Declared:
    """Of the archive at a path. A card that does not count is named. Raises DataError, and what `access` raises."""
    card = read_archive_card(path)
    with ArchiveFile(path, checksum_file(), access.on_read) as archive:
        synthetic = archive.comment().startswith(SYNTHETIC)
        if card is not None and card.md5 == archive.md5():
            names = tuple(map(readable, card.class_names))
            are_names = len(set(names)) == len(names) >= 2 and all(names)
            return Declared(names if are_names else (), card.licence, card.synthetic or synthetic)
        if is_there(file := path.with_name(card_of(path))):
            why = "cannot be read" if card is None else f"is of another archive, MD5 {card.md5}"
            access.warn(f"The data card {file} {why}: its class names and licence are not used.")
    return Declared(licence=SYNTHETIC_LICENCE if synthetic else NOT_STATED, synthetic=synthetic)
