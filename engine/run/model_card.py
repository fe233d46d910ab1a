"""The card of an exported model: its data, how good it is, what it is for, and what is not known of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.contract.data.datasets import DatasetFacts
from engine.contract.models.catalogue import spec_of
from engine.contract.store.model_bundle import ModelBundle
from engine.contract.store.starting_weights import describe_origin
from engine.contract.wire.protocol import ClassMetrics, Metrics
from engine.contract.wire.text import counted

FILES = {
    "model.json": "what the model takes and gives; with the weights it is all that `medtui predict` needs",
    "best.safetensors": "the weights, by torchvision's names",
    "features.safetensors": "where the training images lie, to mark images that are unlike them",
    "model.onnx": "ONNX, any number of images at once, normalisation inside",
    "model.int8.onnx": "the same in 8 bits, smaller and less exact",
    "model.pt2": "a program for `torch.export.load`",
    "check.json": "how far each file's scores are from PyTorch's on the test split, and its metrics",
}
UNDEFINED = "–"
ENDINGS = {"stopped": "was stopped", "aborted": "was aborted", "failed": "failed", "crashed": "crashed"}


@dataclass(frozen=True)
class CardContent:
    run: str
    bundle: ModelBundle
    facts: DatasetFacts
    size: int
    limit: int | None
    manifest: dict[str, Any]
    test: Metrics | None  # as the run itself reported
    per_class: Sequence[ClassMetrics]
    weights: str | None
    outcome: str | None
    epochs: tuple[int, int | None]  # trained, and planned
    checks: dict[str, tuple[float, Metrics]]  # difference and metrics by file
    files: Sequence[str]


def model_card(content: CardContent) -> str:
    """Markdown."""
    parts = (_title, _data, _metrics, _certainty, _checks, _use, _limits, _licence, _files)
    return "\n\n".join("\n".join(part(content)) for part in parts) + "\n"


def _title(content: CardContent) -> list[str]:
    spec, bundle = spec_of(content.bundle.model), content.bundle
    return [
        f"# {spec.title} on {_plain(content.facts.title)}",
        "",
        f"Trained by medtui as run `{content.run}`, {describe_origin(content.weights)}; recipe hash "
        f"`{bundle.recipe_hash}`, resolved hash `{bundle.resolved_hash or 'unknown'}`, "
        f"digest of the weights `{bundle.weights.digest}`.",
        f"It takes {'grey' if bundle.channels == 1 else 'RGB'} images of {bundle.size}×{bundle.size} pixels"
        + (f", enlarges them to {bundle.input_size}×{bundle.input_size}" if bundle.input_size else "")
        + f", and gives {len(bundle.class_names)} scores ({bundle.task}).",
        *_unfinished(content),
    ]


def _unfinished(content: CardContent) -> list[str]:
    if content.outcome == "completed":
        return []
    done, planned = content.epochs
    epochs = f"{done:,} of {planned:,} epochs" if planned is not None else counted(done, "epoch")
    return [f"**The run {ENDINGS.get(content.outcome or '', 'was not over')} after {epochs}.**"]


def _data(content: CardContent) -> list[str]:
    facts = content.facts
    data = content.manifest.get("data")
    counts = data.get("images") if isinstance(data, dict) else None
    images = (
        ", ".join(f"{count:,} {split}" for split, count in counts.items()) if isinstance(counts, dict) else "unknown"
    )
    marks = ["The data are **synthetic**: results say nothing about patients."] if facts.synthetic else []
    if content.limit is not None:
        marks.append(f"Only {content.limit:,} images of each split were used (`dataset.limit`).")
    return [
        "## Data",
        "",
        f"{_plain(facts.title)}, {content.size} px. {_plain(facts.description)}",
        f"Images: {images}. Classes: {'; '.join(_plain(name) for name in content.bundle.class_names)}.",
        *marks,
    ]


def _metrics(content: CardContent) -> list[str]:
    head = ["## Results on the test split", ""]
    if content.test is None:
        head += ["The run itself reported none; these were measured when it was exported.", ""]
    rows = ["| | AUC | 95 % interval | ACC | 95 % interval |", "| --- | --- | --- | --- | --- |"]
    if content.test is not None:
        rows.append(f"| the run, views {', '.join(content.bundle.views)} | {_cells(content.test)} |")
    rows += [
        f"| {name}, without test-time augmentation | {_cells(found)} |" for name, (_, found) in content.checks.items()
    ]
    classes = [
        "",
        "| class | AUC | 95 % interval | recall | precision | images |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    classes += [
        f"| {_plain(row.name)} | {_number(row.auc)} | {_interval(row.auc_ci95)} | {_number(row.recall)} | "
        f"{_number(row.precision)} | {row.support} |"
        for row in content.per_class
    ]
    return [*head, *rows, *(classes if content.per_class else [])]


def _cells(metrics: Metrics) -> str:
    auc, acc = _interval(metrics.auc_ci95), _interval(metrics.acc_ci95)
    return f"{_number(metrics.auc)} | {auc} | {_number(metrics.acc)} | {acc}"


def _certainty(content: CardContent) -> list[str]:
    calibration, features = content.bundle.calibration, content.bundle.features
    lines = ["## Calibration", ""]
    if calibration is None:
        why = f" {content.bundle.uncalibrated}" if content.bundle.uncalibrated else ""
        lines.append(f"Uncalibrated: no temperature was fitted, so the probabilities are the scores.{why}")
    else:
        lines.append(
            f"`scores` are the model's own, `probabilities` have the temperature {calibration.temperature:.3f}, fitted "
            f"on {calibration.images} validation images: their negative log-likelihood went from "
            f"{calibration.nll_before:.4f} to {calibration.nll_after:.4f}. The predicted class never changes."
        )
    if features is not None:
        lines.append(
            "`medtui predict` marks an image as unlike the training images beyond a distance of "
            f"{features.threshold:.3f}, within which {features.quantile:.0%} of the validation images lie. An ONNX "
            "file has no such mark."
        )
    return lines


def _checks(content: CardContent) -> list[str]:
    rows = [f"| {name} | {difference:.1e} |" for name, (difference, _) in content.checks.items()]
    return ["## Agreement with PyTorch in float32", "", "| | largest difference of a score |", "| --- | --- |", *rows]


def _use(content: CardContent) -> list[str]:
    return [
        "## Intended use",
        "",
        "Research on image classification: comparing methods, and trying the model on images made in the same way as "
        "its training images. **It is not a medical device.** It was not validated for diagnosis, triage or any "
        "decision about a patient.",
    ]


def _limits(content: CardContent) -> list[str]:
    return [
        "## Limits",
        "",
        "- The results hold for the test split above and for nothing else: other scanners, stains, sites and "
        "populations were not tested.",
        f"- Every image gets a prediction among the {len(content.bundle.class_names)} classes, also one that shows "
        "none of them; look at the mark for unlike images.",
        "- Age, sex and origin of the people behind the images were not known to the training, so fairness was not "
        "examined.",
    ]


def _licence(content: CardContent) -> list[str]:
    origin = content.weights or ""
    start = " They started from ImageNet weights of torchvision, whose terms apply too." if "ImageNet" in origin else ""
    return [
        "## Licence",
        "",
        f"- Training data: {_plain(content.facts.licence) or 'not stated'}.",
        f"- These weights: **not stated**. Who publishes them decides, within the licence of the data.{start}",
        "- medtui, which made these files: MIT.",
    ]


def _files(content: CardContent) -> list[str]:
    rows = [f"| `{name}` | {FILES[name]} |" for name in content.files if name in FILES]
    return ["## Files", "", "| | |", "| --- | --- |", *rows]


def _number(value: float | None) -> str:
    return UNDEFINED if value is None or math.isnan(value) else f"{value:.4f}"


def _interval(ci95: tuple[float, float] | None) -> str:
    return f"{ci95[0]:.3f}–{ci95[1]:.3f}" if ci95 else UNDEFINED


def _plain(text: str) -> str:
    """Untrusted text in Markdown: no line, cell, tag or emphasis of its own."""
    return "".join(f"\\{sign}" if sign in "\\|<>*_`[]#" else sign for sign in " ".join(text.split()))
