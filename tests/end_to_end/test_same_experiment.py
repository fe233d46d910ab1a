"""What the machine chose, written out by hand, is the same experiment: by real runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from driving import medtui, tiny, yaml_of

SMALL = {"dataset": {"limit": 24}, "training": {"epochs": 1, "batch_size": 8}}


def started(folder: Path, name: str, recipe: dict[str, Any]) -> dict[str, Any]:
    (folder / f"{name}.yaml").write_text(yaml_of(recipe))
    done = medtui("run", f"{name}.yaml", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    (event,) = [event for event in map(json.loads, done.stdout.splitlines()) if event["event"] == "run.started"]
    return dict(event)


def test_automatic_and_explicit_equal_values_share_a_hash(tmp_path: Path) -> None:
    left_open = started(tmp_path, "left_open", tiny(**SMALL, evaluation={"tta": True}))
    found = left_open["resolved"]
    written_out = tiny(
        dataset=SMALL["dataset"],
        model={"pretrained": False},
        training=SMALL["training"] | {"amp": found["precision"] != "float32"},
        augmentation={"hflip": found["hflip"]},
        evaluation={"tta": len(found["views"]) > 1},
        runtime={"device": found["device"], "threads": 2},
    )
    same = started(tmp_path, "written_out", written_out)
    assert same["recipe_hash"] != left_open["recipe_hash"]
    assert same["resolved_hash"] == left_open["resolved_hash"]
    written_out["evaluation"] = {"tta": False}
    other = started(tmp_path, "fewer_views", written_out)
    assert other["resolved"]["views"] == ["identity"]
    assert other["resolved_hash"] != left_open["resolved_hash"]

    runs = json.loads(medtui("runs", "--json", cwd=tmp_path).stdout)
    assert [run["resolved_hash"] for run in runs] == [event["resolved_hash"] for event in (left_open, same, other)]
    manifest = json.loads((Path(left_open["run_dir"]) / "manifest.json").read_text())
    assert (manifest["resolved"], manifest["resolved_hash"]) == (found, left_open["resolved_hash"])
    shown = medtui("show", other["resolved_hash"][:8], "--json", cwd=tmp_path)
    assert json.loads(shown.stdout)["run"] == other["run"]
