"""Which files of a run may go: every record of its best weights is asked, and each alone can prevent it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from test_state import saved

from engine.contract.machine.process_identity import this_process
from engine.contract.store.checkpoint_file import DIGEST, ContentDigest, verified_digest
from engine.contract.store.lock import WorkspaceLock
from engine.contract.store.model_bundle import BundledWeights, ModelBundle, write_bundle
from engine.contract.store.run_directory import RunDirectory, make_run_directory
from engine.contract.store.status import Status
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import CheckpointError, UsageError
from engine.contract.wire.protocol import Log
from medtui.client.pruning import prunable, prune

BEST = 2  # epoch
CHECKPOINTS = ["last.safetensors", "previous.safetensors", "previous_best.safetensors"]


def write_checkpoint(path: Path, metadata: dict[str, str], weight: float = 0.5) -> str:
    """One with a good digest, which is returned."""
    values = np.full(3, weight, dtype=np.float32)
    digest = ContentDigest()
    digest.tensor("weight", "F32", (3,))
    digest.data(values.tobytes())
    digest.metadata(metadata)
    save_file({"weight": values}, path, {**metadata, DIGEST: digest.hex()})
    assert verified_digest(path) == digest.hex()
    return digest.hex()


def write_status(run: RunDirectory, **values: Any) -> None:
    gone = replace(this_process(), started=this_process().started - 3600)
    at = {"host": gone.host, "boot": gone.boot, "pid": gone.pid, "started": gone.started}
    status = {"engine": "e1", **at, "updated": 60.0, "phase": "finished", "seq": 1, "best_epoch": BEST, **values}
    run.status.path.write_bytes(Status.model_validate(status).line())


def write_journal(run: RunDirectory, *digests: str) -> None:
    """Best weights that were saved, the newest last; and a last checkpoint, which is none of them."""
    events = [saved(at, "best", at).model_copy(update={"digest": digest}) for at, digest in enumerate(digests, 1)]
    run.journal.path.write_bytes(
        b"".join(event.line() for event in [*events, saved(9, "last", 9), Log(time=0.0, seq=10, message="best")])
    )


def bundle(digest: str) -> ModelBundle:
    return ModelBundle(
        model="mini_cnn",
        task="binary",
        class_names=("a", "b"),
        size=28,
        channels=1,
        mean=(0.5,),
        std=(0.5,),
        views=("identity",),
        recipe_hash="00" * 16,
        weights=BundledWeights(file="best.safetensors", digest=digest),
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "outputs").mkdir()
    return Workspace(tmp_path)


@pytest.fixture
def run(workspace: Workspace) -> RunDirectory:
    """One that completed, with all of its checkpoints and all that names its best weights."""
    run = make_run_directory(workspace.outputs, "20261122_cells_mini-cnn_abcdef")
    run.manifest.path.write_text(json.dumps({"started": "2026-11-22T23:30:00.000+00:00"}))
    digest = write_checkpoint(run.best.path, {"epoch": str(BEST)})
    for file in (run.last, run.previous):
        write_checkpoint(file.path, {"state": json.dumps({"best_epoch": BEST})})
    write_checkpoint(run.previous_best.path, {"epoch": "1"}, weight=0.1)
    write_journal(run, "1" * 32, digest)
    write_bundle(run.model_bundle, bundle(digest))
    write_status(run, outcome="completed")
    return run


def names(run: RunDirectory, workspace: Workspace, *, resumable: bool = False) -> list[str]:
    return sorted(file.path.name for file in prunable(run, workspace, resumable=resumable).files)


def test_of_a_completed_run_all_but_the_best_weights_may_go(run: RunDirectory, workspace: Workspace) -> None:
    found = prunable(run, workspace)
    assert sorted(file.path.name for file in found.files) == CHECKPOINTS
    assert (found.kept, found.ends_resume, found.state) == ("", False, "completed")
    assert found.bytes == sum((run.checkpoints.path / name).stat().st_size for name in CHECKPOINTS)
    prune(found, workspace)
    assert run.checkpoints.names() == ["best.safetensors", "model.json"]
    again = prunable(run, workspace)
    assert (again.files, again.bytes, again.kept) == ((), 0, "")


@pytest.mark.parametrize("outcome", ["stopped", "failed", None], ids=str)
def test_of_a_run_that_can_be_resumed_they_go_only_if_that_is_requested(
    outcome: str | None, run: RunDirectory, workspace: Workspace
) -> None:
    write_status(run, outcome=outcome)
    kept = prunable(run, workspace)
    assert kept.files == () and "--resumable" in kept.kept and not kept.ends_resume
    requested = prunable(run, workspace, resumable=True)
    assert sorted(file.path.name for file in requested.files) == CHECKPOINTS and requested.ends_resume


def test_what_killed_writers_left_may_always_go(run: RunDirectory, workspace: Workspace) -> None:
    """Whether the run can be resumed, has no other checkpoint, or none that names its best weights."""
    before = set(run.checkpoints.names())
    with run.last.replacing():
        (leftover,) = set(run.checkpoints.names()) - before
        write_status(run, outcome="stopped")
        assert names(run, workspace) == [leftover]
        write_status(run, outcome="completed")
        assert names(run, workspace) == sorted([leftover, *CHECKPOINTS])
        run.best.path.unlink()
        assert names(run, workspace) == [leftover]
        for file in (run.last, run.previous, run.previous_best):
            file.path.unlink()
        assert names(run, workspace) == [leftover]


def best_without_digest(run: RunDirectory) -> None:
    save_file({"weight": np.zeros(3, dtype=np.float32)}, run.best.path, {"epoch": str(BEST)})


def other_last(run: RunDirectory) -> None:
    write_checkpoint(run.last.path, {"state": json.dumps({"best_epoch": BEST + 1})})


DOUBTS: dict[str, tuple[Callable[[RunDirectory], object], str]] = {
    "best is missing": (lambda run: run.best.path.unlink(), "cannot be read"),
    "best is no checkpoint": (lambda run: run.best.path.write_bytes(b"no"), "cannot be read"),
    "best has no digest": (best_without_digest, "no digest"),
    "best is of another run": (lambda run: write_checkpoint(run.best.path, {"epoch": str(BEST)}, 0.7), "model.json"),
    "the bundle names others": (lambda run: write_bundle(run.model_bundle, bundle("f" * 32)), "model.json"),
    "the journal names others": (lambda run: write_journal(run, "f" * 32), "the journal"),
    "the status names another epoch": (
        lambda run: write_status(run, outcome="completed", best_epoch=BEST + 1),
        "its status",
    ),
    "the last checkpoint names another epoch": (other_last, "last.safetensors"),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_one_record_that_names_other_weights_keeps_everything(
    doubt: str, run: RunDirectory, workspace: Workspace
) -> None:
    change, named = DOUBTS[doubt]
    before = prunable(run, workspace)
    change(run)
    found = prunable(run, workspace)
    assert found.files == () and named in found.kept
    with pytest.raises(CheckpointError):
        prune(before, workspace)  # decided on before the change
    assert set(CHECKPOINTS) <= set(run.checkpoints.names())


def test_without_any_record_nothing_goes(run: RunDirectory, workspace: Workspace) -> None:
    write_journal(run)
    run.model_bundle.path.unlink()
    write_status(run, outcome="completed", best_epoch=None)
    write_checkpoint(run.last.path, {"state": "{}"})
    found = prunable(run, workspace)
    assert found.files == () and "nothing left identifies" in found.kept


@pytest.mark.parametrize("kept", ["the journal", "model.json", "its status", "last.safetensors"])
def test_one_record_that_names_them_is_enough(kept: str, run: RunDirectory, workspace: Workspace) -> None:
    if kept != "the journal":
        write_journal(run)
    if kept != "model.json":
        run.model_bundle.path.unlink()
    if kept != "its status":
        write_status(run, outcome="completed", best_epoch=None)
    if kept != "last.safetensors":
        write_checkpoint(run.last.path, {"state": "{}"})
    assert names(run, workspace) == CHECKPOINTS


def test_weights_damaged_since_they_were_saved_keep_everything(run: RunDirectory, workspace: Workspace) -> None:
    """The header is as it was: only reading them shows it."""
    content = bytearray(run.best.path.read_bytes())
    content[-1] ^= 1
    run.best.path.write_bytes(content)
    found = prunable(run, workspace)
    assert found.files
    with pytest.raises(CheckpointError):
        prune(found, workspace)
    assert set(CHECKPOINTS) <= set(run.checkpoints.names())


def test_a_run_that_lives_or_holds_the_workspace_is_refused_also_once_it_was_decided(
    run: RunDirectory, workspace: Workspace
) -> None:
    found = prunable(run, workspace)
    lock = WorkspaceLock(workspace.lock_file)
    lock.acquire()
    lock.describe(run.name)
    for act in (lambda: prunable(run, workspace), lambda: prune(found, workspace)):
        with pytest.raises(UsageError, match="holds the workspace"):
            act()
    lock.release()
    me = this_process()
    write_status(run, pid=me.pid, started=me.started)
    for act in (lambda: prunable(run, workspace), lambda: prune(found, workspace)):
        with pytest.raises(UsageError, match="is running"):
            act()
    assert set(CHECKPOINTS) <= set(run.checkpoints.names())


def test_a_run_elsewhere_or_with_links_in_it_is_refused(
    run: RunDirectory, workspace: Workspace, tmp_path: Path
) -> None:
    found = prunable(run, workspace)
    (tmp_path / "other" / "outputs").mkdir(parents=True)
    with pytest.raises(UsageError, match="Expected a run in"):
        prunable(run, Workspace(tmp_path / "other"))
    (run.root / "reports" / "link").symlink_to("/etc/hostname")
    for act in (lambda: prunable(run, workspace), lambda: prune(found, workspace)):
        with pytest.raises(UsageError):
            act()
    assert set(CHECKPOINTS) <= set(run.checkpoints.names())
