"""The other processes of a run, as its first one, the engine, has them: started, told what to do, ended.

Only the engine has the lock, the run directory, events and commands. It decides, and the others do what it says, so
that none leaves a step alone. They end with it: when it is killed, the kernel kills them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np
import torch
from torch import nn

from engine.contract.machine.scheduler import WARNINGS
from engine.contract.wire.errors import RunFailed
from engine.evaluate.predict import View
from engine.run.job import Job
from engine.run.prepare import Prepared, WithModel
from engine.run.ranks.address import Address, address_elsewhere
from engine.run.ranks.group import Disconnected, Group, listen
from engine.run.ranks.start import DISCONNECTED, START, ready_key, start_of
from engine.run.ranks.work import gathered_scores, sharded_step
from engine.sentences import Decisions, Failure
from engine.train.checkpoint import state_tensors
from engine.train.restore import TRAINED
from engine.train.state import TrainingState

COMMAND = ("-m", "engine.run.ranks.worker")
POLL = 0.05  # seconds
ENDING = 5.0  # seconds for processes that were told to end; and to see which one was the first that died
# Not for them: a scheduler, or a terminal, sends these to every process of the run, and the engine acts on them
_SIGNALS = {signal.SIGINT, signal.SIGHUP, *WARNINGS}


@contextmanager
def launched(job: Job, prepared: Prepared, state: TrainingState) -> Iterator[Ranks]:
    """As long as the context lasts. Raises RunFailed when one of them dies, and what is raised within."""
    processes = _Processes(prepared.recipe.runtime.processes)
    try:
        job.stream.note(Decisions.PROCESSES, processes=processes.count, threads=prepared.threads)
        group = processes.start(job, prepared)
        ranks = Ranks(prepared, group)
        ranks.send_state(state)
        yield ranks
        group.say({"do": "end"})
        group.close()
        processes.join(ENDING)
    except Disconnected as error:
        raise processes.failure() from error
    finally:
        processes.kill()


class Ranks:
    """What the engine has them do. Every method raises Disconnected when one is gone."""

    def __init__(self, prepared: Prepared, group: Group) -> None:
        self._group, self._step = group, sharded_step(prepared, group)

    def send_state(self, state: TrainingState) -> None:
        """What the next step starts from."""
        self._group.say({"scaler": state.scaler.state_dict() if state.scaler else None})
        tensors = {name: tensor for name, tensor in state_tensors(state).items() if name.startswith(TRAINED)}
        self._group.send_named(tensors)

    def take_step(self, state: TrainingState, lr: float) -> tuple[torch.Tensor, torch.Tensor]:
        """The next step, by all; its mean loss and number of correct images."""
        self._group.say({"do": "train", "epoch": state.epoch, "step": state.step, "lr": lr})
        return self._step(state, lr)

    def scores(
        self, prepared: WithModel, model: nn.Module, split: str, views: list[View], on_progress: Callable[[int], None]
    ) -> np.ndarray:
        """As `split_scores`, by all, with this model's weights."""
        self._group.say({"do": "score", "split": split, "views": [view.name for view in views]})
        self._group.send_all(model.state_dict())
        return gathered_scores(prepared, model, split, views, on_progress, self._group)


class _Processes:
    def __init__(self, count: int) -> None:
        self.count = count  # with the engine
        self._others: list[subprocess.Popen[bytes]] = []
        self._over = threading.Event()

    def start(self, job: Job, prepared: Prepared) -> Group:
        """Raises RunFailed, Aborted, OSError."""
        elsewhere = address_elsewhere()
        store, address = listen(elsewhere)
        store.set(START, start_of(job, prepared, one_machine=elsewhere is None).model_dump_json())
        if elsewhere is None:
            for rank in range(1, self.count):
                self._others.append(_started(address, rank, prepared.threads))
        while not store.check([ready_key(rank) for rank in range(1, self.count)]):
            if any(other.poll() is not None for other in self._others):
                raise self.failure()
            job.control.raise_if_aborted()
            time.sleep(POLL)
        group = Group(store, 0, self.count, prepared.device, one_machine=elsewhere is None)
        if prepared.device.type == "cuda":
            threading.Thread(target=self._interrupt_when_lost, args=[group], name="ranks", daemon=True).start()
        return group

    def _interrupt_when_lost(self, group: Group) -> None:
        """A GPU waits for one that is gone, and so would this process; on the CPU the connection says it."""
        while not self._over.wait(POLL):
            if any(other.poll() is not None for other in self._others):
                group.interrupt()
                return

    def failure(self) -> RunFailed:
        """Which of them died, and of what; those that only lost the connection to it are not named."""
        deadline = time.monotonic() + ENDING
        while True:
            ended = [(rank, other.poll()) for rank, other in enumerate(self._others, start=1)]
            for rank, code in ended:
                if code is not None and code != DISCONNECTED:
                    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
                    return RunFailed(Failure.PROCESS_LOST, rank=rank + 1, processes=self.count, how=how)
            if time.monotonic() > deadline:
                return RunFailed(Failure.PROCESS_UNREACHABLE, processes=self.count)
            time.sleep(POLL)

    def join(self, patience: float) -> None:
        self._over.set()
        deadline = time.monotonic() + patience
        for other in self._others:
            with suppress(subprocess.TimeoutExpired):
                other.wait(max(0.0, deadline - time.monotonic()))

    def kill(self) -> None:
        """They have nothing that could be left half done."""
        self._over.set()
        for other in self._others:
            other.kill()
        for other in self._others:
            other.wait()


def _started(address: Address, rank: int, threads: int) -> subprocess.Popen[bytes]:
    """One of them, with modules from where ours come from. Raises OSError."""
    command = [sys.executable, "-P", *COMMAND, str(address), str(rank), str(os.getpid())]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": str(threads)}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # which a new process inherits, and keeps
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
