"""The batch scripts of docs/clusters.md, run as written there, with stand-ins of the schedulers' commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
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

PROGRAM = f'#!/bin/bash\nexec {sys.executable} -c "from medtui.cli import main; main()" "$@"\n'


def documented(directive: str) -> str:
    """The only script with directives of this scheduler."""
    text = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
    scripts = re.findall(r"```bash\n(#!/bin/bash\n.*?)```", text, re.DOTALL)
    (script,) = [one for one in scripts if f"#{directive} " in one]
    return str(script)


def install(folder: Path, programs: dict[str, str]) -> None:
    for name, program in programs.items():
        (folder / name).write_text(program)
        (folder / name).chmod(0o755)


@pytest.mark.slow
def test_the_documented_batch_script_checkpoints_requeues_and_resumes(tmp_path: Path) -> None:
    script = documented("SBATCH")
    assert "#SBATCH --signal=USR1@180" in script and "#SBATCH --requeue" in script
    programs = {
        "srun": SRUN,
        "scontrol": '#!/bin/bash\necho "scontrol $*" >> "$SLURM_LOG"\n',
        "medtui": PROGRAM,
    }
    install(tmp_path, programs)
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


QSUB = """#!/bin/bash
# As qsub: takes `-v NAME=VALUE,...` and a script, remembers both, and says the number of the job.
[ "$1" = -v ] || exit 2
echo "$2" >> "$SPOOL/jobs"
cp "$3" "$SPOOL/script"
echo "$(wc -l < "$SPOOL/jobs").server"
"""
# As timeout, for a clock that is over once there is a checkpoint; the second job's time is enough
TIMEOUT = """#!/bin/bash
[ "$1 $2" = "--preserve-status --signal=USR2" ] || exit 2
shift 3
[ -e "$SPOOL/warned" ] && exec "$@"
touch "$SPOOL/warned"
"$@" & child=$!
until compgen -G "$PBS_O_WORKDIR/jobs/*/outputs/*/checkpoints/best.safetensors" > /dev/null; do sleep 0.1; done
kill -USR2 "$child"
wait "$child"
"""
# Seconds of training, of which the warning comes in the first; no figures of a test split, which take as long as it
SHORT = tiny(training={"epochs": 15, "batch_size": 8, "patience": None}, evaluation={"test": False})


def test_timeout_passes_on_the_exit_code_after_the_signal_that_it_is_asked_for() -> None:
    """As coreutils have it; the script for PBS depends on it."""
    command = ["timeout", "--preserve-status", "--signal=USR2", "0.3"]
    child = ["bash", "-c", "trap 'exit 7' USR2; sleep 30 & wait"]
    assert subprocess.run([*command, *child], timeout=PATIENCE, check=False).returncode == 7


@pytest.mark.slow
def test_the_documented_script_of_pbs_is_warned_in_time_and_submits_the_next_job(tmp_path: Path) -> None:
    install(tmp_path, {"qsub": QSUB, "timeout": TIMEOUT, "medtui": PROGRAM})
    for folder in ("spool", "submitted"):
        (tmp_path / folder).mkdir()
    script = tmp_path / "submitted" / "medtui.pbs"
    script.write_text(documented("PBS"))
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml_of(SHORT))
    place = Workspace(tmp_path / "submitted" / "jobs" / "seed-3")
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SPOOL": str(tmp_path / "spool"),
        "PBS_O_WORKDIR": str(script.parent),
    }
    command = ["qsub", "-v", f"RECIPE={recipe},SEED=3,WARN_AFTER=13800", str(script)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    spool, codes = tmp_path / "spool" / "jobs", []
    for number in (1, 2):  # as the server does, one job after the other
        given = dict(one.split("=", 1) for one in spool.read_text().splitlines()[number - 1].split(","))
        job = {**environment, **given, "PBS_JOBID": f"{number}.server"}
        spooled = ["bash", str(tmp_path / "spool" / "script")]
        codes.append(subprocess.run(spooled, env=job, check=False, capture_output=True, timeout=PATIENCE).returncode)
    jobs = spool.read_text().splitlines()
    assert codes == [7, 0] and jobs == [jobs[0]] * 2  # the first submitted the second
    (run,) = list_runs(place.outputs)
    starts = [event for event in json_lines(run.journal.path.read_text()) if event["event"] == "run.started"]
    assert [event["attempt"] for event in starts] == [1, 2] and starts[1]["resumed_from"]["epoch"] > 0


BSUB = r"""#!/usr/bin/env python3
# As bsub: reads a script with directives; of the second element of its array, warns the group by -wa once there is a
# checkpoint; requeues by -Q.
import os, re, signal, subprocess, sys, time
from pathlib import Path
script = sys.stdin.read()
asked = dict(re.findall(r'^#BSUB -(\w+) "?([^"\n]*)"?$', script, re.M))
warned = False
for element in (2,):
    code = None
    while code is None or str(code) == asked["Q"]:
        job = {**os.environ, "LSB_JOBID": "99", "LSB_JOBINDEX": str(element), "LS_SUBCWD": os.getcwd()}
        process = subprocess.Popen(["bash", "-c", script], env=job, start_new_session=True)
        while process.poll() is None:
            if not warned and list(Path().glob("jobs/seed-2/outputs/*/checkpoints/best.safetensors")):
                warned = True
                os.killpg(process.pid, getattr(signal, "SIG" + asked["wa"]))
            time.sleep(0.05)
        code = process.returncode
        print(element, code, flush=True)
"""


@pytest.mark.slow
def test_the_documented_script_of_lsf_is_warned_and_requeued_by_its_exit_code(tmp_path: Path) -> None:
    install(tmp_path, {"bsub": BSUB, "medtui": PROGRAM})
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml_of(SHORT))
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bsub"],
        input=documented("BSUB"),
        env={**environment, "RECIPE": str(recipe)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 4,
        check=False,
    )
    codes = [line for line in done.stdout.splitlines() if re.fullmatch(r"\d+ \d+", line)]
    assert codes == ["2 7", "2 0"], done.stdout + done.stderr
    (run,) = list_runs(Workspace(tmp_path / "jobs" / "seed-2").outputs)
    assert json.loads(run.manifest.content())["seed"] == 2
