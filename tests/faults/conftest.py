"""The kit's fixtures, for the everyday faults and the exhaustive ones."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from driving import tiny, yaml_of
from forked import Commands
from kit import Fault, ForkServer, new_run
from preloading import SHIM, library
from scenes import AT_WORK, BROKEN, DONE, OLD, SHORT, Scene, name_engine
from unexpected_entries import make_guarded

from engine.contract.store.run_directory import RunDirectory, list_runs


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    fork_server = ForkServer(library(SHIM))
    yield fork_server
    fork_server.close()


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    commands = Commands()
    yield commands
    commands.close()


@pytest.fixture(scope="module")
def live_process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that a run's status may name as its engine."""
    process = subprocess.Popen(["sleep", "3600"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("unexpected")


@pytest.fixture(scope="module")
def scene_fork_server(home: Path, fork_server: ForkServer) -> ForkServer:
    """Engines that keep their cache in the scene."""
    return fork_server.with_environment(MEDTUI_CACHE=str(home / "ours/cache"))


@pytest.fixture(scope="module")
def scene(home: Path, scene_fork_server: ForkServer, live_process: subprocess.Popen[bytes]) -> Scene:
    """A finished run, one that was killed, one that seems to be at work, and an archived one."""
    root = home / "ours"
    workspace, outputs = root / "workspace", root / "workspace/outputs"
    workspace.mkdir(parents=True)
    assert scene_fork_server.run(workspace, new_run(SHORT)).status == 0
    list_runs(outputs)[0].root.rename(outputs / DONE)
    killed = Fault("rename", "*/last.safetensors", 2, "kill")
    assert scene_fork_server.run(workspace, new_run(tiny()), fault=killed).status == -9
    broken = next(run.root for run in list_runs(outputs) if run.name != DONE).rename(outputs / BROKEN)
    (broken / "checkpoints/previous.safetensors").rename(broken / "checkpoints/last.safetensors")
    for run in (DONE, BROKEN):
        (outputs / run / "labels.json").write_text('{"tags": ["paper"], "note": ""}\n')
    shutil.copytree(broken, outputs / AT_WORK)
    name_engine(RunDirectory(outputs / AT_WORK), live_process.pid)
    shutil.copytree(broken, outputs / "archive" / OLD, ignore=shutil.ignore_patterns("*.safetensors"))
    (root / "cache/verified.json").write_text("{}")
    (root / "settings.yaml").write_text("theme: light\n")
    for folder in ("data", "home"):
        (root / folder).mkdir()
    (root / "data/breastmnist.npz").write_bytes(b"PK, as it were")
    (workspace / "tiny.yaml").write_text(yaml_of(SHORT))
    shutil.copytree(root, home / "pristine")
    return Scene(root, home / "pristine", make_guarded(home / "guarded", broken))
