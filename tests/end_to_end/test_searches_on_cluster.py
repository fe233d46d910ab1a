"""A search as jobs: of submitit's local executor every day, and of a real Slurm among the slow tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from driving import MEDTUI, medtui, tiny, yaml_of

from engine.contract.store.run_directory import RunDirectory, attempts_of, list_runs
from engine.contract.store.workspace import Workspace
from medtui.suites.store import Store

pytest.importorskip("optuna")
pytest.importorskip("submitit")

PATIENCE = 480.0  # seconds; each job starts from nothing
LR = "recipe: cells.yaml\nspace: {training.lr: {from: 0.00001, to: 0.3, log: true}}\nrandom_seed: 3\n"


def make(place: Path, search: str, epochs: int = 2) -> Store:
    place.mkdir()
    (place / "README.md").touch()
    (place / "cells.yaml").write_text(yaml_of(tiny(training={"epochs": epochs, "patience": None})))
    (place / "lr.yaml").write_text(LR + search)
    return Store(Workspace(place), "lr", is_search=True)


def start(store: Store, *arguments: str, command: list[str] = MEDTUI) -> subprocess.Popen[bytes]:
    with (store.workspace.root / "log.txt").open("ab") as log:
        words = [*command, "search", *arguments]
        return subprocess.Popen(words, cwd=store.workspace.root, stdout=log, stderr=log, start_new_session=True)


def said(store: Store) -> str:
    return (store.workspace.root / "log.txt").read_text()


def wait_until(true: Callable[[], Any], why: Callable[[], str]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)
    return found


def states(store: Store) -> list[str]:
    return [item.state for item in store.journal().work.items.values()] if store.journal_file.is_regular else []


def begun(store: Store) -> list[bool]:
    """Has each run a directory that the coordinator knows of?"""
    return [item.run is not None for item in store.journal().work.items.values()]


def results(store: Store) -> dict[str, Any]:
    """Each trial as the table has it, and the digest of the weights of its only run, which began once."""
    table = json.loads(medtui("search", "table", "--json", cwd=store.workspace.root).stdout)
    found: dict[str, Any] = {str(row["trial"]): (row["state"], row["mean"], row["values"]) for row in table}
    items = store.journal().work.items.values()
    assert sorted(str(item.run) for item in items) == sorted(run.name for run in list_runs(store.workspace.outputs))
    for item in items:
        run = RunDirectory(store.workspace.outputs / str(item.run))
        assert len(attempts_of(json.loads(run.manifest.content()))) == 1
        found[item.id] = sha256(run.best.content()).hexdigest()
    return found


def test_a_search_on_jobs_whose_coordinator_is_killed_finds_what_one_of_this_machine_finds(tmp_path: Path) -> None:
    search = "budget: {runs: 3}\nslurm: {minutes: 30, cpus: 1, at_once: 1}\n"
    quiet, store = (make(tmp_path / name, search) for name in ("quiet", "jobs"))
    done = medtui("search", "lr.yaml", cwd=quiet.workspace.root)
    assert done.returncode == 0, done.stdout + done.stderr

    first = start(store, "lr.yaml", "--on", "local")
    wait_until(lambda: states(store) == ["completed", "submitted"] and all(begun(store)), lambda: said(store))
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    shown = medtui("search", "status", cwd=store.workspace.root)
    assert "`medtui search resume lr --on local` continues" in shown.stdout, shown.stdout + shown.stderr
    refused = medtui("search", "lr.yaml", cwd=store.workspace.root)
    assert refused.returncode == 3 and "search lr has 1 run on local: " in refused.stderr, refused.stderr

    second = start(store, "resume", "lr", "--on", "local")
    wait_until(lambda: store.coordinator() is not None or second.poll() is not None, lambda: said(store))
    refused = medtui("search", "lr.yaml", "--on", "local", cwd=store.workspace.root)
    assert refused.returncode == 3 and f"already has a coordinator: process {second.pid} on" in refused.stderr, (
        refused.stderr
    )
    assert second.wait(PATIENCE) == 0, said(store)
    assert results(store) == results(quiet) and states(store) == ["completed"] * 3
    assert all(item.job is None and item.log for item in store.journal().work.items.values())


@pytest.mark.slow
def test_ctrl_c_leaves_the_jobs_and_stop_ends_them(tmp_path: Path) -> None:
    store = make(tmp_path / "jobs", "budget: {runs: 2}\nslurm: {minutes: 30, cpus: 1}\n", epochs=5000)
    first = start(store, "lr.yaml", "--on", "local")
    living = ["submitted"] * 2
    wait_until(lambda: states(store) == living and all(begun(store)), lambda: said(store))
    os.killpg(first.pid, signal.SIGINT)  # as a terminal sends it: to the command and all that is in its group
    assert first.wait(PATIENCE) == 6, said(store)
    words = " ".join(said(store).split())
    assert "2 jobs of search lr go on; no more are submitted. `medtui search resume lr --on local` continues," in words
    status = json.loads(medtui("search", "status", "--json", cwd=store.workspace.root).stdout)
    assert len(status["runs"]) == 2 and status["runner"] is None
    assert {run["shown"] for run in status["runs"]} <= {"preparing", "training"}
    second = start(store, "resume", "--on", "local")
    wait_until(store.coordinator, lambda: said(store))
    stopped = medtui("search", "stop", cwd=store.workspace.root)
    assert f"search lr (coordinator {second.pid} on " in stopped.stdout
    assert stopped.returncode == 0 and "its runs stop after their batch" in stopped.stdout, stopped.stderr
    assert second.wait(PATIENCE) == 6 and states(store) == ["stopped"] * 2, said(store)
