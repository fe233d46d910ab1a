"""The figures of a report: 200 dpi PNG files, one function each. `FIGURES` lists them in order."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from engine.contract.files.folders import FileOrPath
from engine.report.content import FirstBatch, RunReport
from engine.report.curves import BINS, calibration, confidence_and_outcome, one_against_rest, roc_points
from engine.report.drawing import (
    BLUE,
    CORRECT,
    GREY,
    PALE,
    PALETTE,
    VERMILION,
    WRONG,
    annotate_empty,
    drawable,
    figure,
)
from engine.report.text import number, shortened

SAMPLES = 20  # images shown at most
_COLUMNS = 5
_BATCH_COLUMNS = 8
_LINES = ("-", "--", ":", "-.")  # after each round of the palette the next


# ---- training curves ----------------------------------------------------------------------------------------------


def plot_curves(path: FileOrPath, report: RunReport) -> None:
    """Loss, and validation AUC and accuracy, by epoch, with the best epoch marked. Raises OSError."""
    with figure(path, report, "Training curves", (8.5, 3.8)) as fig:
        losses, quality = fig.subplots(1, 2)
        for axes, title in ((losses, "Loss"), (quality, "Validation AUC and accuracy")):
            axes.set(title=title, xlabel="epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.grid(axis="y", color=PALE, linewidth=0.6)
        parts = report.only_in_training_loss
        training = f"training, with {' and '.join(parts)}" if parts else "training"
        _lines(losses, report, {"train_loss": training, "val_loss": "validation"})
        _lines(quality, report, {"val_auc": "AUC", "val_acc": "accuracy"})
        if report.best_epoch is not None:
            _mark_best(losses, quality, report, report.best_epoch)
        for axes in (losses, quality):
            if axes.get_legend_handles_labels()[0]:
                axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, fontsize=8)


def _lines(axes: Axes, report: RunReport, series: dict[str, str]) -> None:
    epochs = _column(report, "epoch")
    marker = "o" if len(epochs) <= 40 else ""
    fig = False
    for (name, label), colour, line in zip(series.items(), PALETTE, _LINES, strict=False):
        values = _column(report, name)
        if np.isfinite(values).any():
            axes.plot(epochs, values, color=colour, linestyle=line, marker=marker, markersize=3, label=label)
            fig = True
    if not fig:
        annotate_empty(axes, "undefined in every epoch" if len(epochs) else "no finished epoch")
    if len(epochs):
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)


def _column(report: RunReport, name: str) -> np.ndarray:
    """float [epochs]; NaN where there is no finite value."""
    values = [row.get(name) for row in report.history]
    finite = [isinstance(value, int | float) and math.isfinite(value) for value in values]
    return np.array([value if known else math.nan for value, known in zip(values, finite, strict=True)], dtype=float)


def _mark_best(losses: Axes, quality: Axes, report: RunReport, best: int) -> None:
    for axes in (losses, quality):
        axes.axvline(best, color=GREY, linestyle=":", linewidth=1, zorder=0)
    auc = next((row.get("val_auc") for row in reversed(report.history) if row.get("epoch") == best), None)
    label = f"best: epoch {best}, AUC {number(auc)}"
    height = auc if isinstance(auc, float) and math.isfinite(auc) else math.nan
    quality.plot([best], [height], "*", color=BLUE, markersize=12, markeredgecolor="white", label=label)


# ---- confusion ----------------------------------------------------------------------------------------------------


def plot_confusion(path: FileOrPath, report: RunReport) -> None:
    """Counts and row fractions; for multi-label recall, specificity and the counts of each label. Raises OSError."""
    classes = len(report.class_names)
    if report.task == "multi_label":
        with figure(path, report, "Decisions by label, test split", (9, 2.2 + 0.36 * classes)) as fig:
            _label_bars(fig, report)
        return
    side = 2.6 + 0.62 * max(classes, 3)
    with figure(path, report, "Confusion matrix, test split", (side + 1.2, side)) as fig:
        _heatmap(fig, report)


def _heatmap(fig: Figure, report: RunReport) -> None:
    classes = len(report.class_names)
    totals = report.confusion.sum(axis=1, keepdims=True)
    fractions = np.where(totals, report.confusion / np.where(totals, totals, 1), np.nan)  # [K, K] of the true class
    axes = fig.subplots()
    image = axes.imshow(np.ma.masked_invalid(fractions), cmap="Blues", vmin=0, vmax=1)
    axes.set_facecolor("#F0F0F0")  # where a class has no image
    size = 8 if classes <= 12 else max(3, 96 / classes)
    for row, column in np.ndindex(classes, classes):
        fraction = fractions[row, column]
        words = f"{report.confusion[row, column]:,}\n{fraction:.0%}" if totals[row, 0] else "–"
        colour = "white" if fraction > 0.55 else "black"
        axes.text(column, row, words, ha="center", va="center", fontsize=size, color=colour, linespacing=1.1)
    names = [drawable(name) for name in report.class_names]
    axes.set_xticks(range(classes), names, rotation=40 if classes > 3 else 0, ha="right" if classes > 3 else "center")
    axes.set_yticks(range(classes), [f"{name} ({total:,})" for name, total in zip(names, totals[:, 0], strict=True)])
    axes.tick_params(length=0, labelsize=8)
    axes.set(xlabel="predicted", ylabel="true (images)")
    axes.spines[:].set_visible(False)
    fig.colorbar(image, ax=axes, shrink=0.8, format=PercentFormatter(1), label="fraction of the true class")


def _label_bars(fig: Figure, report: RunReport) -> None:
    names = [drawable(name) for name in report.class_names]
    rows = np.arange(len(names))
    bars, counts = fig.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    totals = report.confusion.sum(axis=2)  # [K, 2]: without the label, with it
    for offset, state, colour, label in ((-0.2, 1, BLUE, "recall"), (0.2, 0, VERMILION, "specificity")):
        total = totals[:, state]
        fraction = report.confusion[:, state, state] / np.where(total, total, 1)
        bars.barh(rows + offset, np.where(total, fraction, 0), height=0.36, color=colour, label=label)
        for row in rows:
            words = f"{fraction[row]:.0%}" if total[row] else "undefined"
            bars.text(fraction[row] + 0.01, row + offset, words, va="center", fontsize=7, color=GREY)
    bars.set_yticks(rows, names)
    bars.set_xlim(0, 1.12)
    bars.set_ylim(len(names) - 0.4, -0.6)
    bars.set_xticks(np.linspace(0, 1, 6))
    bars.xaxis.set_major_formatter(PercentFormatter(1))
    bars.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, fontsize=8)
    titles = ("true\npositive", "false\nnegative", "false\npositive", "true\nnegative")
    cells = [report.confusion[:, a, b] for a, b in ((1, 1), (1, 0), (0, 1), (0, 0))]
    for column, values in enumerate(cells):
        for row in rows:
            counts.text(column, row, f"{values[row]:,}", ha="center", va="center", fontsize=8)
    counts.set_xlim(-0.5, 3.5)
    counts.set_xticks(range(4), titles, fontsize=8)
    counts.tick_params(length=0, labelleft=False, top=False, labeltop=True, bottom=False, labelbottom=False)
    counts.spines[:].set_visible(False)


# ---- sample predictions -------------------------------------------------------------------------------------------


def plot_samples(path: FileOrPath, report: RunReport) -> None:
    """Some test images, with what they are, what was predicted, and with which score. Raises OSError."""
    shown = min(len(report.samples), SAMPLES)
    columns = max(1, min(_COLUMNS, shown))
    rows = max(1, math.ceil(shown / columns))
    size = (max(4.6, 1.9 * columns), 1.1 + 2.05 * rows)
    with figure(path, report, "Sample predictions, test split: true → predicted (score)", size) as fig:
        cells = fig.subplots(rows, columns, squeeze=False).ravel()
        for axes in cells:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        if not shown:
            annotate_empty(cells[0], "no samples")
        for axes, image, row in zip(cells, report.samples, report.sample_rows, strict=False):
            _sample(axes, image, report, int(row))


def _sample(axes: Axes, image: np.ndarray, report: RunReport, row: int) -> None:
    """image: uint8 [H, W] or [H, W, 3]"""
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    right = bool(np.all(report.predictions[row] == report.labels[row]))
    colour = CORRECT if right else WRONG
    true, predicted = _describe_labels(report, row) if report.task == "multi_label" else _describe_class(report, row)
    badge = {"facecolor": colour, "edgecolor": "none", "pad": 2}
    axes.text(0, 1, "✓" if right else "✗", transform=axes.transAxes, va="top", color="white", fontsize=12, bbox=badge)
    axes.set_xlabel(f"{true}\n→ {predicted}", color=colour, fontsize=7)
    axes.spines[:].set(visible=True, color=colour, linewidth=2, linestyle="-" if right else "--")


def _describe_class(report: RunReport, row: int) -> tuple[str, str]:
    true, predicted = int(report.labels[row]), int(report.predictions[row])
    names = report.class_names
    return drawable(names[true]), f"{drawable(names[predicted])} ({number(report.scores[row, predicted], 2)})"


def _describe_labels(report: RunReport, row: int) -> tuple[str, str]:
    """The labels set and the labels predicted, the surest first; beyond one, how many more."""

    def some(chosen: np.ndarray) -> str:
        first = max(chosen, key=lambda k: report.scores[row, k])
        more = f" +{len(chosen) - 1}" if len(chosen) > 1 else ""
        return drawable(report.class_names[first], 18) + more

    scores = report.scores[row]
    true, predicted = np.flatnonzero(report.labels[row]), np.flatnonzero(report.predictions[row])
    surest = f" ({number(scores.max(), 2)})" if len(predicted) else f" (highest {number(scores.max(), 2)})"
    return some(true) if len(true) else "no label", (some(predicted) if len(predicted) else "no label") + surest


# ---- the first training batch -------------------------------------------------------------------------------------


def plot_batch(path: FileOrPath, report: RunReport) -> None:
    """Images of the first training batch, augmented and mixed, with their labels. Raises OSError."""
    batch = report.batch
    shown = len(batch.images) if batch is not None else 0
    columns = max(1, min(_BATCH_COLUMNS, shown))
    rows = max(1, math.ceil(shown / columns))
    size = (max(4.6, 1.7 * columns), 1.3 + 1.9 * rows)
    title = "Training images as the model sees them"
    if batch is not None:
        count = f"{shown} of {batch.size:,} images" if shown < batch.size else f"{shown} images"
        title += f": {count} of the first batch\n{shortened(batch.steps, 120)}"
    with figure(path, report, title, size) as fig:
        cells = fig.subplots(rows, columns, squeeze=False).ravel()
        for axes in cells:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        if batch is None:
            annotate_empty(cells[0], "not stored by this run")
            return
        for at, axes in zip(range(shown), cells, strict=False):
            axes.imshow(batch.images[at], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set_xlabel(_describe_mixture(batch, at), fontsize=7)


def _describe_mixture(batch: FirstBatch, at: int) -> str:
    if batch.partners is None:
        return drawable(batch.labels[at])
    return f"{batch.weight:.0%} {drawable(batch.labels[at])}\n{1 - batch.weight:.0%} {drawable(batch.partners[at])}"


# ---- ROC and reliability ------------------------------------------------------------------------------------------


def plot_roc(path: FileOrPath, report: RunReport) -> None:
    """One curve per class against the rest; for binary sets the last class's, as the official AUC. Raises OSError."""
    classes = range(len(report.class_names))[-1:] if report.task == "binary" else range(len(report.class_names))
    title = "ROC, test split" if report.task == "binary" else "ROC, each class against the rest, test split"
    height = max(4.6, 1.6 + 0.21 * len(classes))
    with figure(path, report, title, (5 if len(classes) == 1 else 7.6, height)) as fig:
        axes = fig.subplots()
        axes.plot([0, 1], [0, 1], color=PALE, linewidth=1, zorder=0)
        drawable_curves = 0
        for index, k in enumerate(classes):
            label = f"{drawable(report.class_names[k])}: {number(report.per_class[k].auc)}"
            points = roc_points(one_against_rest(report.labels, k), report.scores[:, k])
            drawable_curves += points is not None
            line = _LINES[index // len(PALETTE) % len(_LINES)]
            alarms, hits = points or (np.empty(0), np.empty(0))
            axes.plot(alarms, hits, color=PALETTE[index % len(PALETTE)], linestyle=line, linewidth=1.6, label=label)
        if not drawable_curves:
            annotate_empty(axes, "undefined: a curve needs images with\nand without the class, and finite scores")
        axes.set(xlabel="false positive rate (1 − specificity)", ylabel="true positive rate (recall)")
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        if len(classes) == 1:
            axes.legend(title="AUC", loc="lower right", fontsize=8)
        else:
            axes.legend(title="AUC", loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=8)


def plot_reliability(path: FileOrPath, report: RunReport) -> None:
    """Confidence against accuracy, with the number of images (or decisions) in each bin. Raises OSError."""
    result = calibration(*confidence_and_outcome(report))
    many = report.task == "multi_label"
    with figure(path, report, "Reliability, test split", (5.6, 6)) as fig:
        upper, lower = fig.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        edges = np.linspace(0, 1, BINS + 1)
        middles = [(left + right) / 2 for left, right in pairwise(edges)]
        upper.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfectly calibrated")
        fraction = "label set" if many else "accuracy"
        upper.bar(middles, np.nan_to_num(result.accuracy), width=0.92 / BINS, color="#9CC3E0", label=fraction)
        upper.plot(
            result.confidence, result.accuracy, "o", color=VERMILION, markersize=4, clip_on=False, label="bin mean"
        )
        if not result.counts.any():
            annotate_empty(upper, "undefined: no finite score")
        upper.set(ylabel="fraction of labels set" if many else "accuracy", ylim=(0, 1.05), xlim=(0, 1))
        upper.set_title(f"expected calibration error (ECE) {number(result.error)}, {BINS} bins", fontsize=9)
        bars = lower.bar(middles, result.counts, width=0.92 / BINS, color=GREY)
        words = [f"{count:,}" if count else "" for count in result.counts]
        lower.bar_label(bars, words, fontsize=6 if max(result.counts) < 10_000 else 4.5, padding=1)
        lower.set_ylim(0, max(1, result.counts.max()) * 1.25)
        lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        lower.set(ylabel="decisions" if many else "images")
        lower.set_xlabel("score of the label" if many else "confidence (score of the predicted class)")
        handles, labels = upper.get_legend_handles_labels()
        lower.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, -0.5), ncols=3, fontsize=8)


FIGURES: dict[str, Callable[[FileOrPath, RunReport], None]] = {
    "curves": plot_curves,
    "confusion": plot_confusion,
    "samples": plot_samples,
    "batch": plot_batch,
    "roc": plot_roc,
    "reliability": plot_reliability,
}
