"""A strict run with many training techniques at once, interrupted and resumed, is the run that was not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import openpyxl
import pytest
from driving import EVERY_TECHNIQUE, medtui, tiny, yaml_of

from engine.contract.store.run_directory import RunDirectory, list_runs


@pytest.mark.slow
def test_an_interrupted_run_with_every_technique_ends_as_one_that_was_not(tmp_path: Path) -> None:
    """Byte for byte, from the middle of an epoch, and again from the middle of a later one."""
    recipe = tiny(**{**EVERY_TECHNIQUE, "dataset": {"limit": 45}})
    (tmp_path / "recipe.yaml").write_text(yaml_of(recipe))
    whole = medtui("run", "recipe.yaml", cwd=tmp_path)
    assert whole.returncode == 0, whole.stdout[-2000:] + whole.stderr
    stopped = medtui("run", "recipe.yaml", "--set", "runtime.max_minutes=0.0001", cwd=tmp_path)
    for budget in ("0.02", "null"):
        assert stopped.returncode in (0, 6), stopped.stderr
        stopped = medtui("run", "--resume", "last", "--set", f"runtime.max_minutes={budget}", cwd=tmp_path)
        if stopped.returncode == 0:
            break
    assert stopped.returncode == 0, stopped.stderr
    first, interrupted = list_runs(tmp_path / "outputs")
    attempts = json.loads(interrupted.manifest.path.read_text())["attempts"]
    assert [attempt["resumed_from"] is None for attempt in attempts[:2]] == [True, False]
    assert sums(interrupted) == sums(first)
    log = (first.root / "run.log").read_text()
    assert "planned: 3 epochs of 2 steps of 3 batches of 8" in log
    assert "From epoch 2 on, validation, best and test use the mean of the weights" in log
    (tested,) = [line for line in log.splitlines() if "The weights tested and exported are those of epoch" in line]
    summary = openpyxl.load_workbook(first.root / "reports" / "report.xlsx")["Summary"]
    rows = {line[0].value: line[1].value for line in summary.iter_rows()}
    assert str(rows["Evaluated weights"]) in tested


def sums(run: RunDirectory) -> dict[str, str]:
    names = ("metrics/history.csv", "metrics/per_class.csv", "metrics/confusion.csv", "metrics/batch.json")
    files = [*names, "checkpoints/best.safetensors", "checkpoints/last.safetensors"]
    return {name: hashlib.sha256((run.root / name).read_bytes()).hexdigest() for name in files}
