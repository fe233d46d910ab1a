"""The plain values a report is made of: the workbook, the tables and the figures all read this and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.contract.data.datasets import THRESHOLD, TaskKind
from engine.contract.data.published import Published
from engine.contract.findings.finding import Finding
from engine.contract.wire.protocol import ClassMetrics, Metrics

FIGURE_NAMES = ("curves", "confusion", "samples", "batch", "roc", "reliability")


@dataclass(frozen=True)
class FirstBatch:
    """Some images of the first training batch, as the model saw them but for normalisation."""

    images: np.ndarray  # uint8 [M, H, W] or [M, H, W, 3]
    labels: tuple[str, ...]
    partners: tuple[str, ...] | None  # the labels of what each is mixed with; None without MixUp
    weight: float  # λ: of an image itself in its mixture
    size: int  # images of the batch
    steps: str  # what was done to them


@dataclass(frozen=True)
class RunReport:
    """A finished run. Without test images (N = 0) there is nothing to report; one is enough.

    Of a run whose test split was not evaluated everything of it is empty, and only history and classes are written.
    """

    run: str
    dataset: str  # title
    synthetic: bool  # shown with every result
    limit: int | None  # images of each split that were used, of all when None; shown with every result
    model: str
    outcome: str  # "completed", "stopped"
    task: TaskKind
    class_names: tuple[str, ...]
    summary: list[tuple[str, object]]  # further rows of the Summary sheet: label, value
    configuration: list[tuple[str, object, str]]  # dotted field, value, title and unit
    environment: list[tuple[str, object]]
    only_in_training_loss: list[str]  # in words: what the validation loss is without, such as MixUp
    history: list[dict[str, object]]  # one row per epoch: epoch, lr, train_loss, train_acc, val_*, best
    validation: Metrics | None  # of the best epoch
    test: Metrics
    per_class: list[ClassMetrics]  # test
    confusion: np.ndarray  # test: int64 [K, K], rows true, columns predicted; [K, 2, 2] for multi-label
    labels: np.ndarray  # test: int64 [N], or [N, K] for multi-label
    scores: np.ndarray  # test: float [N, K]
    samples: np.ndarray  # some test images: uint8 [M, H, W] or [M, H, W, 3]
    sample_rows: np.ndarray  # int64 [M], which test rows these are
    published: tuple[Published, ...] = ()  # results to compare it with: of its data set, image size and protocol
    findings: tuple[Finding, ...] = ()  # what stands out
    batch: FirstBatch | None = None  # of a run that stored it
    input_size: int | None = None  # pixels per side that images were enlarged to; shown with every result
    weights: str | None = None  # what the run started from: `ImageNet`, `from scratch`, `run NAME`

    @property
    def predictions(self) -> np.ndarray:
        """What the test metrics counted: int64 [N], or bool [N, K] for multi-label."""
        if self.task == "multi_label":
            return self.scores > THRESHOLD
        if self.task == "binary":
            return (self.scores[:, -1] > THRESHOLD).astype(np.int64)
        return self.scores.argmax(axis=1)

    @property
    def best_epoch(self) -> int | None:
        """Counted from 1; the last row that was marked best. None when no epoch was."""
        rows = [row for row in self.history if row.get("best")]
        epoch = rows[-1].get("epoch") if rows else None
        return epoch if isinstance(epoch, int) else None
