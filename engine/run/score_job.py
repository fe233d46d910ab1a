"""Evaluate an official MedMNIST result file, as the `medmnist` package does."""

from __future__ import annotations

from pathlib import Path

from engine.contract.datasets import datasets
from engine.contract.errors import UsageError
from engine.contract.protocol import EvaluationFinished
from engine.data.archive import Wanted
from engine.data.cache import decode
from engine.evaluate.metrics import evaluate
from engine.evaluate.score_file import parse_name, read_scores
from engine.events import now
from engine.run.data_jobs import fetch_if_missing
from engine.run.job import Job, JobResult


def score(job: Job) -> JobResult:
    """Raises UsageError for a name that says nothing, DataError for a file that does not fit."""
    if job.start.file is None:
        raise UsageError("The score job needs `file`.", "Name a result file.")
    path = Path(job.start.file)
    name = parse_name(path.name)
    facts = datasets()[name.dataset]
    wanted = Wanted(facts, name.size)
    fetch_if_missing(job, wanted)
    data = decode(wanted, job.data_folders(), job.stream.log)
    labels = data.labels(name.split)
    scores = read_scores(path, len(labels), facts.classes)
    job.enter("evaluating")
    result = evaluate(labels, scores, facts.task, facts.class_names)
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
