"""The embedded data set: a real learning problem, solved by the shipped recipes, and called synthetic."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from driving import json_lines, medtui

from engine.contract.data.datasets import CELLS
from engine.data import cells


def test_cells_are_generated_the_same_every_time_and_differ_from_each_other() -> None:
    images, labels = cells.generate("val")
    again, _ = cells.generate("val")
    assert np.array_equal(images, again)
    assert (images.shape, images.dtype) == ((CELLS.splits["val"], 28, 28, 3), np.uint8)
    assert np.bincount(labels[:, 0]).tolist() == [CELLS.splits["val"] // CELLS.classes] * CELLS.classes
    assert len({image.tobytes() for image in images}) == len(images)
    assert not np.array_equal(images, cells.generate("test")[0][: len(images)])


@pytest.mark.exhaustive
def test_logistic_regression_on_the_pixels_stays_under_60_percent() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    (train, train_labels), (test, test_labels) = cells.generate("train"), cells.generate("test")
    # the strength of the penalty that suits it best, of 0.0003 to 0.004
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.004, max_iter=100))
    model.fit(train.reshape(len(train), -1) / 255, train_labels[:, 0])
    accuracy = model.score(test.reshape(len(test), -1) / 255, test_labels[:, 0])
    assert 0.3 < accuracy < 0.60  # it does learn something: chance is 0.125


@pytest.mark.exhaustive
def test_the_small_net_learns_the_full_set_to_over_90_percent_in_ten_epochs(tmp_path: Path) -> None:
    (tmp_path / "full.yaml").write_text(
        """
dataset: {name: cells}
model: {name: mini_cnn}
training: {epochs: 10, batch_size: 64, lr: 0.1, schedule: one_cycle, nesterov: true, mixup_alpha: 0}
augmentation: {vflip: 0.5}
evaluation: {tta: false}
"""
    )
    done = medtui("run", "full.yaml", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json_lines(done.stdout)[-1]["metrics"]["test"]["acc"] > 0.90


AS_IT_IS = pytest.param([], id="as it is", marks=pytest.mark.exhaustive)  # as `make demo` trains it: minutes
SMALL_NET = pytest.param(["model.name=mini_cnn"], id="the small net")  # seconds


@pytest.fixture(scope="module", params=[SMALL_NET, AS_IT_IS])
def quickstart(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A workspace in which the shipped recipe has been trained; and what the command printed."""
    workspace = tmp_path_factory.mktemp("quickstart")
    done = medtui("run", "quickstart", *request.param, cwd=workspace)
    assert done.returncode == 0, done.stderr
    return workspace, done.stdout


@pytest.mark.slow
def test_the_quickstart_reaches_75_percent_and_calls_its_results_synthetic(quickstart: tuple[Path, str]) -> None:
    workspace, printed = quickstart
    assert "cells, synthetic data" in printed
    shown = json.loads(medtui("show", "last", "--json", cwd=workspace).stdout)
    assert shown["synthetic"] is True
    assert shown["test"]["acc"] >= 0.75
    assert "synthetic" in medtui("show", "last", cwd=workspace).stdout
    assert "synth." in medtui("runs", cwd=workspace).stdout


@pytest.mark.slow
def test_the_quantised_quickstart_keeps_its_auc(quickstart: tuple[Path, str]) -> None:
    """On the generated cells: PyTorch, ONNX and int8 on the test split."""
    done = medtui("export", "last", "--int8", "--format", "onnx", "--json", cwd=quickstart[0])
    assert done.returncode == 0, done.stderr
    checks = json.loads(done.stdout)["checks"]
    auc = {name: check["metrics"]["auc"] for name, check in checks.items()}
    assert auc["PyTorch"] > 0.8, "it has learnt something that could be lost"
    assert checks["model.onnx"]["difference"] <= 1e-5
    assert auc["model.int8.onnx"] == pytest.approx(auc["PyTorch"], abs=0.01), auc
