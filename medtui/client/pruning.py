"""Checkpoints that a run no longer needs: which, how large, what needs them, and their removal."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engine.contract.files.folders import File
from engine.contract.files.inspection import describe_owner
from engine.contract.store.best_weights import digest_of_bundle, saved_best
from engine.contract.store.checkpoint_file import DIGEST, Header, opened_checkpoint, read_header
from engine.contract.store.run_directory import RunDirectory, list_runs, refuse_unlisted, refuse_untrusted_entries
from engine.contract.store.run_record import RunRecord, read_run
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import CheckpointError, MedtuiError, OutputError, UsageError
from medtui.client.run_management import refuse_foreign, refuse_living
from medtui.sentences import Pruning


@dataclass(frozen=True)
class Prunable:
    """One run and what of it may go. Its best weights, tables, journal and reports never do."""

    run: RunDirectory
    state: str
    files: tuple[File, ...]
    kept: str = ""  # why the rest is kept; "" where nothing is
    ends_resume: bool = False  # can the run be resumed now, and not afterwards?

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files)


def prunable(run: RunDirectory, workspace: Workspace, *, resumable: bool = False) -> Prunable:
    """What may go. `resumable`: also what a resume goes on from. Raises UsageError for a run that trains, or is not
    ours to change."""
    refuse_foreign(run, workspace)
    refuse_living(run, workspace)
    refuse_untrusted_entries(run, "pruned")
    record = read_run(run)
    left = _left_by_killed_writers(run)
    checkpoints = tuple(file for file in (run.previous, run.previous_best, run.last) if file.is_regular)
    if not checkpoints:
        return Prunable(run, record.state, left)
    if record.outcome != "completed" and not resumable:
        return Prunable(run, record.state, left, "resumable; --resumable removes them anyway")
    if (trouble := _without_best(record)) is not None:
        return Prunable(run, record.state, left, trouble)
    return Prunable(run, record.state, (*left, *checkpoints), ends_resume=record.outcome != "completed")


def prune(found: Prunable, workspace: Workspace) -> None:
    """Remove its files, the best weights having been read back. Raises UsageError, CheckpointError or OutputError."""
    run = found.run
    refuse_living(run, workspace)
    refuse_untrusted_entries(run, "pruned")
    if any(file in found.files for file in (run.last, run.previous, run.previous_best)):
        with opened_checkpoint(run.best) as (_, header):
            if (trouble := _not_its_best(header, run)) is not None:
                raise CheckpointError(Pruning.BEST_WEIGHTS, run=run.name, reason=trouble)
    for file in found.files:
        try:
            file.delete()
        except OSError as error:
            why = f"{error.strerror}{describe_owner(file)}"
            raise OutputError(Pruning.REMOVE_FAILED, path=file, reason=why) from None


def prunable_runs(workspace: Workspace, *, resumable: bool = False) -> tuple[list[Prunable], list[str]]:
    """Of every listed run that may be changed, and why the others are skipped. Raises OutputError where the runs
    cannot be listed."""
    refuse_unlisted(workspace.outputs)
    plans, skipped = [], []
    for run in list_runs(workspace.outputs):
        try:
            plans.append(prunable(run, workspace, resumable=resumable))
        except UsageError as error:
            skipped.append(error.message)
    return plans, skipped


def prune_all(plans: Iterable[Prunable], workspace: Workspace) -> tuple[int, list[MedtuiError]]:
    """Prune each of them: the bytes that were freed, and what went wrong."""
    freed, troubles = 0, []
    for plan in plans:
        size = plan.bytes
        try:
            prune(plan, workspace)
        except MedtuiError as error:
            troubles.append(error)
        else:
            freed += size
    return freed, troubles


def _left_by_killed_writers(run: RunDirectory) -> tuple[File, ...]:
    try:
        return tuple(file for file in run.checkpoints.leftovers() if file.is_regular)
    except OSError:
        return ()


def _without_best(record: RunRecord) -> str | None:
    """Why there would be no weights left to evaluate; by headers alone, which are read at once."""
    try:
        header = read_header(record.run.best)
    except MedtuiError:
        return "its best weights cannot be read"
    return _not_its_best(header, record.run)


def _not_its_best(header: Header, run: RunDirectory) -> str | None:
    """Why `best` is not known to be this run's: by everything that says which weights are."""
    digest = header.metadata.get(DIGEST)
    if digest is None:
        return "its best weights have no digest"
    records = dict(_records_of_best(run))
    wrong = [where for where, recorded in records.items() if recorded not in (digest, header.metadata.get("epoch"))]
    if wrong:
        return f"its best weights differ from those named by {wrong[0]}"
    return None if records else "nothing left identifies its best weights"


def _records_of_best(run: RunDirectory) -> Iterator[tuple[str, str]]:
    """What names the best weights, and how: by their digest, or by their epoch."""
    if (digest := digest_of_bundle(run)) is not None:
        yield "model.json", digest
    if digests := saved_best(run).digests:
        yield "the journal", digests[-1]
    epoch = read_run(run).summary.best_epoch
    if epoch is not None:
        yield "its status", str(epoch)
    with contextlib.suppress(MedtuiError, KeyError, ValueError, TypeError):
        yield "last.safetensors", str(json.loads(read_header(run.last).metadata["state"])["best_epoch"])
