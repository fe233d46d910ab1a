"""`medtui data`: explore, info, import, export, synth and prune, as a user calls them."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import medmnist
import numpy as np
import pytest
import typer
from driving import PATIENCE, graded_arrays, json_lines, medtui, tiny, yaml_of
from own_pictures import write_class_folders

from engine.contract.data.archive_card import ArchiveCard, read_archive_card
from engine.sentences import Packing
from medtui.cli.data_files import info
from medtui.sentences import Exploring, OutputFile, Pruning

FLIPPED = (3, 17, 40)  # of the training labels


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of graded images with three wrong labels, and a folder of pictures."""
    folder = tmp_path_factory.mktemp("workspace")
    arrays = graded_arrays()
    for number in FLIPPED:
        arrays["train_labels"][number] = (arrays["train_labels"][number] + 4) % 8
    np.savez(folder / "mine.npz", **arrays)
    write_class_folders(folder / "pictures", per_class=12)
    shutil.copy(folder / "pictures" / "a" / "000.png", folder / "pictures" / "b" / "copy.png")
    (folder / "pictures" / "a" / "broken.png").write_bytes(b"no image")
    md5 = hashlib.md5((folder / "mine.npz").read_bytes()).hexdigest()
    dataset = {"name": "bloodmnist", "archive": str(folder / "mine.npz"), "md5": md5, "limit": None}
    (folder / "recipe.yaml").write_text(yaml_of(tiny(dataset=dataset, training={"epochs": 6})))
    return folder


@pytest.fixture(scope="module")
def own(workspace: Path) -> dict[str, str]:
    """Variables of a user with an own home and cache."""
    (workspace / "home").mkdir()
    return {"HOME": str(workspace / "home"), "MEDTUI_CACHE": str(workspace / "cache"), "MEDTUI_OFFLINE": "1"}


@pytest.fixture(scope="module")
def run(workspace: Path, own: dict[str, str]) -> str:
    done = medtui("run", "recipe.yaml", "--json", cwd=workspace, environment=own)
    assert done.returncode == 0, done.stderr
    return Path(json_lines(done.stdout)[-1]["run_dir"]).name


def error_of(done: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)["error"]
    return found


# ---- explore ---------------------------------------------------------------------------------------------------------


def test_exploring_a_folder_says_what_is_in_it_and_changes_nothing(workspace: Path, own: dict[str, str]) -> None:
    before = {path: path.read_bytes() for path in sorted((workspace / "pictures").rglob("*")) if path.is_file()}
    page = workspace / "page.html"
    done = medtui("data", "explore", "pictures", "--json", "--html", page, cwd=workspace, environment=own)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert sum(split["images"] for split in found["splits"].values()) == 25
    assert [(one["file"], found["damaged"]["count"]) for one in found["damaged"]["listed"]] == [("a/broken.png", 1)]
    (pair,) = found["duplicates"]["listed"]
    assert (pair["exact"], pair["other_label"]) == (True, True)
    assert {one["name"] for one in pair["images"]} == {"a/000.png", "b/copy.png"}
    assert page.read_text(encoding="utf-8").count("data:image/png;base64,") >= 16
    assert {path: path.read_bytes() for path in before} == before
    assert not (workspace / "outputs").exists() or not list((workspace / "outputs").glob("*pictures*"))


def test_exploring_is_readable_on_a_terminal(workspace: Path, own: dict[str, str]) -> None:
    done = medtui("data", "explore", "pictures", "dataset.group=(\\d+)", cwd=workspace, environment=own)
    assert done.returncode == 0, done.stderr
    for part in ("25 RGB images of 2 classes", "a/000.png", "b/copy.png", "different labels", "a/broken.png"):
        assert part in done.stdout, part


def test_a_run_explore_and_info_say_the_same_of_duplicates(workspace: Path, own: dict[str, str]) -> None:
    said = "1 exact and 0 near duplicates"
    explored = medtui("data", "explore", "pictures", cwd=workspace, environment=own)
    info = medtui("data", "info", "pictures", cwd=workspace, environment=own)
    recipe = tiny(dataset={"name": None, "folder": "pictures", "limit": None}, training={"epochs": 1})
    (workspace / "duplicates.yaml").write_text(yaml_of(recipe))
    run = medtui("run", "duplicates.yaml", cwd=workspace, environment=own)
    assert run.returncode == 0, run.stderr
    for done in (explored, info, run):
        assert said in done.stdout + done.stderr, done.stdout


def test_wrong_labels_are_among_those_that_a_model_doubts_most(workspace: Path, run: str, own: dict[str, str]) -> None:
    done = medtui("data", "explore", "--run", run, "--json", cwd=workspace, environment=own)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    doubt = found["doubtful_labels"]
    assert doubt["scored"] == 64 + 32
    labels = np.load(workspace / "mine.npz")["train_labels"].ravel()
    judged = [n for n in FLIPPED if found["classes"][labels[n]]["name"] not in doubt["never_predicted"]]
    assert len(judged) >= 2, doubt["never_predicted"]  # the model is young: some class it may not predict at all
    listed = [(one["split"], one["number"]) for one in doubt["listed"]]
    probabilities = [one["probability"] for one in doubt["listed"]]
    assert probabilities == sorted(probabilities)
    assert {("train", number) for number in judged} <= set(listed[: len(listed) // 2 + 3])
    assert not [split for split, _ in listed if split == "test"]


def test_a_limit_below_the_batch_of_a_recipe_refuses_no_exploring(workspace: Path, own: dict[str, str]) -> None:
    """As of a run with `limit: 40, batch_size: 16`: all images are looked at, and nothing is trained."""
    command = ("data", "explore", "cells", "dataset.limit=40", "--json")
    done = medtui(*command, cwd=workspace, environment=own)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["splits"]["train"]["images"] > 40


def test_a_model_of_other_classes_is_refused(workspace: Path, run: str, own: dict[str, str]) -> None:
    done = medtui("data", "explore", "pictures", "--run", run, "--json", cwd=workspace, environment=own)
    assert done.returncode == 2 and "basophil" in error_of(done)["message"]


@pytest.mark.parametrize("command", ["explore", "info", "export", "import"])
def test_an_empty_name_is_no_source(command: str, workspace: Path) -> None:
    """As a shell variable that is not set gives it: neither a default set nor the current folder is meant."""
    done = medtui("data", command, "", "--json", cwd=workspace)
    assert (done.returncode, error_of(done)["code"]) == (2, Exploring.EMPTY_SOURCE.code)


def test_show_names_every_checkpoint_that_is_there(run: str, workspace: Path) -> None:
    there = sorted(path.name for path in (workspace / "outputs" / run / "checkpoints").glob("[!.]*.safetensors"))
    assert len(there) > 1
    shown = json.loads(medtui("show", run, "--json", cwd=workspace).stdout)
    assert shown["checkpoints"] == there
    said = medtui("show", run, cwd=workspace).stdout
    (line,) = [line for line in said.splitlines() if line.startswith("checkpoints: ")]
    assert all(name in line for name in there)


def test_exploring_nothing_is_a_usage_error(workspace: Path) -> None:
    done = medtui("data", "explore", "--json", cwd=workspace)
    assert (done.returncode, error_of(done)["code"]) == (2, Exploring.NO_SOURCE_NOR_RUN.code)


# ---- info ------------------------------------------------------------------------------------------------------------


def test_info_says_what_is_known_without_reading_an_image(workspace: Path, own: dict[str, str]) -> None:
    done = medtui("data", "info", "breastmnist", cwd=workspace, environment=own)
    for part in ("BreastMNIST", "malignant", "546 train", "CC BY 4.0", "28 px: missing"):
        assert part in done.stdout, part
    values = json.loads(medtui("data", "info", "pictures", "--json", cwd=workspace, environment=own).stdout)
    assert (values["name"], values["files"]) == ("pictures", {}) and "pictures found" in values["state"]


def infos(capsys: pytest.CaptureFixture[str], *source: str) -> tuple[str, dict[str, Any]]:
    """What `data info` prints of a source, as text and as JSON."""
    info([*source])
    text = capsys.readouterr().out
    info([*source], json=True)
    return text, json.loads(capsys.readouterr().out)


def test_info_of_images_that_nobody_has_read_states_neither_task_nor_channels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDTUI_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mine").mkdir()
    text, values = infos(capsys, "mine/")
    assert "multi" not in text and "RGB" not in text
    assert "task and channels are known, and images counted, when they are read" in text
    assert (values["task"], values["channels"]) == (None, None)
    text, values = infos(capsys, "mine/", "dataset.task=ordinal")
    assert "ordinal; channels are known" in text and (values["task"], values["channels"]) == ("ordinal", None)
    with pytest.raises(typer.Exit) as ended:
        info(["gone.npz"])
    assert ended.value.exit_code == 4 and "gone.npz is missing" in capsys.readouterr().out


def test_info_of_an_archive_with_a_card_says_once_what_the_card_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDTUI_CACHE", str(tmp_path / "cache"))
    (tmp_path / "s.npz").touch()
    card = ArchiveCard(
        name="s", title="S", made_from="breastmnist", task="binary", class_names=("a", "b"), symmetry="mirror",
        licence="MIT", synthetic=True, channels=1, size=28, images={"train": 8, "val": 4, "test": 4},
        per_class={}, how_split="as given", md5="0" * 32,
    )  # fmt: skip
    (tmp_path / "s.card.json").write_text(card.model_dump_json())
    text, values = infos(capsys, "s.npz")
    assert "binary, grey; 8 train, 4 val, 4 test" in text and "licence MIT; sizes" in text
    assert "not stated" not in text and "multi" not in text and "RGB" not in text
    assert (values["task"], values["channels"], values["licence"], values["synthetic"]) == ("binary", 1, "MIT", True)


@pytest.mark.parametrize("command", [("info",), ("fetch",), ("explore",), ("synth",)], ids=" ".join)
def test_the_3d_sets_are_refused_with_the_reason_and_what_to_do(command: tuple[str, ...], workspace: Path) -> None:
    done = medtui("data", *command, "organmnist3d", "--json", cwd=workspace)
    assert done.returncode == 2
    assert "volumes" in error_of(done)["message"] and "slices" in error_of(done)["message"]


# ---- import and export -----------------------------------------------------------------------------------------------


def test_an_official_file_brought_by_hand_is_checked_and_put_in_place(
    real_data: Path, tmp_path: Path, own: dict[str, str]
) -> None:
    brought = tmp_path / "from a stick.npz"
    shutil.copy(real_data / "breastmnist.npz", brought)
    done = medtui("data", "import", brought, "--data", tmp_path, cwd=tmp_path, environment=own)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "breastmnist.npz").read_bytes() == brought.read_bytes()
    listed = json.loads(medtui("data", "list", "--data", tmp_path, "--json", cwd=tmp_path, environment=own).stdout)
    states = {entry["name"]: entry["files"][0]["state"] for entry in listed if entry["files"]}
    assert states["breastmnist"] == "official"


def test_a_file_that_only_has_an_official_name_is_not_put_in_place(tmp_path: Path, own: dict[str, str]) -> None:
    (tmp_path / "here").mkdir()
    np.savez(tmp_path / "retinamnist.npz", **graded_arrays())
    command = ("data", "import", "retinamnist.npz", "--data", "here", "--json")
    done = medtui(*command, cwd=tmp_path, environment=own)
    assert (done.returncode, error_of(done)["code"]) == (4, Packing.NOT_OFFICIAL.code)
    assert list((tmp_path / "here").iterdir()) == []


def test_a_folder_becomes_one_archive_that_holds_the_same_images_splits_and_names(
    workspace: Path, own: dict[str, str], tmp_path: Path
) -> None:
    target = tmp_path / "pictures.npz"
    done = medtui("data", "export", "pictures", "--size", "28", "-o", target, cwd=workspace, environment=own)
    assert done.returncode == 0, done.stderr
    arrays = np.load(target)
    assert arrays["class_names"].tolist() == ["a", "b"]
    assert sum(len(arrays[f"{split}_images"]) for split in ("train", "val", "test")) == 25
    assert arrays["train_images"].shape[1:] == (28, 28, 3) and arrays["train_labels"].shape[1:] == (1,)
    card = read_archive_card(target)
    assert card is not None and card.md5 == hashlib.md5(target.read_bytes()).hexdigest()
    assert (card.class_names, sum(card.images.values()), card.made_from) == (("a", "b"), 25, "pictures")
    shutil.move(target, tmp_path / "moved.npz")  # elsewhere, without its card: the names are in it
    again = medtui("data", "explore", tmp_path / "moved.npz", "--size", "28", "--json", cwd=tmp_path, environment=own)
    assert again.returncode == 0, again.stderr
    found = json.loads(again.stdout)
    for one in found["classes"]:
        assert one["images"] == {split: card.per_class[split][one["name"]] for split in ("train", "val", "test")}
    assert [one["name"] for one in found["classes"]] == ["a", "b"]


def test_an_archive_is_imported_at_its_own_size_and_stays_synthetic(own: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    made = medtui("data", "synth", "breastmnist", "--limit", "8", "-o", "made.npz", cwd=tmp_path, environment=own)
    assert made.returncode == 0, made.stderr
    done = medtui("data", "import", "made.npz", "--data", "data", cwd=tmp_path, environment=own)
    assert done.returncode == 0, done.stderr
    card = read_archive_card(tmp_path / "data" / "made.npz")
    assert card is not None and (card.size, card.synthetic, card.licence) == (28, True, "MIT")
    assert "malignant" in card.class_names
    np.savez(tmp_path / "odd.npz", images=np.zeros((9, 40, 30), np.uint8), labels=np.arange(9) % 3)
    done = medtui("data", "export", "odd.npz", "-o", "out.npz", cwd=tmp_path, environment=own)
    assert "30 × 40 px: resized to 64 px" in done.stderr


@pytest.mark.parametrize("command", ["import", "fetch"])
def test_help_says_where_a_file_is_put(own: dict[str, str], tmp_path: Path, command: str) -> None:
    said = " ".join(medtui("data", command, "--help", cwd=tmp_path, environment=own).stdout.split())
    assert "FOLDER Existing folder to put the file into. [default: $MEDTUI_DATA, else ~/.medmnist]" in said


def test_what_is_imported_is_put_where_help_says(own: dict[str, str], tmp_path: Path) -> None:
    made = medtui("data", "synth", "breastmnist", "--limit", "8", "-o", "made.npz", cwd=tmp_path, environment=own)
    assert made.returncode == 0, made.stderr
    given, variable, home = (tmp_path / name for name in ("given", "variable", "home"))
    given.mkdir()
    own = own | {"HOME": str(home)}
    with_variable = own | {"MEDTUI_DATA": str(variable)}
    for folder, options, environment in (
        (given, ["--data", str(given)], with_variable),
        (variable, [], with_variable),
        (home / ".medmnist", [], own),
    ):
        done = medtui("data", "import", "made.npz", *options, cwd=tmp_path, environment=environment)
        assert done.returncode == 0 and (folder / "made.npz").is_file(), done.stderr


def test_an_archive_is_replaced_only_on_request(workspace: Path, own: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "mine.npz").write_bytes(b"mine")
    command = ("data", "synth", "breastmnist", "--limit", "4", "-o", tmp_path / "mine.npz")
    done = medtui(*command, "--json", cwd=workspace, environment=own)
    assert error_of(done)["code"] == OutputFile.EXISTS.code and (tmp_path / "mine.npz").read_bytes() == b"mine"
    assert medtui(*command, "--force", cwd=workspace, environment=own).returncode == 0


# ---- synth -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dermamnist", "chestmnist", "breastmnist"])
def test_a_synthetic_archive_has_the_format_of_the_official_one_and_says_what_it_is(
    name: str, workspace: Path, own: dict[str, str], tmp_path: Path
) -> None:
    target = tmp_path / f"{name}.npz"
    done = medtui("data", "synth", name, "--limit", "40", "-o", target, cwd=workspace, environment=own)
    assert done.returncode == 0, done.stderr
    facts = medmnist.INFO[name]
    arrays = np.load(target)
    splits = ("train", "val", "test")
    assert set(arrays.files) == {f"{split}_{part}" for split in splits for part in ("images", "labels")}
    several = facts["task"].startswith("multi-label")
    for split in ("train", "val", "test"):
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        assert (images.dtype, images.shape) == (np.uint8, (40, 28, 28, *((3,) if facts["n_channels"] == 3 else ())))
        assert labels.shape == (40, len(facts["label"]) if several else 1)
    card = read_archive_card(target)
    assert card is not None and card.synthetic and "synthetic" in card.title


@pytest.mark.slow
def test_a_model_learns_a_synthetic_archive_and_its_run_is_marked(own: dict[str, str], tmp_path: Path) -> None:
    command = ("data", "synth", "bloodmnist", "--limit", "400", "-o", "made.npz", "--json")
    made = json.loads(medtui(*command, cwd=tmp_path, environment=own).stdout)
    dataset = {"name": "bloodmnist", "archive": str(tmp_path / "made.npz"), "md5": made["card"]["md5"], "limit": None}
    (tmp_path / "recipe.yaml").write_text(yaml_of(tiny(dataset=dataset, training={"epochs": 8})))
    done = medtui("run", "recipe.yaml", "--json", cwd=tmp_path, environment=own)
    assert done.returncode == 0, done.stderr
    events = json_lines(done.stdout)
    assert [event["synthetic"] for event in events if event["event"] == "run.started"] == [True]
    assert events[-1]["metrics"]["test"]["auc"] > 0.9


# ---- prune -----------------------------------------------------------------------------------------------------------


def listed(workspace: Path, own: dict[str, str]) -> dict[str, list[str]]:
    done = medtui("data", "prune", "--dry-run", "--json", cwd=workspace, environment=own)
    assert done.returncode == 0, done.stderr
    return {Path(one["path"]).name: one["used_by"] for one in json.loads(done.stdout)}


Found = TypeVar("Found")


def settled(look: Callable[[], Found], is_expected: Callable[[Found], bool]) -> Found:
    """What is found, once no engine of a test beside this one prepares: until then all may be needed."""
    deadline = time.monotonic() + PATIENCE
    while not is_expected(found := look()):
        assert time.monotonic() < deadline, found
    return found


def unused(found: dict[str, list[str]]) -> set[str]:
    return {name for name, by in found.items() if not by}


def is_split(name: str) -> bool:
    return name.startswith("own-splits-")


def test_only_what_no_run_was_trained_on_is_removed_and_only_after_a_yes(
    workspace: Path, run: str, own: dict[str, str]
) -> None:
    assert medtui("data", "explore", "pictures", "--json", cwd=workspace, environment=own).returncode == 0
    medmnist_folder = workspace / "home" / ".medmnist"
    medmnist_folder.mkdir(exist_ok=True)
    part, living = (medmnist_folder / f".{name}.npz.01234567.part" for name in ("pathmnist", "octmnist"))
    for path in (part, living):
        path.write_bytes(bytes(1000))
    with living.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = settled(lambda: listed(workspace, own), lambda found: any(is_split(name) for name in unused(found)))
        used = {name for name, by in found.items() if f"{run}, completed" in by}
        assert len(used) == 1 and next(iter(used)).startswith("bloodmnist-")
        unneeded = unused(found)
        assert part.name in unneeded and living.name not in unneeded
        refused = medtui("data", "prune", cwd=workspace, environment=own, stdin="")
        assert refused.returncode == 2 and Pruning.UNCONFIRMED.text()[0] in refused.stderr
        assert set(listed(workspace, own)) == set(found)

        def pruned() -> set[str]:
            done = medtui("data", "prune", "--yes", cwd=workspace, environment=own)
            assert done.returncode == 0, done.stderr
            return set(listed(workspace, own))

        settled(pruned, lambda left: left == set(found) - unneeded)
    assert not part.exists() and living.exists() and (workspace / "mine.npz").exists()
    living.unlink()
    again = medtui("evaluate", run, cwd=workspace, environment=own)
    assert again.returncode == 0, again.stderr


MAPS = """
import mmap, sys
with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
    print("mapped", flush=True)
    sys.stdin.read()
"""


def test_what_an_engine_reads_now_is_not_removed(workspace: Path, own: dict[str, str]) -> None:
    """A process with the command line of an engine, that maps a copy."""
    copy = workspace / "cache" / "arrays" / ("breastmnist-" + "0" * 32)
    copy.mkdir(parents=True)
    np.save(copy / "train_images.npy", np.zeros((4, 28, 28), np.uint8))
    arguments = [sys.executable, "-c", MAPS, copy / "train_images.npy", "-m", "engine", "--workspace", "/nowhere"]
    process = subprocess.Popen([*map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "mapped\n"
        assert listed(workspace, own)[copy.name] == [f"engine {process.pid}, which reads it"]
    finally:
        process.communicate("")
    assert listed(workspace, own)[copy.name] == []
    shutil.rmtree(copy)
