"""Runs on images of a user's own: without a recipe, resumed, evaluated again; other images are refused by name."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from driving import Engine, json_lines, medtui, tiny
from own_pictures import write_class_folders

from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.yaml_reader import read_yaml_file
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from medtui.client.preflight import Paces

SETTINGS = ["dataset.size=28", "model.name=mini_cnn", "training.batch_size=8", "runtime.threads=1"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own") / "Blood smears"
    write_class_folders(folder, per_class=20)
    (folder / "a" / "broken.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def completed(workspace: Path, pictures: Path) -> list[dict[str, Any]]:
    """`medtui run FOLDER`: its events."""
    done = medtui("run", pictures, *SETTINGS, "training.epochs=1", "--json", cwd=workspace)
    assert done.returncode == 0, done.stderr
    assert "without a recipe: dataset.size=28, model.name=mini_cnn, training.epochs=1" in done.stderr
    return json_lines(done.stdout)


def run_of(events: list[dict[str, Any]]) -> Path:
    return Path(next(event for event in events if event["event"] == "run.started")["run_dir"])


def rows(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "metrics" / "images.csv").open(newline="")))


def test_a_folder_is_trained_on_without_a_recipe(completed: list[dict[str, Any]]) -> None:
    started = next(event for event in completed if event["event"] == "run.started")
    assert (started["dataset"], started["task"], started["class_names"]) == ("blood-smears", "binary", ["a", "b"])
    assert started["images"] == {"train": 28, "val": 6, "test": 6} and not started["synthetic"]
    said = " ".join(event["message"] for event in completed if event["event"] == "log")
    assert "1 unusable file: 1 × not an image in a known format (a/broken.png)" in said
    assert completed[-1]["outcome"] == "completed"


def test_too_few_images_for_a_batch_says_what_to_add_to_the_command(workspace: Path, pictures: Path) -> None:
    """There is no recipe file to write anything into, and nobody chose the size."""
    done = medtui("run", pictures, "dataset.size=28", "model.name=mini_cnn", cwd=workspace)
    assert done.returncode == 2
    why = "training.batch_size must be at most the 28 training images, found 32"
    assert f"{why}: write `training.batch_size=28`." in " ".join(done.stderr.split())
    assert "SECTION.FIELD=VALUE after its name sets any field." in done.stderr


def test_a_run_has_the_data_card_and_the_split_of_every_image(completed: list[dict[str, Any]]) -> None:
    run = run_of(completed)
    card = json.loads((run / "metrics" / "data_card.json").read_text())
    assert card["images"] == {"train": 28, "val": 6, "test": 6} and card["unusable"] == 1
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["resolved"]["data"] == manifest["data"]["fingerprint"] == card["fingerprint"]
    assert manifest["data"]["md5"] is None and not manifest["data"]["official"]
    (scores,) = (run / "metrics").glob("*_test_*.csv")
    tested = [row for row in rows(run) if row["split"] == "test"]
    assert len(rows(run)) == 40 and len(tested) == len(scores.read_text().splitlines()) == 6
    artifacts = {event["name"] for event in completed if event["event"] == "artifact.written"}
    assert {"data_card", "images", "scores", "report"} <= artifacts


def test_a_runs_own_recipe_is_the_same_run_from_anywhere(completed: list[dict[str, Any]], tmp_path: Path) -> None:
    run = run_of(completed)
    told = json.loads(medtui("recipe", "validate", run / "recipe.yaml", "--json", cwd=tmp_path).stdout)
    assert told["recipe_hash"] == json.loads((run / "manifest.json").read_text())["recipe_hash"]


def test_how_long_a_run_takes_is_known_by_one_on_the_same_images(
    completed: list[dict[str, Any]], workspace: Path, pictures: Path
) -> None:
    """Named by a relative path here, where the run recorded an absolute one."""
    recipe = read_yaml_file(RunDirectory(run_of(completed)).recipe).values
    recipe["dataset"]["folder"] = pictures.name
    seconds, by = Paces(Workspace(workspace)).of(build_recipe(recipe))
    assert by == run_of(completed).name and seconds is not None


def test_a_table_without_a_recipe_is_the_same_images(completed: list[dict[str, Any]], pictures: Path) -> None:
    """By its columns, from the folder that it lies in; the same pictures, so the same content."""
    folder = pictures.parent
    with (folder / "smears.csv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        named = [(f"{pictures.name}/{row['file']}", row["label"]) for row in rows(run_of(completed))]
        writer.writerows([("file", "diagnosis"), *named])
    done = medtui("run", folder / "smears.csv", *SETTINGS, "training.epochs=1", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "outputs").rename(folder / "other outputs")
    started = next(event for event in json_lines(done.stdout) if event["event"] == "run.started")
    assert started["dataset"] == "smears" and started["class_names"] == ["a", "b"]
    assert sum(started["images"].values()) == 40


def test_an_evaluation_again_gives_the_same_results(completed: list[dict[str, Any]], workspace: Path) -> None:
    (tested,) = [event for event in completed if event["event"] == "evaluation.finished"]
    again = json.loads(medtui("evaluate", run_of(completed).name, "--json", cwd=workspace).stdout)
    assert (again["auc"], again["acc"]) == (tested["metrics"]["auc"], tested["metrics"]["acc"])


@pytest.fixture
def changed(pictures: Path) -> Iterator[Path]:
    """One byte of one picture is another, in a part of the file that does not change how it looks; put back after."""
    file = pictures / "b" / "007.png"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    yield file
    file.write_bytes(content)


@pytest.mark.parametrize(
    "command",
    [["evaluate"], ["evaluate", "--knn", "3"], ["report"], ["export", "--format", "torch", "-o", "exported"]],
    ids=lambda command: " ".join(command[:2]),
)
def test_other_images_than_the_runs_are_refused_by_the_name_of_a_file(
    command: list[str], completed: list[dict[str, Any]], workspace: Path, changed: Path
) -> None:
    """Its splits would be drawn anew: it would be tested on images that it was trained on."""
    refused = medtui(command[0], run_of(completed).name, *command[1:], cwd=workspace)
    assert refused.returncode == 2
    assert "was trained on other images: b/007.png changed." in " ".join(refused.stderr.split())
    assert not (workspace / "exported").exists()


def test_a_picture_that_was_damaged_is_told_apart_from_one_that_is_gone(
    completed: list[dict[str, Any]], workspace: Path, pictures: Path
) -> None:
    file = pictures / "b" / "007.png"
    content = file.read_bytes()
    try:
        file.write_bytes(content[:40])
        damaged = medtui("evaluate", run_of(completed).name, cwd=workspace)
        file.rename(pictures / "b" / "other.png")
        renamed = medtui("evaluate", run_of(completed).name, cwd=workspace)
    finally:
        (pictures / "b" / "other.png").unlink(missing_ok=True)
        file.write_bytes(content)
    assert (damaged.returncode, renamed.returncode) == (2, 2)
    assert "b/007.png changed and cannot be used any more (" in " ".join(damaged.stderr.split())
    assert "b/007.png is missing, and 1 more file." in " ".join(renamed.stderr.split())


def test_a_file_that_is_no_image_is_named_when_it_makes_the_data_others(
    completed: list[dict[str, Any]], workspace: Path, pictures: Path
) -> None:
    file = pictures / "a" / "notes.txt"
    file.write_text("hi")
    try:
        refused = medtui("evaluate", run_of(completed).name, cwd=workspace)
    finally:
        file.unlink()
    assert refused.returncode == 2
    assert "a/notes.txt, which is not among the images, is new" in " ".join(refused.stderr.split())


def test_a_run_resumes_on_the_same_images_and_refuses_others_by_name(tmp_path: Path, pictures: Path) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    source = {"name": None, "limit": None, "folder": str(folder)}
    recipe = tiny(dataset=source, training={"epochs": 30, "batch_size": 8, "patience": None})
    engine = Engine(tmp_path)
    engine.train(recipe)
    engine.wait_for_event("epoch.finished")
    engine.send("abort", id="2")
    engine.end()
    run = Path(engine.of("run.started")[0]["run_dir"])

    file = folder / "a" / "003.png"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    refused = medtui("run", "--resume", run.name, cwd=tmp_path)
    said = " ".join(refused.stderr.split())
    assert refused.returncode == 2 and "would not continue as it began: data " in said and "a/003.png changed" in said

    file.write_bytes(content)
    resumed = medtui("run", "--resume", run.name, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert len((run / "metrics" / "history.csv").read_text().splitlines()) == 31


def test_a_missing_folder_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("dataset: {folder: nowhere}\n")
    refused = medtui("run", recipe, cwd=tmp_path)
    assert refused.returncode == 4 and "Expected a folder at" in refused.stderr and "dataset.folder" in refused.stderr
    assert not list((tmp_path / "outputs").glob("2*"))


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{folder: x, csv: y.csv}", "dataset.csv cannot be combined with `folder`"),
        ("{name: cells, folds: 5}", "dataset.folds belongs to `folder` or `csv` or `npz`, but the source is `name`"),
        ("{folder: x, label_columns: y}", "dataset.label_columns belongs to `csv`, but the source is `folder`"),
        ("{folder: x, folds: 5, fold: 6}", r"dataset.fold must be from 1 to folds \(5\), found 6"),
        ("{folder: x, group: '(patient'}", "dataset.group must be a pattern for file names"),
        ("{folder: x, group: 'patient'}", "dataset.group must have parentheses"),
        ("{folder: x, class_names: [a, a]}", "dataset.class_names must name each class once, found 'a' twice"),
        ("{folder: x, val_fraction: 0.5, test_fraction: 0.6}", "must leave images for training, found 1.1 together"),
        ("{folder: x, task: regression}", "dataset.task must be binary, multi_class, ordinal, multi_label or null"),
    ],
)
def test_fields_that_contradict_each_other_are_refused_before_anything_is_read(
    tmp_path: Path, section: str, said: str
) -> None:
    (tmp_path / "mine.yaml").write_text(f"dataset: {section}\n")
    refused = medtui("recipe", "validate", "mine.yaml", cwd=tmp_path)
    assert refused.returncode == 2
    assert re.search(said, " ".join(refused.stderr.split())), refused.stderr


@pytest.mark.parametrize("cache", ["ram", "mapped"])
def test_a_run_ends_well_though_the_cache_with_its_images_was_removed_meanwhile(
    cache: str, tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it holds in memory, or mapped, is all that it needs."""
    monkeypatch.setenv("MEDTUI_CACHE", str(tmp_path / "cache"))
    recipe = tiny(training={"epochs": 3, "batch_size": 8})
    recipe["dataset"] = {"folder": str(pictures), "size": 28, "cache": cache}
    engine = Engine(tmp_path)
    engine.train(recipe)
    engine.wait_for(lambda e: e["event"] == "progress" and (e["step"] or 0) > 0)
    engine.send("pause", id="p")
    engine.wait_for_phase("paused")
    shutil.rmtree(tmp_path / "cache")
    engine.send("resume", id="r")
    finished = engine.wait_for_event("run.finished")
    assert (finished["outcome"], engine.end()) == ("completed", 0)
    run = Path(finished["run_dir"])
    assert (run / "report.xlsx").exists() or list((run / "reports").iterdir())
    assert {"data_card.json", "images.csv"} <= {file.name for file in (run / "metrics").iterdir()}
