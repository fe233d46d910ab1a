"""`medtui export`: files for other programs that give PyTorch's scores; and `medtui.load`, the Python face."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import Engine, graded_arrays, json_lines, medtui, tiny, yaml_of
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def images() -> dict[str, np.ndarray]:
    return graded_arrays()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, images: dict[str, np.ndarray]) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "README.md").touch()
    np.savez(folder / "mine.npz", **images)
    md5 = hashlib.md5((folder / "mine.npz").read_bytes()).hexdigest()
    recipe = tiny(
        dataset={"name": "bloodmnist", "archive": str(folder / "mine.npz"), "md5": md5, "limit": None},
        training={"epochs": 6, "amp": False},
    )
    (folder / "recipe.yaml").write_text(yaml_of(recipe))
    return folder


@pytest.fixture(scope="module")
def run(workspace: Path) -> Path:
    done = medtui("run", "recipe.yaml", "--json", cwd=workspace)
    assert done.returncode == 0, done.stderr
    return Path(json_lines(done.stdout)[-1]["run_dir"])


@pytest.fixture(scope="module")
def exported(run: Path, workspace: Path) -> Path:
    done = medtui("export", run.name, "--int8", cwd=workspace)
    assert done.returncode == 0, done.stderr
    assert "model.onnx" in done.stdout and "largest difference of a score" in done.stdout
    assert "without test-time augmentation, in float32" in done.stdout
    return run / "model"


def score_file(run: Path) -> np.ndarray:
    """What the run itself wrote, in float32: scores [N, K]."""
    (file,) = (run / "metrics").glob("*_test_*.csv")
    return np.array([[float(value) for value in row[1:]] for row in csv.reader(file.read_text().splitlines())])


def test_onnx_gives_the_scores_of_the_run_for_any_number_of_images(
    run: Path, exported: Path, images: dict[str, np.ndarray]
) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(exported / "model.onnx", providers=["CPUExecutionProvider"])
    for count in (1, 7, 40):
        scores, _ = session.run(["scores", "probabilities"], {"images": images["test_images"][:count]})
        np.testing.assert_allclose(scores, score_file(run)[:count], atol=1e-5)


@pytest.mark.slow
def test_the_torch_program_gives_the_scores_of_the_run_without_our_code(
    run: Path, exported: Path, images: dict[str, np.ndarray], tmp_path: Path
) -> None:
    np.save(tmp_path / "images.npy", images["test_images"])
    program = (
        "import sys, numpy, torch\n"
        "module = torch.export.load(sys.argv[1]).module()\n"
        "scores, _ = module(torch.from_numpy(numpy.load(sys.argv[2])))\n"
        "numpy.save(sys.argv[3], scores.detach().numpy())\n"
        "assert not any(name.split('.')[0] in ('engine', 'medtui') for name in sys.modules)\n"
    )
    words = [str(exported / "model.pt2"), str(tmp_path / "images.npy"), str(tmp_path / "scores.npy")]
    subprocess.run([sys.executable, "-P", "-c", program, *words], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), score_file(run), atol=1e-5)


def test_onnx_describes_itself(run: Path, exported: Path) -> None:
    import onnx

    model = onnx.load(exported / "model.onnx")
    about = {entry.key: entry.value for entry in model.metadata_props}
    bundle = json.loads((run / "checkpoints" / "model.json").read_text())
    assert json.loads(about["class_names"]) == bundle["class_names"]
    prepare = json.loads(about["preprocessing"])
    assert (prepare["size"], prepare["channels"], prepare["mean"]) == (28, 3, bundle["mean"])
    assert json.loads(about["temperature"]) == bundle["calibration"]["temperature"]
    assert [entry.version for entry in model.opset_import if not entry.domain] == [23]
    (given,) = model.graph.input
    assert given.type.tensor_type.shape.dim[0].dim_param  # any number of images


def test_the_quantised_file_is_smaller_and_about_as_good(exported: Path) -> None:
    checks = json.loads((exported / "check.json").read_text())
    assert (exported / "model.int8.onnx").stat().st_size < 0.5 * (exported / "model.onnx").stat().st_size
    exact, int8 = (checks[name]["metrics"]["auc"] for name in ("model.onnx", "model.int8.onnx"))
    assert abs(exact - int8) < 0.01
    assert checks["model.int8.onnx"]["difference"] > checks["model.onnx"]["difference"]
    assert max(checks[name]["difference"] for name in ("model.onnx", "model.pt2")) < 1e-5


def test_the_export_is_a_bundle_that_predicts(
    run: Path, exported: Path, workspace: Path, tmp_path: Path, images: dict[str, np.ndarray]
) -> None:
    import shutil

    shutil.copytree(exported, tmp_path / "model")
    np.savez(tmp_path / "new.npz", images=images["test_images"])
    done = medtui("predict", "model", "new.npz", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    *rows, last = json_lines(done.stdout)
    scores = np.array([list(row["scores"].values()) for row in rows])
    assert (scores == score_file(run)).all() and last["summary"]["temperature"] is not None


def test_the_card_says_what_is_known_and_what_is_not(exported: Path, run: Path, workspace: Path) -> None:
    card = (exported / "README.md").read_text()
    assert [line for line in card.splitlines() if line.startswith("## ")] == [
        "## Data",
        "## Results on the test split",
        "## Calibration",
        "## Agreement with PyTorch in float32",
        "## Intended use",
        "## Limits",
        "## Licence",
        "## Files",
    ]
    test = json.loads(medtui("show", run.name, "--json", cwd=workspace).stdout)["test"]
    low, high = test["auc_ci95"]
    assert f"| {test['auc']:.4f} | {low:.3f}–{high:.3f} |" in card
    assert "These weights: **not stated**" in card and "not a medical device" in card
    assert all(f"`{path.name}`" in card for path in exported.iterdir() if path.name != "README.md")


@pytest.mark.slow
def test_an_export_is_replaced_only_on_request_and_keeps_what_others_put_there(
    run: Path, exported: Path, workspace: Path
) -> None:
    (exported / "notes.txt").write_text("mine")
    refused = medtui("export", run.name, "--format", "bundle", "--json", cwd=workspace)
    assert (refused.returncode, json.loads(refused.stdout)["error"]["code"]) == (2, "exports.exists")
    other = workspace / "other"
    other.mkdir()
    (other / "mine.txt").touch()
    refused = medtui("export", run.name, "--output", other, "--force", "--json", cwd=workspace)
    assert (refused.returncode, json.loads(refused.stdout)["error"]["code"]) == (2, "exports.not_an_export")
    before = (exported / "model.onnx").read_bytes()
    forced = medtui("export", run.name, "--output", exported, "--int8", "--force", cwd=workspace)
    assert forced.returncode == 0, forced.stderr
    assert (exported / "notes.txt").read_text() == "mine"
    assert len((exported / "model.onnx").read_bytes()) == len(before)
    (exported / "notes.txt").unlink()


@pytest.mark.slow
@pytest.mark.cold
def test_without_the_extra_one_sentence_names_it(run: Path, workspace: Path, tmp_path: Path) -> None:
    """`onnx` cannot be found: nothing is written, and the other formats work."""
    program = (
        "import importlib.util, sys; found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'onnx' else found(name, *rest)\n"
    )
    (tmp_path / "sitecustomize.py").write_text(program)
    target = tmp_path / "out"

    def finished(**fields: object) -> dict[str, Any]:
        engine = Engine(workspace, environment={"PYTHONPATH": str(tmp_path)})
        try:
            engine.send("start", job="export", run=str(run), output=str(target), **fields)
            return engine.wait_for_event("run.finished")
        finally:
            engine.kill()

    refused = finished()
    assert (refused["exit_code"], refused["error"]["code"]) == (2, "exports.no_onnx")
    assert "medtui[export]" in refused["error"]["message"] and not target.exists()
    assert finished(formats=["torch"])["outcome"] == "completed"
    assert (target / "model.pt2").is_file() and not (target / "model.onnx").exists()


def test_the_example_in_the_documents_predicts_without_medtui(
    exported: Path, run: Path, workspace: Path, tmp_path: Path, images: dict[str, np.ndarray]
) -> None:
    text = (ROOT / "docs" / "models.md").read_text()
    (example,) = (block for block in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S) if "onnxruntime" in block)
    assert len(example.split("\n")) <= 30
    guard = "\nassert not any(name.split('.')[0] in ('engine', 'medtui', 'torch') for name in sys.modules)\n"
    (tmp_path / "predict.py").write_text(example + guard)
    for row in range(3):
        Image.fromarray(images["test_images"][row]).save(tmp_path / f"{row}.png")
    names = ["0.png", "1.png", "2.png"]
    words = [sys.executable, "-P", "predict.py", str(exported / "model.onnx"), *names]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    ours = json_lines(medtui("predict", exported, *names, "--json", cwd=tmp_path).stdout)[:-1]
    theirs = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(path, name) for path, name, _ in theirs] == [(row["path"], row["prediction"]) for row in ours]
    np.testing.assert_allclose([float(one[2]) for one in theirs], [row["confidence"] for row in ours], atol=1e-4)


# ---- Python ----------------------------------------------------------------------------------------------------------


def python(code: str, cwd: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_program_loads_a_run_and_imports_torch_only_to_predict(
    run: Path, workspace: Path, images: dict[str, np.ndarray]
) -> None:
    code = (
        "import sys, json, medtui\n"
        "heavy = lambda: sorted({'torch', 'numpy', 'pandas', 'textual', 'pydantic'} & set(sys.modules))\n"
        "after_import = heavy()\n"
        "model = medtui.load('last')\n"
        "assert model.class_names and 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
        "assert 'mini_cnn' in repr(model)\n"
        "metrics, history, per_class = model.metrics, model.history, model.per_class\n"
        "assert 'torch' not in sys.modules\n"
        "import numpy\n"
        "found = model.predict(numpy.load('mine.npz')['test_images'])\n"
        "one = model.predict(numpy.load('mine.npz')['test_images'][0])\n"
        "assert len(found) == len(found.frame()) == 40 and len(one) == 1\n"
        "print(json.dumps({'light': after_import, 'scores': found.scores.tolist(), 'classes': found.classes,\n"
        "    'auc': metrics.loc['test', 'auc'], 'epochs': history['epoch'].tolist(), 'rows': len(per_class)}))\n"
    )
    found = json.loads(python(code, workspace))
    assert found["light"] == []
    assert (np.array(found["scores"], np.float32) == score_file(run).astype(np.float32)).all()
    shown = json.loads(medtui("show", run.name, "--json", cwd=workspace).stdout)
    assert (found["auc"], found["epochs"], found["rows"]) == (shown["test"]["auc"], [1, 2, 3, 4, 5, 6], 8)
    names = json.loads((run / "checkpoints" / "model.json").read_text())["class_names"]
    assert found["classes"] == [names[k] for k in score_file(run).argmax(axis=1)]


@pytest.mark.slow
def test_a_program_is_told_in_one_sentence_what_is_wrong(run: Path, exported: Path, workspace: Path) -> None:
    code = (
        "import sys, medtui, numpy\n"
        "def code(call):\n"
        "    try: call()\n"
        "    except Exception as error: return error.code\n"
        "bundle = medtui.load(sys.argv[1])\n"
        "print(code(lambda: medtui.load('nosuch')), code(lambda: bundle.history),\n"
        "    code(lambda: bundle.predict('gone.png')), code(lambda: bundle.predict(numpy.zeros((28, 28)))),\n"
        "    code(lambda: bundle.predict([])))\n"
        "sys.modules['pandas'] = None\n"
        "print(code(lambda: medtui.load('last').metrics))\n"
    )
    told = python(code, workspace, str(exported)).split()
    unreadable = "images.unreadable"
    assert told == ["runs.unknown", "models.no_run", unreadable, unreadable, "images.none", "libraries.no_pandas"]


@pytest.mark.slow
def test_the_notebook_runs(run: Path, workspace: Path) -> None:
    """Each cell in its order, as a kernel does; the last expression of a cell is evaluated too."""
    cells = json.loads((ROOT / "docs" / "notebook.ipynb").read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) >= 5
    program = "import matplotlib; matplotlib.use('Agg')\n" + "\n".join(code) + "\nassert found.unlike.all()\n"
    python(program, workspace)
