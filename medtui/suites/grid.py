"""A suite as a grid: a row for each group of runs that differ only in the seed, a column for each seed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from medtui.suites.work import Item

UNKNOWN_SEED = -1  # of a recipe that is damaged


@dataclass(frozen=True)
class Row:
    label: str
    items: Mapping[int, str]  # ids, by seed


@dataclass(frozen=True)
class Grid:
    common: str = ""  # of all rows, so that no label says it
    seeds: tuple[int, ...] = ()
    rows: tuple[Row, ...] = ()


def grid_of(items: Iterable[Item]) -> Grid:
    """Pure. Rows in the order of their first runs, seeds ascending. No recipe is checked: there may be thousands."""
    by_group: dict[str, dict[int, Item]] = {}
    for item in items:
        key, seed = _group_and_seed(item)
        by_group.setdefault(key, {})[seed] = item
    groups = list(by_group.values())
    common, labels = without_common([_label(next(iter(members.values()))) for members in groups])
    rows = tuple(
        Row(label, {seed: item.id for seed, item in members.items()})
        for label, members in zip(labels, groups, strict=True)
    )
    return Grid(common, tuple(sorted({seed for members in groups for seed in members})), rows)


def _group_and_seed(item: Item) -> tuple[str, int]:
    """By the recipe as the plan has it: with every field, in one order."""
    training = item.recipe.get("training")
    fields = dict(training) if isinstance(training, dict) else {}
    seed = fields.pop("seed", UNKNOWN_SEED)
    if not isinstance(seed, int) or seed == UNKNOWN_SEED:
        return item.id, UNKNOWN_SEED
    return json.dumps({**item.recipe, "training": fields}, sort_keys=True, default=str), seed


def _label(item: Item) -> str:
    """Of its group: the plan's labels end with the seed."""
    return item.label.rpartition(", seed ")[0] or item.label


def without_common(labels: Sequence[str]) -> tuple[str, list[str]]:
    """What all labels have in common, and each without that."""
    parts = [label.split(", ") for label in labels]
    if len(labels) < 2 or len({len(one) for one in parts}) > 1:
        return "", list(labels)
    same = [len(set(column)) == 1 for column in zip(*parts, strict=True)]
    if all(same):  # they differ in what no label says
        return "", list(labels)
    common = [part for part, equal in zip(parts[0], same, strict=True) if equal]
    return ", ".join(common), [
        ", ".join(part for part, equal in zip(one, same, strict=True) if not equal) for one in parts
    ]


def distinct_first(labels: Sequence[str], width: int) -> list[str]:
    """Where not all fit, what differs among them stands before what all have: what is cut off tells nothing apart.

    The seed comes first of that, as it is what differs most often.
    """
    if all(cell_len(label) <= width for label in labels):
        return list(labels)
    common, own = without_common(labels)
    return [", ".join(filter(None, (_seed_first(one), common))) for one in own]


def _seed_first(label: str) -> str:
    return ", ".join(sorted(label.split(", "), key=lambda part: not part.startswith("seed ")))
