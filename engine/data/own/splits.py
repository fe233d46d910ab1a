"""Which image is in which split. Pure: decided by names, groups, labels and a seed, in whatever order they come.

Chance comes from BLAKE2b of the seed and a name, so it is the same on every machine and for every order of a listing.
Images that must stay together (of one group, or duplicates of each other) are one unit; the units go, in the order of
their size and then of their digests, each to the split that comes nearest to its target by it. So each class is
divided as the fractions say, as far as units can be divided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from engine.contract.data.datasets import SPLITS


@dataclass(frozen=True, slots=True)
class Sample:
    """An image as far as splitting is concerned."""

    name: str
    strata: tuple[Hashable, ...]  # its class; of several labels those that it has
    unit: str  # images with the same one stay together
    split: str | None = None  # that was given


@dataclass(frozen=True)
class Plan:
    """What a recipe says of splits."""

    seed: int
    val: float  # fraction
    test: float
    folds: int | None = None
    fold: int = 1


def assigned(samples: Sequence[Sample], plan: Plan) -> list[str]:
    """The split of each sample. What was given is kept; what is not given is taken out of the training images."""
    given = {sample.split for sample in samples if sample.split is not None}
    found = {sample.name: sample.split or "train" for sample in samples}
    left = [sample for sample in samples if found[sample.name] == "train"]
    decided = given | {"train"}
    if plan.folds is not None:
        held_out = "val" if "test" in given else "test"
        parts = divided(left, {str(k): 1 / plan.folds for k in range(1, plan.folds + 1)}, f"fold {plan.seed}")
        found |= {name: held_out for name, part in parts.items() if part == str(plan.fold)}
        decided.add(held_out)
    missing = {split: fraction for split, fraction in (("val", plan.val), ("test", plan.test)) if split not in decided}
    if missing:
        left = [sample for sample in left if found[sample.name] == "train"]
        train = 1.0 - sum(missing.values())
        found |= divided(left, {"train": train, **missing}, f"split {plan.seed}")
    return [found[sample.name] for sample in samples]


def divided(samples: Sequence[Sample], fractions: Mapping[str, float], key: str) -> dict[str, str]:
    """The part of each sample's name. `fractions`: of each part, together 1."""
    units: dict[str, Counter[Hashable]] = {}
    for sample in samples:
        units.setdefault(sample.unit, Counter()).update(sample.strata)
    totals = Counter(stratum for sample in samples for stratum in sample.strata)
    targets = {part: {stratum: n * fraction for stratum, n in totals.items()} for part, fraction in fractions.items()}
    held: dict[str, Counter[Hashable]] = {part: Counter() for part in fractions}
    part_of = {}
    for unit in sorted(units, key=lambda name: (-units[name].total(), _chance(key, name))):
        counts = sorted(units[unit].items(), key=repr)
        part_of[unit] = min(fractions, key=lambda part: _growth(counts, held[part], targets[part]))
        held[part_of[unit]].update(units[unit])
    return {sample.name: part_of[sample.unit] for sample in samples}


def _growth(
    unit: Sequence[tuple[Hashable, int]], held: Mapping[Hashable, int], target: Mapping[Hashable, float]
) -> float:
    """By how much the distance of a part from its target grows with a unit: the sum over its classes of
    (held - target)² / target, as in a chi-square test. Negative while the part lacks them."""
    return sum(n * (2 * (held.get(stratum, 0) - target[stratum]) + n) / target[stratum] for stratum, n in unit)


def _chance(key: str, name: str) -> bytes:
    return blake2b(f"{key}\0{name}".encode(errors="surrogateescape"), digest_size=16).digest()


def groups_across(groups: Sequence[str | None], splits: Sequence[str]) -> int:
    """How many groups have images in more than one split."""
    found: dict[str, set[str]] = {}
    for group, split in zip(groups, splits, strict=True):
        if group is not None:
            found.setdefault(group, set()).add(split)
    return sum(len(where) > 1 for where in found.values())


def kept_without_duplicates(splits: Sequence[str], sets: Sequence[Sequence[int]]) -> list[bool]:
    """Which samples stay when duplicates across splits are dropped: of each set those in the test split, if it has some
    there, else those in the validation split."""
    kept = [True] * len(splits)
    for members in sets:
        strongest = max(SPLITS.index(splits[number]) for number in members)
        for number in members:
            kept[number] = SPLITS.index(splits[number]) == strongest
    return kept
