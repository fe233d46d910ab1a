"""What a search may choose: for each field a range of numbers, or some values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from engine.contract.recipe.schema import fields
from engine.contract.recipe.yaml_reader import KeyPath, written

DIGITS = 6  # significant ones of a number that is chosen, so that a recipe can be read
NO_RESULT = "it does not change a run's validation results"
NEVER = {
    "training.seed": "`seeds` gives the seeds of each trial",
    "training.monitor": "`objective` gives what trials are compared by",
    "evaluation.tta": NO_RESULT,
    "evaluation.test": "no trial of a search evaluates the test split",
}


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included."""

    path: str  # dotted field
    low: float  # of whole numbers an int
    high: float
    log: bool = False
    integer: bool = False
    line: int | None = None

    @property
    def probes(self) -> tuple[Any, ...]:
        """The ends, and a number within that is no whole one by accident."""
        golden = 0.6180339887
        if self.integer:
            return self.low, self.high
        within = self.low * (self.high / self.low) ** golden if self.log else self.low + (self.high - self.low) * golden
        return self.low, self.high, self.rounded(within)

    @property
    def size(self) -> float:
        return self.high - self.low + 1 if self.integer else math.inf

    def rounded(self, value: float) -> float:
        """As a recipe gets it: a few digits, and within the range all the same."""
        if self.integer:
            return int(value)
        return min(max(float(f"{value:.{DIGITS}g}"), float(self.low)), float(self.high))

    def __str__(self) -> str:
        return f"{written(self.low)} to {written(self.high)}{', log scale' if self.log else ''}"


@dataclass(frozen=True)
class Choice:
    """Some values, without an order."""

    path: str
    values: tuple[Any, ...]
    line: int | None = None

    @property
    def probes(self) -> tuple[Any, ...]:
        return self.values

    @property
    def size(self) -> float:
        return len(self.values)

    def __str__(self) -> str:
        return ", ".join(map(written, self.values))


Parameter = Range | Choice
Values = dict[str, Any]  # of a trial, by dotted field


def keys_of(path: str) -> KeyPath:
    section, _, name = path.partition(".")
    return section, name


def in_sections(values: Values) -> dict[str, dict[str, Any]]:
    """As a recipe has them."""
    found: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        section, name = keys_of(path)
        found.setdefault(section, {})[name] = value
    return found


def why_not_searched(path: str) -> str:
    """Nothing for a field that a search can choose."""
    if path in NEVER:
        return NEVER[path]
    if path.startswith("dataset.") and path != "dataset.size":
        return "trials on other data are not comparable"
    return "" if fields()[path].identity else NO_RESULT


def kind_of_numbers(path: str) -> str | None:
    """`integer` or `number`, of a field that has some; None for one of fixed values or text."""
    kinds = {variant.get("type") for variant in fields()[path].variants}
    return "integer" if "integer" in kinds else "number" if "number" in kinds else None
