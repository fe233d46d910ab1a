"""medtui as delivered: the wheel, and an environment with its dependencies that cannot see the source tree."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest
from dockerfile import Dockerfile, read_dockerfile

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Installed:
    """The wheel, unpacked by pip into a separate folder, with an interpreter that has the dependencies only."""

    wheel: Path
    target: Path  # what pip made: packages, and bin/medtui
    environment: Path  # a virtual environment; its interpreter finds no medtui but by PYTHONPATH

    @property
    def python(self) -> Path:
        return self.environment / "bin" / "python"


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must succeed."""
    ended = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, f"{' '.join(map(str, command))}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="session")
def dockerfile() -> Dockerfile:
    return read_dockerfile(ROOT / "Dockerfile")


@pytest.fixture(scope="session")
def wheel(dockerfile: Dockerfile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy that holds what the Dockerfile's wheel stage copies, and nothing else."""
    source = tmp_path_factory.mktemp("source")
    for name, target in dockerfile.stage("wheel").copied():
        place = source / target / ("" if (ROOT / name).is_dir() else name)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, place, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            shutil.copy(ROOT / name, place)
    # with the build backend at hand no network is needed; without it pip fetches it, as it did to install medtui
    local = ["--no-build-isolation", "--no-index"] if importlib.util.find_spec("hatchling") else []
    made = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *local, "--wheel-dir", made, source, cwd=made)
    (found,) = made.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    environment = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=environment)
    paths = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (own,) = environment.glob("lib/python*/site-packages")
    # a path in a .pth file is searched, but its own .pth files are not read: no editable install is found through it
    (own / "dependencies.pth").write_text("\n".join(paths) + "\n")
    target = tmp_path_factory.mktemp("target")
    place = Installed(wheel, target, environment)
    install = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel)
    run(place.python, *install, cwd=environment)
    environment.chmod(0o755)
    for path in (target, *target.rglob("*")):  # a source tree that everybody may read and nobody write
        path.chmod(0o555 if path.is_dir() or path.parent.name == "bin" else 0o444)
    return place
