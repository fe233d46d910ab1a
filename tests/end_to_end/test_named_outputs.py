"""What a user names as an output never costs what is there, and what nobody can be asked is not asked."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from driving import MEDTUI, medtui, tiny, yaml_of


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With two runs of different weights."""
    folder: Path = tmp_path_factory.mktemp("named_outputs")
    for seed in (1, 2):
        (folder / f"{seed}.yaml").write_text(yaml_of(tiny(training={"epochs": 1, "seed": seed})))
        assert medtui("run", f"{seed}.yaml", cwd=folder).returncode == 0
    return folder


def test_an_export_replaces_no_checkpoints_of_any_run(workspace: Path) -> None:
    runs = sorted(path.parent for path in (workspace / "outputs").glob("*/manifest.json"))
    assert len(runs) == 2
    for run in runs:
        checkpoints = run / "checkpoints"
        before = {path.name: sha256(path) for path in checkpoints.iterdir() if path.is_file()}
        done = medtui("export", "last", "--format", "bundle", "-o", checkpoints, "--force", cwd=workspace)
        assert done.returncode != 0 and "is not an exported model" in done.stderr, done.stderr
        assert {path.name: sha256(path) for path in checkpoints.iterdir() if path.is_file()} == before


def test_an_export_follows_no_link(workspace: Path) -> None:
    (workspace / "link").symlink_to("nowhere")
    for more in ((), ("--force",)):
        done = medtui("export", "last", "--format", "bundle", "-o", "link", *more, cwd=workspace)
        assert done.returncode != 0 and "link is not a folder" in done.stderr, done.stderr
    assert not (workspace / "nowhere").exists()
    assert (workspace / "link").readlink() == Path("nowhere")


def test_an_import_makes_the_folder_of_data_set_files(workspace: Path, tmp_path: Path) -> None:
    made = medtui("data", "synth", "breastmnist", "--limit", "20", "-o", "images.npz", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    environment = os.environ | {"HOME": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    done = medtui("data", "import", "images.npz", cwd=tmp_path, environment=environment)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "home" / ".medmnist").glob("*.npz"))


@pytest.mark.parametrize(
    "words", [("predict", "last", "-"), ("runs", "delete", "last"), ("runs", "prune"), ("data", "prune")], ids=" ".join
)
def test_without_a_standard_input_nobody_is_asked_and_nothing_goes(workspace: Path, words: tuple[str, ...]) -> None:
    before = sorted(workspace.rglob("*"))
    closed = subprocess.run(
        ["bash", "-c", '"$@" <&-', "bash", *MEDTUI, *words], cwd=workspace, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in closed.stderr and "internal" not in closed.stderr.lower(), closed.stderr
    assert closed.returncode in (0, 2), closed.stderr  # 0: there is nothing to prune
    assert sorted(workspace.rglob("*")) == before
