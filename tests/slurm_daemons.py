"""A Slurm of one node on 127.0.0.1, for tests: its own configuration, key and ports, started and ended by pid."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
FOLDERS = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"  # daemons are not on everybody's path
PATIENCE = 60.0  # seconds

CONFIGURATION = """\
ClusterName=medtui
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldParameters=enable_configless
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=2,batch_sched_delay=0,sched_min_interval=0,requeue_delay=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=30
ReturnToService=2
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=60
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF
"""


def missing() -> str | None:
    """Why there can be no Slurm here; None where there can."""
    gone = [name for name in PROGRAMS if shutil.which(name, path=FOLDERS) is None]
    if gone:
        return f"needs Slurm (Debian's slurm-wlm and munge): there is no {', '.join(gone)}"
    return None if os.geteuid() == 0 else "needs root, as which the daemons are started"


class DoesNotStart(Exception):
    """The daemons are installed, and do not run on this machine; the text says what they wrote."""


class Slurm:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        for name in ("state", "spool"):
            (folder / name).mkdir()
        host = socket.gethostname().partition(".")[0]
        given = {"host": host, "folder": folder, "controller": free_port(), "node": free_port()}
        (folder / "slurm.conf").write_text(CONFIGURATION.format(**given))
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        try:
            self._start_all()
        except BaseException:
            self.close()
            raise

    def _start_all(self) -> None:
        key = self.folder / "munge.key"
        key.touch(0o400)
        key.chmod(0o600)
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        here = str(self.folder)
        munged = ["--foreground", "--force", f"--socket={here}/munge.socket", f"--key-file={key}"]
        munged += [f"--pid-file={here}/munged.pid", f"--log-file={here}/munged.log", f"--seed-file={here}/munged.seed"]
        self._start("munged", *munged)
        self._wait_for(lambda: (self.folder / "munge.socket").exists(), "munged has no socket")
        self._start("slurmctld", "-D", "-f", self.environment["SLURM_CONF"])
        self._start("slurmd", "-D", "-f", self.environment["SLURM_CONF"])
        self._wait_for(
            lambda: self.run("sinfo", "-h", "-o", "%T", check=False).strip() == "idle", "the node is not idle"
        )

    def _start(self, name: str, *arguments: str) -> None:
        program = shutil.which(name, path=FOLDERS)
        assert program is not None
        log = (self.folder / f"{name}.out").open("ab")
        environment = {**os.environ, **self.environment}
        process = subprocess.Popen([program, *arguments], stdout=log, stderr=log, env=environment, cwd="/")
        log.close()
        self._processes.append(process)

    def _wait_for(self, true: object, why: str) -> None:
        assert callable(true)
        deadline = time.monotonic() + PATIENCE
        while not true():
            ended = [process.args for process in self._processes if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise DoesNotStart(f"{why}; ended: {ended}\n{self.logs()}")
            time.sleep(0.1)

    def logs(self) -> str:
        """The end of what the daemons wrote."""
        found = [path for path in sorted(self.folder.glob("*")) if path.suffix in (".log", ".out")]
        return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-1500:]}" for path in found)

    def run(self, *command: str, check: bool = True) -> str:
        """One of Slurm's commands; what it printed."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=PATIENCE)
        assert done.returncode == 0 or not check, f"{command}: {done.stdout}{done.stderr}\n{self.logs()}"
        return done.stdout

    def jobs(self) -> dict[str, str]:
        """The state of each job that waits or runs."""
        lines = self.run("squeue", "--noheader", "--array", "--format=%i|%T").split()
        return dict(line.split("|", 1) for line in lines)

    def close(self) -> None:
        """End all jobs, then the daemons."""
        if len(self._processes) == 3 and all(process.poll() is None for process in self._processes):
            self.run("scancel", "--user=root", check=False)
            deadline = time.monotonic() + PATIENCE
            while self.run("squeue", "--noheader", check=False).strip() and time.monotonic() < deadline:
                time.sleep(0.2)
        for process in reversed(self._processes):
            process.terminate()
        for process in reversed(self._processes):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
