"""From a run's results to its files: tables, score file, workbook, figures; each announced when it is written."""

from __future__ import annotations

import contextlib
import math
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from engine.contract.data.published import published_for
from engine.contract.files.folders import File
from engine.contract.findings.finding import Finding
from engine.contract.findings.history import history_from
from engine.contract.findings.rules import findings
from engine.contract.recipe.recorded import resolved_hash_of, resolved_of
from engine.contract.recipe.schema import fields
from engine.contract.recipe.sections import TrainingSection
from engine.contract.recipe.training_loss import only_in_training
from engine.contract.store.resumable import texts_of
from engine.contract.store.run_directory import RunDirectory, attempts_of
from engine.contract.store.starting_weights import describe_start
from engine.contract.wire.monitor import NAMES
from engine.contract.wire.protocol import ArtifactWritten, ClassMetrics, Metrics, Progress
from engine.contract.wire.resolved import Resolved, describe_decisions
from engine.control import Aborted
from engine.evaluate.metrics import Evaluated
from engine.evaluate.score_file import ScoreFileName, write_scores
from engine.events import now
from engine.failure import reason_of
from engine.report.content import FIGURE_NAMES, FirstBatch, RunReport
from engine.report.samples import read_batch_json, spread_rows, write_batch_json, write_samples_json
from engine.report.tables import (
    history_table,
    per_class_table,
    write_confusion_csv,
    write_history_csv,
    write_per_class_csv,
)
from engine.run.first_batch import first_batch
from engine.run.history import class_history_of, lost_class_rows
from engine.run.job import Job
from engine.run.prepare import LoadedData, Prepared
from engine.sentences import Alarms
from engine.train.state import EpochRecord

SAMPLES = 20  # test images shown
ATTACHED = 1024**3  # bytes of a description of the data

Write = Callable[[File, RunReport], None]
Artifact = tuple[str, File, Write]

# Without these a run has no results: one of them that cannot be written fails it. The rest is made of them again.
RESULTS = ("history", "scores")
# What a run has whose test split is not evaluated
WITHOUT_TEST = ("history", "per_class", "batch", "figure_curves", "figure_batch")


def write_artifacts(job: Job, run: RunDirectory, report: RunReport, score_file: File | None) -> None:
    """Every file of the report, independently: one that cannot be written is reported, and the others are written.

    `score_file`: None where the test split was not evaluated. An abort is handled between files. Raises what kept one
    of `RESULTS` from being written, when all have been tried.
    """
    job.enter("reporting")
    with contextlib.suppress(OSError):  # tables are made of it; they report a full disk
        job.stream.sync_journal()
    failed = write_each(job, run, report, artifacts_of(run, score_file))
    if score_file is not None:
        remove_other_scores(run, score_file)
    if run.best.is_there:
        announce(job, run, "best", run.best)
        announce(job, run, "model", run.model_bundle)
    for name in RESULTS:
        if name in failed:
            raise failed[name]


def artifacts_of(run: RunDirectory, score_file: File | None) -> list[Artifact]:
    """Every file of the report: its name, where it lies, what writes it. `score_file`: None without a test split."""
    if score_file is None:
        return [one for one in artifacts_of(run, run.metrics / "scores.csv") if one[0] in WITHOUT_TEST]
    return [
        ("history", run.metrics / "history.csv", write_history_csv),
        ("per_class", run.metrics / "per_class.csv", _per_class(run)),
        ("confusion", run.metrics / "confusion.csv", write_confusion_csv),
        ("scores", score_file, lambda path, report: write_scores(path, report.scores)),
        ("samples", run.metrics / "samples.json", write_samples_json),
        ("batch", run.metrics / "batch.json", lambda path, report: write_batch_json(path, report.batch)),
        ("report", run.reports / "report.xlsx", _write_workbook),
        *((f"figure_{name}", run.figures / f"{name}.png", _figure(name)) for name in FIGURE_NAMES),
    ]


def write_each(job: Job, run: RunDirectory, report: RunReport, artifacts: list[Artifact]) -> dict[str, Exception]:
    """Write them, and announce those that were written; what was raised by each of the others. Raises Aborted."""
    failed: dict[str, Exception] = {}
    for number, (name, path, write) in enumerate(artifacts):
        job.control.raise_if_aborted()
        activity = f"writing {path.name}"
        total = len(artifacts)
        job.stream.snapshot(Progress(time=now(), phase="reporting", activity=activity, done=number, total=total))
        try:
            write(path, report)
        except Aborted:
            raise
        except Exception as error:
            failed[name] = error
            _report_failure(job, run, name, path, error)
        else:
            announce(job, run, name, path)
    return failed


def _report_failure(job: Job, run: RunDirectory, name: str, path: File, error: Exception) -> None:
    """Say which artifact is missing and why. An older one in its place would be taken for this run's."""
    with contextlib.suppress(OSError):
        traceback.print_exception(error, file=sys.stderr)
    with contextlib.suppress(OSError):
        path.delete()
    if name not in RESULTS:  # those end the run, with their own alarm
        reason = reason_of(error)
        job.stream.alarm("artifact", Alarms.ARTIFACT_NOT_WRITTEN, artifact=path.name_below, reason=reason, run=run.name)


def _per_class(run: RunDirectory) -> Write:
    return lambda path, report: write_per_class_csv(path, report, *_validation(run, report))


def _validation(
    run: RunDirectory, report: RunReport
) -> tuple[Iterator[tuple[int, list[ClassMetrics]]], dict[int, bytes]]:
    """Of the classes, epoch by epoch, and the rows that the journal has no more. Raises OSError."""
    return class_history_of(run), lost_class_rows(run, len(report.history))


def altered_tables(run: RunDirectory, report: RunReport) -> set[str]:
    """Those that are there and hold something else than the run recorded. Raises OSError."""
    tables = {"history": history_table(report.history), "per_class": per_class_table(report, *_validation(run, report))}
    return {name for name, table in tables.items() if _is_altered(run.metrics / f"{name}.csv", table)}


def _is_altered(file: File, table: bytes) -> bool:
    try:
        return file.content(len(table)) != table
    except OSError:  # not there, longer, or no regular file
        return file.is_regular


def _write_workbook(path: File, report: RunReport) -> None:
    from engine.report.workbook import write_workbook  # a slow import, wanted only here

    write_workbook(path, report)


def _figure(name: str) -> Write:
    def plot(path: File, report: RunReport) -> None:
        from engine.report.figures import FIGURES  # matplotlib: a slow import, wanted only here

        FIGURES[name](path, report)

    return plot


def attach(job: Job, run: RunDirectory, prepared: LoadedData) -> None:
    """Copy what describes a user's own images into a run that does not have it, and announce it. Raises OSError."""
    for name, file in prepared.data.attachments.items():
        copy = run.metrics / name
        if not copy.is_there:
            copy.write(file.content(ATTACHED))
            announce(job, run, name.partition(".")[0], copy)


def store_first_batch(job: Job, run: RunDirectory, prepared: Prepared) -> None:
    """When training begins, to be seen while it lasts. It fails alone, as every artifact does."""
    file = run.metrics / "batch.json"
    if file.is_there:
        return
    try:
        write_batch_json(file, first_batch(prepared, prepared.resolved.batch_size))
    except Exception as error:
        _report_failure(job, run, "batch", file, error)
    else:
        announce(job, run, "batch", file)


def announce(job: Job, run: RunDirectory, name: str, file: File) -> None:
    job.stream.emit(ArtifactWritten(time=now(), name=name, path=file.name_below, bytes=file.size))


def score_file_path(run: RunDirectory, prepared: LoadedData, test: Metrics) -> File:
    """An official name, unless the test split was limited: then no evaluator could take it for the complete one."""
    name = ScoreFileName(prepared.facts.name, prepared.recipe.dataset.size, "test").write(test.auc, test.acc, run.name)
    return run.metrics / (f"limited_{name}" if prepared.limited else name)


def remove_other_scores(run: RunDirectory, score_file: File) -> None:
    """The score files of an earlier attempt, or name of the run, which are in their names. The other artifacts were
    replaced. Raises OSError."""
    for file in run.score_files():
        if file.name != score_file.name:
            file.put_aside() if file.is_folder else file.delete()


def report_of(
    run: RunDirectory,
    prepared: LoadedData,
    history: list[EpochRecord],
    manifest: dict[str, Any],
    outcome: str,
    validation: Metrics | None,
    test: Evaluated | None,
    scores: np.ndarray | None,
) -> RunReport:
    """`test` and `scores` None: the test split was not loaded, and nothing of it is in the report."""
    resolved = resolved_of(manifest, prepared.recipe)
    comparable = not prepared.facts.synthetic and prepared.recipe.dataset.limit is None
    return RunReport(
        run=run.name,
        dataset=prepared.facts.title,
        synthetic=prepared.facts.synthetic,
        limit=prepared.recipe.dataset.limit,
        model=prepared.recipe.model.name,
        outcome=outcome,
        task=prepared.facts.task,
        class_names=prepared.facts.class_names,
        summary=_summary(prepared, history, manifest, resolved),
        configuration=_configuration(prepared),
        environment=_flat(manifest),
        only_in_training_loss=only_in_training(prepared.recipe.training),
        history=[asdict(record) for record in history],
        validation=validation,
        **_tested(prepared, test, scores),
        published=tuple(published_for(prepared.facts.name, prepared.recipe.dataset.size)) if comparable else (),
        findings=_findings(run),
        batch=_batch(run, prepared, resolved.batch_size),
        input_size=prepared.recipe.enlarged_to,
        weights=describe_start(resolved.weights) if resolved.weights is not None else None,
    )


def _tested(prepared: LoadedData, test: Evaluated | None, scores: np.ndarray | None) -> dict[str, Any]:
    """What a report says of the test split."""
    if test is None or scores is None:
        nothing = np.empty(0, np.int64)
        undefined = Metrics(auc=math.nan, acc=math.nan, f1=math.nan)
        arrays = dict.fromkeys(("confusion", "labels", "scores", "samples", "sample_rows"), nothing)
        return {"test": undefined, "per_class": [], **arrays}
    rows = spread_rows(prepared.labels["test"], SAMPLES)
    return {
        "test": test.metrics,
        "per_class": test.per_class,
        "confusion": test.confusion,
        "labels": prepared.labels["test"],
        "scores": scores,
        "samples": _sample_images(prepared, rows),
        "sample_rows": rows,
    }


def _findings(run: RunDirectory) -> tuple[Finding, ...]:
    """Of the journal; a report without them is better than none."""
    try:
        return findings(history_from(run.journal))
    except OSError:
        return ()


def _batch(run: RunDirectory, prepared: LoadedData, batch_size: int | None) -> FirstBatch | None:
    """As it was stored, else computed again; None where that fails, which takes nothing else along."""
    with contextlib.suppress(Exception):
        return read_batch_json(run.metrics / "batch.json") or first_batch(prepared, batch_size)
    return None


def _sample_images(prepared: LoadedData, rows: np.ndarray) -> np.ndarray:
    """uint8 [M, H, W] or [M, H, W, 3] of the test split."""
    images = prepared.splits["test"].gather(rows).permute(0, 2, 3, 1).cpu().numpy()
    return images[..., 0] if images.shape[-1] == 1 else images


def _summary(
    prepared: LoadedData, history: list[EpochRecord], manifest: dict[str, Any], resolved: Resolved
) -> list[tuple[str, object]]:
    data = manifest.get("data")
    images = data.get("images", {}) if isinstance(data, dict) else {}
    decisions = describe_decisions(resolved, mixed=prepared.recipe.training.amp is not False)
    return [
        ("Epochs trained", history[-1].epoch if history else 0),
        ("Epochs planned", prepared.recipe.training.epochs),
        ("Best epoch", next((record.epoch for record in reversed(history) if record.best), None)),
        ("Best epoch by", f"validation {NAMES[prepared.recipe.training.monitor]}"),
        *_evaluated_row(prepared.recipe.training, history),
        ("Training images", images.get("train")),
        ("Validation images", images.get("val")),
        ("Test images", images.get("test")),
        ("Weights", decisions.get("weights")),
        ("Mixed precision", decisions.get("amp")),
        ("Device", decisions.get("device")),
        ("Seed", prepared.recipe.training.seed),
        ("Data", prepared.data.source),
        ("Data licence", prepared.facts.licence),
        ("Recipe hash", manifest.get("recipe_hash")),
        ("Resolved hash", resolved_hash_of(manifest, prepared.recipe)),
        ("Started (UTC)", manifest.get("started")),
        ("Attempts", len(attempts_of(manifest))),
        *(("Drift between attempts", change) for change in texts_of(manifest.get("drift"))),
    ]


def _evaluated_row(training: TrainingSection, history: list[EpochRecord]) -> list[tuple[str, object]]:
    averaged = training.swa_start is not None or training.ema_decay is not None
    return [("Evaluated weights", describe_evaluated(training, history))] if averaged else []


def describe_evaluated(training: TrainingSection, history: list[EpochRecord]) -> str:
    """Which weights were tested and are exported: those of the best epoch, or of the last one where none was best."""
    epoch = next((record.epoch for record in reversed(history) if record.best), len(history))
    if training.ema_decay is not None:
        return f"of epoch {epoch}, a moving average (EMA, decay {training.ema_decay:g})"
    if training.swa_start is None or epoch < training.swa_start:
        return f"of epoch {epoch} as trained"
    return f"of epoch {epoch}, the mean of those of epochs {training.swa_start} to {epoch} (SWA)"


def _configuration(prepared: LoadedData) -> list[tuple[str, object, str]]:
    return [
        (
            spec.path,
            getattr(getattr(prepared.recipe, spec.section), spec.name),
            spec.title + (f" ({spec.unit})" if spec.unit else ""),
        )
        for spec in fields().values()
    ]


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    """Nested values as dotted rows; what must match is elsewhere in them, or in the configuration."""
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
