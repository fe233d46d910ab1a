"""`python -m benchmarks.science.tables`: the tables of README.md here and of the project's, from this folder.

They are between `<!-- begin NAME -->` and `<!-- end NAME -->`; everything else is written by hand.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from engine.contract.data.datasets import datasets

HERE = Path(__file__).parent
SEEDS, CHOICES = HERE / "seeds.csv", HERE / "choices.csv"
PAGES = (HERE / "README.md", HERE.parents[1] / "README.md")
METRICS = ("auc", "acc")
UNGROUPED = "0"  # the partition of the Mini CNN's choices, in which near duplicates may be in different folds
AVERAGE = "0.95"  # the decay of the average that the recipes of ResNet-18 evaluate
T_975 = {9: 2.26216}  # Student's t, by degrees of freedom: of ten seeds
Row = Mapping[str, str]
# Of the seven methods of Table 3 of MedMNIST v2 (Yang et al. 2023), the highest of each column; three trials each
PUBLISHED = {"breastmnist": (0.919, 0.863), "retinamnist": (0.750, 0.531)}


@dataclass(frozen=True)
class Mean:
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval of the mean: Student's, over the values."""
        n = len(self.values)
        return T_975[n - 1] * stdev(self.values) / math.sqrt(n)

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.half_width:.3f}"


def rows_of(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def grouped(
    rows: Iterable[Mapping[str, str]], columns: Sequence[str]
) -> dict[tuple[str, ...], list[Mapping[str, str]]]:
    """In the order in which each group begins."""
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[column] for column in columns), []).append(row)
    return found


def accuracies() -> str:
    """One row per recipe and data set: the mean over the fresh seeds, next to the best published values."""
    lines = [
        "| test split, ten fresh seeds | AUC | ACC | best published AUC | best published ACC |",
        "| --- " * 5 + "|",
    ]
    for (recipe, dataset), rows in grouped(rows_of(SEEDS), ("recipe", "dataset")).items():
        auc, acc = (Mean(tuple(float(row[f"test_{metric}"]) for row in rows)) for metric in METRICS)
        best = PUBLISHED[dataset]
        title = datasets()[dataset].title
        lines.append(f"| {title}, `medtui run {recipe}` | {auc} | {acc} | {best[0]:.3f} | {best[1]:.3f} |")
    return "\n".join(lines) + "\n"


def every_seed() -> str:
    lines = ["| recipe | seed | AUC | ACC |", "| --- | --- | --- | --- |"]
    for row in rows_of(SEEDS):
        values = " | ".join(f"{float(row[f'test_{metric}']):.4f}" for metric in METRICS)
        lines.append(f"| `{row['recipe']}` | {row['seed']} | {values} |")
    return "\n".join(lines) + "\n"


def judged() -> dict[tuple[str, ...], list[Row]]:
    """By choice: what was judged after the last epoch, with all views."""
    found = {}
    for choice, rows in grouped(rows_of(CHOICES), ("choice",)).items():
        last = max(int(row["epoch"]) for row in rows)
        found[choice] = [row for row in rows if row["views"] == "all" and int(row["epoch"]) == last]
    return found


def evidence() -> str:
    """One row per choice of the Mini CNN and average: the mean over the folds."""
    lines = ["| choice | averaged | folds | AUC | ACC | loss |", "| --- " * 6 + "|"]
    for choice, rows in judged().items():
        final = [row for row in rows if row["partition"] == UNGROUPED]
        for (averaged,), of_average in grouped(final, ("averaged",)).items():
            values = [fmean(float(row[metric]) for row in of_average) for metric in (*METRICS, "loss")]
            cells = " | ".join(f"{value:.3f}" for value in values)
            lines.append(f"| `{choice[0]}` | {averaged} | {len(of_average)} | {cells} |")
    return "\n".join(lines) + "\n"


def resnet18_evidence() -> str:
    """One row per choice that began with a recipe of ResNet-18: the mean over its folds, and the mean difference from
    that recipe, with its standard error, on the folds that both have."""
    lines = ["| choice | folds | AUC | ACC | common folds | difference in AUC | in ACC |", "| --- " * 7 + "|"]
    found = {
        choice[0]: {(row["partition"], row["fold"]): row for row in rows if row["averaged"] == AVERAGE}
        for choice, rows in judged().items()
        if rows[0]["partition"] != UNGROUPED
    }
    for choice, folds in found.items():
        if not folds:  # was judged by the best epoch
            continue
        base = found[choice.partition("-")[0]]
        common = sorted(folds.keys() & base.keys())
        means = " | ".join(f"{fmean(float(row[metric]) for row in folds.values()):.3f}" for metric in METRICS)
        apart = " | ".join(
            _difference([float(folds[fold][metric]) - float(base[fold][metric]) for fold in common])
            for metric in METRICS
        )
        cells = f"{len(common)} | {apart}" if folds is not base else "– | – | –"
        lines.append(f"| `{choice}` | {len(folds)} | {means} | {cells} |")
    return "\n".join(lines) + "\n"


def _difference(values: Sequence[float]) -> str:
    return f"{fmean(values):+.3f} ± {stdev(values) / math.sqrt(len(values)):.3f}".replace("-", "−")


def epochs_evidence() -> str:
    """What the epoch was decided by: the mean over the folds."""
    lines = ["| choice | epoch | folds | AUC | ACC |", "| --- " * 5 + "|"]
    decided = [row for row in rows_of(CHOICES) if ", " in row["averaged"]]
    for (choice, averaged), rows in grouped(decided, ("choice", "averaged")).items():
        means = " | ".join(f"{fmean(float(row[metric]) for row in rows):.3f}" for metric in METRICS)
        lines.append(f"| `{choice}` | {averaged.partition(', ')[2]} | {len(rows)} | {means} |")
    return "\n".join(lines) + "\n"


PARTS = {
    "accuracies": accuracies,
    "every seed": every_seed,
    "evidence": evidence,
    "evidence of ResNet-18": resnet18_evidence,
}


def renewed(text: str) -> str:
    """The page with its tables made anew."""
    for name, make in PARTS.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        if begin in text:
            before, rest = text.split(begin)
            text = f"{before}{begin}\n\n{make()}\n{end}{rest.split(end)[1]}"
    return text


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")
