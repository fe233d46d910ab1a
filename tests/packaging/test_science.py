"""The accuracies that are quoted are those of the files: every fresh seed is there, of the recipe that is shipped."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import yaml

from benchmarks.science.folds import recipe_of
from benchmarks.science.tables import PUBLISHED
from engine.contract.recipe.identity import recipe_hash
from engine.contract.recipe.reader import layered, recipe_from_values
from engine.contract.recipe.shipped import shipped_recipes
from engine.contract.recipe.yaml_reader import read_yaml_file

ROOT = Path(__file__).resolve().parents[2]
SCIENCE = ROOT / "benchmarks" / "science"
FROZEN = {"breast-small-decay": "breastmnist_small", "retina-small": "retinamnist_small", "breast": "breastmnist",
          "retina-joined-3": "retinamnist"}  # fmt: skip
PAGES = (ROOT / "README.md", SCIENCE / "README.md")


def rows(name: str) -> list[dict[str, str]]:
    with (SCIENCE / name).open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def of_recipes() -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for row in rows("seeds.csv"):
        found.setdefault(row["recipe"], []).append(row)
    assert found
    return found


def test_every_fresh_seed_is_reported_and_none_was_chosen_by() -> None:
    chosen_by = {int(row["seed"]) for row in rows("choices.csv")}
    assert chosen_by
    for recipe, seeds in of_recipes().items():
        assert [int(row["seed"]) for row in seeds] == list(range(101, 111)), recipe
        assert chosen_by.isdisjoint(int(row["seed"]) for row in seeds)


def test_the_fresh_seeds_are_of_the_shipped_recipe() -> None:
    for name, seeds in of_recipes().items():
        values = read_yaml_file(shipped_recipes()[name]).values
        for row in seeds:
            recipe = recipe_from_values(layered(values, {"training": {"seed": int(row["seed"])}}))
            assert recipe_hash(recipe) == row["recipe_hash"], f"{name}, seed {row['seed']}: run it again"


@pytest.mark.parametrize("page", PAGES, ids=["README.md", "benchmarks/science/README.md"])
def test_quoted_means_and_intervals_are_those_of_the_seeds(page: Path) -> None:
    """The interval as scipy has it: Student's, of the mean."""
    text = page.read_text(encoding="utf-8")
    for name, seeds in of_recipes().items():
        (row,) = re.findall(
            rf"^\| [^|]*`medtui run {name}` \| (.+) ± (.+) \| (.+) ± (.+) \|.*\|.*\|$", text, re.MULTILINE
        )
        for metric, (mean, half) in {"auc": row[:2], "acc": row[2:]}.items():
            values = np.array([float(seed[f"test_{metric}"]) for seed in seeds])
            low, high = scipy.stats.t.interval(0.95, len(values) - 1, values.mean(), scipy.stats.sem(values))
            assert float(mean) == pytest.approx(values.mean(), abs=0.0005001)
            assert float(half) == pytest.approx((high - low) / 2, abs=0.0005001)


def test_every_frozen_choice_was_judged_over_at_least_five_seeds() -> None:
    """The others, among which they were chosen, over four at least: there was no time for the last fold of some."""
    seeds: dict[str, set[str]] = {}
    for row in rows("choices.csv"):
        seeds.setdefault(row["choice"], set()).add(row["seed"])
    assert FROZEN.keys() <= seeds.keys()
    assert {name: len(found) for name, found in seeds.items() if len(found) < (5 if name in FROZEN else 4)} == {}


@pytest.mark.parametrize(("choice", "shipped"), FROZEN.items())
def test_a_frozen_choice_is_what_the_shipped_recipe_says(choice: str, shipped: str) -> None:
    """But for the average of the weights and the views, which were judged together with the choice."""
    settings = dict(yaml.safe_load((SCIENCE / "choices.yaml").read_text(encoding="utf-8"))[choice])
    base = read_yaml_file(shipped_recipes()[settings.pop("recipe")]).values
    ours = recipe_from_values(read_yaml_file(shipped_recipes()[shipped]).values)
    chosen = recipe_of(base, settings, ours.training.seed)
    apart = {"training.ema_decay", "evaluation.tta", "augmentation.vflip"} if shipped.endswith("_small") else set()
    for section in ("dataset", "model", "training", "augmentation", "evaluation"):
        for name, value in getattr(chosen, section):
            assert f"{section}.{name}" in apart or getattr(getattr(ours, section), name) == value, f"{section}.{name}"


def test_the_best_published_values_are_the_highest_of_the_seven_methods() -> None:
    published = ROOT / "engine" / "contract" / "data" / "published_medmnist_v2.csv"
    lines = [line for line in published.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    table = {row["dataset"]: row for row in csv.DictReader(lines)}
    assert set(PUBLISHED) <= table.keys()
    for name, best in PUBLISHED.items():
        of_metric = ([float(v) for key, v in table[name].items() if key.endswith(f"_{m}")] for m in ("auc", "acc"))
        assert best == tuple(max(values) for values in of_metric)
