"""Whatever replaces a run's file, and whatever happens to the output, no command hangs or prints a traceback."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from driving import MEDTUI, json_lines, medtui, tiny, yaml_of


@pytest.mark.parametrize("name", ["events.jsonl", "manifest.json", "status.json", "control.jsonl"])
def test_no_command_waits_for_a_pipe_in_the_place_of_a_run_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml_of(tiny(training={"epochs": 1})))
    done = medtui("run", "tiny.yaml", "--json", cwd=tmp_path)
    run = Path(json_lines(done.stdout)[-1]["run_dir"])
    (run / name).unlink()
    os.mkfifo(run / name)
    for command in (("runs",), ("show", str(run)), ("run", "--resume", str(run)), ("stop", str(run))):
        said = medtui(*command, cwd=tmp_path)  # a command that waits is ended, and raises
        assert "Traceback" not in said.stdout + said.stderr


def test_closed_full_or_ascii_only_output_causes_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml_of(tiny(training={"epochs": 1})))
    assert medtui("run", "tiny.yaml", cwd=tmp_path).returncode == 0
    medtui_ = shlex.join(MEDTUI)
    for line, code in (
        (f"{medtui_} runs >&-", 0),
        (f"PYTHONIOENCODING=ascii {medtui_} show last", 0),
        (f"{medtui_} show last --json > /dev/full", 2),
        (f"{medtui_} runs note last $'\\xff\\xfe'", 2),
    ):
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), (line, done.stderr)
