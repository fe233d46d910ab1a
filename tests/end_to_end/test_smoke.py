"""`medtui smoke`: the complete pipeline in half a minute, and nothing left behind."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from driving import medtui

pytestmark = pytest.mark.cold  # the pipeline as a user's first command starts it


def processor_seconds() -> float:
    """Of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.slow
def test_the_complete_pipeline_works_within_90_seconds_and_leaves_nothing(tmp_path: Path) -> None:
    temporary, home = tmp_path / "tmp", tmp_path / "home"
    temporary.mkdir(), home.mkdir()
    began = processor_seconds()
    done = medtui("smoke", cwd=home, environment={"TMPDIR": str(temporary)})
    assert done.returncode == 0, done.stderr
    assert processor_seconds() - began < 90, "of work: a machine with nothing else to do takes no longer"
    words = ("engine started", "trained 2 epochs", "test split evaluated", "artifacts written", "identical results")
    assert [word for word in words if word not in done.stdout] == []
    assert list(temporary.iterdir()) == [] and list(home.iterdir()) == []


@pytest.mark.slow
def test_a_machine_without_a_writable_folder_is_reported(tmp_path: Path) -> None:
    done = medtui("smoke", cwd=tmp_path, environment={"MEDTUI_CACHE": "/proc/nowhere"})
    assert done.returncode != 0
    assert "Everything works" not in done.stdout and "/proc/nowhere" in done.stderr
