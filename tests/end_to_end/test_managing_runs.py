"""`medtui evaluate` and `medtui runs tag|note|archive|unarchive|delete`, on one real run."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from driving import medtui, tiny, yaml_of
from safetensors.torch import load_file

from engine.contract.store.run_directory import RunDirectory
from engine.train.checkpoint import save_tensors


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    (folder / "tiny.yaml").write_text(yaml_of(tiny(evaluation={"tta": True})))
    done = medtui("run", "tiny.yaml", "--workspace", folder, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def asked(folder: Path, *arguments: str) -> dict:
    done = medtui(*arguments, "--workspace", folder, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_show_has_the_interval_of_the_accuracy_and_how_long_it_took(trained: Path) -> None:
    """Wilson's score interval of 64 images, z = 1.96."""
    shown = asked(trained, "show", "last")
    p, n, z = shown["test"]["acc"], 64, 1.959964
    middle, half = p + z * z / (2 * n), z * ((p * (1 - p) + z * z / (4 * n)) / n) ** 0.5
    low, high = (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)
    words = medtui("show", "last", "--workspace", trained, cwd=trained).stdout
    assert "test, 95 %" in words and f"{low:.3f}–{high:.3f}" in words
    assert re.search(r"2 of 2 epochs, best \d, \d+ s", words)


def test_a_run_evaluated_again_has_the_same_numbers_and_stays_as_it_was(trained: Path) -> None:
    before = asked(trained, "show", "last")
    run = Path(before["run_dir"])
    files = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and "evaluations" not in path.parts}
    again = asked(trained, "evaluate", "last")
    numbers = ("auc", "acc", "auc_ci95", "acc_ci95")
    assert [again[name] for name in numbers] == [before["test"][name] for name in numbers]
    assert again["auc_ci95"][0] <= again["auc"] <= again["auc_ci95"][1]
    (listed,) = asked(trained, "runs")
    assert listed["test_auc_ci95"] == again["auc_ci95"] and listed["test_acc_ci95"] == again["acc_ci95"]
    stored = json.loads((Path(again["folder"]) / "evaluation.json").read_text())
    assert stored["metrics"]["auc_ci95"] == again["auc_ci95"]
    assert len(again["views"]) == 6
    (scores,) = Path(again["folder"]).glob("*.csv")
    (first,) = (run / "metrics").glob("limited_cells_test_*.csv")
    assert scores.read_bytes() == first.read_bytes()
    assert {path: path.read_bytes() for path in files} == files

    plain = medtui("evaluate", "last", "--no-tta", "--workspace", trained, cwd=trained).stdout
    assert re.search(r", 1 view: AUC \d\.\d{4}, ACC \d\.\d{4}\n", plain)
    assert re.search(r"\nWritten to .*/evaluations/2\.\n$", plain)
    stored = json.loads((run / "evaluations/2/evaluation.json").read_text())["metrics"]
    auc, acc = (f"{low:.3f}–{high:.3f}" for low, high in (stored["auc_ci95"], stored["acc_ci95"]))
    assert f"\n95 % intervals: AUC {auc}, ACC {acc}\n" in plain
    assert [path.name for path in sorted((run / "evaluations").iterdir())] == ["1", "2"]


def test_the_features_of_a_run_are_evaluated_without_its_classifier(trained: Path) -> None:
    """By neighbours and by a probe, twice the same; the run stays as it was. More neighbours than images are refused,
    before anything is written."""
    run = Path(asked(trained, "show", "last")["run_dir"])
    files = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and "evaluations" not in path.parts}
    for options, method in ((("--knn", "3"), "3-NN"), (("--probe",), "linear probe")):
        first, again = (asked(trained, "evaluate", "last", *options) for _ in range(2))
        assert first["method"] == method and (first["split"], first["n"]) == ("test", 64)
        stored = json.loads((Path(first["folder"]) / "evaluation.json").read_text())
        assert stored["metrics"]["auc"] == first["auc"] and stored["validation"]["acc"] == first["validation"]["acc"]
        assert first.pop("folder") != again.pop("folder") and first == again
    assert {path: path.read_bytes() for path in files} == files
    kept = sorted((run / "evaluations").iterdir())
    for options, expected in (
        (("--knn", "100000"), "Expected at most 64 neighbours, as many as there are training images; found 100000"),
        (("--knn", "3", "--probe"), "--knn conflicts with --probe"),
    ):
        refused = medtui("evaluate", "last", *options, "--workspace", trained, cwd=trained)
        assert refused.returncode == 2 and expected in " ".join(refused.stderr.split())
    assert sorted((run / "evaluations").iterdir()) == kept


def test_a_run_is_evaluated_again_with_the_data_it_was_trained_on_wherever_they_are(
    tmp_path: Path, real_data: Path
) -> None:
    """The path is not passed again; and the file must still be the same."""
    far, place = tmp_path / "far", tmp_path / "workspace"
    far.mkdir()
    place.mkdir()
    shutil.copyfile(real_data / "breastmnist.npz", far / "breastmnist.npz")
    home = {"HOME": str(place)}  # no ~/.medmnist
    small = ["dataset.limit=64", "model.name=mini_cnn", "training.epochs=1", "training.warmup_epochs=0"]
    settings = [word for setting in (*small, "training.batch_size=16") for word in ("--set", setting)]
    done = medtui(
        "run",
        "breastmnist",
        *settings,
        "--workspace",
        place,
        cwd=tmp_path,
        environment=home | {"MEDTUI_DATA": str(far)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    again = medtui("evaluate", "last", "--workspace", place, cwd=tmp_path, environment=home)
    assert again.returncode == 0, again.stderr
    with (far / "breastmnist.npz").open("ab") as file:
        file.write(b"\0")
    refused = medtui("evaluate", "last", "--workspace", place, cwd=tmp_path, environment=home)
    assert refused.returncode == 4
    assert "expected MD5 750601b1f35ba3300ea97c75c52ff8f6, found" in refused.stderr  # as medmnist publishes it


def test_other_weights_than_the_run_recorded_are_not_evaluated(trained: Path) -> None:
    """A good file, as of another run that was copied over it; with its own again all is as before."""
    run = Path(asked(trained, "show", "last")["run_dir"])
    best = run / "checkpoints" / "best.safetensors"
    own = best.read_bytes()
    weights = {name: tensor + 1 for name, tensor in load_file(best).items()}
    found = save_tensors(best, weights, {"format": "pt", "epoch": "1"})
    try:
        recorded = json.loads((run / "checkpoints" / "model.json").read_text())["weights"]["digest"]
        for words in (("evaluate", "last"), ("evaluate", "last", "--knn", "3"), ("evaluate", "last", "--probe")):
            refused = medtui(*words, "--workspace", trained, cwd=trained)
            assert refused.returncode == 5, refused.stderr
            assert f"expected the digest {recorded}, found {found}" in " ".join(refused.stderr.split())
    finally:
        best.write_bytes(own)
    asked(trained, "evaluate", "last")


def test_a_run_without_weights_is_not_evaluated(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "outputs" / "20261122_cells_mini-cnn_000000"
    run.mkdir(parents=True)
    (run / "manifest.json").write_text('{"started": "2026-11-22T00:00:00+00:00"}')
    done = medtui("evaluate", "last", "--workspace", tmp_path, cwd=tmp_path)
    assert done.returncode == 2
    assert "has no best weights" in done.stderr


def test_tags_and_notes_are_kept_with_the_run(trained: Path) -> None:
    def said(*arguments: str) -> str:
        done = medtui("runs", *arguments, "--workspace", trained, cwd=trained)
        assert done.returncode == 0, done.stderr
        return done.stdout.partition(": ")[2].strip()

    assert said("tag", "last", "paper", "old") == "paper old"
    assert said("tag", "last", "--remove", "old") == "paper"
    absent = medtui("runs", "tag", "last", "new", "--remove", "papr", "--workspace", trained, cwd=trained)
    assert absent.returncode == 2 and "no tag 'papr'; it has paper" in absent.stderr
    comma = medtui("runs", "tag", "last", "bad", "tag,", "--workspace", trained, cwd=trained)
    assert comma.returncode == 2 and "a tag without a comma, which separates tags in a filter" in comma.stderr
    assert said("note", "last", "the one to show") == "the one to show"
    assert said("tag", "last") == "paper", "nothing was changed"
    for listed in (asked(trained, "runs")[0], asked(trained, "show", "last")):
        assert (listed["tags"], listed["note"]) == (["paper"], "the one to show")
    shown = medtui("show", "last", "--workspace", trained, cwd=trained).stdout
    assert "tags: paper\nnote: the one to show\n" in shown
    assert "paper" in medtui("runs", "--workspace", trained, cwd=trained).stdout
    assert said("note", "last", "") == "no note"


def test_labels_that_cannot_be_read_are_not_overwritten(trained: Path) -> None:
    run = RunDirectory(Path(asked(trained, "show", "last")["run_dir"]))
    whole = b'{"tags": ["paper"], "note": "the one to show"}'
    run.labels.path.write_bytes(whole[:-2])
    try:
        for command in (["tag", "last", "new"], ["note", "last", "another"]):
            refused = medtui("runs", *command, "--workspace", trained, cwd=trained)
            assert refused.returncode == 2 and "labels.json, found a damaged file. Correct it," in refused.stderr
            assert run.labels.path.read_bytes() == whole[:-2]
    finally:
        run.labels.path.unlink()


def test_a_subset_run_is_labelled_wherever_it_is_shown(trained: Path) -> None:
    for command, words in (("runs",), "synth. ≤ 64"), (("show", "last"), "synthetic data, at most 64 images per split"):
        assert words in medtui(*command, "--workspace", trained, cwd=trained).stdout
    assert asked(trained, "runs")[0]["limit"] == asked(trained, "show", "last")["limit"] == 64


def test_a_run_is_archived_and_deleted_only_after_confirmation(trained: Path) -> None:
    name = asked(trained, "show", "last")["run"]
    refused = medtui("runs", "delete", "last", "--workspace", trained, cwd=trained)
    assert refused.returncode == 2
    assert (trained / "outputs" / name).exists()
    moved = medtui("runs", "archive", "last", "--workspace", trained, cwd=trained)
    place = trained / "outputs" / "archive" / name
    assert moved.returncode == 0 and (place / "manifest.json").is_file()
    assert asked(trained, "runs") == []
    none = medtui("runs", "--workspace", trained, cwd=trained)
    assert none.stdout == "The only run here is archived; `medtui runs --archived` lists it.\n"
    assert [run_row["run"] for run_row in asked(trained, "runs", "--archived")] == [name]

    (trained / "outputs" / name).mkdir()
    refused = medtui("runs", "unarchive", name, "--workspace", trained, cwd=trained)
    assert refused.returncode == 2 and f"{name} already exists" in refused.stderr and place.is_dir()
    (trained / "outputs" / name).rmdir()
    assert medtui("runs", "unarchive", name[9:], "--workspace", trained, cwd=trained).returncode == 0
    assert [run_row["run"] for run_row in asked(trained, "runs")] == [name]
    refused = medtui("runs", "unarchive", name, "--workspace", trained, cwd=trained)
    assert refused.returncode == 2 and "No runs in" in refused.stderr
    assert medtui("runs", "archive", name, "--workspace", trained, cwd=trained).returncode == 0
    deleted = medtui("runs", "delete", str(place), "--yes", "--workspace", trained, cwd=trained)
    assert deleted.returncode == 0 and not place.exists()
