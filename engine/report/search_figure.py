"""A search: what each trial came to and the best so far, and which fields matter."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from engine.contract.files.folders import FileOrPath
from engine.contract.wire.jobs import Importance, SearchFigure
from engine.report.drawing import BLUE, GREY, PALE, VERMILION, annotate_empty, canvas, drawable

_SIZE = (9.2, 3.8)  # inches
_NOTE = "importance: fraction of the variance of completed trials that each field explains (fANOVA)"


def plot_search(path: FileOrPath, search: SearchFigure) -> None:
    """Raises OSError."""
    with canvas(path, _SIZE) as fig:
        fig.suptitle(drawable(search.title, 80), fontsize=10)
        fig.supxlabel(_NOTE, fontsize=7, color=GREY)
        trials, importances = fig.subplots(1, 2)
        _trials(trials, search)
        _importances(importances, search.importances)


def best_so_far(values: Sequence[float], *, higher_is_better: bool) -> list[float]:
    return list(accumulate(values, max if higher_is_better else min))


def _trials(axes: Axes, search: SearchFigure) -> None:
    axes.set(title="trials", xlabel="trial", ylabel=drawable(search.ylabel, 40))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", color=PALE, linewidth=0.6)
    done = [(one.number, one.value) for one in search.trials if one.value is not None]
    if not done:
        return annotate_empty(axes, "no trial is completed")
    numbers, values = [number for number, _ in done], [value for _, value in done]
    best = best_so_far(values, higher_is_better=search.higher_is_better)
    axes.plot(numbers, values, "o", color=BLUE, markersize=4, label=f"completed ({len(done)})")
    last = max(one.number for one in search.trials)
    axes.step([*numbers, last], [*best, best[-1]], where="post", color=VERMILION, label="best so far")
    without = [one.number for one in search.trials if one.value is None]
    if without:
        low = min(values) - 0.05 * (max(values) - min(values))  # below all that have a value
        axes.plot(
            without, [low] * len(without), "x", color=GREY, markersize=4, label=f"pruned or failed ({len(without)})"
        )
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, fontsize=7)
    return None


def _importances(axes: Axes, importances: Sequence[Importance]) -> None:
    axes.set(title="importance", xlabel="fraction of the variance", xlim=(0, 1.1))
    if not importances:
        axes.set_yticks([])
        return annotate_empty(axes, "too few completed trials")
    ordered = sorted(importances, key=lambda one: one.value)
    axes.barh([drawable(one.name, 30) for one in ordered], [one.value for one in ordered], height=0.5, color=BLUE)
    axes.set_ylim(-0.75, len(ordered) - 0.25)
    for at, one in enumerate(ordered):
        axes.text(one.value + 0.01, at, f"{one.value:.2f}", va="center", fontsize=8)
    return None
