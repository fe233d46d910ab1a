"""`python -m benchmarks.science.collect WORKSPACE`: the fresh seeds of a workspace, into `seeds.csv`.

A completed run is taken if it has the hash of a shipped recipe with one of the fresh seeds; no other run is. Rows of
other workspaces stay, as long as the shipped recipe is the one that they were made with.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from benchmarks.science.tables import SEEDS, rows_of
from engine.contract.recipe.identity import recipe_hash
from engine.contract.recipe.reader import layered, recipe_from_values
from engine.contract.recipe.shipped import shipped_recipes
from engine.contract.recipe.yaml_reader import read_yaml_file
from medtui.client.run_index import run_rows

RECIPES = ("breastmnist_small", "retinamnist_small", "breastmnist", "retinamnist")
FRESH = range(101, 111)  # seeds that no choice has seen
COLUMNS = ("recipe", "dataset", "seed", "test_auc", "test_acc", "recipe_hash", "run")


def hash_of_seed(recipe: str, seed: int) -> str:
    """Of the shipped recipe with this seed: what `medtui run RECIPE --seed SEED` is."""
    values = read_yaml_file(shipped_recipes()[recipe]).values
    return recipe_hash(recipe_from_values(layered(values, {"training": {"seed": seed}})))


def main() -> None:
    names = {hash_of_seed(recipe, seed): recipe for recipe in RECIPES if recipe in shipped_recipes() for seed in FRESH}
    found = {
        (row["recipe"], int(row["seed"])): tuple(row.values()) for row in rows_of(SEEDS) if row["recipe_hash"] in names
    }
    for run in run_rows(Path(sys.argv[1]) / "outputs"):
        if run.state == "completed" and run.recipe_hash in names and run.seed is not None:
            recipe = names[run.recipe_hash]
            values = (recipe, run.dataset, run.seed, run.test_auc, run.test_acc, run.recipe_hash, run.run)
            found[recipe, run.seed] = tuple(map(str, values))
    with SEEDS.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(row for _, row in sorted(found.items()))


if __name__ == "__main__":
    main()
