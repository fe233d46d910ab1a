"""What a run will need is tried while it is prepared: refused in one sentence, with nothing left behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from driving import Engine, tiny

from engine.run.needs import compiler_error
from engine.sentences import Compiler


def refused(workspace: Path, recipe: dict[str, dict[str, object]], environment: dict[str, str]) -> dict[str, str]:
    """The error of a run that must not begin."""
    engine = Engine(workspace, environment=environment)
    try:
        engine.train(recipe)
        finished = engine.wait_for_event("run.finished")
        assert (engine.end(), finished["run_dir"]) == (2, None), finished
    finally:
        engine.kill()
    assert not [path for path in (workspace / "outputs").iterdir() if path.name[0] != "."]
    return dict(finished["error"])


@pytest.mark.slow
@pytest.mark.parametrize("package", ["matplotlib", "openpyxl"])
@pytest.mark.usual("openpyxl")
def test_a_broken_package_of_the_report_refuses_the_run_before_it_begins(tmp_path: Path, package: str) -> None:
    (tmp_path / "lib" / package).mkdir(parents=True)
    (tmp_path / "lib" / package / "__init__.py").write_text("raise RuntimeError('damaged by hand')\n")
    error = refused(tmp_path, tiny(), {"PYTHONPATH": str(tmp_path / "lib")})
    assert "damaged by hand" in error["message"] and "pip install" in error["hint"]
    assert "Internal" not in error["message"] and "run.log" not in error["hint"]


@pytest.mark.exhaustive  # in `make test-all`: the notebook of test_callers_environment.py
def test_a_notebooks_backend_does_not_keep_figures_from_being_drawn(tmp_path: Path) -> None:
    engine = Engine(tmp_path, environment={"MPLBACKEND": "module://matplotlib_inline.no_such_backend"})
    try:
        engine.train(tiny(training={"epochs": 1}))
        assert engine.end() == 0
    finally:
        engine.kill()
    assert not engine.of("alarm")
    assert list((tmp_path / "outputs").glob("*/figures/roc.png"))


# ---- the compiler of training.compile --------------------------------------------------------------------------------

COMPILED = tiny(training={"compile": True, "epochs": 1})


@pytest.fixture
def noexec(disk: Callable[[str], Path]) -> Path:
    return disk("noexec,size=600m")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["none in PATH", "CXX names none", "one that fails"])
@pytest.mark.usual("none in PATH")
def test_compiling_without_a_compiler_is_refused_before_the_run_begins(tmp_path: Path, how: str) -> None:
    (tmp_path / "bin").mkdir()
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    environment = {
        "none in PATH": {"PATH": str(tmp_path / "bin")},
        "CXX names none": {"CXX": "/no/such/compiler"},
        "one that fails": {"CXX": shutil.which("false") or "/bin/false"},
    }[how]
    error = refused(tmp_path, COMPILED, environment | cache)
    assert error["kind"] == "device" and "training.compile" in error["message"]
    assert "g++" in error["hint"] and "training.compile: false" in error["hint"]
    assert "TORCHDYNAMO" not in error["message"] + error["hint"]


def test_the_remedy_of_a_library_that_cannot_be_mapped_names_the_folders_to_change() -> None:
    error = compiler_error(ImportError("/tmp/torchinductor/c.so: failed to map segment from shared object"))
    assert error.code == Compiler.CANNOT_LOAD.code
    assert all(words in error.hint for words in ("noexec", "TORCHINDUCTOR_CACHE_DIR", "training.compile: false"))


@pytest.mark.exhaustive  # every day: the test above, and a compiler that is missing
def test_compiling_into_a_folder_without_programs_is_refused_before_the_run_begins(
    tmp_path: Path, noexec: Path
) -> None:
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    where = {"TMPDIR": str(noexec), "TORCHINDUCTOR_CACHE_DIR": str(noexec / "cache")}
    error = refused(tmp_path, COMPILED, where)
    assert "noexec" in error["hint"] and "TORCHINDUCTOR_CACHE_DIR" in error["hint"]
