"""The environment of the caller is for the caller's programs: medtui and its engine are as they are installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from driving import PATIENCE, json_lines, medtui, tiny, yaml_of

# As the console script is run: its own folder stands first on the path, not the current one.
SCRIPT = "import sys\nfrom medtui.cli import main\nsys.exit(main())\n"
ROOT = Path(__file__).resolve().parents[2]
IN_THE_WAY = "raise SystemExit('a file of the caller was imported')\n"
COMMON_NAMES = ("engine", "yaml", "torch", "numpy", "psutil", "typer", "rich", "pydantic", "queue", "random", "csv")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/medtui").write_text(SCRIPT)
    return tmp_path / "bin/medtui"


def run_script(script: Path, *arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, script, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(yaml_of(tiny(training={"epochs": 1})))
    return tmp_path / "tiny.yaml"


@pytest.fixture
def of_the_caller(tmp_path: Path) -> Path:
    folder = tmp_path / "lib"
    folder.mkdir()
    for name in COMMON_NAMES:
        (folder / f"{name}.py").write_text(IN_THE_WAY)
    return folder


def assert_complete(done: subprocess.CompletedProcess[str], workspace: Path) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    assert json_lines(done.stdout)[-1]["outcome"] == "completed"
    (run,) = [folder for folder in (workspace / "outputs").iterdir() if folder.is_dir()]
    assert list((run / "figures").glob("*.png")), "the figures are drawn"
    assert list((run / "reports").iterdir())


@pytest.mark.slow
def test_a_callers_file_in_pythonpath_replaces_none_of_our_modules(
    tmp_path: Path, script: Path, recipe: Path, of_the_caller: Path
) -> None:
    path = {"PYTHONPATH": f"{of_the_caller}{os.pathsep}{ROOT}"}
    done = run_script(script, "run", recipe, "--json", "--workspace", tmp_path, cwd=tmp_path, **path)
    assert_complete(done, tmp_path)
    for command in (("--help",), ("runs",), ("recipe", "validate", recipe)):
        done = run_script(script, *command, cwd=tmp_path, **path)
        assert (done.returncode, done.stderr) == (0, ""), command


@pytest.mark.parametrize("value", [":/nonexistent", "/nonexistent:", "::"])
@pytest.mark.usual(":/nonexistent")
def test_an_empty_part_of_pythonpath_does_not_add_the_current_folder(
    tmp_path: Path, script: Path, of_the_caller: Path, value: str
) -> None:
    done = run_script(script, "doctor", cwd=of_the_caller, PYTHONPATH=f"{value}{os.pathsep}{ROOT}")
    assert "caller" not in done.stderr + done.stdout
    assert "torch" in next(line for line in done.stdout.splitlines() if " engine " in line)


def test_what_is_installed_nowhere_else_still_comes_from_pythonpath(tmp_path: Path, script: Path) -> None:
    """As torch does where a cluster's modules provide it."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/of_a_cluster.py").write_text("")
    probe = "import importlib.util as u, sys; from medtui.isolation import isolate; isolate(); "
    probe += "from medtui.isolation import engine_environment as e; "
    probe += "print(u.find_spec('of_a_cluster').origin, e()['MEDTUI_PYTHONPATH'])"
    path = f"{tmp_path / 'modules'}{os.pathsep}{ROOT}"
    done = subprocess.run(
        [sys.executable, "-P", "-c", probe],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(tmp_path / "modules/of_a_cluster.py"), str(tmp_path / "modules")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [
        {
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "MATPLOTLIBRC": "latin1rc",
            "PYTHONSTARTUP": "/nonexistent",
        },
        {"PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2", "PYTHONDEVMODE": "1", "MPLBACKEND": "nonsense"},
        {"MATPLOTLIBRC": "latin1rc", "PYTHONSTARTUP": "/nonexistent", "MPLBACKEND": ""},
    ],
    ids=["notebook", "strict interpreter", "settings of matplotlib"],
)
@pytest.mark.usual("notebook", "strict interpreter")
def test_a_run_is_complete_whatever_the_settings_of_python_and_matplotlib(
    tmp_path: Path, recipe: Path, variables: dict[str, str]
) -> None:
    (tmp_path / "latin1rc").write_bytes(b"font.family: caf\xe9\n")
    done = medtui("run", recipe, "--json", "--workspace", tmp_path, cwd=tmp_path, environment=variables)
    assert_complete(done, tmp_path)


def from_nowhere(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    gone = 'mkdir "$0/gone"; cd "$0/gone"; rmdir "$0/gone"; exec "$@"'
    program = [sys.executable, "-P", "-c", "from medtui.cli import main; main()"]
    command = ["bash", "-c", gone, str(folder), *program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.mark.slow
def test_from_a_removed_folder_medtui_trains_as_from_any(tmp_path: Path, recipe: Path) -> None:
    assert_complete(from_nowhere(tmp_path, "run", recipe, "--json", "--workspace", tmp_path), tmp_path)
    assert from_nowhere(tmp_path, "runs", "--workspace", tmp_path).returncode == 0
    assert from_nowhere(tmp_path, "doctor", "--workspace", tmp_path).returncode == 0


OTHER_COMMANDS = (("doctor",), ("run", "quickstart"), ("show",), ("data", "list"), ("stop", "last"))


@pytest.mark.parametrize("command", [("runs",), *(pytest.param(one, marks=pytest.mark.slow) for one in OTHER_COMMANDS)])
def test_a_removed_folder_is_no_workspace(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = from_nowhere(tmp_path, *command)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "medtui: The current folder no longer exists. cd to one that does, or pass --workspace.\n"


@pytest.mark.slow
def test_relative_paths_are_below_the_folder_in_which_the_run_is_started(
    tmp_path: Path, stand_in: dict[str, list[str]]
) -> None:
    archive = Path(stand_in["bloodmnist"][1].partition("=")[2])
    here = tmp_path / "study"
    here.mkdir()
    (here / "mine.npz").write_bytes(archive.read_bytes())
    settings = ["--set", "dataset.archive=mine.npz", *stand_in["bloodmnist"][2:], "--set", "model.name=mini_cnn"]
    settings += ["--set", "training.epochs=1", "--set", "evaluation.tta=false", "--set", "training.warmup_epochs=0"]
    (tmp_path / "ws").mkdir()
    own = {"MEDTUI_CACHE": "cache"}
    done = medtui("run", *settings, "--json", "--workspace", "../ws", cwd=here, environment=own)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (here / "cache/arrays").is_dir()
    assert not (tmp_path / "ws/cache").exists()


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom", "/dev/full"])
def test_a_device_on_pythonpath_is_not_read(device: str, script: Path, tmp_path: Path) -> None:
    """Whoever lists installed packages takes an entry that is no folder for an archive, and these have no end."""
    (tmp_path / "ws").mkdir()
    done = run_script(script, "runs", "--workspace", tmp_path / "ws", cwd=tmp_path, PYTHONPATH=device)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
