"""Fresh interpreters: the cost of a start is measured from outside, or by the child itself after its imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.rows import Effort, Row
from medtui.client.engine_process import ENVIRONMENT

ROOT = Path(__file__).resolve().parents[1]
MEDTUI = [sys.executable, "-P", "-c", "from medtui.cli import main; main()"]
PATIENCE = 300.0  # seconds
T = TypeVar("T")


def apart(work: Callable[..., T], *arguments: Any) -> T:
    """A call in a fresh process with an engine's environment: none inherits another's memory, threads or caches."""
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=_as_an_engine) as process:
        return process.submit(work, *arguments).result()


def _as_an_engine() -> None:
    """Before OpenMP is loaded, which reads its settings then."""
    os.environ.update({**ENVIRONMENT, **os.environ})


def measured(name: str, effort: Effort) -> list[Row]:
    """The rows of one measurement."""
    rows: list[Row] = import_module(f"benchmarks.{name}").measure(effort)
    return rows


def environment() -> dict[str, str]:
    """An engine's environment, with this project first on the path. `$MEDTUI_CACHE` is the caller's, who empties it."""
    return {**ENVIRONMENT, **os.environ, "PYTHONPATH": str(ROOT)}


def wall(arguments: list[str], environment: dict[str, str], code: int = 0) -> float:
    """Seconds until the interpreter with these arguments has ended. Raises when it ends with another exit code."""
    began = time.perf_counter()
    errors = subprocess.DEVNULL if code else None  # an expected failure need not be shown
    done = subprocess.run(
        arguments, env=environment, stdout=subprocess.DEVNULL, stderr=errors, check=False, timeout=PATIENCE
    )
    taken = time.perf_counter() - began
    if done.returncode != code:
        raise RuntimeError(f"{arguments} ended with {done.returncode}, expected {code}")
    return taken


def ask(module: str, *arguments: str | Path, environment: dict[str, str]) -> dict[str, Any]:
    """What `python -m benchmarks.MODULE …` prints as its last line of JSON. Raises when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        timeout=PATIENCE,
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
