"""What a run says of a user's own images before it starts, and what of them refuses it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from engine.contract.data.card import DataCard, total
from engine.contract.data.datasets import SPLITS
from engine.contract.wire.errors import DataError
from engine.contract.wire.text import counted, counted_duplicates
from engine.sentences import OwnImages

Log = Callable[[str], None]
SHOWN = 5  # files or sets that a line names
NAME_LIMIT = 100  # characters of a file's name


def check_card(card: DataCard, options: Mapping[str, Any]) -> None:
    """Refuses too many unusable images, and duplicates across splits where the recipe says so. Raises DataError."""
    images = total(card.images) + card.duplicates.dropped
    fraction = card.unusable / max(1, images + card.unusable)
    if fraction > options["max_unreadable"]:
        raise DataError(
            OwnImages.TOO_MANY_UNUSABLE,
            path=card.path,
            unusable=f"{card.unusable:,}",
            files=f"{images + card.unusable:,}",
            percent=f"{100 * fraction:.1f}",
            most=f"{100 * options['max_unreadable']:g}",
            examples=_unusable(card),
        )
    if options["duplicates"] == "refuse" and card.duplicates.across_splits:
        sets = card.duplicates.across_splits
        raise DataError(OwnImages.DUPLICATES, path=card.path, sets=_sets(sets), examples=_duplicate_examples(card))


def log_card(card: DataCard, log: Log, warn: Log) -> None:
    """One summary: what there is, how it is split, what is not used."""
    counts = ", ".join(f"{card.images[split]:,} {split}" for split in SPLITS)
    kind = "grey" if card.channels == 1 else "RGB"
    sides = _range(card.widths) + " × " + _range(card.heights)
    what = f"{total(card.images):,} {kind} images of {len(card.class_names)} classes, {sides} px"
    log(f"{what} ({counts}): {card.how_split}")
    if oblong := card.notes.get("oblong"):
        done = {"pad": "padded with black", "crop": "cropped to their centre", "stretch": "stretched"}[card.fit]
        log(f"{counted(oblong, 'oblong image')} {done} (dataset.fit)")
    for note, n in card.notes.items():
        if note != "oblong":
            log(f"{counted(n, 'image')}: {note}")
    if card.bits > 8:
        log(f"images of up to {card.bits} bits are scaled to 8")
    if card.unusable:
        warn(f"{counted(card.unusable, 'unusable file')}: {_unusable(card)}")
    for what, n in card.ignored.items():
        log(f"left out: {what} ({n:,})")
    _log_classes(card, warn)
    _log_leaks(card, log, warn)


def _log_classes(card: DataCard, warn: Log) -> None:
    for split in SPLITS:
        if absent := [name for name, n in card.per_class[split].items() if n == 0]:
            more = " …" if len(absent) > SHOWN else ""
            warn(f"the {split} split has no image of {', '.join(absent[:SHOWN])}{more}")


def _log_leaks(card: DataCard, log: Log, warn: Log) -> None:
    found = card.duplicates
    if found.exact or found.near:
        log(f"{counted_duplicates(found.exact, found.near)}, {_sets(found.across_splits)} across splits")
    if found.dropped:
        log(f"dropped: {counted(found.dropped, 'duplicate')} of images in another split (dataset.duplicates)")
    elif found.across_splits:
        warn(
            f"{_sets(found.across_splits)} of duplicates, exact or near, with images in more than one split, which "
            f"makes results too good: {_duplicate_examples(card)}; `dataset.duplicates: drop` leaves them out"
        )
    if found.other_label:
        sets = "set of duplicates has" if found.other_label == 1 else "sets of duplicates have"
        warn(f"{found.other_label:,} {sets} different labels; `medtui data explore` names them")
    if card.groups_across_splits:
        groups = counted(card.groups_across_splits, "group")
        warn(f"{groups} with images in more than one of the given splits")


def _sets(count: int) -> str:
    return counted(count, "set")


def _unusable(card: DataCard) -> str:
    """`3 damaged (a.png, …), 1 empty (b.png)`: by reason, the most frequent first."""
    files: dict[str, list[str]] = {}
    for one in card.unusable_files:
        files.setdefault(one.reason, []).append(one.file)
    counts = Counter({reason: len(names) for reason, names in files.items()})
    parts = []
    for reason, n in counts.most_common(SHOWN):
        names = [name if len(name) <= NAME_LIMIT else f"{name[:NAME_LIMIT]}…" for name in files[reason][:SHOWN]]
        parts.append(f"{n:,} × {reason} ({', '.join(names)}{', …' if n > len(names) else ''})")
    return "; ".join(parts) + (f"; {counted(len(counts) - SHOWN, 'other reason')}" if len(counts) > SHOWN else "")


def _duplicate_examples(card: DataCard) -> str:
    return "; ".join(" = ".join(found[:3]) for found in card.duplicates.examples[:2])


def _range(sides: tuple[int, int, int]) -> str:
    return str(sides[0]) if sides[0] == sides[2] else f"{sides[0]:,}–{sides[2]:,}"
