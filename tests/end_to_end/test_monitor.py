"""The recipe chooses the validation metric by which an epoch is the best; everything that shows one says so."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from driving import Engine, medtui, tiny
from openpyxl import load_workbook
from safetensors.torch import load_file

from engine.contract.store.checkpoint_file import read_header
from engine.contract.store.run_directory import RunDirectory

NAMES = {"auc": "AUC", "loss": "loss", "acc": "ACC", "f1": "F1"}
EPOCHS = 8


def recipe(monitor: str, **training: Any) -> dict[str, dict[str, Any]]:
    """So high a rate that the metrics are not at their best in one epoch; how many are planned changes none of them."""
    values = {"epochs": EPOCHS, "lr": 0.3, "schedule": "constant", "patience": None, "monitor": monitor, **training}
    return tiny(dataset={"limit": 48}, training=values, runtime={"reproducible": True, "threads": 1})


def trained(workspace: Path, values: dict[str, Any]) -> RunDirectory:
    workspace.mkdir(exist_ok=True)
    engine = Engine(workspace)
    engine.train(values)
    run = RunDirectory(Path(engine.wait_for_event("run.finished")["run_dir"]))
    assert engine.end() == 0
    return run


def history(run: RunDirectory) -> list[dict[str, str]]:
    with (run.metrics.path / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def best_epoch(rows: list[dict[str, str]], monitor: str) -> int:
    """By the definition: the best value, among equals the lowest loss, among those the first."""
    sign = 1 if monitor == "loss" else -1
    order = sorted(rows, key=lambda row: (sign * float(row[f"val_{monitor}"]), float(row["val_loss"])))
    return int(order[0]["epoch"])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunDirectory]:
    folder = tmp_path_factory.mktemp("monitors")
    return {monitor: trained(folder / monitor, recipe(monitor)) for monitor in NAMES}


@pytest.mark.slow
def test_best_holds_the_epoch_that_the_monitor_chooses(runs: dict[str, RunDirectory], tmp_path: Path) -> None:
    rows = history(runs["auc"])
    expected = {monitor: best_epoch(rows, monitor) for monitor in NAMES}
    assert len(set(expected.values())) > 1, "this recipe does not tell the monitors apart"
    for monitor, run in runs.items():
        of_run = history(run)
        assert [row["val_loss"] for row in of_run] == [row["val_loss"] for row in rows]  # the same training
        assert int(read_header(run.best).metadata["epoch"]) == expected[monitor]
        assert [int(row["epoch"]) for row in of_run if row["best"] == "true"][-1] == expected[monitor]
    other = next(monitor for monitor in ("loss", "acc", "f1") if expected[monitor] != expected["auc"])
    shorter = trained(tmp_path, recipe(other, epochs=expected[other]))  # its last weights are those of that epoch
    last = load_file(shorter.last.path)
    best = load_file(runs[other].best.path)
    assert best and all(last[f"model/{name}"].equal(tensor) for name, tensor in best.items())


@pytest.mark.slow
@pytest.mark.parametrize("monitor", NAMES)
def test_the_monitor_is_named_wherever_the_best_epoch_is(monitor: str, runs: dict[str, RunDirectory]) -> None:
    run, name = runs[monitor], NAMES[monitor]
    chosen = history(run)[best_epoch(history(run), monitor) - 1]
    workspace = run.root.parent.parent
    events = [json.loads(line) for line in run.journal.path.read_text().splitlines()]
    started = next(event for event in events if event["event"] == "run.started")
    assert started["monitor"] == monitor
    assert started["resolved"]["best_by"] == ("loss" if monitor == "loss" else f"{monitor}_then_loss")
    log = run.log.path.read_text()
    assert f"best: epoch {chosen['epoch']}, validation {name} {float(chosen[f'val_{monitor}']):.4f}" in log
    shown = json.loads(medtui("show", "last", "--json", cwd=workspace).stdout)
    assert (shown["monitor"], shown["best_epoch"]) == (monitor, int(chosen["epoch"]))
    by = "" if monitor == "auc" else f" by {name}"
    assert f"best{by} {chosen['epoch']}" in medtui("show", "last", cwd=workspace).stdout
    sheet = load_workbook(run.reports.path / "report.xlsx")["Summary"]
    summary = {row[0]: row[1] for row in sheet.iter_rows(values_only=True)}
    assert (summary["Best epoch"], summary["Best epoch by"]) == (int(chosen["epoch"]), f"validation {name}")


def test_a_run_that_monitors_the_loss_resumes_bit_for_bit(runs: dict[str, RunDirectory], tmp_path: Path) -> None:
    """Killed after the epoch that is its best: what comes later must be compared with that one."""
    engine = Engine(tmp_path)
    engine.train(recipe("loss"))
    run = RunDirectory(Path(engine.wait_for_event("run.started")["run_dir"]))
    engine.wait_for_event("epoch.finished", epoch=3)
    engine.send("pause", id="p")
    engine.wait_for_phase("paused")
    engine.kill()
    done = medtui("run", "--resume", "last", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    undisturbed = runs["loss"]
    assert run.best.path.read_bytes() == undisturbed.best.path.read_bytes()
    assert (run.metrics / "history.csv").content() == (undisturbed.metrics / "history.csv").content()


def test_early_stopping_says_what_did_not_improve(tmp_path: Path) -> None:
    run = trained(tmp_path, recipe("f1", patience=1, epochs=100))
    rows = history(run)
    assert len(rows) < 100
    assert float(rows[-1]["val_f1"]) <= max(float(row["val_f1"]) for row in rows[:-1])
    assert f"Stopped early after epoch {len(rows)}: 1 epoch without a higher validation F1" in run.log.path.read_text()


def test_another_monitor_is_another_experiment_and_the_usual_one_changes_no_hash(
    runs: dict[str, RunDirectory],
) -> None:
    manifests = {monitor: json.loads(run.manifest.path.read_text()) for monitor, run in runs.items()}
    for key in ("recipe_hash", "resolved_hash"):
        assert len({manifest[key] for manifest in manifests.values()}) == len(NAMES)
