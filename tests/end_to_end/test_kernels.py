"""Other CPU kernels round the last bits differently: a strict run refuses them, any other one warns and continues."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from driving import Engine, tiny

from engine.contract.store.run_directory import RunDirectory

PLAIN = {"ATEN_CPU_CAPABILITY": "default"}  # ATen without vector kernels
NAME = "CPU capability"

pytestmark = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() == "DEFAULT", reason="this CPU has no other kernels than the plain ones"
)


def aborted_run(workspace: Path, environment: dict[str, str] | None = None, **runtime: Any) -> RunDirectory:
    """A run that was paused at its first batch and aborted. `runtime`: of its recipe."""
    engine = Engine(workspace, environment=environment)
    engine.train(tiny(runtime=runtime, evaluation={"test": False}))
    engine.send("pause", id="p")
    run = RunDirectory(Path(engine.wait_for_event("run.started")["run_dir"]))
    engine.wait_for_phase("paused")
    engine.send("abort", id="a")
    assert engine.end() == 7
    return run


def resumed(run: RunDirectory, environment: dict[str, str], **fields: Any) -> tuple[Engine, dict[str, Any]]:
    engine = Engine(run.root.parent.parent, environment=environment)
    engine.send("start", id="start", job="train", resume=str(run.root), **fields)
    finished = engine.wait_for_event("run.finished")
    engine.end()
    return engine, finished


def newest_attempt(run: RunDirectory) -> dict[str, Any]:
    attempt: dict[str, Any] = json.loads(run.manifest.path.read_text())["attempts"][-1]
    return attempt


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("strict")
    aborted_run(workspace, reproducible=True)
    return workspace


def copy_of(workspace: Path, folder: Path) -> RunDirectory:
    shutil.copytree(workspace, folder, dirs_exist_ok=True)
    (run,) = (entry for entry in (folder / "outputs").iterdir() if entry.is_dir())
    return RunDirectory(run)


@pytest.mark.slow
def test_a_strict_run_refuses_to_resume_with_other_kernels(strict: Path, tmp_path: Path) -> None:
    run = copy_of(strict, tmp_path)
    _, refused = resumed(run, PLAIN)
    assert (refused["exit_code"], refused["error"]["kind"]) == (2, "drift")
    found = torch.backends.cpu.get_cpu_capability()
    assert f"{NAME} {found} → DEFAULT" in refused["error"]["message"]


@pytest.mark.slow
def test_a_strict_run_resumes_with_other_kernels_where_drift_is_allowed(strict: Path, tmp_path: Path) -> None:
    run = copy_of(strict, tmp_path)
    _, allowed = resumed(run, PLAIN, allow_drift=True)
    assert allowed["outcome"] == "completed"
    assert any(NAME in change for change in json.loads(run.manifest.path.read_text())["drift"])


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["ONEDNN_MAX_CPU_ISA=SSE41", "DNNL_MAX_CPU_ISA=SSE41", "MKL_CBWR=COMPATIBLE"])
@pytest.mark.usual("MKL_CBWR=COMPATIBLE")
def test_a_limit_set_by_the_environment_counts_as_a_kernel_change(variable: str, strict: Path, tmp_path: Path) -> None:
    name, _, value = variable.partition("=")
    _, refused = resumed(copy_of(strict, tmp_path), {name: value})
    assert refused["exit_code"] == 2 and f"none → {variable}" in refused["error"]["message"]


@pytest.mark.slow
def test_a_non_strict_run_resumes_with_a_warning_and_its_results_are_not_marked(tmp_path: Path) -> None:
    run = aborted_run(tmp_path, reproducible=False)
    recorded = json.loads(run.manifest.path.read_text())["hardware"]["kernels"]
    assert recorded[NAME] == torch.backends.cpu.get_cpu_capability()
    engine, finished = resumed(run, PLAIN)
    assert finished["outcome"] == "completed"
    (warning,) = [event["message"] for event in engine.of("log") if NAME in event["message"]]
    assert "not strict" in warning
    attempt = newest_attempt(run)
    assert [NAME in change for change in attempt["noted"]] == [True]
    assert attempt["drift"] == [] and engine.of("run.started")[0]["drift"] == []


def test_a_run_of_a_medtui_that_recorded_no_kernels_has_not_drifted(strict: Path, tmp_path: Path) -> None:
    run = copy_of(strict, tmp_path)
    manifest = json.loads(run.manifest.path.read_text())
    recorded = manifest["attempts"][0]["must_match"]
    removed = [name for name in recorded if name.startswith(("CPU", "oneDNN"))]
    assert len(removed) == 4
    for name in removed:
        del recorded[name]
    run.manifest.path.write_text(json.dumps(manifest))
    _, finished = resumed(run, {})
    assert finished["outcome"] == "completed"
    assert json.loads(run.manifest.path.read_text())["drift"] == []


@pytest.mark.slow
def test_a_non_strict_run_resumes_with_its_threads_on_a_machine_with_other_cores(tmp_path: Path) -> None:
    """Torch would choose others there; the recorded ones give the same bits."""
    run = aborted_run(tmp_path, {"OMP_NUM_THREADS": "1"}, threads=None)
    assert newest_attempt(run)["must_match"]["threads"] == 1
    _, finished = resumed(run, {"OMP_NUM_THREADS": "2"})
    assert finished["outcome"] == "completed", finished
    attempt = newest_attempt(run)
    assert (attempt["must_match"]["threads"], attempt["drift"], attempt["noted"]) == (1, [], [])


def test_a_requeue_on_a_machine_without_those_threads_warns_and_continues(tmp_path: Path) -> None:
    run = aborted_run(tmp_path, reproducible=False)
    manifest = json.loads(run.manifest.path.read_text())
    manifest["attempts"][-1]["must_match"]["threads"] = 4000
    run.manifest.path.write_text(json.dumps(manifest))
    engine, finished = resumed(run, {})
    assert finished["outcome"] == "completed", finished
    assert newest_attempt(run)["noted"] == ["threads 4000 → 1"]
    assert any("threads 4000 → 1" in event["message"] for event in engine.of("log"))
