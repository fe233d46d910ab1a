"""What a job may use of the machine decides what its engine uses: cores, threads, memory."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from driving import MEDTUI, PATIENCE, tiny, yaml_of

CGROUPS = Path("/sys/fs/cgroup")
UNASKED = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
MANY = tiny(runtime={"threads": None})
ONE_CORE = {"cpu.cfs_quota_us": "100000", "cpu.cfs_period_us": "100000", "cpu.max": "100000 100000"}

pytestmark = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core: every limit on cores is the same")


@pytest.fixture
def cgroup() -> Iterator[Callable[[str, dict[str, str]], Callable[[], None]]]:
    """Makes a cgroup with these limits; what it gives moves the process that calls it in there."""
    made: list[Path] = []

    def make(controller: str, limits: dict[str, str]) -> Callable[[], None]:
        v1 = CGROUPS / controller
        group = (v1 if v1.is_dir() else CGROUPS) / f"medtui-job-{os.getpid()}"
        try:
            group.mkdir()
            made.append(group)
            for name, value in limits.items():
                if (group / name).exists():
                    (group / name).write_text(value)
            assert any((group / name).exists() for name in limits)
        except (OSError, AssertionError) as error:
            pytest.skip(f"cannot limit a cgroup here: {error}")
        return lambda: (group / "cgroup.procs").write_text(str(os.getpid())) and None

    yield make
    for group in made:
        deadline = time.monotonic() + 10
        while (group / "cgroup.procs").read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        group.rmdir()


def started(
    workspace: Path, recipe: dict[str, Any], enter: Callable[[], object] = lambda: None, **environment: str
) -> dict[str, Any]:
    """Of a run that is ended as soon as it has begun."""
    (workspace / "recipe.yaml").write_text(yaml_of(recipe))
    kept = {name: value for name, value in os.environ.items() if name not in UNASKED}
    process = subprocess.Popen(
        [*MEDTUI, "run", "recipe.yaml", "--json"],
        cwd=workspace,
        env={**kept, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=enter,
    )
    try:
        assert process.stdout is not None and process.stderr is not None
        event: dict[str, Any] = {}
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "run.started":
                process.send_signal(signal.SIGTERM)
                break
        process.stdout.read()
        process.wait(PATIENCE)
        assert event.get("event") == "run.started", (event, process.stderr.read())
        return event
    finally:
        process.kill()
        process.wait()


def threads(event: dict[str, Any]) -> int:
    """As torch answers when it was asked after they were set."""
    found: int = event["resolved"]["threads"]
    return found


@pytest.mark.slow
def test_without_a_limit_there_is_a_thread_for_every_core(tmp_path: Path) -> None:
    physical = psutil.cpu_count(logical=False) or 1
    assert threads(started(tmp_path, MANY)) in {physical, len(os.sched_getaffinity(0))}


@pytest.mark.slow
def test_an_engine_that_is_bound_to_one_core_has_one_thread(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    assert threads(started(tmp_path, MANY, lambda: os.sched_setaffinity(0, {core}))) == 1


@pytest.mark.slow
def test_an_engine_in_a_container_with_a_quota_of_one_core_has_one_thread(
    tmp_path: Path, cgroup: Callable[[str, dict[str, str]], Callable[[], None]]
) -> None:
    """The quota, not the number of cores that it sees."""
    assert threads(started(tmp_path, MANY, cgroup("cpu", ONE_CORE))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", ["1", "3"])
@pytest.mark.usual("3")
def test_omp_num_threads_gives_an_engine_the_threads_that_torch_makes_of_it(number: str, tmp_path: Path) -> None:
    """No more than there are cores, where MKL sees to that."""
    command = [sys.executable, "-c", "import torch; print(torch.get_num_threads())"]
    torch = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": number}, capture_output=True, text=True, check=True
    )
    assert threads(started(tmp_path, MANY, OMP_NUM_THREADS=number)) == int(torch.stdout) <= int(number)


@pytest.mark.slow
def test_omp_num_threads_is_the_user_s_word_against_a_quota(
    tmp_path: Path, cgroup: Callable[[str, dict[str, str]], Callable[[], None]]
) -> None:
    assert threads(started(tmp_path, MANY, cgroup("cpu", ONE_CORE), OMP_NUM_THREADS="2")) == 2


@pytest.mark.slow
def test_a_recipe_s_threads_come_before_every_limit(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    two = tiny(runtime={"threads": 2})
    assert threads(started(tmp_path, two, lambda: os.sched_setaffinity(0, {core}), OMP_NUM_THREADS="1")) == 2


def zeros(path: Path, images: int) -> str:
    """BreastMNIST at 224 px in official layout, with so many black training images; its MD5."""
    counts = {"train": images, "val": 4, "test": 4}
    arrays: dict[str, np.ndarray] = {}
    for split, count in counts.items():
        arrays[f"{split}_images"] = np.zeros((count, 224, 224), np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count) % 2).astype(np.uint8)[:, None]
    np.savez_compressed(path, **arrays)
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_images_that_a_job_s_memory_cannot_hold_are_mapped_though_the_machine_could(
    tmp_path: Path, cgroup: Callable[[str, dict[str, str]], Callable[[], None]]
) -> None:
    """400 MB of images: more than half of what a job of 900 MB has left, a fraction of what the machine has."""
    if psutil.virtual_memory().available < 2_000_000_000:
        pytest.skip("this machine has less than 2 GB free itself")
    enter = cgroup("memory", {"memory.limit_in_bytes": "900000000", "memory.max": "900000000"})
    archive = tmp_path / "mine.npz"
    dataset = {"name": "breastmnist", "size": 224, "archive": str(archive), "md5": zeros(archive, 8000), "limit": None}
    environment = {"MEDTUI_CACHE": str(tmp_path / "cache")}
    recipe = tiny(dataset=dataset, evaluation={"test": False})
    assert started(tmp_path, recipe, enter, **environment)["resolved"]["storage"] == "mapped"
    assert started(tmp_path, recipe, **environment)["resolved"]["storage"] == "ram"
