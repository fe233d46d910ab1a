"""Runs side by side as values: their test metrics, the differences from the first, and whether those are noise."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from engine.contract.files.folders import Folder
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.schema import fields
from engine.contract.recipe.yaml_reader import written
from engine.contract.wire.errors import OutputError
from engine.contract.wire.protocol import Ci95, Metrics
from engine.contract.wire.resolved import describe_values
from engine.contract.wire.text import without_formula
from medtui.client.intervals import difference
from medtui.client.run_fields import describe_subset
from medtui.client.run_row import RunRow
from medtui.client.same_data import same_data
from medtui.sentences import Comparison
from medtui.text import clean, number

Verdict = Literal["more than noise", "may be noise", "unknown", "other data"]
RULE = (
    "A difference is more than noise where its 95 % interval excludes 0. The interval is made of the intervals of both "
    "runs (Newcombe 1998, method 10), as for independent test images. On the same images the true one is usually "
    "narrower, so too few differences are marked rather than too many."
)
METRICS = (("test", "AUC"), ("test", "ACC"), ("test", "F1"), ("validation", "AUC"))
MOST_FILES = 1000  # comparisons of one day


@dataclass(frozen=True)
class Compared:
    """A run of a comparison."""

    sign: str
    run_row: RunRow
    validation: Metrics | None
    test: Metrics | None
    recipe: Recipe | None


@dataclass(frozen=True)
class MetricRow:
    """One metric of one run. The difference is from the first run; None for the first, and where one is unknown."""

    value: float | None
    ci95: Ci95 | None
    change: float | None = None
    change_ci95: Ci95 | None = None
    verdict: Verdict | None = None  # None for the first run


def metric_rows(runs: Sequence[Compared], split: str, name: str) -> list[MetricRow]:
    """One row for each run, in their order."""
    first, rows = runs[0], []
    base, of_base = _value(first, split, name)
    for run in runs:
        value, ci95 = _value(run, split, name)
        if run is first:
            rows.append(MetricRow(value, ci95))
        elif value is None or base is None:
            rows.append(MetricRow(value, ci95, verdict="unknown"))
        elif not same_data(run.run_row, first.run_row):
            rows.append(MetricRow(value, ci95, verdict="other data"))
        else:
            change_ci95 = difference(base, of_base, value, ci95)
            rows.append(MetricRow(value, ci95, value - base, change_ci95, judged(change_ci95)))
    return rows


def judged(ci95: Ci95 | None) -> Verdict:
    """By the interval of a difference: see `RULE`."""
    if ci95 is None or not ci95[0] <= ci95[1]:
        return "unknown"
    return "more than noise" if ci95[0] > 0 or ci95[1] < 0 else "may be noise"


def has_intervals(split: str, name: str) -> bool:
    return split == "test" and name in ("AUC", "ACC")


def _value(run: Compared, split: str, name: str) -> tuple[float | None, Ci95 | None]:
    metrics = run.test if split == "test" else run.validation
    if metrics is None:
        return None, None
    ci95 = getattr(metrics, f"{name.lower()}_ci95") if has_intervals(split, name) else None
    return getattr(metrics, name.lower()), ci95


def recipe_differences(runs: Sequence[Compared]) -> dict[str, list[str]] | None:
    """The settings in which the recipes differ, each with its value in every run; None where one cannot be read."""
    recipes = [run.recipe for run in runs if run.recipe is not None]
    if len(recipes) < len(runs):
        return None
    rows = {
        spec.path: [written(getattr(getattr(recipe, spec.section), spec.name)) for recipe in recipes]
        for spec in fields().values()
    }
    return _differing(rows)


def decision_differences(runs: Sequence[Compared]) -> dict[str, list[str]]:
    """The automatic choices that differ."""
    starts = [describe_values(run.run_row.resolved) for run in runs]
    return _differing({name: [values[name] for values in starts] for name in starts[0]})


def _differing(rows: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: values for name, values in rows.items() if any(value != values[0] for value in values)}


# ---- export ---------------------------------------------------------------------------------------------------------


def comparison_csv(runs: Sequence[Compared]) -> str:
    """One line per run: numbers in full, unknown ones empty, then the settings that differ."""
    columns: dict[str, list[str]] = {
        "sign": [run.sign for run in runs],
        "run": [_text(run.run_row.run) for run in runs],
        "state": [_text(run.run_row.state) for run in runs],
        "dataset": [_text(run.run_row.dataset or "") for run in runs],
        "size": [_full(run.run_row.size) for run in runs],
        "subset": [describe_subset(run.run_row) for run in runs],
    }
    for split, name in METRICS:
        rows = metric_rows(runs, split, name)
        title = f"{split}_{name.lower()}"
        columns[title] = [_full(row.value) for row in rows]
        columns[f"{title}_difference"] = [_full(row.change) for row in rows]
        if has_intervals(split, name):
            for at, end in enumerate(("low", "high")):
                columns[f"{title}_{end}"] = [_full(row.ci95[at] if row.ci95 else None) for row in rows]
                ends = [row.change_ci95[at] if row.change_ci95 else None for row in rows]
                columns[f"{title}_difference_{end}"] = [_full(value) for value in ends]
            columns[f"{title}_verdict"] = [row.verdict or "" for row in rows]
    for path, values in {**(recipe_differences(runs) or {}), **decision_differences(runs)}.items():
        columns[path] = [_text(value) for value in values]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([list(columns), *zip(*columns.values(), strict=True)])
    return text.getvalue()


def _text(text: str) -> str:
    return without_formula(clean(text, 1000))


def _full(value: float | None) -> str:
    return "" if value is None else repr(value)


def comparison_markdown(runs: Sequence[Compared]) -> str:
    """Two tables, of metrics and of settings that differ, and the rule that differences are judged by."""
    title = "# Comparison of " + ", ".join(f"{run.sign} {_cell(run.run_row.run)}" for run in runs)
    shown = [pair for pair in METRICS if any(row.value is not None for row in metric_rows(runs, *pair))]
    metrics = [[" ".join(pair), *(_metric_cell(row) for row in metric_rows(runs, *pair))] for pair in shown]
    subsets = ["data", *(_cell(f"{run.run_row.dataset or '?'} {describe_subset(run.run_row)}".strip()) for run in runs)]
    settings = {**(recipe_differences(runs) or {}), **decision_differences(runs)}
    rows = [[_cell(name), *map(_cell, values)] for name, values in settings.items()]
    heading = ["", *(run.sign for run in runs)]
    parts = [title, _markdown_table([heading, subsets, *metrics])]
    parts += [_markdown_table([heading, *rows])] if rows else []
    if recipe_differences(runs) is None:
        parts.append("The recipe of a run cannot be read.")
    elif not rows:
        parts.append("The settings of the runs are equal.")
    return "\n\n".join([*parts, f"Differences are from {runs[0].sign}. {RULE}"]) + "\n"


def _metric_cell(row: MetricRow) -> str:
    ends = f" [{row.ci95[0]:.3f}, {row.ci95[1]:.3f}]" if row.ci95 else ""
    words = f"{number(row.value)}{ends}"
    if row.change is None:
        return f"{words}, on other data" if row.verdict == "other data" else words
    of_change = f" [{row.change_ci95[0]:+.3f}, {row.change_ci95[1]:+.3f}]" if row.change_ci95 else ""
    verdict = f", {row.verdict}" if row.verdict in ("more than noise", "may be noise") else ""
    return f"{words}; {row.change:+.4f}{of_change}{verdict}"


def _cell(text: str) -> str:
    """Text that Markdown does not interpret."""
    cleaned = clean(text, 1000)
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>#|~" else letter for letter in cleaned)


def _markdown_table(rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def write_comparison(outputs: Folder, text: str, day: str, suffix: str) -> str:
    """Into a new file of `outputs/`; its path. Raises OutputError, and never touches a file that is there.

    `day`: as `20261126`. `suffix`: `csv` or `md`.
    """
    for at in range(1, MOST_FILES + 1):
        file = outputs.file(f"comparison_{day}_{at}.{suffix}")
        if file.is_there:  # whatever it is, a link too
            continue
        try:
            file.create(text.encode())
        except FileExistsError:
            continue
        except OSError as error:
            raise OutputError(Comparison.UNWRITABLE, path=file, reason=error.strerror or error) from None
        return str(file)
    raise OutputError(Comparison.TOO_MANY, path=outputs.path, limit=MOST_FILES)
