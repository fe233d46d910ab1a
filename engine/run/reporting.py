"""From a run's results to its files: tables, score file, workbook, figures; each told when it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from engine.contract.protocol import ArtifactWritten, Metrics, Progress
from engine.contract.recipe_schema import fields
from engine.contract.run_directory import RunDirectory
from engine.evaluate.metrics import Evaluated
from engine.evaluate.score_file import ScoreFileName, write_scores
from engine.events import now
from engine.report.content import RunReport
from engine.report.samples import write_samples_json
from engine.report.tables import write_confusion_csv, write_history_csv, write_per_class_csv
from engine.run.job import Job
from engine.run.prepare import Prepared
from engine.train.state import TrainingState

SAMPLES = 20  # test images shown

Write = Callable[[Path, RunReport], None]


def write_artifacts(job: Job, run: RunDirectory, report: RunReport, score_file: Path) -> None:
    """Every file of the report; an abort is obeyed between files."""
    from engine.report.figures import FIGURES  # matplotlib and openpyxl: slow imports, wanted only here
    from engine.report.workbook import write_workbook

    job.enter("reporting")
    files: list[tuple[str, Path, Write]] = [
        ("history", run.metrics / "history.csv", write_history_csv),
        ("per_class", run.metrics / "per_class.csv", write_per_class_csv),
        ("confusion", run.metrics / "confusion.csv", write_confusion_csv),
        ("scores", score_file, lambda path, report: write_scores(path, report.scores)),
        ("samples", run.metrics / "samples.json", write_samples_json),
        ("report", run.reports / "report.xlsx", write_workbook),
        *((f"figure_{name}", run.figures / f"{name}.png", draw) for name, draw in FIGURES.items()),
    ]
    for number, (name, path, write) in enumerate(files):
        job.control.raise_if_aborted()
        activity = f"writing {path.name}"
        job.stream.snapshot(Progress(time=now(), phase="reporting", activity=activity, done=number, total=len(files)))
        write(path, report)
        announce(job, run, name, path)
    remove_other_scores(score_file)
    if run.best.exists():
        announce(job, run, "best", run.best)


def announce(job: Job, run: RunDirectory, name: str, path: Path) -> None:
    job.stream.emit(ArtifactWritten(time=now(), name=name, path=run.within(path), bytes=path.stat().st_size))


def score_file_path(run: RunDirectory, prepared: Prepared, test: Metrics) -> Path:
    """An official name, unless the test split was limited: then no evaluator could take it for the whole."""
    name = ScoreFileName(prepared.facts.name, prepared.recipe.dataset.size, "test").write(test.auc, test.acc, run.name)
    return run.metrics / (f"limited_{name}" if prepared.limited else name)


def remove_other_scores(score_file: Path) -> None:
    """The score files of an earlier attempt: their names hold its results. The other artifacts were replaced."""
    for path in score_file.parent.glob("*_test_*.csv"):
        if path.name != score_file.name:
            path.unlink()


def report_of(
    run: RunDirectory,
    prepared: Prepared,
    state: TrainingState,
    manifest: dict[str, Any],
    outcome: str,
    validation: Metrics | None,
    test: Evaluated,
    scores: np.ndarray,
) -> RunReport:
    rows = np.arange(min(SAMPLES, len(scores)))
    images = np.asarray(prepared.data.images("test", mapped=True)) if not prepared.limited else None
    shown = _sample_images(prepared, rows) if images is None else np.array(images[rows])
    return RunReport(
        run=run.name,
        dataset=prepared.facts.title,
        synthetic=prepared.facts.synthetic,
        limit=prepared.recipe.dataset.limit,
        model=prepared.recipe.model.name,
        outcome=outcome,
        task=prepared.facts.task,
        class_names=prepared.facts.class_names,
        summary=_summary(prepared, state, manifest),
        configuration=_configuration(prepared),
        environment=_flat(manifest),
        history=[asdict(record) for record in state.history],
        validation=validation,
        test=test.metrics,
        per_class=test.per_class,
        confusion=test.confusion,
        labels=prepared.labels["test"],
        scores=scores,
        samples=shown,
        sample_rows=rows,
    )


def _sample_images(prepared: Prepared, rows: np.ndarray) -> np.ndarray:
    """uint8 [M, H, W] or [M, H, W, 3] of a limited split."""
    images = prepared.splits["test"].gather(rows).permute(0, 2, 3, 1).cpu().numpy()
    return images[..., 0] if images.shape[-1] == 1 else images


def _summary(prepared: Prepared, state: TrainingState, manifest: dict[str, Any]) -> list[tuple[str, object]]:
    images = manifest["data"]["images"]
    return [
        ("Epochs trained", state.epoch),
        ("Epochs planned", prepared.recipe.training.epochs),
        ("Best epoch", state.best_epoch),
        ("Training images", images["train"]),
        ("Validation images", images["val"]),
        ("Test images", images["test"]),
        ("Weights", prepared.decisions["weights"]),
        ("Mixed precision", prepared.decisions["amp"]),
        ("Device", prepared.decisions["device"]),
        ("Seed", prepared.recipe.training.seed),
        ("Data", prepared.data.source),
        ("Data licence", prepared.facts.licence),
        ("Recipe hash", manifest["recipe_hash"]),
        ("Started (UTC)", manifest["started"]),
        ("Attempts", len(manifest["attempts"])),
        *(("Drift between attempts", change) for change in manifest["drift"]),
    ]


def _configuration(prepared: Prepared) -> list[tuple[str, object, str]]:
    return [
        (
            spec.path,
            getattr(getattr(prepared.recipe, spec.section), spec.name),
            spec.title + (f" ({spec.unit})" if spec.unit else ""),
        )
        for spec in fields().values()
    ]


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    """Nested values as dotted rows; what must match stands elsewhere in them, or in the configuration."""
    rows: list[tuple[str, object]] = []
    for name, value in values.items():
        if name == "must_match":
            continue
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            value = {str(number): item for number, item in enumerate(value, start=1)}
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", " ".join(map(str, value)) if isinstance(value, list) else value))
    return rows
