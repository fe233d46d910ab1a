"""`medtui runs prune`: deletes what is no longer needed, shows what is lost, and never deletes silently."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from driving import MEDTUI, PATIENCE, Engine, medtui, tiny, yaml_of

from engine.contract.store.run_directory import RunDirectory, list_runs
from medtui.cli import manage


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A completed run with the files of an older medtui and of a killed writer, and one that was stopped."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(yaml_of(tiny()))
    assert medtui("run", "tiny.yaml", "--workspace", folder, cwd=folder).returncode == 0
    engine = Engine(folder)
    try:
        engine.train(tiny(training={"epochs": 60, "patience": None}))
        engine.wait_for_event("epoch.finished", epoch=2)
        engine.send("stop")
        assert engine.end() == 6
    finally:
        engine.kill()
    (completed, _) = list_runs(folder / "outputs")
    for name in ("previous", ".last.abcdefgh"):
        shutil.copyfile(completed.last.path, completed.checkpoints.path / f"{name}.safetensors")
    return folder


@pytest.fixture
def workspace(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def runs_of(workspace: Path) -> tuple[RunDirectory, RunDirectory]:
    completed, stopped = list_runs(workspace / "outputs")
    return completed, stopped


def prune(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return medtui("runs", "prune", *arguments, "--workspace", workspace, cwd=workspace)


def files(workspace: Path) -> set[Path]:
    found = {path for path in workspace.rglob("*") if path.is_file()}
    assert found
    return found


def test_without_confirmation_nothing_is_deleted_and_what_would_be_is_shown_with_its_size(workspace: Path) -> None:
    completed, stopped = runs_of(workspace)
    before = files(workspace)
    size = sum(path.stat().st_size for path in completed.checkpoints.path.iterdir() if path.name != "best.safetensors")
    refused, dry = prune(workspace), prune(workspace, "--dry-run")
    assert (refused.returncode, dry.returncode) == (2, 0)
    assert "confirmation on a terminal" in refused.stderr and "--yes" in refused.stderr
    for line in (
        f"{completed.name}, completed: {size / 1e6:.1f} MB in ",
        f"{stopped.name}, stopped: nothing to remove",
    ):
        assert line in dry.stdout and line in refused.stdout
    assert dry.stdout.endswith(f"{size / 1e6:.1f} MB would be freed.\n")
    assert files(workspace) == before


def test_as_json_it_says_what_would_go_and_nothing_goes_without_yes(workspace: Path) -> None:
    completed, stopped = runs_of(workspace)
    before = files(workspace)
    for words in (("--json",), ("--json", "--yes", "--dry-run")):
        first, second = json.loads(prune(workspace, *words).stdout)
        assert (first["run"], second["run"]) == (completed.name, stopped.name)
        assert first["bytes"] == sum(Path(path).stat().st_size for path in first["files"]) > 0
        assert second["files"] == [] and "resumable" in second["kept"] and first["kept"] is None
        assert files(workspace) == before
    done = json.loads(prune(workspace, "--json", "--yes").stdout)
    assert done == [first, second]
    assert before - files(workspace) == set(map(Path, first["files"]))


@pytest.mark.slow
def test_a_completed_run_keeps_its_best_weights_and_is_shown_and_evaluated_as_before(workspace: Path) -> None:
    completed, stopped = runs_of(workspace)
    assert stopped.last.is_there and stopped.previous.is_there, "a run that can be resumed keeps both"
    others = {path for path in files(workspace) if path.parent != completed.checkpoints.path}
    shown = medtui("show", completed.name, "--workspace", workspace, cwd=workspace).stdout
    done = prune(workspace, "--yes")
    assert done.returncode == 0 and re.search(r"^Freed \d+\.\d MB\.$", done.stdout, re.M), done.stderr
    kept = {completed.best.path, completed.model_bundle.path, completed.features.path}
    assert files(workspace) == others | kept, "and all of the stopped one"
    for name in (completed.last.path.name, completed.previous.path.name):  # files that are gone are not listed
        shown = shown.replace(f", {name}", "")
    assert medtui("show", completed.name, "--workspace", workspace, cwd=workspace).stdout == shown
    again = medtui("evaluate", completed.name, "--json", "--workspace", workspace, cwd=workspace)
    test = json.loads(medtui("show", completed.name, "--json", "--workspace", workspace, cwd=workspace).stdout)["test"]
    assert json.loads(again.stdout)["auc"] == test["auc"]
    assert medtui("report", completed.name, "--all", "--workspace", workspace, cwd=workspace).returncode == 0
    refused = medtui("run", "--resume", completed.name, "--workspace", workspace, cwd=workspace)
    assert refused.returncode == 2 and "is completed: there is nothing to resume" in refused.stderr
    assert "Nothing to remove." in prune(workspace, "--yes").stdout
    resumed = medtui("run", "--resume", stopped.name, "--workspace", workspace, cwd=workspace)
    assert resumed.returncode == 0, resumed.stderr


def test_what_a_resume_needs_is_deleted_only_when_requested(workspace: Path) -> None:
    completed, stopped = runs_of(workspace)
    done = prune(workspace, stopped.name, "--resumable", "--yes")
    assert done.returncode == 0 and "It can no longer be resumed afterwards" in done.stdout
    assert stopped.checkpoints.names() == ["best.safetensors", "features.safetensors", "model.json"]
    assert completed.previous.is_there, "the other run was not named"
    refused = medtui("run", "--resume", stopped.name, "--workspace", workspace, cwd=workspace)
    assert refused.returncode == 5
    assert "neither last.safetensors nor previous.safetensors to resume from" in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr
    assert medtui("evaluate", stopped.name, "--workspace", workspace, cwd=workspace).returncode == 0


def test_without_good_best_weights_nothing_is_deleted(workspace: Path) -> None:
    completed, _ = runs_of(workspace)
    content = bytearray(completed.best.path.read_bytes())
    content[-1] ^= 1
    completed.best.path.write_bytes(content)
    before = files(workspace)
    damaged = prune(workspace, completed.name, "--yes")
    assert damaged.returncode == 5 and "best.safetensors" in damaged.stderr
    assert files(workspace) == before
    completed.best.delete()
    missing = prune(workspace, completed.name, "--dry-run")
    assert missing.returncode == 0 and "its best weights cannot be read" in missing.stdout


def test_a_training_run_is_refused_by_name_and_skipped_among_all(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    try:
        engine.train(tiny(training={"epochs": 500, "patience": None}))
        name = engine.wait_for_event("run.started")["run"]
        engine.wait_for_event("epoch.finished", epoch=2)
        named, every = prune(tmp_path, name, "--resumable", "--yes"), prune(tmp_path, "--resumable", "--yes")
        assert named.returncode == 2 and name in named.stderr
        assert every.returncode == 1 and f"Skipped: {name} " in every.stdout and every.stdout.count("Skipped: ") == 1
        engine.send("stop")
        assert engine.end() == 6
    finally:
        engine.kill()


@pytest.mark.parametrize(("answer", "status"), [("yes", 0), ("y", 2)])
def test_on_a_terminal_confirmation_is_asked_for(answer: str, status: int, workspace: Path) -> None:
    completed, _ = runs_of(workspace)
    terminal, stdin = pty.openpty()
    try:
        asking = subprocess.Popen(
            [*MEDTUI, "runs", "prune", "--workspace", str(workspace)], stdin=stdin, stdout=subprocess.PIPE, text=True
        )
        os.write(terminal, answer.encode() + b"\n")
        said, _ = asking.communicate(timeout=PATIENCE)
    finally:
        os.close(terminal)
        os.close(stdin)
    assert asking.returncode == status
    assert "of 1 run will be deleted permanently. Type yes to confirm" in said
    assert completed.previous.is_there is bool(status)


def test_unverified_best_weights_keep_the_other_checkpoints(workspace: Path, tmp_path: Path) -> None:
    """Those of another run, of the same epoch; and of a run without a record of which are the best."""
    completed, stopped = runs_of(workspace)
    other = tmp_path / "other"
    other.mkdir()
    (other / "tiny.yaml").write_text(yaml_of(tiny(training={"seed": 7})))
    assert medtui("run", "tiny.yaml", "--workspace", other, cwd=other).returncode == 0
    (foreign,) = list_runs(other / "outputs")
    own = completed.best.path.read_bytes()
    shutil.copyfile(foreign.best.path, completed.best.path)
    before = files(workspace)
    done = prune(workspace, completed.name, "--yes")
    assert "best weights differ from those named by model.json" in done.stdout + done.stderr
    assert completed.last.is_there and files(workspace) >= before - {path for path in before if path.name[0] == "."}

    completed.best.path.write_bytes(own)
    completed.model_bundle.path.unlink()
    completed.status.path.unlink()
    completed.journal.path.write_bytes(completed.journal.path.read_bytes().splitlines(keepends=True)[-1])
    completed.last.path.write_bytes(b"damaged")
    done = prune(workspace, completed.name, "--yes")
    assert "nothing left identifies its best weights" in done.stdout + done.stderr
    assert completed.last.is_there and stopped.last.is_there


def test_a_damaged_run_does_not_prevent_others_from_being_pruned(workspace: Path) -> None:
    completed, _ = runs_of(workspace)
    copied = completed.root.with_name(f"{completed.name}_9")
    shutil.copytree(completed.root, copied)
    damaged = bytearray(completed.best.path.read_bytes())
    damaged[-100] ^= 1
    completed.best.path.write_bytes(damaged)
    done = prune(workspace, "--yes")
    assert done.returncode == 5 and "best.safetensors" in done.stderr
    assert completed.last.is_there and not RunDirectory(copied).last.is_there
    assert re.search(r"^Freed \d+\.\d MB\.$", done.stdout, re.M)


def test_prune_says_how_many_runs_it_skipped_and_fails_where_those_are_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    skipped = ["a is running.", "b belongs to ada."]
    monkeypatch.setattr("medtui.client.pruning.prunable_runs", lambda *_, **__: ([], skipped))
    assert manage.prune(yes=True, workspace=tmp_path) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "Nothing was removed: 2 runs skipped."
    assert manage.prune(dry_run=True, workspace=tmp_path) == 0, "a look is no failure"
    monkeypatch.setattr("medtui.client.pruning.prunable_runs", lambda *_, **__: ([], []))
    assert manage.prune(yes=True, workspace=tmp_path) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Nothing to remove."
