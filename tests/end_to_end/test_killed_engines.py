"""An engine that was killed while a child of it keeps its pipe open: nobody waits for it without a bound."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from driving import MEDTUI, PATIENCE, tiny, yaml_of

from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import RunFailed
from engine.contract.wire.jobs import Verify
from medtui.client import job as jobs
from medtui.client.engine_process import EngineProcess
from medtui.client.own_engine import OwnEngine
from medtui.sentences import EngineDeath

ROOT = Path(__file__).resolve().parents[2]

# In the place of an engine: leaves a child that keeps the pipe (and may write to it), and is killed.
STAND_IN = """
import os, signal, sys, time
if os.fork() == 0:
    print(os.getpid(), file=open(sys.argv[1], 'w'), flush=True)
    while True:
        time.sleep(0.2)
        if sys.argv[2] == 'chatters':
            os.write(1, b'{"event": "log"}\\n')
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
os.kill(os.getpid(), signal.SIGKILL)
"""


class LeavesAChild(EngineProcess):
    def __init__(self, workspace: Workspace, how: str, mark: Path) -> None:
        super().__init__(workspace)
        self.kill()
        self._process.wait(10)
        command = [sys.executable, "-c", STAND_IN, str(mark), how]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True)
        self._lines = type(self._lines)()

        threading.Thread(target=self._read, daemon=True).start()


@pytest.mark.parametrize("how", ["silent", "chatters"])
def test_a_job_whose_engine_was_killed_ends_although_a_child_keeps_the_pipe(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "child"
    monkeypatch.setattr("medtui.client.engine_process.READ_OUT", 5.0)
    monkeypatch.setattr(jobs, "EngineProcess", lambda workspace: LeavesAChild(workspace, how, mark))
    try:
        with pytest.raises(RunFailed) as died:
            jobs.do_job(Verify(id="start", dataset="breastmnist"), Workspace(tmp_path))
        assert died.value.code == EngineDeath.KILLED.code
    finally:
        os.kill(int(mark.read_text()), signal.SIGKILL)


def test_the_console_sees_that_such_an_engine_died(tmp_path: Path) -> None:
    mark = tmp_path / "child"
    owned = OwnEngine(Workspace(tmp_path), engine=lambda: LeavesAChild(Workspace(tmp_path), "silent", mark))
    owned._thread.join(PATIENCE)
    os.kill(int(mark.read_text()), signal.SIGKILL)
    assert owned.view.died is not None and "signal 9" in owned.view.died


def test_medtui_run_ends_when_its_engine_is_killed_and_a_child_keeps_the_pipe(tmp_path: Path) -> None:
    """A real engine, forked in its training; the child ignores what ends it."""
    (tmp_path / "long.yaml").write_text(yaml_of(tiny(training={"epochs": 500, "batch_size": 8, "patience": None})))
    environment = {**os.environ, "MISBEHAVE": "training:fork", "MISBEHAVE_MARK": str(tmp_path / "mark")}
    client = subprocess.Popen(
        [*MEDTUI, "run", "long.yaml", "--workspace", "."],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert client.stdout is not None
    next(line for line in client.stdout if re.match(r"epoch +2/", line))
    (status,) = (tmp_path / "outputs").glob("*/status.json")
    engine = int(status.read_text().split('"pid":')[1].split(",")[0])
    group = os.getpgid(engine)
    os.kill(engine, signal.SIGKILL)
    try:
        rest, _ = client.communicate(timeout=PATIENCE)
    finally:
        os.killpg(group, signal.SIGKILL)
    assert client.returncode == 7 and "signal 9" in rest
