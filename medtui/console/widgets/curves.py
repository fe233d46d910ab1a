"""From a run to its curves: what to plot, not how."""

from __future__ import annotations

import math
from itertools import islice
from typing import Any, Literal

from engine.contract.data.published import references
from engine.contract.wire.protocol import EpochFinished
from medtui.client.run_fields import format_lr
from medtui.client.view import RunView
from medtui.console.widgets.plot import Level, PlotSpec, Point, Series, smoothed
from medtui.text import by_monitor, clean, number, shortened

Axis = Literal["step", "epoch", "time"]
AXIS_TITLES: dict[Axis, str] = {"step": "step", "epoch": "epoch", "time": "minutes"}
MAX_POINTS = 20_000  # of the training loss, about
TRAIN, VALIDATION, SMOOTHED = 2, 1, 0  # colours of the palette
SMOOTHING = 0.9  # weight of what was before
RECENT, RECENT_EPOCHS = 100, 10  # points and epochs that the present loss and its trend are taken from
CLASSES = 5  # of the per-class curves


def loss_plot(view: RunView, axis: Axis, *, log: bool, smooth: bool) -> PlotSpec:
    """Training loss per step, raw and smoothed; validation loss per epoch."""
    steps = _curve(view) + list(view.points)
    xs = _positions(view, [float(step) for step, _ in steps], axis)
    ys = [loss for _, loss in steps]
    epochs = view.state.epochs
    validation = [_loss(epoch) for epoch in epochs]
    series = [Series("train", tuple(xs), tuple(ys), TRAIN, faint=smooth)]
    if smooth:
        series.append(Series("train (smoothed)", tuple(xs), tuple(smoothed(ys, SMOOTHING)), SMOOTHED))
    if any(value is not None for value in validation):
        known = [(epoch, value) for epoch, value in zip(epochs, validation, strict=True) if value is not None]
        at = _positions(view, [float(epoch.step) for epoch, _ in known], axis)
        series.append(Series("val", tuple(at), tuple(value for _, value in known), VALIDATION, marked=True))
    return PlotSpec(tuple(series), x_title=AXIS_TITLES[axis], log=log, empty="no step finished yet", robust=True)


def loss_title(view: RunView) -> str:
    """The two curves are comparable only where nothing was added to the training loss."""
    parts = view.state.started.only_in_training_loss if view.state.started is not None else []
    return f"loss · train with {clean(', '.join(parts), 80)}" if parts else "loss"


def auc_plot(view: RunView, axis: Axis) -> PlotSpec:
    """Validation AUC per epoch; the best one, whose weights are kept, is marked: by whatever the run monitors."""
    epochs = view.state.epochs
    xs = _positions(view, [float(epoch.step) for epoch in epochs], axis)
    ys = [epoch.validation.auc for epoch in epochs]
    points = []
    best = [(x, y, epoch.epoch) for x, y, epoch in zip(xs, ys, epochs, strict=True) if epoch.best and math.isfinite(y)]
    if best:
        x, y, epoch_number = best[-1]
        by = by_monitor(view.state.summary.monitor)
        points.append(Point(x, y, "★", f"best{by or f' {number(y)}'} @ {epoch_number}"))
    one = Series("val AUC", tuple(xs), tuple(ys), VALIDATION)
    empty = "no epoch finished yet"
    return PlotSpec((one,), tuple(points), _published(view), AXIS_TITLES[axis], empty=empty, upper=1.0)


def _published(view: RunView) -> tuple[Level, ...]:
    """A published test AUC of the set, where this run is one that may be compared with it: of its model, if there is
    one, else the highest."""
    started = view.state.started
    if started is None or started.synthetic or started.limit is not None:
        return ()
    found = [one for one in references(started.dataset, started.size) if one.auc is not None]
    if not found or found[0].remark:
        return ()
    of_model = [one for one in found if _letters(one.method) == _letters(started.model.removesuffix("_adapted"))]
    one = (of_model or found)[0]
    words = f"{'' if of_model else 'highest '}published {number(one.auc, 3)}"
    return (Level(one.auc or 0.0, f"{words} (test, {one.method})", words),)


def _letters(name: str) -> str:
    """To compare a method's name with a model's: `ViT-B/16` and `vit_b_16` are both `vitb16`."""
    return "".join(filter(str.isalnum, name.lower()))


def acc_plot(view: RunView, axis: Axis) -> PlotSpec:
    """Accuracy per epoch: of the training split as it was augmented, and of the validation split."""
    return _per_epoch(
        view,
        axis,
        ("train", [epoch.train_acc for epoch in view.state.epochs], SMOOTHED, False),
        ("val", [epoch.validation.acc for epoch in view.state.epochs], VALIDATION, True),
        upper=1.0,
    )


def lr_plot(view: RunView, axis: Axis) -> PlotSpec:
    rates = [epoch.lr for epoch in view.state.epochs]
    return _per_epoch(view, axis, ("learning rate", rates, SMOOTHED, False), written=_short)


def speed_plot(view: RunView, axis: Axis) -> PlotSpec:
    rates = [epoch.images_per_second for epoch in view.state.epochs]
    return _per_epoch(view, axis, ("training", rates, SMOOTHED, False), unit="images/s", robust=True, written=_rounded)


def _short(lr: float) -> str:
    return format_lr(lr) if math.isfinite(lr) else number(lr)


def _rounded(rate: float) -> str:
    return f"{rate:,.0f}" if math.isfinite(rate) else number(rate)


def recall_plot(view: RunView, axis: Axis) -> PlotSpec:
    """Validation recall of the classes whose recall is lowest now."""
    epochs = view.state.epochs
    now = sorted(epochs[-1].per_class, key=lambda row: row.recall) if epochs else []
    curves = []
    for colour, worst in enumerate(now[:CLASSES]):
        values = [next((row.recall for row in e.per_class if row.name == worst.name), math.nan) for e in epochs]
        curves.append((shortened(clean(worst.name, 60), 20), values, colour, colour == 0))
    return _per_epoch(view, axis, *curves, upper=1.0)


def _per_epoch(view: RunView, axis: Axis, *curves: tuple[str, list[float], int, bool], **more: Any) -> PlotSpec:
    """Curves of one value per epoch: (name, values, colour, marked)."""
    xs = tuple(_positions(view, [float(epoch.step) for epoch in view.state.epochs], axis))
    series = tuple(Series(name, xs, tuple(ys), colour, marked=marked) for name, ys, colour, marked in curves)
    return PlotSpec(series, x_title=AXIS_TITLES[axis], empty="no epoch finished yet", **more)


def recent_losses(view: RunView) -> list[float]:
    """The newest smoothed training losses, finite ones only."""
    points = list(view.points)
    for epoch in reversed(view.state.epochs[-RECENT_EPOCHS:]):
        if len(points) >= RECENT:
            break
        points = [*epoch.curve, *points]
    values = [loss for _, loss in points[-RECENT:] if math.isfinite(loss)]
    return smoothed(values, SMOOTHING)


def span(view: RunView, axis: Axis) -> tuple[float, float] | None:
    """Where the axis begins and ends, in every plot of a run; None where that is one place, or none."""
    epochs, points = view.state.epochs, view.points
    steps = [step for epoch in epochs[:1] for step, _ in epoch.curve[:1]] + [epoch.step for epoch in epochs[-1:]]
    steps += [step for step, _ in (*points[:1], *points[-1:])]
    if len(steps) < 2:
        return None
    low, high = _positions(view, [float(min(steps)), float(max(steps))], axis)
    return (low, high) if high > low else None


def _curve(view: RunView) -> list[tuple[int, float]]:
    """(step, loss) of all epochs; long runs are subsampled evenly: a plot has some hundred columns."""
    epochs = view.state.epochs
    stride = 1 + sum(len(epoch.curve) for epoch in epochs) // MAX_POINTS
    sampled_epochs = islice(epochs, 0, None, 1 + len(epochs) // MAX_POINTS)
    return [point for epoch in sampled_epochs for point in epoch.curve[::stride]]


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
    """By the epochs' ends, linear between them: pauses count."""
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
        fraction = (step - low) / (high - low) if high > low else 0.0
        found.append((early + fraction * (late - early) - started.time) / 60)
    return found
