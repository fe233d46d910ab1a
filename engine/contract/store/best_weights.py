"""Which weights a run recorded as its best: the digests of `best.safetensors` in its journal and its model bundle."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from engine.contract.store.checkpoint_file import DIGEST, Header
from engine.contract.store.journal import read_journal
from engine.contract.store.model_bundle import read_bundle
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.run_record import read_run
from engine.contract.wire.errors import CheckpointError
from engine.contract.wire.protocol import CheckpointSaved, EpochFinished


@dataclass(frozen=True)
class SavedBest:
    """What a journal says of the best weights."""

    digests: tuple[str, ...]  # of all that were saved, in their order
    unsaved: int | None  # the best epoch, where no line says that its weights were saved


def saved_best(run: RunDirectory) -> SavedBest:
    """Never raises: what cannot be read says nothing."""
    digests: list[str] = []
    unsaved = None
    with contextlib.suppress(OSError):
        for event in read_journal(run.journal):
            if isinstance(event, EpochFinished) and event.best:
                unsaved = event.epoch
            elif isinstance(event, CheckpointSaved) and event.kind == "best":
                digests.append(event.digest)
                unsaved = None
    return SavedBest(tuple(digests), unsaved)


def digest_of_bundle(run: RunDirectory) -> str | None:
    """Of the weights that its `model.json` describes; None without one."""
    try:
        return read_bundle(run.model_bundle).weights.digest or None
    except CheckpointError:
        return None


def expected_best(run: RunDirectory, header: Header) -> str | None:
    """The digest that its best weights should have, where they are others than the run recorded; None where they are
    right, or nothing is recorded.

    Of a run that is not completed any weights that it saved as its best are right: a resume may have gone back to
    earlier ones. So are those of the best epoch whose saving no line confirms, as the engine was killed then.
    """
    found, described = header.metadata.get(DIGEST), digest_of_bundle(run)
    if found == described:
        return None
    saved = saved_best(run)
    newest = saved.digests[-1:]
    right = newest if read_run(run).outcome == "completed" else saved.digests
    if found in right or (saved.unsaved is not None and header.metadata.get("epoch") == str(saved.unsaved)):
        return None
    return newest[0] if newest else described
