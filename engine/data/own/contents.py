"""What is in each split: classes and labels from what the files are said to be, splits without leaks, and the card."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
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
from engine.contract.wire.errors import DataError, RecipeError
from engine.data.archive_file import OnRead
from engine.data.cache_entry import digest_of
from engine.data.own.duplicates import VERSION as RULES
from engine.data.own.duplicates import Duplicates, across, find_duplicates
from engine.data.own.listing import Item, Listing
from engine.data.own.pool import Pool
from engine.data.own.splits import Plan, Sample, assigned, groups_across, kept_without_duplicates
from engine.sentences import OwnImages

ARRAYS = tuple(f"{split}_{part}" for split in SPLITS for part in ("rows", "labels"))
EXAMPLES = 20  # sets of duplicates that a card names
FEWEST = 2  # images of a split


@dataclass(frozen=True)
class Classes:
    """The classes of a set, and what its labels say."""

    task: TaskKind
    names: tuple[str, ...]
    labels: np.ndarray  # int64 [N], or [N, K] of 0 and 1


@dataclass(frozen=True)
class Used:
    """All images that are used, in the order of their names, and what was found of them."""

    items: list[Item]
    records: list[dict[str, Any]]
    classes: Classes
    duplicates: Duplicates
    splits: list[str]
    kept: list[bool]  # False: a duplicate that was dropped

    @property
    def where(self) -> np.ndarray:
        """The split of each; "" for what was dropped."""
        return np.array([split if stays else "" for split, stays in zip(self.splits, self.kept, strict=True)])


@dataclass(frozen=True)
class Contents:
    """What is written next to the arrays."""

    used: Used
    card: DataCard


def collected(source: OwnSource, path: Path, listing: Listing, pool: Pool, on_read: OnRead) -> Contents:
    """Raises DataError, RecipeError where the recipe does not fit the images, and what `on_read` raises."""
    records = {record["name"]: record for record in pool.records()}
    usable = [item for item in listing.items if "reason" not in records[item.name]]
    if not usable:
        reason = next((str(record["reason"]) for record in records.values() if "reason" in record), "it is empty")
        raise DataError(OwnImages.NOTHING_READABLE, path=path, reason=reason)
    classes = classes_of(usable, listing, source, path)
    found = [records[item.name] for item in usable]
    duplicates = _duplicates(pool, list(records.values()), on_read).among([record["row"] for record in found])
    samples = _samples(usable, classes, duplicates)
    plan = plan_of(source)
    if plan.folds is not None and {"val", "test"} <= {item.split for item in usable}:
        raise RecipeError(OwnImages.FOLDS_OF_GIVEN_SPLITS, path=path)
    splits = assigned(samples, plan)
    kept = [True] * len(splits)
    if source.options["duplicates"] == "drop":
        kept = kept_without_duplicates(splits, duplicates.sets)
    used = Used(usable, found, classes, duplicates, splits, kept)
    _check_splits(path, used)
    unusable = {**listing.unusable, **{name: r["reason"] for name, r in records.items() if "reason" in r}}
    return Contents(used, _card(source, path, pool, used, unusable, listing.ignored))


def duplicates_of_pool(pool: Pool, on_read: OnRead) -> Duplicates:
    """Of all its images, by row. Raises DataError, and what `on_read` raises."""
    return _duplicates(pool, pool.records(), on_read)


def _duplicates(pool: Pool, records: Sequence[dict[str, Any]], on_read: OnRead) -> Duplicates:
    """Of all images of the pool, by row; found once, and kept next to them."""
    digests = [record["pixels"] for record in records if "reason" not in record]  # in the order of their rows
    file = pool.folder / "duplicates.json"
    try:
        kept = json.loads(file.content())
        if (kept["thumbs"], kept["version"]) == (pool.digests["thumbs"], RULES):
            return Duplicates(digests, kept["sets"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    thumbs = np.asarray(pool.thumbs())
    size = thumbs.shape[1]  # bytes
    found = find_duplicates(digests, thumbs, lambda n, of: on_read("comparing the images", n * size, of * size))
    with suppress(OSError):  # a read-only cache: compared again next time
        values = {"thumbs": pool.digests["thumbs"], "version": RULES, "sets": found.sets}
        file.write(json.dumps(values), durable=False)
    return found


def plan_of(source: OwnSource) -> Plan:
    options = source.options
    fractions = options["val_fraction"], options["test_fraction"]
    return Plan(options["split_seed"], *fractions, options["folds"], options["fold"])


# ---- classes ---------------------------------------------------------------------------------------------------------


def classes_of(items: Sequence[Item], listing: Listing, source: OwnSource, path: Path) -> Classes:
    """Task and class names as the recipe says, or as the labels do; the labels as numbers.

    Raises RecipeError for what the recipe says and the labels do not bear out, DataError for the labels alone.
    """
    refused = RecipeError if source.options["class_names"] else DataError
    given, task = names_of(source.options["class_names"]) or listing.class_names, source.options["task"]
    label_names = listing.label_names
    if label_names:
        if task not in (None, "multi_label"):
            raise RecipeError(OwnImages.SEVERAL_LABELS, path=path, task=task, columns=len(label_names))
        if given and len(given) != len(label_names):
            raise refused(OwnImages.WRONG_COUNT, path=path, given=len(given), found=len(label_names))
        return Classes("multi_label", given or label_names, np.array([[int(v) for v in i.labels] for i in items]))
    if task == "multi_label":
        raise RecipeError(OwnImages.ONE_LABEL, path=path)
    values = [item.labels[0] for item in items]
    distinct = sorted(set(values), key=natural)
    if (numbered := _numbered(distinct, given)) is None:
        others = [value for value in distinct if value not in given]
        raise refused(OwnImages.UNKNOWN_LABELS, path=path, found=_listed(others), given=_listed(given))
    names, number = numbered
    if len(names) < 2:
        raise DataError(OwnImages.ONE_CLASS, path=path, name=readable(names[0]))
    if task == "binary" and len(names) != 2:
        raise RecipeError(OwnImages.NOT_BINARY, path=path, found=len(names), names=_listed(names))
    kind: TaskKind = task or ("binary" if len(names) == 2 else "multi_class")
    return Classes(kind, tuple(map(readable, names)), np.array([number[value] for value in values]))


def _numbered(distinct: list[str], given: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, int]] | None:
    """The names of the classes, and the number of each label; None for a label that is not among those given.

    `given`: all labels, or names of the labels 0, 1, 2 …
    """
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
    return None


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


def _check_splits(path: Path, used: Used) -> None:
    found = Counter(used.where.tolist())
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
    source: OwnSource, path: Path, pool: Pool, used: Used, unusable: dict[str, str], ignored: dict[str, int]
) -> DataCard:
    items, records, classes = used.items, used.records, used.classes
    groups = {item.group for item in items if item.group is not None}
    given = {item.split for item in items if item.split is not None}
    where = used.where.tolist()
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
        images={split: where.count(split) for split in SPLITS},
        per_class=_per_class(used),
        how_split=_how_split(given, plan_of(source), bool(groups)),
        groups=len(groups) or None,
        groups_across_splits=groups_across([item.group for item in items], used.splits),
        widths=_spread([record["width"] for record in records]),
        heights=_spread([record["height"] for record in records]),
        bits=max(record["bits"] for record in records),
        notes=dict(sorted(Counter(note for record in records for note in record["notes"]).items())),
        unusable=len(unusable),
        unusable_files=tuple(Unusable(file=readable(f), reason=r) for f, r in sorted(unusable.items())[:NAMED]),
        ignored=dict(sorted(ignored.items())),
        duplicates=_duplicate_counts(used),
    )


def _spread(sides: list[int]) -> tuple[int, int, int]:
    """The smallest, the median, the largest."""
    return min(sides), median_low(sides), max(sides)


def _per_class(used: Used) -> dict[str, dict[str, int]]:
    where, labels, names = used.where, used.classes.labels, used.classes.names
    hot = labels if labels.ndim == 2 else np.eye(len(names), dtype=np.int64)[labels]
    return {split: dict(zip(names, hot[where == split].sum(axis=0).tolist(), strict=True)) for split in SPLITS}


def _duplicate_counts(used: Used) -> DuplicateCounts:
    duplicates = used.duplicates
    apart = across(duplicates.sets, used.splits)
    labels = used.classes.labels.reshape(len(used.items), -1)
    conflicting = [found for found in duplicates.sets if (labels[list(found)] != labels[found[0]]).any()]
    shown = [*apart, *conflicting, *duplicates.sets][:EXAMPLES]
    examples = {tuple(readable(used.items[number].name) for number in found[:10]): None for found in shown}
    return DuplicateCounts(
        exact=duplicates.exact,
        near=duplicates.near,
        across_splits=len(apart),
        other_label=len(conflicting),
        dropped=used.kept.count(False),
        examples=tuple(examples),
    )


def write_contents(contents: Contents, card: File, files: File, on_read: OnRead) -> dict[str, str]:
    """The arrays of the splits, the card and the list of images; the digests of the arrays. Raises OSError."""
    used, where = contents.used, contents.used.where
    rows = np.array([record["row"] for record in used.records], dtype=np.int64)
    digests = {}
    for split in SPLITS:
        for part, values in (("rows", rows), ("labels", used.classes.labels)):
            array = card.with_name(f"{split}_{part}.npy")
            with array.replacing(durable=False) as file:
                np.save(file, values[where == split])
            digests[f"{split}_{part}"] = digest_of(array, on_read)
    card.write(contents.card.model_dump_json(indent=1) + "\n", durable=False)
    with files.replacing_text(durable=False) as text:
        writer = csv.writer(text)
        writer.writerow(("split", "file", "label", "group", "digest"))
        for number in sorted(range(len(where)), key=lambda n: (where[n] == "", SPLITS.index(used.splits[n]), rows[n])):
            item, record = used.items[number], used.records[number]
            split = where[number] or f"{used.splits[number]}, dropped as a duplicate"
            label, group = " ".join(map(readable, item.labels)), readable(item.group or "")
            writer.writerow((split, readable(item.name), label, group, record.get("digest") or record["pixels"]))
    return digests
