"""Evaluate an official MedMNIST result file, as the `medmnist` package does."""

from __future__ import annotations

from pathlib import Path

from engine.contract.recipe.sources import DatasetSection, data_source
from engine.contract.wire.jobs import Score
from engine.contract.wire.protocol import EvaluationFinished
from engine.evaluate.metrics import evaluate_with_ci95
from engine.evaluate.score_file import parse_name, read_scores
from engine.events import now
from engine.run.data_jobs import decoded_data
from engine.run.job import Job, JobResult


def score(job: Job, command: Score) -> JobResult:
    """Raises UsageError for a name that says nothing, DataError for a file that does not fit."""
    with job.control.interruptible():
        path = Path(command.file)
        name = parse_name(path.name)
        source = data_source(DatasetSection.model_validate({"name": name.dataset, "size": name.size}))
        facts, data = source.facts, decoded_data(job, source)
        labels = data.labels(name.split)
        scores = read_scores(path, len(labels), facts.classes)
    job.enter("evaluating")
    result = evaluate_with_ci95(labels, scores, facts.task, facts.class_names)
    job.stream.emit(
        EvaluationFinished(
            time=now(),
            dataset=facts.name,
            split=name.split,
            n=len(labels),
            views=["as written"],
            metrics=result.metrics,
            per_class=result.per_class,
        )
    )
    return JobResult(metrics={"validation": None, "test": result.metrics})
