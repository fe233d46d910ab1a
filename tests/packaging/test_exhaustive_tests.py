"""A test that is marked exhaustive is left out by `make test-all`: a target of the Makefile must run it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARKS = re.compile(r"\bmark\.(exhaustive|usual)\b")


def commands(target: str) -> str:
    """What make would run for it."""
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", target], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return "\n".join(line for line in done.stdout.replace("\\\n", " ").splitlines() if "--exhaustive" in line)


def test_every_exhaustive_test_is_run_by_make_faults_or_make_models() -> None:
    named = re.findall(r"tests/[\w/]+(?:\.py)?", commands("faults") + "\n" + commands("models"))
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []
    files = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if MARKS.search(path.read_text("utf-8"))]
    assert len(files) > 10
    run = [ROOT / name for name in named]
    assert [str(path) for path in files if path not in run and not set(path.parents) & set(run)] == []
