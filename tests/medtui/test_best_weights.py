"""The best weights of a run are those that it recorded; whatever else lies under their name is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_pruning_rules import bundle, write_checkpoint, write_status
from test_state import epoch, saved

from engine.contract.store.best_weights import expected_best
from engine.contract.store.checkpoint_file import read_header
from engine.contract.store.model_bundle import write_bundle
from engine.contract.store.run_directory import RunDirectory, make_run_directory

OLDER, NEWER = "1" * 32, "2" * 32  # digests that the journal has


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = make_run_directory(tmp_path, "20261122_cells_mini-cnn_abcdef")
    run.manifest.path.write_text(json.dumps({"started": "2026-11-22T23:30:00.000+00:00"}))
    return run


def write_journal(run: RunDirectory, *steps: tuple[int, str | None]) -> None:
    """Best epochs in turn, each with the digest of its weights; None: the engine was killed as it saved them."""
    lines = []
    for number, digest in steps:
        lines.append(epoch(2 * number, number, 0.5, (number, 0.5)).model_copy(update={"best": True}).line())
        if digest is not None:
            lines.append(saved(2 * number + 1, "best", number).model_copy(update={"digest": digest}).line())
    run.journal.path.write_bytes(b"".join(lines))


def write_best(run: RunDirectory, epoch: int = 2, weight: float = 0.5) -> str:
    return write_checkpoint(run.best.path, {"epoch": str(epoch)}, weight)


def expected(run: RunDirectory) -> str | None:
    return expected_best(run, read_header(run.best))


def test_a_completed_run_has_the_weights_that_it_saved_last(run: RunDirectory) -> None:
    digest = write_best(run)
    write_status(run, outcome="completed")
    write_journal(run, (1, OLDER), (2, digest))
    assert expected(run) is None
    write_journal(run, (1, digest), (2, NEWER))
    assert expected(run) == NEWER


def test_a_run_that_can_go_on_may_have_gone_back_to_weights_that_it_saved_before(run: RunDirectory) -> None:
    """A resume from an earlier checkpoint takes the best weights of that time."""
    write_status(run, outcome="stopped")
    write_journal(run, (1, write_best(run, epoch=1)), (2, NEWER))
    assert expected(run) is None
    write_best(run, weight=0.25)
    assert expected(run) == NEWER, "which it never saved"


def test_weights_that_were_saved_as_the_engine_was_killed_are_those_of_the_best_epoch(run: RunDirectory) -> None:
    write_status(run, outcome=None)
    write_journal(run, (1, OLDER), (2, None))
    write_bundle(run.model_bundle, bundle(OLDER))
    write_best(run, epoch=2)
    assert expected(run) is None
    write_best(run, epoch=3)
    assert expected(run) == OLDER


def test_the_bundle_of_a_run_whose_journal_is_gone_says_which_they_are(run: RunDirectory) -> None:
    """And of a run that recorded nothing, as an older medtui left it, nothing is wrong."""
    digest = write_best(run)
    assert expected(run) is None
    write_bundle(run.model_bundle, bundle(digest))
    assert expected(run) is None
    write_bundle(run.model_bundle, bundle(NEWER))
    assert expected(run) == NEWER
