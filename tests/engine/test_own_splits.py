"""Splits of a user's own images, over generated tables: no leak, no image lost, and the same wherever they are made."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.own.splits import Plan, Sample, assigned, divided, kept_without_duplicates

SPLITS = ("train", "val", "test")
PINNED = "errraraarera"  # r, a, e: the second letters of train, val, test


@st.composite
def tables(draw: st.DrawFn, *, given_splits: bool = False) -> list[Sample]:
    """Up to 80 images of up to 5 classes and 30 patients, in the order of their names."""
    n = draw(st.integers(6, 80))
    classes, patients = draw(st.integers(1, 5)), draw(st.integers(3, 30))
    splits = st.sampled_from(SPLITS) if given_splits else st.none()
    return [
        Sample(
            f"{number:03}.png",
            (draw(st.integers(0, classes - 1)),),
            f"patient {draw(st.integers(0, patients))}",
            draw(splits),
        )
        for number in range(n)
    ]


PLANS = st.builds(
    Plan,
    st.integers(0, 2**32 - 1),
    st.floats(0.05, 0.4),
    st.floats(0.05, 0.4),
)


@given(tables(), PLANS)
@settings(max_examples=60, deadline=None)
def test_one_patient_never_stands_in_two_splits(table: list[Sample], plan: Plan) -> None:
    where: dict[str, set[str]] = {}
    for sample, split in zip(table, assigned(table, plan), strict=True):
        where.setdefault(sample.unit, set()).add(split)
    assert all(len(splits) == 1 for splits in where.values())


@given(tables(), PLANS, st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_same_seed_gives_the_same_splits_in_whatever_order_files_are_listed(
    table: list[Sample], plan: Plan, random: object
) -> None:
    found = dict(zip((sample.name for sample in table), assigned(table, plan), strict=True))
    shuffled = list(table)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert dict(zip((sample.name for sample in shuffled), assigned(shuffled, plan), strict=True)) == found


def test_the_splits_of_a_seed_are_these_on_every_machine() -> None:
    """Written down once: another result here would move images between the splits of runs that exist."""
    table = [Sample(f"{number}.png", (number % 2,), f"{number}.png") for number in range(12)]
    assert "".join(split[1] for split in assigned(table, Plan(0, 0.25, 0.25))) == PINNED


@given(tables(), st.integers(0, 100), st.integers(2, 6))
@settings(max_examples=40, deadline=None)
def test_folds_are_a_partition_and_keep_patients_together(table: list[Sample], seed: int, folds: int) -> None:
    tested: Counter[str] = Counter()
    for fold in range(1, folds + 1):
        splits = assigned(table, Plan(seed, 0.15, 0.15, folds, fold))
        held_out = {sample.unit for sample, split in zip(table, splits, strict=True) if split == "test"}
        others = {sample.unit for sample, split in zip(table, splits, strict=True) if split != "test"}
        assert not held_out & others
        tested.update(sample.name for sample, split in zip(table, splits, strict=True) if split == "test")
    assert tested == Counter(sample.name for sample in table)  # each image in the test of one fold


@given(tables(given_splits=True), PLANS)
@settings(max_examples=40, deadline=None)
def test_splits_that_are_given_are_kept(table: list[Sample], plan: Plan) -> None:
    have = {sample.split for sample in table}
    for sample, split in zip(table, assigned(table, plan), strict=True):
        if sample.split != "train" or have >= set(SPLITS):
            assert split == sample.split


def test_validation_is_taken_from_training_where_only_the_test_is_given() -> None:
    table = [Sample(f"{n:03}.png", (n % 2,), f"{n:03}.png", "test" if n >= 80 else "train") for n in range(100)]
    found = Counter(assigned(table, Plan(3, 0.25, 0.25)))
    assert found == {"train": 60, "val": 20, "test": 20}  # a quarter of the 80 that are left
    assert all(split == "test" for split in assigned(table, Plan(3, 0.25, 0.25))[80:])


def test_with_a_given_test_split_a_fold_is_the_validation_split() -> None:
    table = [Sample(f"{n:03}.png", (n % 2,), f"{n:03}.png", "test" if n >= 80 else "train") for n in range(100)]
    held_out: Counter[int] = Counter()
    for fold in range(1, 5):
        splits = assigned(table, Plan(3, 0.25, 0.25, 4, fold))
        assert Counter(splits) == {"train": 60, "val": 20, "test": 20}
        held_out.update(n for n, split in enumerate(splits) if split == "val")
    assert held_out == Counter(range(80))


@pytest.mark.parametrize(("classes", "images"), [(2, 200), (4, 1000), (7, 301)])
def test_each_class_is_divided_as_the_fractions_say(classes: int, images: int) -> None:
    table = [Sample(f"{n}.png", (n % classes,), f"{n}.png") for n in range(images)]
    found = Counter(zip((n % classes for n in range(images)), assigned(table, Plan(1, 0.15, 0.2)), strict=True))
    for label in range(classes):
        n = sum(found[label, split] for split in SPLITS)
        for split, fraction in (("train", 0.65), ("val", 0.15), ("test", 0.2)):
            assert abs(found[label, split] - fraction * n) <= 1.5


def test_patients_of_unequal_size_are_divided_as_well_as_they_can_be() -> None:
    """Of 60 patients with 1 to 12 images of three classes no fraction is missed by more than a patient's images."""
    table = [Sample(f"{p}-{n}", ((p + n) % 3,), f"p{p}") for p in range(60) for n in range(1 + p % 12)]
    found = Counter(assigned(table, Plan(5, 0.15, 0.15)))
    assert abs(found["test"] - 0.15 * len(table)) <= 12 and abs(found["val"] - 0.15 * len(table)) <= 12


def test_another_seed_gives_other_splits() -> None:
    table = [Sample(f"{n}.png", (n % 2,), f"{n}.png") for n in range(100)]
    assert assigned(table, Plan(0, 0.15, 0.15)) != assigned(table, Plan(1, 0.15, 0.15))


def test_parts_are_filled_whatever_they_are_called() -> None:
    table = [Sample(f"{n}", (0,), f"{n}") for n in range(90)]
    assert Counter(divided(table, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, "x").values()) == {"a": 30, "b": 30, "c": 30}


def test_dropped_duplicates_leave_the_test_split_as_it_is() -> None:
    splits = ["train", "val", "test", "train", "val", "train", "train"]
    kept = kept_without_duplicates(splits, [[0, 1, 2], [3, 4], [5, 6]])
    assert kept == [False, False, True, False, True, True, True]
