"""What submitit runs on a node, in one job: one run, until it is done or the scheduler takes the node back.

submitit pickles a `SuiteJob`, calls it on the node, and on the warning before a time limit (SIGUSR2) its `checkpoint`;
what that returns is called when the job, requeued, begins again. The run itself is a process, `medtui suite job`, to
which signals are passed on: it saves a checkpoint and ends.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import ABORTED
from medtui.suites.job_record import Phase, write_record
from medtui.suites.store import Store, newest_checkpoint, runs_of

PATIENCE = 20.0  # seconds for an answer of the scheduler
POLL = 0.2  # seconds between looks at whether the run has ended
_ENDED = os.WEXITED | os.WNOWAIT | os.WNOHANG
MOST_IDLE = 3  # jobs in a row that saved no checkpoint, after which the next is not asked for
GOES_ON = (ABORTED, -signal.SIGUSR2, -signal.SIGTERM)  # a signal may come before, or after, the run handles it
Saved = tuple[int, int]  # epochs done, and when the newest checkpoint was written


class SuiteJob:
    """One run of a suite or search, as one job."""

    is_search = False  # also of a job that an older medtui submitted

    def __init__(
        self,
        workspace: str,
        suite: str,
        item: str,
        container: str | None = None,
        saved: Saved | None = None,
        idle: int = 0,
        *,
        is_search: bool = False,
    ) -> None:
        """`container`: the command that runs another one inside. `saved`, `idle`: what the job before this found."""
        self.workspace, self.suite, self.item, self.container = workspace, suite, item, container
        self.saved, self.idle, self.is_search = saved, idle, is_search
        self._child: subprocess.Popen[bytes] | None = None
        self._job = ""
        self._terminated = False

    def __call__(self) -> int:
        from submitit import JobEnvironment

        environment = JobEnvironment()
        self._job = environment.job_id
        self._record("running")
        self._child = subprocess.Popen(self._command(str(environment.paths.stdout)))
        signal.signal(signal.SIGTERM, self._on_terminate)
        code = self._wait()
        if self._terminated and code in GOES_ON and _is_preempted():
            signal.raise_signal(signal.SIGUSR2)  # submitit requeues it
        self._end(code)
        return code

    def checkpoint(self) -> Any:
        """submitit's handler of the warning calls this; the job is requeued with what it returns."""
        from submitit.helpers import DelayedSubmission

        if self._child is not None:
            self._send(signal.SIGUSR2)
            code = self._wait()
            if code not in GOES_ON or (self._terminated and not _is_preempted()):  # it was done, or cancelled
                self._end(code)
                sys.exit(code)
        saved = self._saved()
        idle = self.idle + 1 if saved == self.saved else 0
        if idle >= MOST_IDLE:
            self._record("ended", 1)
            sys.exit(f"{idle} jobs in a row saved no checkpoint: the time limit is too short for this run.")
        self._record("requeued")
        again = SuiteJob(self.workspace, self.suite, self.item, self.container, saved, idle, is_search=self.is_search)
        return DelayedSubmission(again)

    def _command(self, log: str) -> list[str]:
        arguments = ["suite", "job", self.suite, self.item, *["--search"] * self.is_search]
        arguments += ["--workspace", self.workspace, "--log", log]
        if self.container is not None:
            return [*shlex.split(self.container), "medtui", *arguments]
        return [sys.executable, "-P", "-c", "from medtui.cli import main; main()", *arguments]

    def _on_terminate(self, number: int, _frame: Any) -> None:
        """`scancel`, or the node is needed by another job."""
        self._terminated = True
        self._send(number)

    def _send(self, number: int) -> None:
        if self._child is not None and self._child.returncode is None:  # its number is ours until it is waited for
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child.pid, number)

    def _wait(self) -> int:
        """Its exit code. Also called by a signal's handler while it waits already, so without the locks of Popen.

        It looks again and again: a signal that came just before a wait without end would be handled after it only.
        """
        assert self._child is not None
        while self._child.returncode is None and not os.waitid(os.P_PID, self._child.pid, _ENDED):
            time.sleep(POLL)
        return self._child.wait()

    def _end(self, code: int) -> None:
        """Report it; a run that is not completed is a job that fails."""
        self._record("terminated" if self._terminated and code in GOES_ON else "ended", code)
        if code:
            sys.exit(code)

    @property
    def _store(self) -> Store:
        return Store(Workspace(Path(self.workspace)), self.suite, self.is_search)

    def _record(self, phase: Phase, code: int | None = None) -> None:
        with contextlib.suppress(OSError):  # the scheduler's queue says it too
            write_record(self._store.job_record(self.item), self._job, phase, code)

    def _saved(self) -> Saved | None:
        run = runs_of(self._store).get(self.item)
        return newest_checkpoint(run) if run is not None else None


def _is_preempted() -> bool:
    """After SIGTERM: does Slurm need the node for another job? One that ends by itself then is not started again.

    A job that `scancel` ended does not count as running any more.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return False
    command = ["squeue", "--noheader", f"--jobs={job}", "--format=%T"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    return answer.strip() == "RUNNING"
