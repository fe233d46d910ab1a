"""The fault-injection kit: engines whose Nth write, fsync, rename or unlink fails or is their last, killed at any time.

`ForkServer.run` does one run with one fault. docs/reliability.md describes what to expect of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from engine.contract.store.journal import read_journal
from engine.contract.store.run_directory import RunDirectory, list_runs

HERE = Path(__file__).parent
ENOSPC, EIO = 28, 5


@dataclass(frozen=True)
class Fault:
    """The `nth` operation, from 1, of these (`write fsync rename unlink`) on files like `path`; 0 only counts."""

    on: str
    path: str
    nth: int = 0
    action: Literal["fail", "kill", "tear"] = "fail"
    errno: int = EIO


@dataclass(frozen=True)
class Ended:
    """How an engine ended: exit code, or minus the signal; operations that the fault's paths saw; seconds."""

    status: int
    count: int
    seconds: float


class ForkServer:
    """Engines of one parent process, one after the other."""

    def __init__(self, shim: Path | None) -> None:
        self.shim = shim
        self._more: dict[str, str] = {}
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "42"}
        if shim is not None:
            environment["LD_PRELOAD"] = str(shim)
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "fork_server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self._answer() == {"ready": True}

    def with_environment(self, **more: str) -> ForkServer:
        """The same server, for engines with these variables too."""
        other = copy(self)
        other._more = more
        return other

    def run(
        self,
        workspace: Path,
        start: dict[str, Any],
        *,
        fault: Fault | None = None,
        after: float | None = None,
        memory: int | None = None,
    ) -> Ended:
        """One engine's life. `after`: seconds until it is killed; `memory`: bytes that it may take."""
        if fault is not None and self.shim is None:
            pytest.skip("needs a C compiler and a preloading linker")
        request = {"workspace": str(workspace), "start": start, "after": after, "memory": memory}
        request["environment"] = self._more
        request["fault"] = vars(fault) if fault else None
        assert self._process.stdin is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return Ended(**self._answer())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the fork_server ended: {self._process.poll()}"
        return dict(json.loads(line))


def new_run(recipe: dict[str, Any]) -> dict[str, Any]:
    """The start command of a new run."""
    return {"job": "train", "recipe": recipe}


def go_on(run: RunDirectory, **fields: Any) -> dict[str, Any]:
    """The start command that resumes a run."""
    return {"job": "train", "resume": str(run.root), **fields}


def only_run(workspace: Path) -> RunDirectory:
    (run,) = list_runs(workspace / "outputs")
    return run


def results(run: RunDirectory) -> tuple[str, ...]:
    """What must be equal, byte for byte: best weights, last ones with all their state, history, classes, scores."""
    (scores,) = run.metrics.path.glob("*_test_*.csv")
    checkpoints = (hashlib.sha256(file.path.read_bytes()).hexdigest() for file in (run.best, run.last))
    tables = (run.metrics.path / name for name in ("history.csv", "per_class.csv"))
    return (*checkpoints, *(table.read_text() for table in tables), scores.read_text())


def line_of(run: RunDirectory, event: str, **fields: Any) -> int:
    """The number, from 1, of the first such line in a journal: the write that put it there.

    Log lines do not count: only the first run of a machine decodes the data and says so.
    """
    told = (event for event in read_journal(run.journal) if event.event != "log")
    for number, said in enumerate(told, start=1):
        if said.event == event and all(getattr(said, name) == value for name, value in fields.items()):
            return number
    raise AssertionError(f"no {event} with {fields}")
