"""A run's epochs over all attempts: from its journal, and where that is damaged from its other files.

Epochs that an attempt trained beyond where the next one resumed are not part of the run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields

from pydantic import TypeAdapter, ValidationError

from engine.contract.store.checkpoint_file import read_header
from engine.contract.store.journal import read_journal
from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.errors import CheckpointError
from engine.contract.wire.protocol import ClassMetrics, EpochFinished, RunStarted
from engine.report.tables import read_history, rows_by_epoch
from engine.train.checkpoint import SavedValues
from engine.train.state import EpochRecord

_RECORD = TypeAdapter(EpochRecord)


def history_of(run: RunDirectory) -> list[EpochRecord]:
    """From the first epoch on, as far as none is missing. Raises OSError."""
    found = {record.epoch: record for record in (*_of_table(run), *_of_checkpoint(run))}
    found |= {event.epoch: _record(event) for event in _epochs_of(run)}
    return list(_without_gap(found))


def _without_gap(found: dict[int, EpochRecord]) -> Iterator[EpochRecord]:
    epoch = 1
    while (record := found.get(epoch)) is not None:
        yield record
        epoch += 1


def class_history_of(run: RunDirectory) -> Iterator[tuple[int, list[ClassMetrics]]]:
    """Each epoch that the journal has, from 1, with the validation of its classes. Raises OSError."""
    return ((event.epoch, event.per_class) for event in _epochs_of(run))


def lost_class_rows(run: RunDirectory, epochs: int) -> dict[int, bytes]:
    """Rows of `per_class.csv`, by epoch, of those up to this one that the journal has no more. Raises OSError."""
    missing = set(range(1, epochs + 1)).difference(_positions_of(run))
    if not missing:
        return {}
    there = rows_by_epoch(run.metrics / "per_class.csv", split="val")
    return {epoch: rows for epoch, rows in there.items() if epoch in missing}


def _of_checkpoint(run: RunDirectory) -> list[EpochRecord]:
    """All epochs up to the newest checkpoint that can be read."""
    for file in (run.last, run.previous):
        try:
            return SavedValues.model_validate_json(read_header(file).metadata["state"]).history
        except (CheckpointError, OSError, KeyError, ValidationError):
            continue
    return []


def _of_table(run: RunDirectory) -> Iterator[EpochRecord]:
    for row in read_history(run.metrics / "history.csv"):
        try:
            yield _RECORD.validate_python({field.name: row[field.name] for field in fields(EpochRecord)})
        except (ValidationError, KeyError):
            continue


def _epochs_of(run: RunDirectory) -> Iterator[EpochFinished]:
    """In order, one at a time: a long run's epochs are not held together in memory. Raises OSError."""
    positions = _positions_of(run)
    for position, event in enumerate(read_journal(run.journal) if positions else ()):
        if isinstance(event, EpochFinished) and positions.get(event.epoch) == position:
            yield event


def _positions_of(run: RunDirectory) -> dict[int, int]:
    """Where in the journal each epoch is that is part of the run."""
    positions: dict[int, int] = {}
    if not run.journal.is_there:
        return positions
    for position, event in enumerate(read_journal(run.journal)):
        if isinstance(event, RunStarted):
            done = event.resumed_from.epoch if event.resumed_from else 0
            positions = {epoch: where for epoch, where in positions.items() if epoch <= done}
        elif isinstance(event, EpochFinished):
            positions[event.epoch] = position
    return positions


def _record(event: EpochFinished) -> EpochRecord:
    validation = event.validation
    return EpochRecord(
        epoch=event.epoch,
        lr=event.lr,
        train_loss=event.train_loss,
        train_acc=event.train_acc,
        val_loss=math.nan if validation.loss is None else validation.loss,
        val_auc=validation.auc,
        val_acc=validation.acc,
        val_f1=validation.f1,
        best=event.best,
    )
