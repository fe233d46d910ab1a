"""From a run to its curves: what is drawn, not how."""

from __future__ import annotations

import math
from typing import Literal

from engine.contract.protocol import EpochFinished
from medtui.client.view import RunView
from medtui.console.widgets.plot import Drawing, Point, Series, smoothed
from medtui.text import number

Axis = Literal["step", "epoch", "time"]
AXIS_TITLES: dict[Axis, str] = {"step": "step", "epoch": "epoch", "time": "minutes"}
TRAIN, VALIDATION = 0, 1  # colours of the palette


def loss_drawing(view: RunView, axis: Axis, *, log: bool, smooth: bool) -> Drawing:
    """Training loss a step, raw dim and smoothed bold; validation loss an epoch."""
    steps = [point for epoch in view.state.epochs for point in epoch.curve] + list(view.points)
    xs = _positions(view, [float(step) for step, _ in steps], axis)
    ys = [loss for _, loss in steps]
    epochs = view.state.epochs
    validation = [_loss(epoch) for epoch in epochs]
    series = [Series("train", tuple(xs), tuple(ys), TRAIN, faint=smooth)]
    if smooth:
        series.append(Series("train, smoothed", tuple(xs), tuple(smoothed(ys)), TRAIN))
    if any(value is not None for value in validation):
        known = [(epoch, value) for epoch, value in zip(epochs, validation, strict=True) if value is not None]
        at = _positions(view, [float(epoch.step) for epoch, _ in known], axis)
        series.append(Series("val", tuple(at), tuple(value for _, value in known), VALIDATION, dotted=True))
    return Drawing(tuple(series), x_title=AXIS_TITLES[axis], log=log, empty="no step is done yet")


def auc_drawing(view: RunView, axis: Axis) -> Drawing:
    """Validation AUC an epoch; the best is computed from raw values and marked."""
    epochs = view.state.epochs
    xs = _positions(view, [float(epoch.step) for epoch in epochs], axis)
    ys = [epoch.validation.auc for epoch in epochs]
    points = []
    finite = [(y, x, epoch.epoch) for y, x, epoch in zip(ys, xs, epochs, strict=True) if math.isfinite(y)]
    if finite:
        best = max(y for y, _, _ in finite)
        y, x, epoch_number = next(item for item in finite if item[0] == best)
        points.append(Point(x, y, "★", f"best {number(y)} @ {epoch_number}"))
    one = Series("val AUC", tuple(xs), tuple(ys), VALIDATION)
    return Drawing((one,), tuple(points), x_title=AXIS_TITLES[axis], empty="no epoch is done yet", upper=1.0)


def _loss(epoch: EpochFinished) -> float | None:
    return epoch.validation.loss


def _positions(view: RunView, steps: list[float], axis: Axis) -> list[float]:
    """Steps as positions on the axis: themselves, epochs, or minutes since the run began."""
    started = view.state.started
    if axis == "step" or started is None:
        return steps
    if axis == "epoch":
        return [step / max(1, started.steps_per_epoch) for step in steps]
    return _minutes(view, steps)


def _minutes(view: RunView, steps: list[float]) -> list[float]:
    """By the epochs' ends, straight between them: pauses are in it."""
    started = view.state.started
    assert started is not None
    known = [(0.0, started.time)] + [(float(epoch.step), epoch.time) for epoch in view.state.epochs]
    if view.progress is not None and view.progress.step is not None and view.progress.done > known[-1][0]:
        known.append((float(view.progress.done), view.progress.time))
    found, at = [], 0
    for step in steps:
        while at + 2 < len(known) and known[at + 1][0] < step:
            at += 1
        (low, early), (high, late) = known[at], known[min(at + 1, len(known) - 1)]
        share = (step - low) / (high - low) if high > low else 0.0
        found.append((early + share * (late - early) - started.time) / 60)
    return found
