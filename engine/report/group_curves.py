"""Curves of groups of runs: a mean with a band, one panel for each data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Polygon
from matplotlib.ticker import MaxNLocator

from engine.contract.files.folders import FileOrPath
from engine.contract.wire.jobs import CurvePanel
from engine.report.drawing import GREY, PALE, PALETTE, canvas, drawable

_LINES = ("-", "--", ":", "-.")
_COLUMNS = 2
_PANEL = (4.6, 3.8)  # inches


def plot_group_curves(path: FileOrPath, title: str, ylabel: str, note: str, panels: Sequence[CurvePanel]) -> None:
    """Raises OSError."""
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    with canvas(path, (_PANEL[0] * columns, _PANEL[1] * rows)) as fig:
        fig.suptitle(drawable(title, 80), fontsize=10)
        fig.supxlabel(drawable(note, 120), fontsize=7, color=GREY)
        grid = fig.subplots(rows, columns, squeeze=False).flat
        for axes, panel in zip(grid, panels, strict=False):
            _panel(axes, panel, ylabel)
        for axes in list(grid)[len(panels) :]:
            axes.set_visible(False)


def _panel(axes: Axes, panel: CurvePanel, ylabel: str) -> None:
    axes.set(title=drawable(panel.title, 60), xlabel="epoch", ylabel=ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", color=PALE, linewidth=0.6)
    for at, curve in enumerate(panel.curves):
        colour, line = PALETTE[at % len(PALETTE)], _LINES[at // len(PALETTE) % len(_LINES)]
        epochs = np.arange(1, len(curve.mean) + 1)
        marker = "o" if len(epochs) <= 40 else ""
        label = drawable(curve.label, 50)
        axes.plot(epochs, curve.mean, color=colour, linestyle=line, marker=marker, markersize=3, label=label)
        if curve.low:
            ends = [*zip(epochs, curve.low, strict=True), *reversed(list(zip(epochs, curve.high, strict=True)))]
            axes.add_patch(Polygon(np.array(ends), closed=True, facecolor=colour, alpha=0.18, linewidth=0))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=1, fontsize=7)
