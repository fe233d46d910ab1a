"""`medtui run --resume`: in the same directory, refused where it would not be the same run, marked where it drifted."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from driving import PATIENCE, Engine, json_lines, medtui, tiny
from openpyxl import load_workbook

from engine.contract.store.checkpoint_file import weights_digest
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import UsageError
from medtui.client.journal import replay
from medtui.client.own_engine import OwnEngine
from medtui.client.resume import resume_command

# 25 steps an epoch: a pause comes in the middle of one
RECIPE = tiny(
    dataset={"name": "cells", "limit": 400},
    training={"epochs": 2, "batch_size": 16},
    runtime={"reproducible": True, "threads": 1},
)


def paused_within_an_epoch(workspace: Path, storage: str = "auto") -> tuple[Engine, RunDirectory]:
    engine = Engine(workspace)
    engine.train({**RECIPE, "dataset": {**RECIPE["dataset"], "cache": storage}})
    run = RunDirectory(Path(engine.wait_for_event("run.started")["run_dir"]))
    engine.wait_for(lambda e: e["event"] == "progress" and (e["step"] or 0) > 0)
    engine.send("pause", id="p")
    engine.wait_for_phase("paused")
    assert engine.wait_for_event("checkpoint.saved")["position"]["step"] > 0
    return engine, run


def results(run: RunDirectory) -> tuple[str, str, str]:
    (scores,) = run.metrics.path.glob("*_test_*.csv")
    return weights_digest(run.best), (run.metrics.path / "history.csv").read_text(), scores.read_text()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    engine = Engine(tmp_path_factory.mktemp("undisturbed"))
    engine.train(RECIPE)
    run = RunDirectory(Path(engine.wait_for_event("run.finished")["run_dir"]))
    assert engine.end() == 0
    return run


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a run that was paused within an epoch and killed."""
    workspace = tmp_path_factory.mktemp("killed")
    engine, _ = paused_within_an_epoch(workspace)
    engine.kill()
    return workspace


@pytest.fixture
def workspace(killed: Path, tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    yield tmp_path


def the_run(workspace: Path) -> RunDirectory:
    return RunDirectory(next((workspace / "outputs").glob("2*")))


def files(run: RunDirectory) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in run.root.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_run_killed_while_paused_resumes_to_the_same_weights(workspace: Path, undisturbed: RunDirectory) -> None:
    """And yesterday's stop, for the previous engine, does not stop it."""
    run = the_run(workspace)
    engine = json.loads(run.status.path.read_text())["engine"]
    stop = {"command": "stop", "id": "yesterday", "by": "me", "engine": engine}
    run.control.path.write_text(json.dumps(stop) + "\n" + '{"command": "sto')
    done = medtui("run", "--resume", "last", "--json", cwd=workspace)
    events = json_lines(done.stdout)
    assert (done.returncode, events[-1]["outcome"]) == (0, "completed"), done.stdout
    started = next(event for event in events if event["event"] == "run.started")
    assert (started["attempt"], started["run"]) == (2, run.name)
    assert started["resumed_from"]["step"] > 0
    assert not [event for event in events if event.get("id") == "yesterday"]
    assert results(run) == results(undisturbed)
    summary = replay(run.journal).summary
    assert json.loads(medtui("show", "last", "--json", cwd=workspace).stdout)["worked"] == summary.worked
    assert summary.worked is not None and summary.worked > 0
    assert [epoch.epoch for epoch in replay(run.journal).epochs] == [1, 2]
    assert [path.name for path in (workspace / "outputs").iterdir() if path.name[0] == "2"] == [run.name]
    attempts = json.loads(run.manifest.path.read_text())["attempts"]
    assert [attempt["resumed_from"] for attempt in attempts] == [None, started["resumed_from"]]

    again = medtui("run", "--resume", run.name, cwd=workspace)
    assert again.returncode == 2, "a completed run is refused"
    assert "is completed" in again.stderr


@pytest.mark.slow
def test_a_run_aborted_while_paused_resumes_to_the_same_weights(tmp_path: Path, undisturbed: RunDirectory) -> None:
    engine, run = paused_within_an_epoch(tmp_path)
    engine.send("abort", id="a")
    assert engine.wait_for_event("run.finished")["outcome"] == "aborted"
    assert engine.end() == 7
    second = Engine(tmp_path)
    second.send("start", id="s", job="train", resume=str(run.root))
    assert second.wait_for_event("run.finished")["outcome"] == "completed"
    assert second.end() == 0
    assert results(run) == results(undisturbed)


@pytest.mark.everyday("killed")
@pytest.mark.parametrize("how", ["killed", "aborted"])
def test_a_run_on_mapped_images_interrupted_within_an_epoch_resumes_to_the_weights_of_one_in_ram(
    how: str, tmp_path: Path, undisturbed: RunDirectory
) -> None:
    """Some batches are read ahead at that moment; the thread that reads them keeps no engine from its end."""
    engine, run = paused_within_an_epoch(tmp_path, "mapped")
    assert json.loads(run.manifest.path.read_text())["resolved"]["storage"] == "mapped"
    if how == "aborted":
        engine.send("abort", id="a")
        assert engine.end() == 7
    else:
        engine.kill()
    done = medtui("run", "--resume", str(run.root), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(undisturbed.manifest.path.read_text())["resolved"]["storage"] == "ram"
    assert results(run) == results(undisturbed)


def test_a_stopped_run_resumes_and_its_artifacts_are_replaced(tmp_path: Path, undisturbed: RunDirectory) -> None:
    engine, run = paused_within_an_epoch(tmp_path)
    engine.send("stop", id="s")
    assert engine.wait_for_event("run.finished")["outcome"] == "stopped"
    assert engine.end() == 6
    report = (run.reports.path / "report.xlsx").read_bytes()
    assert medtui("run", "--resume", str(run.root), cwd=tmp_path).returncode == 0
    assert results(run) == results(undisturbed), "one score file: that of the whole run"
    assert (run.reports.path / "report.xlsx").read_bytes() != report
    shown = json.loads(medtui("show", "last", "--json", cwd=tmp_path).stdout)
    assert (shown["outcome"], shown["epochs_done"], shown["drift"]) == ("completed", 2, [])
    assert all(Path(path).is_file() for path in shown["artifacts"].values())


@pytest.mark.slow
def test_another_thread_count_is_refused_and_with_allow_drift_marked_everywhere(workspace: Path) -> None:
    run = the_run(workspace)
    before = files(run)
    other = ["run", "--resume", "last", "--set", "runtime.threads=2"]
    refused = medtui(*other, "--json", cwd=workspace)
    finished = json_lines(refused.stdout)[-1]
    assert (refused.returncode, finished["error"]["kind"], finished["run_dir"]) == (2, "drift", None)
    assert "threads 1 → 2" in finished["error"]["message"]
    assert files(run) == before, "a refused resume changes nothing"

    allowed = medtui(*other, "--allow-drift", cwd=workspace)
    assert allowed.returncode == 0, allowed.stdout
    assert "threads 1 → 2" in allowed.stdout
    assert json.loads(run.manifest.path.read_text())["drift"] == ["threads 1 → 2"]
    assert json.loads(medtui("show", "last", "--json", cwd=workspace).stdout)["drift"] == ["threads 1 → 2"]
    assert "threads 1 → 2" in medtui("show", "last", cwd=workspace).stdout
    summary = load_workbook(run.reports.path / "report.xlsx")["Summary"]
    assert ("Drift between attempts", "threads 1 → 2") in [(row[0], row[1]) for row in summary.values]


CHANGES: dict[str, tuple[list[str], str]] = {
    "another recipe": (["--set", "training.lr=0.5"], "training.lr 0.008 → 0.5."),
    "another seed": (["--set", "training.seed=1"], "training.seed 42 → 1."),
    "two fields": (
        ["--set", "training.epochs=3", "--set", "model.dropout=0.5"],
        "model.dropout 0.0 → 0.5; training.epochs 2 → 3.",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_identity_is_refused_with_one_sentence(change: str, workspace: Path) -> None:
    arguments, said = CHANGES[change]
    done = medtui("run", "--resume", "last", *arguments, "--json", cwd=workspace)
    error = json_lines(done.stdout)[-1]["error"]
    assert (done.returncode, error["kind"]) == (2, "drift")
    assert said in error["message"]


def test_an_edited_recipe_of_the_run_is_refused_with_the_field_name(workspace: Path) -> None:
    run = the_run(workspace)
    run.recipe.path.write_text(run.recipe.path.read_text().replace("  epochs: 2\n", "  epochs: 7\n"))
    done = medtui("run", "--resume", "last", cwd=workspace)
    assert done.returncode == 2
    assert "would not continue as it began: training.epochs 2 → 7." in done.stderr


def test_other_versions_are_refused(workspace: Path) -> None:
    run = the_run(workspace)
    manifest = json.loads(run.manifest.path.read_text())
    manifest["attempts"][0]["must_match"]["torch"] = "1.13.1"
    run.manifest.path.write_text(json.dumps(manifest))
    done = medtui("run", "--resume", "last", cwd=workspace)
    assert done.returncode == 2
    assert "torch 1.13.1 → " in done.stderr


def test_changes_that_do_not_affect_results_are_accepted(workspace: Path, undisturbed: RunDirectory) -> None:
    arguments = ["--set", "runtime.checkpoint_minutes=0.001", "--set", "dataset.cache=mapped"]
    done = medtui("run", "--resume", "last", *arguments, cwd=workspace)
    assert done.returncode == 0, done.stdout
    assert results(the_run(workspace)) == results(undisturbed)


@pytest.mark.slow
def test_a_run_with_finished_training_resumes_at_its_evaluation(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.train(tiny(dataset={"name": "cells", "limit": 400}, training={"epochs": 1}, evaluation={"tta": True}))
    engine.wait_for_phase("evaluating")
    engine.send("abort", id="a")
    run = RunDirectory(Path(engine.wait_for_event("run.finished")["run_dir"]))
    assert engine.end() == 7
    digest = weights_digest(run.last)
    second = Engine(tmp_path)
    second.send("start", id="s", job="train", resume=str(run.root))
    assert second.wait_for_event("run.finished")["outcome"] == "completed"
    second.end()
    phases = [event["phase"] for event in second.of("phase.changed")]
    assert phases == ["preparing", "evaluating", "reporting", "finished"]
    assert weights_digest(run.last) == digest


def test_last_is_the_resumed_run_that_trains_for_every_command(workspace: Path) -> None:
    """Not the one that was started between its two attempts."""
    run = the_run(workspace)
    newer = shutil.copytree(run.root, workspace / "outputs" / f"{run.name}_2")
    manifest = json.loads(run.manifest.path.read_text())
    later = datetime.now(UTC).isoformat(timespec="milliseconds")
    (newer / "manifest.json").write_text(json.dumps(manifest | {"started": later, "attempts": []}))
    assert json.loads(medtui("show", "last", "--json", cwd=workspace).stdout)["run"] == newer.name
    engine = Engine(workspace)
    try:
        engine.send("start", id="s", job="train", resume=str(run.root))
        engine.wait_for_event("run.started")
        paused = json.loads(medtui("pause", "last", "--json", cwd=workspace).stdout)
        assert (paused["run"], paused["answer"]) == (run.name, "accepted")
        assert json.loads(medtui("show", "last", "--json", cwd=workspace).stdout)["run"] == run.name
        assert json.loads(medtui("runs", "--json", cwd=workspace).stdout)[-1]["run"] == run.name
        killed = json.loads(medtui("kill", "last", "--json", cwd=workspace).stdout)
        assert (killed["run"], killed["ended"]) == (run.name, True)
    finally:
        engine.kill()


def test_a_run_of_another_workspace_is_resumed_there(workspace: Path, tmp_path_factory: Any) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    run = the_run(workspace)
    named = ["run", "--resume", str(run.root), "--json"]
    refused = medtui(*named, "--workspace", str(elsewhere), cwd=elsewhere)
    assert refused.returncode == 2
    assert "--workspace" in refused.stderr
    done = medtui(*named, "--set", "runtime.max_minutes=0.0001", cwd=elsewhere)
    assert done.returncode == 6
    assert json_lines(done.stdout)[-1]["run_dir"] == str(run.root)
    assert not (elsewhere / "outputs").exists()


@pytest.mark.slow
def test_the_console_resumes_a_run_and_knows_the_epochs_before(workspace: Path, undisturbed: RunDirectory) -> None:
    """`resume_command` with a separate engine: the gap in `seq` is read from the journal."""
    run, place = the_run(workspace), Workspace(workspace)
    watched = OwnEngine(place, warm=False)
    assert watched.begin(resume_command(run, place, by="console"))
    deadline = time.monotonic() + PATIENCE
    while watched.view.outcome is None and time.monotonic() < deadline:
        time.sleep(0.05)
    view = watched.view
    assert (view.outcome, view.run) == ("completed", run.name)
    assert repr(view.state) == repr(replay(run.journal)), "compared as text: NaN is not equal to itself"
    assert results(run) == results(undisturbed)
    with pytest.raises(UsageError, match="is completed"):
        resume_command(run, place, by="console")


def test_a_resumed_run_finds_its_data_where_they_were_and_logs_it(real_data: Path, tmp_path: Path) -> None:
    """The variable that named the folder is not set any more, and no option names it."""
    home = tmp_path / "home"  # no ~/.medmnist
    home.mkdir()
    fields = ("dataset.limit=64", "model.name=mini_cnn", "training.epochs=2", "training.batch_size=16")
    here = {"HOME": str(home), "MEDTUI_DATA": str(real_data)}
    first = medtui(
        "run", "breastmnist", *fields, "runtime.max_minutes=0.0001", "--json", cwd=tmp_path, environment=here
    )
    assert first.returncode == 6, first.stderr
    resume = ("run", "--resume", "last", "--set", "runtime.max_minutes=5", "--json")
    done = medtui(*resume, cwd=tmp_path, environment={"HOME": str(home)})
    assert done.returncode == 0, done.stdout
    said = [event["message"] for event in json_lines(done.stdout) if event["event"] == "log"]
    archive = (real_data / "breastmnist.npz").resolve()
    assert any("using the run's previous location" in line and str(archive) in line for line in said), said
