"""`medtui predict`: the classes of images by a run's model, or by its bundle alone."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from driving import graded_arrays, json_lines, medtui, tiny, yaml_of
from PIL import Image
from sklearn.metrics import roc_auc_score

BUNDLE = ("model.json", "best.safetensors", "features.safetensors")


@pytest.fixture(scope="module")
def images() -> dict[str, np.ndarray]:
    return graded_arrays()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, images: dict[str, np.ndarray]) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    np.savez(folder / "mine.npz", **images)
    (folder / "pictures").mkdir()
    for row in range(3):
        Image.fromarray(images["test_images"][row]).save(folder / "pictures" / f"{row}.png")
    md5 = hashlib.md5((folder / "mine.npz").read_bytes()).hexdigest()
    recipe = tiny(
        dataset={"name": "bloodmnist", "archive": str(folder / "mine.npz"), "md5": md5, "limit": None},
        training={"epochs": 3},
        evaluation={"tta": True},
    )
    (folder / "recipe.yaml").write_text(yaml_of(recipe))
    return folder


@pytest.fixture(scope="module")
def run(workspace: Path) -> Path:
    done = medtui("run", "recipe.yaml", "--json", cwd=workspace)
    assert done.returncode == 0, done.stderr
    return Path(json_lines(done.stdout)[-1]["run_dir"])


@pytest.fixture(scope="module")
def bundle(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copied elsewhere, where there is no run."""
    folder = tmp_path_factory.mktemp("elsewhere") / "bundle"
    folder.mkdir()
    for name in BUNDLE:
        shutil.copy(run / "checkpoints" / name, folder / name)
    return folder


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def score_file(folder: Path) -> np.ndarray:
    (file,) = folder.glob("*_test_*.csv")
    return np.array([[float(value) for value in row[1:]] for row in csv.reader(file.read_text().splitlines())])


def scores_of(rows: list[dict[str, str]]) -> np.ndarray:
    return np.array([[float(value) for name, value in row.items() if name.startswith("score ")] for row in rows])


def test_the_bundle_alone_gives_the_scores_of_evaluate(
    run: Path, bundle: Path, workspace: Path, tmp_path: Path
) -> None:
    """Number for number, with and without test-time augmentation."""
    shutil.copy(workspace / "mine.npz", tmp_path / "mine.npz")
    averaged = medtui("predict", bundle, "mine.npz", "--tta", cwd=tmp_path)
    assert averaged.returncode == 0, averaged.stderr
    assert (scores_of(rows_of(averaged.stdout)) == score_file(run / "metrics")).all()
    again = medtui("evaluate", run.name, "--no-tta", "--json", cwd=workspace)
    assert again.returncode == 0, again.stderr
    plain = medtui("predict", bundle, "mine.npz", cwd=tmp_path)
    folder = Path(json.loads(again.stdout)["folder"])
    assert (scores_of(rows_of(plain.stdout)) == score_file(folder)).all()


def test_labels_in_the_archive_are_evaluated_as_evaluate_does(run: Path, workspace: Path) -> None:
    evaluated = json.loads(medtui("evaluate", run.name, "--no-tta", "--json", cwd=workspace).stdout)
    done = medtui("predict", run.name, "mine.npz", "--json", cwd=workspace)
    metrics = json_lines(done.stdout)[-1]["summary"]["metrics"]
    assert (metrics["auc"], metrics["acc"]) == (evaluated["auc"], evaluated["acc"])


def test_files_give_what_their_arrays_give(run: Path, workspace: Path) -> None:
    arrays = rows_of(medtui("predict", run.name, "mine.npz", cwd=workspace).stdout)[:3]
    files = rows_of(medtui("predict", run.name, "pictures", cwd=workspace).stdout)
    assert [row["path"] for row in files] == ["pictures/0.png", "pictures/1.png", "pictures/2.png"]
    assert [row["prediction"] for row in files] == [row["prediction"] for row in arrays]
    np.testing.assert_allclose(scores_of(files), scores_of(arrays), atol=0.02)  # another batch, in bfloat16


def test_files_folders_patterns_and_standard_input_name_the_same_images(run: Path, workspace: Path) -> None:
    ways = [["pictures"], ["pictures/*.png"], ["pictures/0.png", "pictures/1.png", "pictures/2.png"]]
    found = [medtui("predict", run.name, *words, cwd=workspace) for words in ways]
    names = "pictures/0.png\0pictures/1.png\0pictures/2.png\0"
    found.append(medtui("predict", run.name, "-", cwd=workspace, stdin=names))
    found.append(medtui("predict", run.name, "-", cwd=workspace, stdin=names.replace("\0", "\n")))
    assert [one.returncode for one in found] == [0] * 5
    assert len({one.stdout for one in found}) == 1 and len(rows_of(found[0].stdout)) == 3


def test_a_table_names_images_and_their_labels(
    run: Path, workspace: Path, images: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """Names of classes or their numbers, files with or without their endings; what is missing is named."""
    classes = json.loads((run / "checkpoints" / "model.json").read_text())["class_names"]
    labels = images["test_labels"][:3, 0]
    for row in range(3):
        shutil.copy(workspace / "pictures" / f"{row}.png", tmp_path / f"{row}.png")
    named = "".join(f"{row}.png;{classes[label]}\n" for row, label in enumerate(labels))
    numbered = "".join(f"{row};{label}\n" for row, label in enumerate(labels))
    plain = rows_of(medtui("predict", run.name, "pictures", cwd=workspace).stdout)
    for text in (named, numbered):
        (tmp_path / "new.csv").write_text(f"image;diagnosis\n{text}")
        done = medtui("predict", run.name, tmp_path / "new.csv", cwd=workspace)
        assert done.returncode == 0, done.stderr
        found = rows_of(done.stdout)
        assert [Path(row["path"]).stem for row in found] == ["0", "1", "2"]
        assert [row["label"] for row in found] == [classes[label] for label in labels]
        assert (scores_of(found) == scores_of(plain)).all()
        assert "With the labels given, in diagnosis: AUC" in done.stderr
    (tmp_path / "new.csv").write_text("file\n0.png\ngone.png\n/\n")  # no labels, one column
    done = medtui("predict", run.name, tmp_path / "new.csv", cwd=workspace)
    assert (done.returncode, len(rows_of(done.stdout))) == (1, 1)
    assert "gone.png: there is no such file" in done.stderr and "labels" not in done.stderr
    assert "/: it is a folder, not a regular file" in done.stderr
    (tmp_path / "new.csv").write_text("file,label\n0.png,dragon\n")
    done = medtui("predict", run.name, tmp_path / "new.csv", cwd=workspace)
    assert done.returncode == 0 and "found dragon" in done.stderr
    (tmp_path / "new.csv").write_text("a,b\n1,2\n")
    refused = medtui("predict", run.name, tmp_path / "new.csv", "--json", cwd=workspace)
    assert (refused.returncode, json.loads(refused.stdout)["error"]["code"]) == (4, "images.no_file_column")


def test_calibration_lowers_the_loss_and_never_changes_the_prediction(run: Path, workspace: Path) -> None:
    described = json.loads((run / "checkpoints" / "model.json").read_text())
    for calibration in (described["calibration"], described["calibration_tta"]):
        assert calibration["nll_after"] <= calibration["nll_before"]
    best = json.loads(medtui("show", run.name, "--json", cwd=workspace).stdout)["validation"]
    assert described["calibration"]["nll_before"] == pytest.approx(best["loss"], rel=1e-6)
    temperature = described["calibration"]["temperature"]
    rows = rows_of(medtui("predict", run.name, "mine.npz", cwd=workspace).stdout)
    scores = scores_of(rows)
    powers = scores ** (1 / temperature)
    expected = powers / powers.sum(axis=1, keepdims=True)  # the definition, of probabilities
    found = np.array([[float(value) for name, value in row.items() if name.startswith("probability ")] for row in rows])
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    predicted = [described["class_names"][k] for k in scores.argmax(axis=1)]
    assert [row["prediction"] for row in rows] == predicted
    assert [described["class_names"][k] for k in found.argmax(axis=1)] == predicted


def test_an_older_bundle_predicts_uncalibrated_and_says_so(bundle: Path, workspace: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(bundle, old)
    values = json.loads((old / "model.json").read_text())
    for name in ("fit", "bits", "amp", "tta_views", "calibration", "calibration_tta", "features"):
        del values[name]
    (old / "model.json").write_text(json.dumps(values))
    done = medtui("predict", old, "pictures", "--json", cwd=workspace)
    assert done.returncode == 0
    *rows, last = json_lines(done.stdout)
    assert all(row["probabilities"] == row["scores"] and row["unlike"] is None for row in rows)
    assert (last["summary"]["temperature"], last["summary"]["unlike"]) == (None, None)
    assert "Uncalibrated" in done.stderr


def test_a_run_on_few_validation_images_says_why_it_is_not_calibrated_and_so_does_predict(
    workspace: Path, images: dict[str, np.ndarray], tmp_path: Path
) -> None:
    few = {name: array[:10] if name.startswith("val") else array for name, array in images.items()}
    np.savez(tmp_path / "few.npz", **few)
    recipe = tiny(dataset={"name": None, "npz": "few.npz", "limit": None}, training={"epochs": 1})
    (tmp_path / "recipe.yaml").write_text(yaml_of(recipe))
    run = medtui("run", "recipe.yaml", "--json", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    why = "Fitting a temperature needs 30 validation images; the run had 10."
    lines = json_lines(run.stdout)
    assert any(line["event"] == "log" and why in line["message"] for line in lines)
    bundle = json.loads((Path(lines[-1]["run_dir"]) / "checkpoints" / "model.json").read_text())
    assert (bundle["calibration"], bundle["uncalibrated"]) == (None, why)
    done = medtui("predict", "last", workspace / "pictures", "--json", cwd=tmp_path)
    *rows, last = json_lines(done.stdout)
    assert all(row["probabilities"] == row["scores"] for row in rows)
    assert why in done.stderr and last["summary"]["uncalibrated"] == why


def test_unreadable_images_are_named_and_the_others_predicted(run: Path, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.png").touch()
    shutil.copy(workspace / "pictures" / "0.png", tmp_path / "good.png")
    (tmp_path / "notes.txt").write_text("not named like an image")
    done = medtui("predict", run.name, tmp_path, tmp_path / "gone.png", "--json", cwd=workspace)
    assert done.returncode == 1
    *rows, last = json_lines(done.stdout)
    assert [row["path"] for row in rows] == [str(tmp_path / "good.png")]
    unreadable = {Path(name).name for name in last["summary"]["unreadable"]}
    assert unreadable == {"text.png", "empty.png", "gone.png"} and last["summary"]["ignored"] == 1
    assert all(name in done.stderr for name in unreadable)


def test_no_readable_image_is_an_error_and_leaves_no_file(run: Path, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    done = medtui("predict", run.name, tmp_path / "text.png", "-o", tmp_path / "out.jsonl", "--json", cwd=workspace)
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (4, "images.nothing_readable")
    assert not (tmp_path / "out.jsonl").exists()


def test_a_single_image_that_is_not_there_is_refused_in_one_plain_sentence(run: Path, workspace: Path) -> None:
    done = medtui("predict", run.name, "nosuch.png", cwd=workspace)
    assert done.returncode == 4 and "nosuch.png does not exist. Check its name." in " ".join(done.stderr.split())


def test_an_existing_output_is_kept_unless_forced(run: Path, workspace: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("mine")
    refused = medtui("predict", run.name, "pictures", "--output", target, cwd=workspace)
    assert refused.returncode == 2 and target.read_text() == "mine"
    forced = medtui("predict", run.name, "pictures", "--output", target, "--force", cwd=workspace)
    assert (forced.returncode, forced.stdout) == (0, "") and len(rows_of(target.read_text())) == 3


def test_sizes_channels_and_orientation_are_made_the_models(run: Path, workspace: Path, tmp_path: Path) -> None:
    """Grey, 16 bits, oblong and turned by EXIF: as the upright 8-bit RGB square that they stand for."""
    grey = np.linspace(0, 255, 28 * 28).reshape(28, 28).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "a_grey.png")
    Image.fromarray(np.repeat(grey[..., None], 3, 2)).save(tmp_path / "b_rgb.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "c_deep.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    Image.fromarray(np.rot90(grey).copy()).save(tmp_path / "d_turned.png", exif=exif)
    Image.fromarray(grey).resize((280, 280), Image.Resampling.NEAREST).save(tmp_path / "e_large.png")
    rows = rows_of(medtui("predict", run.name, tmp_path, cwd=workspace).stdout)
    scores = scores_of(rows)
    assert len(scores) == 5
    assert (scores[:4] == scores[0]).all()
    np.testing.assert_allclose(scores[4], scores[0], atol=0.05)


def test_odd_names_are_predicted_and_no_pipe_is_waited_for(run: Path, workspace: Path, tmp_path: Path) -> None:
    """In JSON each name is as it is; what is no text is escaped, and nothing printed could steer a terminal."""
    names = ["细胞.png", "two\nlines.png", "=1+1.png", "esc\x1b[31m.png", "[" + "x" * 240 + "].png"]
    picture = (workspace / "pictures" / "0.png").read_bytes()
    for name in [*map(os.fsencode, names), b"caf\xe9.png", b".hidden.png"]:
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).write_bytes(picture)
    os.mkfifo(tmp_path / "pipe.png")
    done = medtui("predict", run.name, tmp_path, "--json", cwd=workspace)
    *rows, last = json_lines(done.stdout)
    assert {Path(row["path"]).name for row in rows} == {*names, "caf\\xe9.png"}
    assert len({str(row["scores"]) for row in rows}) == 1
    assert done.returncode == 1 and list(last["summary"]["unreadable"]) == [str(tmp_path / "pipe.png")]
    table = medtui("predict", run.name, tmp_path, cwd=workspace)
    assert "could not be read, 1 other file in folders" not in table.stderr
    (tmp_path / "no_ending").write_bytes(picture)
    counted = medtui("predict", run.name, tmp_path, cwd=workspace).stderr
    assert "1 file without an image extension skipped" in counted
    assert "\x1b" not in table.stdout + table.stderr and len(rows_of(table.stdout)) == len(rows)


def test_no_name_and_an_empty_name_are_refused(run: Path, workspace: Path, tmp_path: Path) -> None:
    for words, stdin in (([""], None), (["-"], "\n")):
        done = medtui("predict", run.name, *words, "--json", cwd=workspace, stdin=stdin)
        assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (2, "predicting.no_images")
    (tmp_path / "notes.txt").touch()
    done = medtui("predict", run.name, tmp_path, "--json", cwd=workspace)
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (4, "images.none")


def test_predicting_changes_nothing_of_the_run(run: Path, workspace: Path) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in run.rglob("*")}

    before = state()
    assert medtui("predict", run.name, "pictures", cwd=workspace).returncode == 0
    assert state() == before


@pytest.mark.parametrize("name", ["best.safetensors", "features.safetensors"])
def test_files_of_two_runs_mixed_up_are_refused(name: str, bundle: Path, workspace: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(bundle, mixed)
    text = (mixed / "model.json").read_text()
    values = json.loads(text)
    part = values["weights"] if name.startswith("best") else values["features"]
    (mixed / "model.json").write_text(text.replace(part["digest"], "0" * 32))
    done = medtui("predict", mixed, "pictures", "--json", cwd=workspace)
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (5, "bundles.mixed_up")


def test_a_damaged_archive_is_refused_in_one_sentence(run: Path, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.npz").write_bytes((workspace / "mine.npz").read_bytes()[:5000])
    np.savez(tmp_path / "other.npz", pixels=np.zeros(3))
    np.savez(tmp_path / "floats.npz", images=np.zeros((2, 28, 28)))
    codes = []
    for name in ("cut.npz", "other.npz", "floats.npz"):
        done = medtui("predict", run.name, tmp_path / name, "--json", cwd=workspace)
        codes.append((done.returncode, json.loads(done.stdout)["error"]["code"]))
    assert codes == [(4, "images.not_an_archive"), (4, "images.no_array"), (4, "images.no_images")]


# ---- official data ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["breastmnist", pytest.param("retinamnist", marks=pytest.mark.exhaustive)])
def official(request: pytest.FixtureRequest, real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a short run on an official set, which its name ends with."""
    folder: Path = tmp_path_factory.mktemp("official") / request.param
    folder.mkdir()
    words = ["model.name=mini_cnn", "model.pretrained=false", "training.epochs=8", "runtime.threads=1"]
    sets = [word for value in words for word in ("--set", value)]
    done = medtui("run", request.param, "--data", real_data, "--workspace", folder, *sets, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.real_data
def test_the_mark_separates_retinamnist_from_breastmnist(official: Path, real_data: Path) -> None:
    """AUROC of the distances of both test splits, by scikit-learn; few of its own are marked, most others are."""
    other = {"breastmnist": "retinamnist", "retinamnist": "breastmnist"}[official.name]
    archives = [real_data / f"{name}.npz" for name in (official.name, other)]
    found = medtui("predict", "last", *archives, "--json", "--workspace", official, cwd=official)
    assert found.returncode == 0, found.stderr
    *rows, last = json_lines(found.stdout)
    is_other = np.array([other in row["path"] for row in rows])
    distances = np.array([row["distance"] for row in rows])
    marked = np.array([row["unlike"] for row in rows])
    assert is_other.any() and not is_other.all()
    assert roc_auc_score(is_other, distances) >= 0.95
    assert marked[~is_other].mean() < 0.1 and marked[is_other].mean() > 0.5
    assert last["summary"]["unlike"] == marked.sum()


@pytest.mark.real_data
@pytest.mark.slow
def test_exported_files_keep_the_results_on_official_data(official: Path, real_data: Path) -> None:
    """ONNX within 1e-5 of PyTorch on the test split, quantised within 0.01 of its AUC."""
    words = ("export", "last", "--int8", "--format", "onnx", "--json", "--data", real_data, "--workspace", official)
    done = medtui(*words, cwd=official)
    assert done.returncode == 0, done.stderr
    checks = json.loads(done.stdout)["checks"]
    assert set(checks) == {"PyTorch", "model.onnx", "model.int8.onnx"}
    assert checks["model.onnx"]["difference"] <= 1e-5
    assert checks["model.int8.onnx"]["metrics"]["auc"] == pytest.approx(checks["PyTorch"]["metrics"]["auc"], abs=0.01)
