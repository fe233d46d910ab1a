"""Undefined numbers and non-finite losses are reported, never 0.0, never a crash."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from driving import json_lines, medtui, tiny, yaml_of

from engine.contract.store.checkpoint_file import verified_digest

pytestmark = pytest.mark.figures  # of what is undefined, too


def archive(folder: Path, name: str, labels: dict[str, list[int]]) -> dict[str, str]:
    """A fake bloodmnist with just these labels; the `dataset` section of a recipe for it."""
    draws = np.random.default_rng(3)
    arrays: dict[str, Any] = {}
    for split, values in labels.items():
        arrays[f"{split}_images"] = draws.integers(0, 256, (len(values), 28, 28, 3), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.array(values, dtype=np.uint8)[:, None]
    path = folder / f"{name}.npz"
    np.savez(path, **arrays)
    return {"name": "bloodmnist", "archive": str(path), "md5": hashlib.md5(path.read_bytes()).hexdigest()}


def run(workspace: Path, dataset: dict[str, Any], **sections: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    recipe = tiny(**sections)
    recipe["dataset"] = dataset
    (workspace / "recipe.yaml").write_text(yaml_of(recipe))
    done = medtui("run", "recipe.yaml", "--json", cwd=workspace)
    assert "Traceback" not in done.stderr
    return done.returncode, json_lines(done.stdout)


def test_absent_classes_and_a_single_test_image_give_nan_with_a_reason(tmp_path: Path) -> None:
    labels = {"train": [n % 8 for n in range(32)], "val": [0, 1] * 8, "test": [3]}
    code, events = run(tmp_path, archive(tmp_path, "absent", labels))
    assert code == 0
    metrics = events[-1]["metrics"]
    assert isinstance(metrics["validation"]["auc"], float), "the mean over the two classes that are there"
    assert "absent" in metrics["validation"]["reasons"]["auc"]
    assert metrics["test"]["auc"] == "NaN"
    assert "one class" in metrics["test"]["reasons"]["auc"]
    run_dir = Path(events[-1]["run_dir"])
    assert len(list((run_dir / "figures").glob("*.png"))) == 6
    summary = openpyxl.load_workbook(run_dir / "reports" / "report.xlsx")["Summary"]
    assert any("undefined" in str(cell.value) for row in summary.iter_rows() for cell in row)


def test_a_validation_auc_that_is_never_defined_is_alarmed_and_the_run_completes(tmp_path: Path) -> None:
    labels = {"train": [n % 8 for n in range(32)], "val": [5] * 8, "test": [n % 8 for n in range(16)]}
    code, events = run(tmp_path, archive(tmp_path, "one", labels))
    assert code == 0
    assert [event["kind"] for event in events if event["event"] == "alarm"] == ["undefined_auc"] * 2
    assert events[-1]["metrics"]["validation"]["auc"] == "NaN"
    assert 0 <= events[-1]["metrics"]["test"]["auc"] <= 1


def test_a_loss_that_is_not_finite_fails_the_run_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    # each step multiplies the weights by 1 − 10·10 = −99: they overflow after about twenty steps, of eight an epoch
    diverging = {"lr": 10, "weight_decay": 10, "momentum": 0, "schedule": "constant", "batch_size": 8, "epochs": 50}
    code, events = run(tmp_path, {"name": "cells", "limit": 64}, training=diverging)
    finished = events[-1]
    assert (code, finished["outcome"], finished["exit_code"]) == (5, "failed", 5)
    assert finished["error"]["kind"] == "non_finite_loss"
    assert "step" in finished["error"]["message"]
    assert [event["kind"] for event in events if event["event"] == "alarm"][-1] == "non_finite_loss"
    last = Path(finished["run_dir"]) / "checkpoints" / "last.safetensors"
    assert verified_digest(last)
    shown = json.loads(medtui("show", "last", "--json", cwd=tmp_path).stdout)
    assert (shown["outcome"], shown["test"]) == ("failed", None)
