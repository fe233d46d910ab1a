"""Evaluate a run's test split again, from its best weights; nothing of the run itself is changed."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import torch

from engine.contract.checkpoint_file import weights_digest
from engine.contract.errors import OutputError, UsageError
from engine.contract.files import write_text
from engine.contract.protocol import Message
from engine.contract.recipe import Recipe
from engine.contract.recipe_file import build_recipe
from engine.contract.resumable import texts_of
from engine.contract.run_directory import RunDirectory, attempts_of, read_object
from engine.contract.yaml_reader import read_yaml_file
from engine.evaluate.metrics import Evaluated
from engine.evaluate.predict import views_for
from engine.evaluate.score_file import ScoreFileName, write_scores
from engine.events import now
from engine.run.job import Job, JobResult
from engine.run.prepare import Prepared, prepare
from engine.run.train_job import split_results
from engine.train.checkpoint import load_weights


def evaluate_again(job: Job) -> JobResult:
    """Raises UsageError without weights, DataError, CheckpointError; OutputError where nothing can be written."""
    run = _run_of(job)
    recipe = _recipe_of(run)
    weights = load_weights(run.best)
    # the starting weights do not matter, and may not be there any more
    section = {"model": {**recipe.model.model_dump(), "pretrained": False}}
    section["training"] = {**recipe.training.model_dump(), "init_from": None}
    start = job.start.model_copy(update={"recipe": recipe.model_dump() | section})
    prepared = prepare(replace(job, start=start, last_folders=_data_folders_of(run)))
    prepared.model.load_state_dict(weights)
    job.enter("evaluating")
    tta = recipe.evaluation.tta if job.start.tta is None else job.start.tta
    views = views_for(prepared.facts.symmetry, tta)
    result, scores = split_results(job, prepared, prepared.model, "test", views)
    job.enter("reporting")
    folder = _next_folder(run)
    name = ScoreFileName(prepared.facts.name, recipe.dataset.size, "test")
    file = name.write(result.metrics.auc, result.metrics.acc, run.name)
    write_scores(folder / (f"limited_{file}" if prepared.limited else file), scores)
    values = _values(run, prepared, result, [view.name for view in views])
    write_text(folder / "evaluation.json", json.dumps(values, indent=2) + "\n")
    return JobResult(metrics={"validation": None, "test": result.metrics})


def _run_of(job: Job) -> RunDirectory:
    if job.start.run is None:
        raise UsageError("The evaluate job needs `run`.", "Name a run directory.")
    run = RunDirectory(Path(job.start.run))
    if not run.best.is_file():
        raise UsageError(f"{run.name} has no best weights at {run.best}.", "A run has them after its first validation.")
    return run


def _recipe_of(run: RunDirectory) -> Recipe:
    text = read_yaml_file(run.recipe)
    return build_recipe(text.values, source=text.source, lines=text.lines)


def _data_folders_of(run: RunDirectory) -> tuple[Path, ...]:
    """Where the run was told to look for its data, and where it found them."""
    manifest = read_object(run.manifest) or {}
    told = [folder for attempt in attempts_of(manifest) for folder in texts_of(attempt.get("data_folders"))]
    data = manifest.get("data")
    source = data.get("source") if isinstance(data, dict) else None
    found = [Path(source).parent] if isinstance(source, str) else []
    return tuple(folder for folder in (*map(Path, told), *found) if folder.is_absolute())


def _next_folder(run: RunDirectory) -> Path:
    """`evaluations/1`, `evaluations/2` …, by exclusive mkdir."""
    for number in count(1):
        folder = run.evaluations / str(number)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise OutputError(f"Cannot make {folder}: {error.strerror}.", "Make the run directory writable.") from None
        return folder
    raise AssertionError("there is always a next number")


def _values(run: RunDirectory, prepared: Prepared, result: Evaluated, views: list[str]) -> dict[str, Any]:
    """What was found and from what; numbers as in the protocol."""

    def plain(message: Message) -> Any:
        return json.loads(message.model_dump_json())

    return {
        "time": now(),
        "split": "test",
        "n": len(prepared.splits["test"]),
        "views": views,
        "metrics": plain(result.metrics),
        "per_class": [plain(row) for row in result.per_class],
        "confusion": result.confusion.tolist(),
        "weights": {"path": run.within(run.best), "digest": weights_digest(run.best)},
        "data_md5": prepared.data.md5,
        "torch": torch.__version__,
    }
