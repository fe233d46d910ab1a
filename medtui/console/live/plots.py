"""The plots of Live: which there are, how many fit, and what each shows."""

from __future__ import annotations

from dataclasses import dataclass, replace

from medtui.client.view import RunView
from medtui.console.widgets.curves import (
    Axis,
    acc_plot,
    auc_plot,
    loss_plot,
    loss_title,
    lr_plot,
    recall_plot,
    span,
    speed_plot,
)
from medtui.console.widgets.plot import PlotSpec

TITLES = {
    "loss": "loss",
    "auc": "validation AUC",
    "acc": "accuracy",
    "lr": "learning rate",
    "recall": "validation recall, worst classes",
    "speed": "training speed",
}
NAMES = tuple(TITLES)
ZOOM = 1.5  # per key or turn of the wheel
NARROWEST = 0.01  # of the whole axis
SMALLEST = 8  # rows of a plot, with its frame


@dataclass(frozen=True)
class Shown:
    """How the plots are shown, as keys and mouse set it."""

    axis: Axis = "step"
    log: bool = False
    smooth: bool = True
    overlay: bool = True  # of the runs that are marked in Results
    cursor: int | None = None  # number of the epoch, from 0
    window: tuple[float, float] = (0.0, 1.0)  # the part of the x axis, as fractions of the whole

    @property
    def zoomed(self) -> bool:
        return self.window != (0.0, 1.0)

    def zoom(self, factor: float, at: float = 0.5) -> Shown:
        """Show 1 / `factor` of what is shown, with the point at fraction `at` of it in its place."""
        low, high = self.window
        width = min(1.0, max(NARROWEST, (high - low) / factor))
        if width == high - low:
            return self
        return self._moved_to(low + at * (high - low - width), width)

    def pan(self, by: float) -> Shown:
        """Move by a fraction of what is shown; right is positive."""
        low, high = self.window
        return self._moved_to(low + by * (high - low), high - low)

    def _moved_to(self, low: float, width: float) -> Shown:
        low = max(0.0, min(low, 1.0 - width))
        return replace(self, window=(low, low + width))


def rows_of(height: int, classes: int, progress: int, *, stacked: bool) -> tuple[int, int]:
    """Rows of the table of classes with its neighbours, and of progress with the log, at this height of the screen.

    `classes`, `progress`: rows of text in them.
    """
    low, high = height < 30, height >= 50
    detail = max(4 if low else 6, min(classes + 3, 6 if low else 16 if high else 11))
    if low:  # without frames
        return detail, progress + 2
    log = 8 if high else 4
    end = progress + 2 + log + 2 if stacked else max(progress, log) + 2
    return max(6, min(detail, height - 5 - end - SMALLEST)), end  # 5: top and key line, and the numbers


def room_for(columns: int, rows: int) -> tuple[int, int]:
    """(columns, rows) of plots in the space that is left for them, in characters."""
    across = 3 if columns >= 165 else 2 if columns >= 96 else 1
    down = 2 if rows >= 30 and across > 1 else 1
    return across, down


def plot_of(name: str, view: RunView, shown: Shown) -> PlotSpec:
    match name:
        case "loss":
            spec = loss_plot(view, shown.axis, log=shown.log, smooth=shown.smooth)
        case "auc":
            spec = auc_plot(view, shown.axis)
        case "acc":
            spec = acc_plot(view, shown.axis)
        case "lr":
            spec = lr_plot(view, shown.axis)
        case "speed":
            spec = speed_plot(view, shown.axis)
        case _:
            spec = recall_plot(view, shown.axis)
    return _windowed(spec, view, shown)


def title_of(name: str, view: RunView) -> str:
    return loss_title(view) if name == "loss" else TITLES[name]


def _windowed(spec: PlotSpec, view: RunView, shown: Shown) -> PlotSpec:
    """With the cursor and the window, at the same place in every plot."""
    epochs = view.state.epochs
    if shown.cursor is not None and epochs:
        at = max(0, min(shown.cursor, len(epochs) - 1))
        spec = replace(spec, cursor=auc_plot(view, shown.axis).series[0].xs[at])
    if shown.zoomed and (axis_range := span(view, shown.axis)) is not None:
        first, width = axis_range[0], axis_range[1] - axis_range[0]
        low, high = shown.window
        spec = replace(spec, window=(first + low * width, first + high * width))
    return spec
