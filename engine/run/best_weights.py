"""The best weights of a run, as its jobs read them: no others than it recorded."""

from __future__ import annotations

from engine.contract.store.best_weights import expected_best
from engine.contract.store.checkpoint_file import DIGEST, opened_checkpoint
from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.errors import CheckpointError
from engine.sentences import Evaluation
from engine.train.checkpoint import Tensors, read_tensors


def load_best(run: RunDirectory) -> Tensors:
    """Raises CheckpointError where they are damaged, missing, or not those that the run recorded."""
    with opened_checkpoint(run.best) as (file, header):
        if (expected := expected_best(run, header)) is not None:
            found = header.metadata[DIGEST]
            raise CheckpointError(Evaluation.OTHER_WEIGHTS, path=run.best, run=run.name, expected=expected, found=found)
        return read_tensors(file, header)
