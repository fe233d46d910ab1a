"""A small real file system: full before the start, or filling up during the run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from driving import Engine, medtui, tiny, yaml_of
from hanging import hanging

from engine.contract.store.checkpoint_file import verified_digest
from engine.contract.store.workspace import Workspace
from medtui.client.journal import replay
from medtui.suites.store import Store

LONG = tiny(training={"epochs": 500, "batch_size": 8, "patience": None})


def test_a_full_disk_is_refused_before_the_start_and_leaves_nothing(disk: Callable[[str], Path]) -> None:
    workspace = disk("size=2m")
    engine = Engine(workspace)
    engine.train(tiny())
    finished = engine.wait_for_event("run.finished")
    assert (engine.end(), finished["run_dir"], finished["error"]["kind"]) == (2, None, "outputs")
    assert "MB free" in finished["error"]["message"]
    assert {path.name for path in (workspace / "outputs").iterdir()} <= {".medtui.lock", ".medtui.control.jsonl"}


def test_a_disk_that_fills_up_fails_the_run_and_keeps_the_last_good_checkpoint(
    disk: Callable[[str], Path],
) -> None:
    workspace = disk("size=24m")
    engine = Engine(workspace)
    try:
        engine.train(LONG)
        run = Path(engine.wait_for_event("run.started")["run_dir"])
        engine.wait_for_event("epoch.finished", epoch=2)
        with (workspace / "somebody_else").open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(b"\0" * 65536)
                except OSError:
                    break
        finished = engine.wait_for_event("run.finished")
        assert engine.end() == 5
    finally:
        engine.kill()
    assert (finished["outcome"], finished["exit_code"]) == ("failed", 5)
    assert "disk is full" in finished["error"]["message"]
    assert finished["error"]["kind"] == "disk_full"
    assert [event["kind"] for event in engine.of("alarm")] == ["disk_full"]
    newest = [run / "checkpoints" / name for name in ("last.safetensors", "previous.safetensors", "best.safetensors")]
    good = [path for path in newest if path.exists()]
    assert good
    for path in good:
        assert verified_digest(path)
    assert not list(run.rglob(".*")), "half files are left"
    assert (run / "events.jsonl").read_bytes().endswith(b"\n"), "a half line is left"
    assert len(replay(run / "events.jsonl").epochs) >= 2

    (workspace / "somebody_else").unlink()
    again = Engine(workspace)
    try:
        again.send("start", id="s", job="train", resume=str(run))
        assert again.wait_for_event("run.started")["resumed_from"]["epoch"] >= 1
        again.wait_for_event("epoch.finished")
    finally:
        again.kill()


def test_evaluating_again_needs_space_for_its_files_only(disk: Callable[[str], Path]) -> None:
    workspace = disk("size=24m")
    engine = Engine(workspace)
    engine.train(tiny())
    run = Path(engine.wait_for_event("run.started")["run_dir"])
    assert engine.end() == 0
    with (workspace / "somebody_else").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(workspace).free - 3_000_000)
    again = Engine(workspace)
    again.send("start", id="s", job="evaluate", run=str(run))
    finished = again.wait_for_event("run.finished")
    assert again.end() == 0, finished
    assert (run / "evaluations/1/evaluation.json").is_file()
    with (workspace / "more").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(workspace).free - 4096)
    full = Engine(workspace)
    full.send("start", id="s", job="evaluate", run=str(run))
    finished = full.wait_for_event("run.finished")
    assert (full.end(), finished["error"]["kind"]) == (2, "outputs"), finished
    assert not (run / "evaluations/2").exists()


def test_evaluating_again_reads_the_test_split_only(tmp_path: Path, stand_in: dict[str, list[str]]) -> None:
    """No file of another split can be read, and what was remembered of the training images is gone."""
    cache = tmp_path / "cache"
    archive = Path(stand_in["bloodmnist"][1].partition("=")[2])
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    engine = Engine(tmp_path, environment={"MEDTUI_CACHE": str(cache)})
    dataset = {"name": "bloodmnist", "archive": str(archive), "md5": md5, "limit": None}
    engine.train(tiny(dataset=dataset, training={"epochs": 1}))
    finished = engine.wait_for_event("run.finished")
    assert engine.end() == 0, finished
    (remembered,) = cache.rglob("statistics.json")
    remembered.unlink()
    others = [path for path in cache.rglob("*.npy") if not path.name.startswith("test_")]
    assert sorted(path.name for path in others) == [
        "train_images.npy", "train_labels.npy", "val_images.npy", "val_labels.npy"
    ]  # fmt: skip
    blocked = hanging(read="*/[tv][ra][al]*_*.npy")  # of train and val, not of test
    again = Engine(tmp_path, environment={"MEDTUI_CACHE": str(cache), **blocked})
    try:
        again.send("start", id="s", job="evaluate", run=finished["run_dir"])
        evaluated = again.wait_for_event("run.finished")
        assert again.end() == 0, evaluated
    finally:
        again.kill()
    found, before = evaluated["metrics"]["test"], finished["metrics"]["test"]
    assert (found["auc"], found["acc"], found["loss"]) == (before["auc"], before["acc"], before["loss"])


def test_a_disk_without_inodes_is_reported_as_such(disk: Callable[[str], Path], tmp_path: Path) -> None:
    place = disk("size=64m,nr_inodes=20")
    checks = json.loads(medtui("doctor", "--json", "--workspace", place, cwd=tmp_path).stdout)["checks"]
    (check,) = [check for check in checks if check["id"] == "disk"]
    assert check["level"] == "fail" and "inodes" in check["found"] and "inode" in check["remedy"]
    engine = Engine(place)
    engine.train(tiny())
    error = engine.wait_for_event("run.finished")["error"]
    assert engine.end() == 2 and "inodes" in error["message"]


@pytest.mark.slow
def test_a_suite_stops_at_the_first_run_that_finds_no_space_and_continues_once_there_is_some(
    disk: Callable[[str], Path],
) -> None:
    place = disk("size=40m")
    (place / "README.md").touch()
    (place / "r.yaml").write_text(yaml_of(tiny(training={"epochs": 1})))
    (place / "s.yaml").write_text("recipe: r.yaml\nseeds: 1-2\n")
    (place / "filler").write_bytes(b"\0" * 32_000_000)
    full = medtui("suite", "run", "s.yaml", cwd=place)
    assert full.returncode == 2 and "No more runs are started: A run of this recipe needs about" in full.stdout, full
    assert "`medtui suite resume s` continues." in full.stdout
    assert {item.state for item in Store(Workspace(place), "s").journal().work.items.values()} == {"pending"}
    (place / "filler").unlink()
    done = medtui("suite", "resume", "s", cwd=place)
    assert done.returncode == 0, done.stdout + done.stderr
