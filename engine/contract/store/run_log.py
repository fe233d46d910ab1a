"""`run.log`: the run's story, one line per event with its time, among what libraries wrote to standard error."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import datetime

from engine.contract.wire.monitor import NAMES, Monitor, value_of
from engine.contract.wire.protocol import (
    Alarm,
    AnyEvent,
    ArtifactWritten,
    CheckpointSaved,
    CommandAccepted,
    CommandRejected,
    EpochFinished,
    EvaluationFinished,
    Hello,
    Log,
    Metrics,
    PhaseChanged,
    RunFinished,
    RunStarted,
)
from engine.contract.wire.text import clean, counted

_LINE_LIMIT = 2000  # characters
_LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d ")


def format_log_lines(event: AnyEvent, monitor: Monitor = "auc") -> str:
    """The lines of an event, each with its ISO time; "" for one that is none of the story's, as a snapshot.

    `monitor`: of the run, by which an epoch is the best.
    """
    try:
        time = datetime.fromtimestamp(event.time).astimezone().isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return ""
    return "".join(f"{time} {clean(text, _LINE_LIMIT)}\n" for text in _described(event, monitor))


def library_output(log: str) -> str:
    """What libraries and the interpreter wrote, as they do before a process dies."""
    return "".join(line for line in log.splitlines(keepends=True) if not _LOG_LINE.match(line)).strip()


def _described(event: AnyEvent, monitor: Monitor) -> Iterator[str]:
    match event:
        case Hello():
            versions = ", ".join(f"{name} {version}" for name, version in event.versions.items())
            yield f"engine {event.engine}: process {event.pid} on {event.host}, {versions}"
        case PhaseChanged():
            yield f"phase: {event.phase}"
        case RunStarted():
            yield from _run_started(event)
        case EpochFinished():
            yield from _epoch_finished(event, monitor)
        case CheckpointSaved():
            at = f"epoch {event.position.epoch}, step {event.position.step}"
            yield f"checkpoint: {event.path} at {at}, {event.bytes / 1e6:,.1f} MB in {event.seconds:.2f} s"
        case EvaluationFinished():
            views = f"{len(event.views)} view{'s' * (len(event.views) != 1)}"
            yield f"evaluated: {event.split} split, {counted(event.n, 'image')}, {views}: {_metrics(event.metrics)}"
        case ArtifactWritten():
            yield f"written: {event.path}"
        case Log():
            yield f"{event.level}: {event.message}"
        case Alarm():
            yield f"ALARM {event.kind}: {event.message} {event.hint}".rstrip()
        case CommandAccepted():
            note = f": {event.note}" if event.note else ""
            yield f"command: {event.command} accepted, from {event.by} via {event.via}{note}"
        case CommandRejected():
            yield f"command: {event.command} rejected, from {event.by} via {event.via}: {event.reason}"
        case RunFinished():
            yield from _run_finished(event)


def _run_started(event: RunStarted) -> Iterator[str]:
    size = f"{event.size} px" + (f" enlarged to {event.input_size}" if event.input_size is not None else "")
    yield f"run {event.run}, attempt {event.attempt}: {event.model} on {event.dataset}, {size}, {event.device}"
    images = ", ".join(f"{count:,} {split}" for split, count in event.images.items())
    steps = f"{counted(event.steps_per_epoch, 'batch', 'batches')} of {event.batch_size}"
    if event.accumulate > 1:
        steps = f"{counted(event.steps_per_epoch, 'step')} of {event.accumulate} batches of {event.batch_size}"
    yield f"planned: {counted(event.epochs, 'epoch')} of {steps}; images: {images}"
    if event.resumed_from:
        yield f"resumed: after epoch {event.resumed_from.epoch}, step {event.resumed_from.step}"
    for name, decision in event.decisions.items():
        yield f"decided: {name}: {decision}"
    for change in event.drift:
        yield f"drift: {change}"


def _epoch_finished(event: EpochFinished, monitor: Monitor) -> Iterator[str]:
    rate = f", {event.images_per_second:,.0f} images/s" if math.isfinite(event.images_per_second) else ""
    yield (
        f"epoch {event.epoch}: training loss {event.train_loss:.4f}, ACC {event.train_acc:.4f}; "
        f"validation {_metrics(event.validation)}; lr {event.lr:.3g}, {event.seconds:.1f} s{rate}"
    )
    if event.best:
        value = _number(value_of(event.validation, monitor))
        yield f"best: epoch {event.epoch}, validation {NAMES[monitor]} {value}"


def _run_finished(event: RunFinished) -> Iterator[str]:
    yield f"finished: {event.outcome}, exit code {event.exit_code}"
    for split, metrics in event.metrics.items():
        if metrics is not None:
            yield f"result: {split} {_metrics(metrics)}"
    if event.error is not None:
        yield f"error: {event.error.kind}: {event.error.message} {event.error.hint}".rstrip()


def _metrics(metrics: Metrics) -> str:
    loss = f"loss {_number(metrics.loss)}, " if metrics.loss is not None else ""
    return f"{loss}AUC {_number(metrics.auc)}, ACC {_number(metrics.acc)}, F1 {_number(metrics.f1)}"


def _number(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "undefined"
