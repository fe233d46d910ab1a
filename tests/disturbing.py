"""Suites and searches whose runner and engines are killed at random moments, and started again until they are done."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

from warm_starts import MEDTUI

from engine.contract.machine.engines import engines_in
from engine.contract.store.journal import read_journal
from engine.contract.store.run_directory import RunDirectory, list_runs
from engine.contract.wire.protocol import EpochFinished
from medtui.suites.store import Store


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def nearly_given_up(store: Store) -> bool:
    """Did the engine of a run die so often without a checkpoint that one more death may end it?"""
    return any(item.crashes >= 3 for item in store.journal().work.items.values() if not item.over)


def disturb(command: tuple[str, ...], store: Store, often: int, moments: random.Random) -> dict[str, int]:
    """Run `medtui COMMAND`; kill its runner and its engines so often, at random moments. How often each was killed."""
    kills, place = {"runner": 0, "engine": 0}, store.workspace.root
    while True:
        log = (place / "log.txt").open("a")
        runner = subprocess.Popen([*MEDTUI, *command], cwd=place, stdout=log, stderr=log)
        while runner.poll() is None:
            due = [whom for whom, count in kills.items() if count < often]
            time.sleep(moments.uniform(0.05, 0.9))
            engines = engines_in(store.workspace.folder)
            if not due or runner.poll() is not None:
                continue
            whom = moments.choice(due)
            if whom == "runner":
                kill(runner.pid)
                runner.wait(10)
                kills[whom] += 1
            elif engines and not nearly_given_up(store):
                kill(engines[0].pid)
                kills[whom] += 1
        log.close()
        if runner.returncode == 0:
            return kills
        assert runner.returncode == -signal.SIGKILL, (place / "log.txt").read_text()


def trained(place: Path) -> list[RunDirectory]:
    """The runs that have an epoch in their journal: an engine that dies earlier leaves a folder that is begun anew."""
    runs = [run for run in list_runs(place / "outputs") if run.journal.is_regular]
    return [run for run in runs if any(isinstance(event, EpochFinished) for event in read_journal(run.journal))]
