"""What was found in a source of images, in lines: the command prints them, the console shows them."""

from __future__ import annotations

from collections.abc import Iterator

from engine.contract.data.exploration import DoubtfulLabels, Exploration, ImageId
from engine.contract.wire.text import counted, counted_duplicates
from medtui.text import clean

SHOWN = 5  # findings of a kind


def heading(found: Exploration) -> Iterator[str]:
    total = sum(split.images for split in found.splits.values())
    kind = "grey" if found.channels == 1 else "RGB"
    synthetic = ", synthetic" if found.synthetic else ""
    yield f"{clean(found.title, 80)}: {total:,} {kind} images of {len(found.classes)} classes{synthetic}"
    sides = f"{_range(found.widths)} × {_range(found.heights)} px"
    yield f"{clean(found.source, 400)}; {sides}, used at {found.size} px; splits {found.how_split}"
    for note, n in found.notes.items():
        yield f"{counted(n, 'image')}: {clean(note, 80)}"


def _range(sides: tuple[int, int, int]) -> str:
    return str(sides[0]) if sides[0] == sides[2] else f"{sides[0]}–{sides[2]}"


def by_channel(values: tuple[float, ...] | None) -> str:
    return "–" if values is None else " ".join(f"{value:.2f}" for value in values)


def findings(found: Exploration, rest: str) -> Iterator[str]:
    """`rest`: where those are that are not named."""
    if not found.remarks:
        yield "Nothing stands out: no duplicates, no damaged files, no images of one colour."
    yield from found.remarks
    of = found.duplicates
    if of.sets:
        yield f"{counted_duplicates(of.exact, of.near)}, in {counted(of.sets, 'set')}"
    for one in of.listed[:SHOWN]:
        marks = ", ".join(filter(None, ("across splits" * one.across_splits, "different labels" * one.other_label)))
        more = f" and {one.count - 3} more" if one.count > 3 else ""
        yield f"  {' = '.join(_named(each) for each in one.images[:3])}{more}{f' ({marks})' if marks else ''}"
    yield from _more(of.sets, "sets", rest)
    for file in found.damaged.listed[:SHOWN]:
        yield f"  unusable: {_clean(file.file)}: {_clean(file.reason)}"
    yield from _more(found.damaged.count, "unusable files", rest)
    for each in found.constant.listed[:SHOWN]:
        yield f"  one colour: {_named(each)}"
    yield from _more(found.constant.count, "images of one colour", rest)
    if found.groups is None:
        yield "Groups: none known (dataset.group=COLUMN or PATTERN says which images belong to one patient)"
    else:
        yield f"Groups: {found.groups.count:,}, {found.groups.across_splits:,} of them with images in several splits"
    if (doubt := found.doubtful_labels) is not None:
        yield (
            f"Labels that the model doubts ({_threshold(found)}): {doubt.doubted:,} of {doubt.scored:,}{_skill(doubt)}"
        )
        for which in doubt.listed[:SHOWN]:
            yield f"  {_named(which)}: probability {which.probability:.2g}, rather {_clean(which.predicted)}"
        yield from _more(doubt.doubted, "labels", rest)
        for name, n in doubt.never_predicted.items():
            yield f"  not judged: {n:,} of {_clean(name)}, which the model predicts for no image"


def _more(count: int, what: str, rest: str) -> Iterator[str]:
    if count > SHOWN:
        yield f"  and {count - SHOWN:,} more {what}: {rest}"


def _threshold(found: Exploration) -> str:
    return "probability below 0.5" if found.task == "multi_label" else "another class is more probable"


def _skill(doubt: DoubtfulLabels) -> str:
    if doubt.auc is None:
        return ""
    worth = "no better than chance, so its doubts say nothing; " if doubt.at_chance else ""
    return f" ({worth}its AUC on the validation images is {doubt.auc:.2f})"


def _named(one: ImageId) -> str:
    place = _clean(one.name) if one.name.startswith(one.split) else f"{one.split}: {_clean(one.name)}"
    return f"{place} [{_clean(one.label)}]"


def _clean(text: str) -> str:
    return clean(text, 120)
