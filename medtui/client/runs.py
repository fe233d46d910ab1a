"""Runs read from their folders, for a list of them."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from engine.contract.files.folders import File, Folder
from engine.contract.store.run_directory import RunDirectory, attempts_of, mark_of
from engine.contract.store.run_record import RunRecord, own_recipe, read_run, resolved_of_run
from medtui.client.labels import read_labels
from medtui.client.run_row import RunRow


def read_run_row(run: RunDirectory, manifest: dict[str, Any] | None = None) -> RunRow:
    """From whatever of its files can be read; what cannot be read is None, and listed in `damage`.

    `manifest`: where it was read just now.
    """
    return row_of(read_run(run, "links", manifest))


def row_of(record: RunRecord) -> RunRow:
    """`record`: read with a look for links."""
    run, found, manifest = record.run, record.summary, record.manifest or {}
    started = manifest.get("started")
    validation, test = found.validation, found.test
    resolved, resolved_hash = resolved_of_run(record)
    seed, lr = _seed_and_lr(record)
    return RunRow(
        run=run.name,
        run_dir=run.root,
        started=started if isinstance(started, str) else None,
        state=record.state,
        dataset=found.dataset,
        size=found.size,
        input_size=found.input_size,
        synthetic=found.synthetic,
        limit=found.limit,
        model=found.model,
        weights=record.weights,
        epochs_done=found.epochs_done if found.run else None,
        epochs_planned=found.epochs_planned,
        validation_auc=validation.auc if validation else None,
        test_auc=test.auc if test else None,
        test_acc=test.acc if test else None,
        test_auc_ci95=test.auc_ci95 if test else None,
        test_acc_ci95=test.acc_ci95 if test else None,
        seconds=found.worked,
        labels=read_labels(run),
        recipe_hash=found.recipe_hash,
        resolved_hash=resolved_hash,
        resolved=resolved,
        damage=record.damage,
        seed=seed,
        lr=lr,
        suite=suite_of(manifest),
    )


def suite_of(manifest: dict[str, Any]) -> str | None:
    """What a run is part of, as it is listed."""
    mark = mark_of(manifest)
    return re.sub("^(suite|the) ", "", mark[0]) if mark is not None else None


def _seed_and_lr(record: RunRecord) -> tuple[int | None, float | None]:
    """From what its newest attempt recorded; else from the run's own recipe, which takes longer."""
    if (recorded := recorded_seed_and_lr(record)) is not None:
        return recorded
    recipe = own_recipe(record.run)
    return (recipe.training.seed, recipe.training.lr) if recipe is not None else (None, None)


def recorded_seed_and_lr(record: RunRecord) -> tuple[int, float | None] | None:
    """As the newest attempt recorded them in the manifest; None where it did not."""
    attempts = attempts_of(record.manifest or {})
    recorded = attempts[-1].get("must_match") if attempts else None
    if not isinstance(recorded, dict):
        return None
    try:
        seed, lr = int(recorded["training.seed"]), float(recorded["training.lr"])
    except (KeyError, TypeError, ValueError, OverflowError):  # a damaged or untrusted manifest
        return None
    return seed, lr if math.isfinite(lr) else None


Stamps = dict[str, tuple[int, int]]  # by folder: mtimes of heartbeat and labels, in ns


def stamps(outputs: Path) -> Stamps:
    """What changes when a run begins, goes on, ends, or is tagged. Cheap: for looking again and again."""
    try:
        names = Folder(outputs).itself.names()
    except OSError:
        return {}
    runs = (RunDirectory(outputs / name) for name in names if name[0] != ".")
    return {run.name: (_mtime(run.status), _mtime(run.labels)) for run in runs}


def _mtime(file: File) -> int:
    found = file.info()
    return found.st_mtime_ns if found is not None else 0
