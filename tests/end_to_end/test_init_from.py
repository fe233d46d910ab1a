"""A run that starts from another one's weights starts from the same ones at every attempt."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from driving import Engine, tiny

from engine.contract.store.checkpoint_file import weights_digest
from engine.contract.store.run_directory import RunDirectory

Runs = tuple[RunDirectory, RunDirectory, RunDirectory]


def trained(workspace: Path, seed: int) -> RunDirectory:
    engine = Engine(workspace)
    engine.train(tiny(training={"epochs": 1, "seed": seed}))
    run = RunDirectory(Path(engine.wait_for_event("run.finished")["run_dir"]))
    assert engine.end() == 0
    return run


def resumed(run: RunDirectory, **fields: Any) -> tuple[Engine, dict[str, Any]]:
    engine = Engine(run.root.parent.parent)
    engine.send("start", id="start", job="train", resume=str(run.root), **fields)
    finished = engine.wait_for_event("run.finished")
    engine.end()
    return engine, finished


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace: a source, a run from `last` that was killed before its first checkpoint, and a newer run."""
    workspace = tmp_path_factory.mktemp("interrupted")
    trained(workspace, 1)
    engine = Engine(workspace)
    training = {"epochs": 1, "batch_size": 2, "init_from": "last"}  # steps enough to be killed in, and few to resume
    engine.train(tiny(dataset={"limit": 1000}, training=training))
    run = RunDirectory(Path(engine.wait_for_event("run.started")["run_dir"]))
    engine.process.send_signal(signal.SIGKILL)
    engine.end()
    assert not run.last.path.exists()
    trained(workspace, 2)
    return workspace


@pytest.fixture
def runs(interrupted: Path, tmp_path: Path) -> Runs:
    """Copies of the three: source, interrupted, newer; the source is nowhere else."""
    shutil.copytree(interrupted, tmp_path, dirs_exist_ok=True)
    found = [RunDirectory(entry) for entry in (tmp_path / "outputs").iterdir() if entry.is_dir()]
    source, run, newer = sorted(found, key=lambda run: json.loads(run.manifest.path.read_text())["started"])
    manifest = json.loads(run.manifest.path.read_text())
    run.manifest.path.write_text(
        json.dumps(manifest | {"init_from": {**manifest["init_from"], "folder": str(source.root)}})
    )
    return source, run, newer


def test_name_and_digest_of_the_source_are_recorded(runs: Runs) -> None:
    source, run, _ = runs
    manifest = json.loads(run.manifest.path.read_text())
    assert manifest["init_from"]["run"] == source.name
    assert manifest["init_from"]["digest"] == weights_digest(source.best)
    for recorded in (manifest["resolved"]["weights"], manifest["attempts"][0]["must_match"]["weights"]):
        found = (recorded["kind"], recorded["id"], recorded["digest"])
        assert found == ("run", source.name, weights_digest(source.best))


@pytest.mark.slow
def test_a_resume_before_the_first_checkpoint_starts_from_the_recorded_run_whatever_last_means_now(runs: Runs) -> None:
    source, run, _ = runs
    engine, finished = resumed(run)
    assert finished["outcome"] == "completed", finished
    assert engine.of("run.started")[0]["decisions"]["weights"] == f"weights of {source.name}"
    assert engine.of("run.started")[0]["drift"] == []


def test_a_source_whose_weights_changed_is_refused_unless_drift_is_allowed(runs: Runs) -> None:
    source, run, newer = runs
    shutil.copyfile(newer.best, source.best)
    _, refused = resumed(run)
    assert (refused["exit_code"], refused["error"]["kind"]) == (2, "drift")
    assert f"init_from {source.name}" in refused["error"]["message"]
    assert len(json.loads(run.manifest.path.read_text())["attempts"]) == 1


def test_a_source_that_was_deleted_is_refused_with_its_name(runs: Runs) -> None:
    source, run, _ = runs
    shutil.rmtree(source.root)
    _, refused = resumed(run)
    assert (refused["exit_code"], refused["error"]["kind"]) == (4, "weights")
    assert source.name in refused["error"]["message"]


@pytest.mark.slow
def test_in_runs_of_an_older_medtui_last_is_not_the_run_itself(runs: Runs) -> None:
    source, run, newer = runs
    shutil.rmtree(newer.root)
    manifest = json.loads(run.manifest.path.read_text())
    del manifest["init_from"]
    manifest["attempts"][0]["must_match"]["weights"] = f"weights of {source.name}"
    run.manifest.path.write_text(json.dumps(manifest))
    engine, finished = resumed(run)
    assert finished["outcome"] == "completed", finished
    assert engine.of("run.started")[0]["decisions"]["weights"] == f"weights of {source.name}"
