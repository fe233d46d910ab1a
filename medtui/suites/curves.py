"""Curves of a group: the mean over its seeds by epoch, with a band of one standard deviation to either side."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from engine.contract.store.journal import read_journal
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from engine.contract.wire.protocol import EpochFinished, RunStarted
from medtui.suites.groups import Group, table_of
from medtui.suites.statistics import summarise
from medtui.suites.store import run_directory
from medtui.suites.work import Item

Measure = Literal["val_auc", "val_acc", "val_f1", "val_loss", "train_loss"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
DIGITS = 6


@dataclass(frozen=True)
class Curve:
    """By epoch, as many as all runs of the group have. Without a band where there is one run."""

    label: str  # with how many runs
    mean: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


def curves_of(items: Iterable[Item], workspace: Workspace, measure: Measure) -> list[tuple[str, list[Curve]]]:
    """The curves of each block, below its title. Reads the journals of completed runs."""
    found = []
    for block in table_of(items, workspace):
        curves = [curve for group in block.groups if (curve := _of_group(group, workspace, measure)) is not None]
        if curves:
            found.append((block.title, curves))
    return found


def _of_group(group: Group, workspace: Workspace, measure: Measure) -> Curve | None:
    runs = [run.run for run in group.runs if run.state == "completed" and run.run is not None]
    series = [one for run in runs if (one := _of_run(run, workspace, measure))]
    return mean_curve(group.label, series) if series else None


def _of_run(run: str, workspace: Workspace, measure: Measure) -> dict[int, float]:
    return {event.epoch: _value(event, measure) for event in epochs_of(run_directory(workspace, run))}


def epochs_of(run: RunDirectory) -> list[EpochFinished]:
    """In order; what a later attempt did again counts. None where the journal cannot be read."""
    found: dict[int, EpochFinished] = {}
    try:
        for event in read_journal(run.journal):
            if isinstance(event, RunStarted) and event.resumed_from is not None:
                found = {epoch: one for epoch, one in found.items() if epoch <= event.resumed_from.epoch}
            elif isinstance(event, EpochFinished):
                found[event.epoch] = event
    except OSError:
        return []
    return list(found.values())


def _value(event: EpochFinished, measure: Measure) -> float:
    split, _, name = measure.partition("_")
    value = event.train_loss if split == "train" else getattr(event.validation, name)
    return math.nan if value is None else float(value)


def mean_curve(label: str, series: Sequence[dict[int, float]]) -> Curve:
    """Pure. Only epochs that every run has: a mean over fewer runs would jump where one ends. NaN where undefined."""
    epochs = sorted(set.intersection(*(set(one) for one in series)))
    found = [summarise([one[epoch] for one in series]) for epoch in epochs]
    n = len(series)
    shown = f"{label} ({n} run{'s' * (n != 1)})"
    mean = tuple(round(one.mean or 0.0, DIGITS) for one in found)
    if n == 1:
        return Curve(shown, mean)
    sds = [one.sd or 0.0 for one in found]
    low = tuple(round(value - sd, DIGITS) for value, sd in zip(mean, sds, strict=True))
    return Curve(shown, mean, low, tuple(round(value + sd, DIGITS) for value, sd in zip(mean, sds, strict=True)))
