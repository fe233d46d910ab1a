"""What takes jobs: Slurm, or for a trial without a cluster processes of this machine; both by submitit's executors."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, Protocol

import psutil

from engine.contract.files.folders import File
from engine.contract.wire.errors import InstallationError, OutputError
from medtui.cluster.job import SuiteJob
from medtui.sentences import Cluster
from medtui.suites.job_template import JobTemplate
from medtui.suites.settling import Queue

PATIENCE = 30.0  # seconds for an answer of the scheduler
MOST_TIMEOUTS = 1_000_000  # a job is requeued until its run is done
REMEMBERED = 200  # names in one question
# What sbatch writes where the controller may have made the job, but its answer did not arrive
_LOST_ANSWER = re.compile("timed out|zero bytes|unexpected message", re.IGNORECASE)
MARK = "MEDTUI_SUBMISSION"  # of a local job: the name of its submission, and its number in it

Submitted = tuple[str, str]  # the id of a job, and the file with its output


class Scheduler(Protocol):
    name: str
    poll: float  # seconds from one question for its queue to the next, of a process that waits for its jobs

    def check(self) -> None:
        """Can it take jobs here? Raises InstallationError."""
        ...

    def submit(self, name: str, jobs: Sequence[SuiteJob], template: JobTemplate, folder: File) -> list[Submitted]:
        """One array of jobs, in this order. Raises OutputError."""
        ...

    def queue(self, names: Iterable[str]) -> Queue | None:
        """The jobs of submissions with these names that wait or run; None where it does not answer."""
        ...

    def cancel(self, jobs: Sequence[str], *, waiting: bool) -> None:
        """`waiting`: only those that have not begun. One that is over already is none. Raises OutputError."""
        ...


class Slurm:
    name = "slurm"
    poll = 10.0  # administrators ask not to call squeue more often

    def check(self) -> None:
        _submitit()
        if shutil.which("sbatch") is None or shutil.which("srun") is None:
            raise InstallationError(Cluster.NO_SLURM)

    def submit(self, name: str, jobs: Sequence[SuiteJob], template: JobTemplate, folder: File) -> list[Submitted]:
        executor = _submitit().SlurmExecutor(folder=folder.path, max_num_timeout=MOST_TIMEOUTS)
        executor.update_parameters(**_parameters(name, template))
        return _submitted(executor, jobs)

    def queue(self, names: Iterable[str]) -> Queue | None:
        states: dict[str, str] = {}
        arrays: dict[str, str] = {}
        found = sorted(set(names))
        for first in range(0, len(found), REMEMBERED):
            chosen = ",".join(found[first : first + REMEMBERED])
            answer = _answer("squeue", "--noheader", "--array", "--format=%i|%T|%j", f"--name={chosen}")
            if answer is None:
                return None
            for line in answer.splitlines():
                job, _, rest = line.strip().partition("|")
                state, _, name = rest.partition("|")
                states[job], arrays[name] = state, job.partition("_")[0]
        return Queue(states, arrays)

    def cancel(self, jobs: Sequence[str], *, waiting: bool) -> None:
        only = ["--state=PENDING"] if waiting else []
        for first in range(0, len(jobs), REMEMBERED):
            try:
                command = ["scancel", "--quiet", *only, *jobs[first : first + REMEMBERED]]
                subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE, text=True)
            except (OSError, subprocess.SubprocessError) as error:
                raise OutputError(Cluster.NOT_CANCELLED, reason=_reason(error)) from None


class Local:
    """To try a suite out: its jobs are processes of this machine, all at once, warned and requeued as Slurm does it."""

    name = "local"
    poll = 1.0

    def check(self) -> None:
        _submitit()

    def submit(self, name: str, jobs: Sequence[SuiteJob], template: JobTemplate, folder: File) -> list[Submitted]:
        executor = _submitit().LocalExecutor(folder=folder.path, max_num_timeout=MOST_TIMEOUTS)
        executor.update_parameters(
            timeout_min=template.minutes,
            signal_delay_s=template.warning,
            gpus_per_node=template.gpus,
            stderr_to_stdout=True,
        )
        found = []
        for number, job in enumerate(jobs):
            with _started_apart(f"{name}/{number}"):
                found += _submitted(executor, [job])
        return found

    def queue(self, names: Iterable[str]) -> Queue | None:
        living = [process for process in psutil.process_iter() if _is_controller(process)]
        asked, jobs = set(names), dict[str, dict[int, str]]()
        for process in living:
            name, _, number = _mark_of(process).rpartition("/")
            if name in asked and number.isdecimal():
                jobs.setdefault(name, {})[int(number)] = str(process.pid)
        return Queue({str(process.pid): "RUNNING" for process in living}, {}, jobs)

    def cancel(self, jobs: Sequence[str], *, waiting: bool) -> None:
        """None of them waits."""
        for job in jobs if not waiting else ():
            with contextlib.suppress(psutil.Error, ValueError):
                process = psutil.Process(int(job))
                if _is_controller(process):
                    process.send_signal(signal.SIGTERM)


SCHEDULERS: dict[str, type[Scheduler]] = {"slurm": Slurm, "local": Local}


def _parameters(name: str, template: JobTemplate) -> dict[str, Any]:
    """As submitit names them."""
    cpus = [f"--cpus-per-task={template.cpus}"] if template.cpus is not None else []  # srun inherits them no more
    given: dict[str, Any] = {
        "job_name": name,
        "time": template.minutes,
        "signal_delay_s": template.warning,
        "array_parallelism": template.at_once,
        "partition": template.partition,
        "account": template.account,
        "qos": template.qos,
        "constraint": template.constraint,
        "gpus_per_node": template.gpus or None,
        "cpus_per_task": template.cpus,
        "mem": f"{round(template.memory * 1024)}M" if template.memory is not None else None,
        "setup": template.setup_lines or None,
        "srun_args": ["--open-mode=append", *cpus],  # of a job that is requeued, one file has all
    }
    always = {"stderr_to_stdout": True, "additional_parameters": {"requeue": True}}
    return {key: value for key, value in given.items() if value is not None} | always


def _submitted(executor: Any, jobs: Sequence[SuiteJob]) -> list[Submitted]:
    """Raises OutputError: NOT_SUBMITTED only where no job can have been made."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    try:
        with executor.batch():
            found = [executor.submit(job) for job in jobs]
        return [(job.job_id, str(job.paths.stdout)) for job in found]
    except (FailedJobError, FailedSubmissionError, OSError, subprocess.SubprocessError) as error:
        refused = isinstance(error.__cause__, subprocess.CalledProcessError) and not _LOST_ANSWER.search(str(error))
        raise OutputError(Cluster.NOT_SUBMITTED if refused else Cluster.UNCONFIRMED, reason=_reason(error)) from None


def _submitit() -> Any:
    try:
        import submitit
    except ImportError:
        raise InstallationError(Cluster.NO_SUBMITIT) from None
    return submitit


@contextlib.contextmanager
def _started_apart(mark: str) -> Iterator[None]:
    """What submitit's local executor starts meanwhile has a session of its own, and carries the mark.

    So Ctrl-C for a command that waits for its jobs does not reach them, and they are found again where that command is
    killed before it has noted them.
    """
    from submitit.local import local

    module: Any = local
    before, os.environ[MARK] = module.subprocess, mark
    module.subprocess = SimpleNamespace(Popen=functools.partial(subprocess.Popen, start_new_session=True))
    try:
        yield
    finally:
        module.subprocess = before
        del os.environ[MARK]


def _mark_of(process: psutil.Process) -> str:
    try:
        return process.environ().get(MARK, "")
    except (psutil.Error, OSError):
        return ""


def _is_controller(process: psutil.Process) -> bool:
    try:
        return "submitit.local._local" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _answer(*command: str) -> str | None:
    try:
        return subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE, text=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def _reason(error: Exception) -> str:
    """The last line that the scheduler's command wrote, or what hindered it."""
    written = str(getattr(error, "stderr", "") or "") or str(error)
    lines = [line.strip() for line in written.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(error).__name__
