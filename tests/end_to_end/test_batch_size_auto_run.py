"""A run with `batch_size: auto`: what it became is in the manifest, the log and the report, and a resume keeps it."""

from __future__ import annotations

import json
from pathlib import Path

import openpyxl
import pytest
from driving import medtui, tiny, yaml_of

from engine.contract.store.run_directory import list_runs


@pytest.mark.slow
def test_what_auto_became_is_recorded_and_resumed_with(tmp_path: Path) -> None:
    """Of 64 images at most 64; with a step of two batches at most 32."""
    training = {"batch_size": "auto", "accumulate": 2, "epochs": 3}
    (tmp_path / "recipe.yaml").write_text(yaml_of(tiny(training=training, runtime={"max_minutes": 0.0001})))
    stopped = medtui("run", "recipe.yaml", cwd=tmp_path)
    assert stopped.returncode in (0, 6), stopped.stderr
    resumed = medtui("run", "--resume", "last", "--set", "runtime.max_minutes=null", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    (run,) = list_runs(tmp_path / "outputs")
    manifest = json.loads(run.manifest.path.read_text())
    attempts = [attempt["must_match"]["batch_size"] for attempt in manifest["attempts"]]
    assert attempts == [32, 32] and "batch_size: auto" in run.recipe.path.read_text()
    assert not manifest.get("drift") and manifest["resolved_hash"] is not None
    assert "training.batch_size: auto is 32: training takes about" in (run.root / "run.log").read_text()
    sheets = openpyxl.load_workbook(run.root / "reports" / "report.xlsx")
    rows = {row[0].value: row[1].value for sheet in sheets for row in sheet.iter_rows(max_col=2) if len(row) > 1}
    assert str(rows["decisions.batch_size"]) == "32"
