"""The batch script of docs/clusters.md, run as written there, with fakes of Slurm's commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from driving import PATIENCE, json_lines, tiny, yaml_of

from engine.contract.store.run_directory import list_runs
from engine.contract.store.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
RECIPE = tiny(training={"epochs": 2000, "batch_size": 8, "patience": None})
SRUN = """#!/bin/bash
# A job step: runs the command; when a checkpoint is there, warns every process of the step as `--signal=USR1` does.
echo "srun $*" >> "$SLURM_LOG"
[ -n "$SLURM_RESTART_COUNT" ] && exit 0
"$@" & step=$!
until compgen -G "$MEDTUI_WORKSPACE/outputs/*/checkpoints/best.safetensors" > /dev/null; do sleep 0.1; done
engine=$(cat "$MEDTUI_WORKSPACE"/outputs/*/status.json | grep -o '"pid":[0-9]*' | cut -d: -f2)
kill -USR1 "$step" "$engine"
wait "$step"
"""


def test_the_documented_batch_script_checkpoints_requeues_and_resumes(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```bash\n(#!/bin/bash\n.*?)```", text, re.DOTALL)
    assert "#SBATCH --signal=USR1@180" in script and "#SBATCH --requeue" in script
    programs = {
        "srun": SRUN,
        "scontrol": '#!/bin/bash\necho "scontrol $*" >> "$SLURM_LOG"\n',
        "medtui": f'#!/bin/bash\nexec {sys.executable} -c "from medtui.cli import main; main()" "$@"\n',
    }
    for name, program in programs.items():
        (tmp_path / name).write_text(program)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "tiny.yaml").write_text(yaml_of(RECIPE))
    work = tmp_path / "work"
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SLURM_JOB_ID": "4711",
        "SLURM_LOG": str(tmp_path / "slurm.log"),
        "MEDTUI_WORKSPACE": str(work),
        "RECIPE": str(tmp_path / "tiny.yaml"),
    }
    command = ["bash", "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 7, done.stdout + done.stderr
    (run,) = list_runs(Workspace(work).outputs)
    finished = [event for event in json_lines(run.journal.path.read_text()) if event["event"] == "run.finished"]
    assert [event["outcome"] for event in finished] == ["aborted"]  # answers to what came too late may follow it
    again = subprocess.run(
        command, env={**environment, "SLURM_RESTART_COUNT": "1"}, capture_output=True, timeout=PATIENCE, check=False
    )
    assert again.returncode == 0
    assert (tmp_path / "slurm.log").read_text().splitlines() == [
        f"srun medtui run {tmp_path}/tiny.yaml --workspace {work}",
        "scontrol requeue 4711",
        f"srun medtui run --resume last --workspace {work}",
    ]
