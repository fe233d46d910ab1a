"""`python -m engine.run.ranks.worker HOST:PORT RANK`: one of the other processes of a run.

It prepares what the first one has prepared, then does what that says until it is told to end. It has no lock, no pipe
to a client and writes no files, so that it can be killed at any moment. Where the engine has not started it, as on
other machines, its GPU is the one of its number there.
"""

from __future__ import annotations

import copy
import ctypes
import os
import signal
import sys
from typing import Any, NoReturn

from engine.contract.store.workspace import Workspace
from engine.control import Control
from engine.evaluate.predict import VIEWS
from engine.events import EventStream, Pipe
from engine.run.job import Job
from engine.run.prepare import Prepared
from engine.run.ranks.address import Address
from engine.run.ranks.group import Disconnected, Group, connect
from engine.run.ranks.start import DISCONNECTED, START, Start, prepared_as, ready_key
from engine.run.ranks.work import gathered_scores, sharded_step
from engine.run.training import new_state
from engine.train.mode import train_mode
from engine.train.restore import restore_trained
from engine.train.state import TrainingState

_PDEATHSIG = 1  # of prctl


def main() -> None:
    try:
        address, rank, engine = Address.parse(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    except (IndexError, ValueError):
        sys.exit("usage: python -P -m engine.run.ranks.worker HOST:PORT RANK")
    if engine:
        _end_with(int(engine[0]))
    store = connect(address)
    start = Start.model_validate_json(store.get(START))
    gpu = rank if start.one_machine else int(os.environ.get("SLURM_LOCALID", "0"))
    prepared = prepared_as(_job_of(start), start, gpu)
    state = new_state(prepared)
    store.set(ready_key(rank), "")
    group = Group(store, rank, start.processes, prepared.device, one_machine=start.one_machine)
    scaler = group.hear()["scaler"]
    restore_trained(state, group.send_named(None))
    if state.scaler is not None:
        state.scaler.load_state_dict(scaler)
    _serve(prepared, state, group)
    group.close()


def _end_with(engine: int) -> None:
    """The kernel kills this process when the engine dies; elsewhere than on Linux it finds itself disconnected."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != engine:
        os._exit(DISCONNECTED)


def _job_of(start: Start) -> Job:
    """What the stages of preparing need of one. Nobody reads its events: the first process has said it all."""
    read, write = os.pipe()
    os.close(read)
    stream = EventStream(Pipe(write), {})
    return Job(
        start.command,
        Workspace(start.workspace),
        stream,
        Control(),
        lock=None,
        on_run_directory=_no_run,
        find_run=_no_run,
        last_folders=start.last_folders,
    )


def _no_run(_: Any) -> Any:
    raise AssertionError("only the first process has a run directory")


def _serve(prepared: Prepared, state: TrainingState, group: Group) -> None:
    step, evaluated = sharded_step(prepared, group), copy.deepcopy(prepared.model).eval()
    train_mode(prepared.model)
    while (message := group.hear())["do"] != "end":
        if message["do"] == "train":
            state.epoch, state.step = message["epoch"], message["step"]
            step(state, message["lr"])
        else:
            views = [VIEWS[name] for name in message["views"]]
            group.send_all(evaluated.state_dict())
            gathered_scores(prepared, evaluated, message["split"], views, lambda _: None, group)


def _run() -> NoReturn:
    try:
        main()
    except Disconnected:  # the engine, or another process, is gone
        os._exit(DISCONNECTED)
    os._exit(0)


if __name__ == "__main__":
    _run()
