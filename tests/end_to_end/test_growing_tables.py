"""What other programs may follow while a run trains: tables that gain complete rows, and the story in run.log."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from driving import Engine, medtui, tiny


def test_after_every_epoch_the_tables_have_its_rows(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    try:
        engine.train(tiny(training={"epochs": 60, "patience": None}))
        started = engine.wait_for_event("run.started")
        metrics = Path(started["run_dir"]) / "metrics"
        followed = {name: (metrics / name) for name in ("history.csv", "per_class.csv")}
        engine.wait_for_event("checkpoint.saved")
        opened = {name: path.open(newline="") for name, path in followed.items()}  # as `tail -f` does
        for epoch in range(1, 4):
            told = engine.wait_for_event("epoch.finished", epoch=epoch)
            engine.wait_for(lambda e, n=epoch: e["event"] == "checkpoint.saved" and e["position"]["epoch"] >= n)
            history = list(csv.DictReader(followed["history.csv"].open(newline="")))
            assert float(history[epoch - 1]["val_auc"]) == told["validation"]["auc"]
            classes = list(csv.DictReader(followed["per_class.csv"].open(newline="")))
            rows = [row for row in classes if row["epoch"] == str(epoch)]
            assert [(row["split"], row["name"]) for row in rows] == [("val", name) for name in started["class_names"]]
        engine.send("stop")
        assert engine.end() == 6
        for name, file in opened.items():
            assert file.read() == followed[name].read_text(), "who follows a table sees all of it, in the same file"
    finally:
        engine.kill()
    tests = [row for row in csv.DictReader(followed["per_class.csv"].open(newline="")) if row["split"] == "test"]
    (evaluated,) = engine.of("evaluation.finished")
    assert [float(row["recall"]) for row in tests] == [row["recall"] for row in evaluated["per_class"]]
    assert {row["epoch"] for row in tests} == {str(engine.of("epoch.finished")[-1]["best_epoch"])}


def test_the_log_records_the_run_with_a_timestamp_on_each_line(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    try:
        engine.train(tiny(training={"epochs": 500, "patience": None}))
        run = Path(engine.wait_for_event("run.started")["run_dir"])
        followed = (run / "run.log").open()  # as `tail -f` does
        engine.wait_for_event("epoch.finished", epoch=2)
        engine.send("pause", id="p", by="ada\x1b[31m\n2026-11-26T00:00:00+00:00 forged")
        engine.wait_for_phase("paused")
        engine.send("start", id="x", by="bob")
        engine.answer("x")
        engine.send("stop", id="s", by="ada")
        assert engine.end() == 6
    finally:
        engine.kill()
    lines = followed.read().splitlines()
    times, story = zip(*(line.split(" ", 1) for line in lines), strict=True)
    assert all(datetime.fromisoformat(time).tzinfo is not None for time in times)
    assert [datetime.fromisoformat(time) for time in times] == sorted(datetime.fromisoformat(time) for time in times)
    epoch = engine.of("epoch.finished")[0]
    expected = [
        "phase: preparing",
        f"run {run.name}, attempt 1: mini_cnn on cells",
        "phase: training",
        f"epoch 1: training loss {epoch['train_loss']:.4f}",
        f"best: epoch 1, validation AUC {epoch['validation']['auc']:.4f}",
        "checkpoint: checkpoints/last.safetensors at epoch 1, step 0",
        "command: pause accepted, from ada·[31m·2026-11-26T00:00:00+00:00 forged via stdin",
        "phase: paused",
        "command: start rejected, from bob via stdin",
        "command: stop accepted, from ada",
        "evaluated: test split, 64 images",
        "written: metrics/history.csv",
        "finished: stopped, exit code 6",
    ]
    told = iter(story)
    for begins in expected:
        assert any(line.startswith(begins) for line in told), f"{begins!r} is missing, or in another place"


STRICT = tiny(training={"epochs": 4, "patience": None}, runtime={"reproducible": True, "threads": 1})
DAMAGE: dict[str, Callable[[Path], object]] = {
    "emptied": lambda journal: journal.write_bytes(b""),
    "cut": lambda journal: journal.write_bytes(journal.read_bytes()[: journal.stat().st_size // 2]),
    "gone": Path.unlink,
}


@pytest.fixture(scope="module")
def completed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a completed strict run."""
    workspace = tmp_path_factory.mktemp("completed")
    engine = Engine(workspace)
    engine.train(STRICT)
    assert engine.wait_for_event("run.finished")["outcome"] == "completed"
    assert engine.end() == 0
    return workspace


def tables_of(workspace: Path) -> dict[str, bytes]:
    (run,) = (workspace / "outputs").glob("2*")
    return {name: (run / "metrics" / name).read_bytes() for name in ("history.csv", "per_class.csv")}


@pytest.mark.parametrize("damage", ["emptied", "cut"])
def test_a_rebuilt_report_keeps_the_rows_that_a_damaged_journal_lost(
    damage: str, completed: Path, tmp_path: Path
) -> None:
    shutil.copytree(completed, tmp_path, dirs_exist_ok=True)
    (run,) = (tmp_path / "outputs").glob("2*")
    before = tables_of(tmp_path)
    DAMAGE[damage](run / "events.jsonl")
    done = medtui("report", run.name, "--all", "--workspace", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert tables_of(tmp_path) == before


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_resumed_run_keeps_the_rows_that_a_damaged_journal_lost(damage: str, completed: Path, tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.train(STRICT)
    engine.wait_for(lambda e: e["event"] == "checkpoint.saved" and e["position"]["epoch"] >= 2)
    engine.send("pause", id="p")
    engine.wait_for_phase("paused")
    engine.kill()
    (run,) = (tmp_path / "outputs").glob("2*")
    DAMAGE[damage](run / "events.jsonl")
    done = medtui("run", "--resume", run.name, "--workspace", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert tables_of(tmp_path) == tables_of(completed)
