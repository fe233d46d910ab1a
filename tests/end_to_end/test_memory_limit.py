"""A real cgroup with little memory: doctor names the limit, and so does the sentence after the kernel's kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from driving import MEDTUI, PATIENCE, tiny, yaml_of

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


def enter(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Callable[[int], Callable[[], None]]]:
    """Makes a cgroup with so many bytes; what it gives moves the process that calls it in there."""
    made: list[Path] = []

    def make(size: int) -> Callable[[], None]:
        old = (V1 / "memory.limit_in_bytes").exists()
        group = (V1 if old else V2) / f"medtui-test-{os.getpid()}"
        try:
            group.mkdir()
            made.append(group)
            (group / ("memory.limit_in_bytes" if old else "memory.max")).write_text(str(size))
        except OSError as error:
            pytest.skip(f"cannot make a cgroup here: {error}")
        return lambda: enter(group)

    yield make
    for group in made:
        group.rmdir()


def run(entering: Callable[[], None], *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [*MEDTUI, *arguments]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE * 2, check=False, preexec_fn=entering
    )


@pytest.mark.slow
def test_doctor_shows_the_limit_of_a_job_and_where_it_comes_from(
    tmp_path: Path, limited: Callable[[int], Callable[[], None]]
) -> None:
    done = run(limited(1_400_000_000), "doctor", "--json", "--workspace", ".", cwd=tmp_path)
    checks = json.loads(done.stdout)["checks"]
    (memory,) = [check for check in checks if check["id"] == "memory"]
    assert memory["level"] == "warn" and "within memory." in memory["found"] and "1.4 GB" in memory["found"]
    assert "limit" in memory["remedy"]


@pytest.mark.slow
def test_a_run_killed_at_its_limit_names_the_limit_and_what_to_lower(
    tmp_path: Path, limited: Callable[[int], Callable[[], None]]
) -> None:
    big = tiny(dataset={"limit": 3000}, training={"batch_size": 3000, "epochs": 1})
    (tmp_path / "big.yaml").write_text(yaml_of(big))
    ended = run(limited(600_000_000), "run", "big.yaml", "--workspace", ".", "--json", cwd=tmp_path)
    error = json.loads(ended.stdout.splitlines()[-1])["error"]
    assert f"signal {signal.SIGKILL.value}" in error["message"], error
    assert "memory limit" in error["message"] and "0.6 GB" in error["message"]
    assert "training.batch_size" in error["hint"]
