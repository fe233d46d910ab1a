"""What is in each split: classes and labels from what the files are said to be, splits without leaks, and the card."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import Any

import numpy as np

from engine.contract.data.card import NAMED, DataCard, DuplicateCounts, Unusable, readable
from engine.contract.data.datasets import SPLITS, TaskKind
from engine.contract.files.folders import File
from engine.contract.files.paths import absolute
from engine.contract.recipe.own_images import OwnImages as OwnSource
from engine.contract.recipe.setting import names_of
from engine.contract.wire.errors import DataError
from engine.data.archive_file import OnRead
from engine.data.cache_entry import digest_of
from engine.data.own.duplicates import Duplicates, across, find_duplicates
from engine.data.own.listing import Item, Listing
from engine.data.own.pool import Pool
from engine.data.own.splits import Plan, Sample, assigned, groups_across, kept_without_duplicates
from engine.sentences import OwnImages

ARRAYS = tuple(f"{split}_{part}" for split in SPLITS for part in ("rows", "labels"))
EXAMPLES = 20  # sets of duplicates that a card names
FEWEST = 2  # images of a split


@dataclass(frozen=True)
class Contents:
    """All images that are used, in the order of their names."""

    card: DataCard
    items: list[Item]
    records: list[dict[str, Any]]
    labels: np.ndarray  # int64 [N], or [N, K] of 0 and 1
    splits: list[str]
    kept: list[bool]  # False: a duplicate that was dropped


@dataclass(frozen=True)
class Classes:
    """The classes of a set, and what its labels say."""

    task: TaskKind
    names: tuple[str, ...]
    labels: np.ndarray  # int64 [N], or [N, K]


def collected(source: OwnSource, path: Path, listing: Listing, pool: Pool, on_read: OnRead) -> Contents:
    """Raises DataError, and what `on_read` raises."""
    records = {record["name"]: record for record in pool.records()}
    usable = [item for item in listing.items if "reason" not in records[item.name]]
    if not usable:
        reason = next((str(record["reason"]) for record in records.values() if "reason" in record), "it is empty")
        raise DataError(OwnImages.NOTHING_READABLE, path=path, reason=reason)
    classes = classes_of(usable, listing.label_names, source, path)
    found = [records[item.name] for item in usable]
    rows = [record["row"] for record in found]
    thumbs = np.asarray(pool.thumbs()[rows])
    thumb = thumbs.shape[1]  # bytes
    duplicates = find_duplicates(
        [record["pixels"] for record in found],
        thumbs,
        lambda done, total: on_read("comparing the images", done * thumb, total * thumb),
    )
    samples = _samples(usable, classes, duplicates)
    options = source.options
    plan = Plan(
        options["split_seed"], options["val_fraction"], options["test_fraction"], options["folds"], options["fold"]
    )
    splits = assigned(samples, plan)
    kept = [True] * len(splits)
    if options["duplicates"] == "drop":
        kept = kept_without_duplicates(splits, duplicates.sets)
    _check_splits(path, splits, kept)
    card = _card(source, path, listing, pool, classes, usable, found, samples, splits, kept, duplicates, plan)
    return Contents(card, usable, found, classes.labels, splits, kept)


# ---- classes ---------------------------------------------------------------------------------------------------------


def classes_of(items: Sequence[Item], label_names: tuple[str, ...], source: OwnSource, path: Path) -> Classes:
    """Task and class names as the recipe says, or as the labels do; the labels as numbers. Raises DataError."""
    given, task = names_of(source.options["class_names"]), source.options["task"]
    if label_names:
        if task not in ("auto", "multi_label"):
            raise DataError(OwnImages.SEVERAL_LABELS, path=path, task=task, columns=len(label_names))
        if given and len(given) != len(label_names):
            raise DataError(OwnImages.WRONG_COUNT, path=path, given=len(given), found=len(label_names))
        return Classes("multi_label", given or label_names, np.array([[int(v) for v in i.labels] for i in items]))
    if task == "multi_label":
        raise DataError(OwnImages.ONE_LABEL, path=path)
    values = [item.labels[0] for item in items]
    distinct = sorted(set(values), key=natural)
    names, number = _numbered(distinct, given, path)
    if len(names) < 2:
        raise DataError(OwnImages.ONE_CLASS, path=path, name=readable(names[0]))
    if task == "binary" and len(names) != 2:
        raise DataError(OwnImages.NOT_BINARY, path=path, found=len(names), names=_listed(names))
    kind: TaskKind = task if task != "auto" else "binary" if len(names) == 2 else "multi_class"
    return Classes(kind, tuple(map(readable, names)), np.array([number[value] for value in values]))


def _numbered(distinct: list[str], given: tuple[str, ...], path: Path) -> tuple[tuple[str, ...], dict[str, int]]:
    """The names of the classes, and the number of each label. `given`: all labels, or names of the labels 0, 1, 2 …"""
    if not given:
        if all(re.fullmatch(r"[0-9]+", value) for value in distinct):  # numbers: also those that no image has
            highest = max(map(int, distinct))
            if highest < 2 * len(distinct) and "0" in distinct:
                return tuple(map(str, range(highest + 1))), {value: int(value) for value in distinct}
        return tuple(distinct), {value: number for number, value in enumerate(distinct)}
    if set(distinct) <= set(given):
        return given, {value: given.index(value) for value in distinct}
    numbers = {value: int(value) for value in distinct if re.fullmatch(r"[0-9]{1,6}", value)}
    if len(numbers) == len(distinct) and max(numbers.values()) < len(given):
        return given, numbers
    others = [value for value in distinct if value not in given]
    raise DataError(OwnImages.UNKNOWN_LABELS, path=path, found=_listed(others), given=_listed(given))


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sorts `grade 10` after `grade 2`."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"([0-9]+)", name) if part]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(readable(name) for name in names[:10]) + (" …" if len(names) > 10 else "")


# ---- splits ----------------------------------------------------------------------------------------------------------


def _samples(items: Sequence[Item], classes: Classes, duplicates: Duplicates) -> list[Sample]:
    """Units of images that stay together: of one group, duplicates of each other, and both in turn."""
    parents: dict[str, str] = {}

    def root(key: str) -> str:
        while (above := parents.setdefault(key, key)) != key:
            parents[key] = parents[above]
            key = parents[key]
        return key

    keys = [f"group {item.group}" if item.group is not None else f"image {item.name}" for item in items]
    for members in duplicates.sets:
        for one in members[1:]:
            first, second = sorted((root(keys[members[0]]), root(keys[one])))
            parents[second] = first
    rows = classes.labels.tolist()
    strata: list[tuple[int, ...]] = [
        tuple(k for k, has in enumerate(row) if has) or (-1,) if isinstance(row, list) else (row,) for row in rows
    ]
    return [Sample(i.name, s, root(key), i.split) for i, s, key in zip(items, strata, keys, strict=True)]


def _check_splits(path: Path, splits: Sequence[str], kept: Sequence[bool]) -> None:
    found = Counter(split for split, stays in zip(splits, kept, strict=True) if stays)
    if any(found[split] < FEWEST for split in SPLITS):
        counts = ", ".join(f"{found[split]} for {split}" for split in SPLITS)
        raise DataError(OwnImages.EMPTY_SPLIT, path=path, counts=counts)


def _how_split(given: set[str], plan: Plan, grouped: bool) -> str:
    if given >= set(SPLITS):
        return "as given"
    kept = f"{' and '.join(split for split in SPLITS if split in given)} as given, the rest " if given else ""
    how = f"fold {plan.fold} of {plan.folds}" if plan.folds else "by fractions"
    return f"{kept}{how}, seed {plan.seed}, stratified by class" + (", groups kept together" if grouped else "")


# ---- the card --------------------------------------------------------------------------------------------------------


def _card(
    source: OwnSource,
    path: Path,
    listing: Listing,
    pool: Pool,
    classes: Classes,
    items: Sequence[Item],
    records: Sequence[dict[str, Any]],
    samples: Sequence[Sample],
    splits: Sequence[str],
    kept: Sequence[bool],
    duplicates: Duplicates,
    plan: Plan,
) -> DataCard:
    groups = [item.group for item in items]
    known = {group for group in groups if group is not None}
    widths, heights = ([record[side] for record in records] for side in ("width", "height"))
    unusable = {**listing.unusable, **{r["name"]: r["reason"] for r in pool.records() if "reason" in r}}
    notes = Counter(note for record in records for note in record["notes"])
    return DataCard(
        kind=source.kind,
        path=str(absolute(path)),
        fingerprint=pool.fingerprint,
        task=classes.task,
        class_names=classes.names,
        symmetry=source.options["symmetry"],
        channels=1 if pool.images().ndim == 3 else 3,
        size=source.size,
        fit=source.options["fit"],
        images={s: sum(a == s and k for a, k in zip(splits, kept, strict=True)) for s in SPLITS},
        per_class=_per_class(classes, splits, kept),
        how_split=_how_split({sample.split for sample in samples if sample.split}, plan, bool(known)),
        groups=len(known) if known else None,
        groups_across_splits=groups_across(samples, groups, splits),
        widths=(min(widths), median_low(widths), max(widths)),
        heights=(min(heights), median_low(heights), max(heights)),
        bits=max(record["bits"] for record in records),
        notes=dict(sorted(notes.items())),
        unusable=len(unusable),
        unusable_files=tuple(Unusable(file=readable(f), reason=r) for f, r in sorted(unusable.items())[:NAMED]),
        ignored=dict(sorted(listing.ignored.items())),
        duplicates=_duplicate_counts(duplicates, classes, items, splits, kept),
    )


def _per_class(classes: Classes, splits: Sequence[str], kept: Sequence[bool]) -> dict[str, dict[str, int]]:
    where = np.array([split if stays else "" for split, stays in zip(splits, kept, strict=True)])
    hot = classes.labels if classes.labels.ndim == 2 else np.eye(len(classes.names), dtype=np.int64)[classes.labels]
    return {s: dict(zip(classes.names, hot[where == s].sum(axis=0).tolist(), strict=True)) for s in SPLITS}


def _duplicate_counts(
    duplicates: Duplicates, classes: Classes, items: Sequence[Item], splits: Sequence[str], kept: Sequence[bool]
) -> DuplicateCounts:
    apart = across(duplicates.sets, splits)
    labels = classes.labels.reshape(len(items), -1)
    conflicting = [found for found in duplicates.sets if (labels[list(found)] != labels[found[0]]).any()]
    shown = [*apart, *conflicting, *duplicates.sets]
    examples = {tuple(readable(items[number].name) for number in found[:10]) for found in shown[:EXAMPLES]}
    return DuplicateCounts(
        exact=duplicates.exact,
        near=duplicates.near,
        across_splits=len(apart),
        other_label=len(conflicting),
        dropped=kept.count(False),
        examples=tuple(sorted(examples)),
    )


def write_contents(contents: Contents, card: File, files: File, on_read: OnRead) -> dict[str, str]:
    """The arrays of the splits, the card and the list of images; the digests of the arrays. Raises OSError."""
    where = np.array([split if stays else "" for split, stays in zip(contents.splits, contents.kept, strict=True)])
    rows = np.array([record["row"] for record in contents.records], dtype=np.int64)
    digests = {}
    for split in SPLITS:
        for part, values in (("rows", rows), ("labels", contents.labels)):
            array = card.with_name(f"{split}_{part}.npy")
            with array.replacing(durable=False) as file:
                np.save(file, values[where == split])
            digests[f"{split}_{part}"] = digest_of(array, on_read)
    card.write(contents.card.model_dump_json(indent=1) + "\n", durable=False)
    with files.replacing_text(durable=False) as text:
        writer = csv.writer(text)
        writer.writerow(("split", "file", "label", "group", "digest"))
        order = sorted(range(len(where)), key=lambda n: (where[n] == "", SPLITS.index(contents.splits[n]), rows[n]))
        for number in order:
            item, record = contents.items[number], contents.records[number]
            split = where[number] or f"{contents.splits[number]}, dropped as a duplicate"
            label = " ".join(map(readable, item.labels))
            group = readable(item.group) if item.group is not None else ""
            writer.writerow((split, readable(item.name), label, group, record.get("digest") or record["pixels"]))
    return digests
