"""Suites and the queue with real runners and engines: two at once, kills at any moment, refusals, a reboot."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import pytest
from disturbing import disturb, kill, trained
from driving import MEDTUI, PATIENCE, graded_arrays, medtui, tiny, yaml_of

from engine.contract.machine.engines import engines_in
from engine.contract.store.lock import LockState
from engine.contract.store.run_directory import RunDirectory, list_runs, mark_of
from engine.contract.store.workspace import Workspace
from medtui.suites.store import Store, queue_of

SHORT = tiny(training={"epochs": 2, "batch_size": 16})
LONG = tiny(training={"epochs": 5000, "batch_size": 16, "patience": None})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "README.md").touch()
    (tmp_path / "short.yaml").write_text(yaml_of(SHORT))
    (tmp_path / "long.yaml").write_text(yaml_of(LONG))
    return tmp_path


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(place: Path) -> Iterator[Start]:
    """Commands in the background; they and their engines are ended afterwards."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        process = subprocess.Popen([*MEDTUI, *arguments], cwd=place, stdout=pipe, stderr=subprocess.STDOUT, text=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()
    end_engines(place)


def end_engines(place: Path) -> None:
    deadline = time.monotonic() + 10
    while (found := engines_in(Workspace(place).folder)) and time.monotonic() < deadline:
        for engine in found:
            kill(engine.pid)
        time.sleep(0.05)


def wait_until(true: Callable[[], Any], why: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline, why
        time.sleep(0.02)
    return found


def test_two_slots_are_two_engines_and_one_owner(place: Path, start: Start) -> None:
    (place / "pair.yaml").write_text("recipe: long.yaml\nseeds: 1-3\n")
    runner = start("suite", "run", "pair.yaml", "--slots", "2")
    runs = wait_until(lambda: two if len(two := trained(place)) == 2 else None, "two runs did not begin")
    engines = engines_in(Workspace(place).folder)
    holder = LockState.read(Workspace(place).lock_file).holder
    assert len(engines) == 2 and holder is not None
    assert (holder.pid, holder.owner, holder.slot) == (runner.pid, "suite pair", None)

    other, same = medtui("run", "short.yaml", cwd=place), medtui("suite", "run", "pair.yaml", cwd=place)
    assert other.returncode == same.returncode == 3
    assert (
        "suite pair (runner" in other.stderr
        and f"suite pair has a runner already: process {runner.pid} on " in same.stderr
    )
    queue = medtui("queue", "start", cwd=place)
    assert queue.returncode == 3 and "suite pair" in queue.stderr

    killed = medtui("kill", runs[0].name, "--now", cwd=place)
    assert killed.returncode == 0, killed.stdout + killed.stderr
    assert "its lock free" in killed.stdout and "checkpoint verified" in killed.stdout
    third = wait_until(lambda: three if len(three := trained(place)) == 3 else None, "the third run did not begin")
    states = status(place, "pair")
    assert states[runs[0].name] == "killed" and states[runs[1].name] == "running" and len(third) == 3

    stopped = medtui("stop", runs[1].name, cwd=place)
    assert stopped.returncode == 0, stopped.stderr
    wait_until(lambda: status(place, "pair")[runs[1].name] == "stopped", "the run did not stop")
    os.kill(runner.pid, signal.SIGTERM)
    assert runner.wait(PATIENCE) == 7
    assert sorted(status(place, "pair").values()) == ["aborted", "killed", "stopped"]
    assert engines_in(Workspace(place).folder) == []


def status(place: Path, name: str) -> dict[str, str]:
    work = Store(Workspace(place), name).journal().work
    return {str(item.run): item.state for item in work.items.values()}


@pytest.mark.slow
def test_a_run_that_fails_does_not_end_the_others_and_is_tried_again_on_request(place: Path) -> None:
    (place / "mixed.yaml").write_text(
        "recipe: short.yaml\nseeds: [1, 2]\ninclude:\n  - {dataset: breastmnist, seed: 1}\n"
    )
    first = medtui("suite", "run", "mixed.yaml", cwd=place)
    assert first.returncode == 5, first.stdout + first.stderr
    assert "3 runs: 2 completed, 1 failed." in first.stdout
    assert "time  unknown" in first.stdout and "data  breastmnist: " in first.stdout
    again = medtui("suite", "run", "mixed.yaml", "--json", cwd=place)
    assert again.returncode == 5 and [json.loads(line)["event"] for line in again.stdout.splitlines()] == ["finished"]
    retried = medtui("suite", "resume", "--retry", "--json", cwd=place)
    events = [json.loads(line)["event"] for line in retried.stdout.splitlines()]
    assert retried.returncode == 5 and events == ["ended", "finished"]
    assert len(list_runs(place / "outputs")) == 2

    other = medtui("run", "short.yaml", "--seeds", "1-2", cwd=place)  # a suite of its own
    assert other.returncode == 0 and other.stdout.count("done before by") == 2, other.stderr
    assert len(list_runs(place / "outputs")) == 2
    refused = medtui("run", "short.yaml", "--seeds", "1-2", "--seed", "3", cwd=place)
    assert refused.returncode == 2 and "--seeds cannot be combined with --seed" in refused.stderr
    table = medtui("suite", "table", "mixed", cwd=place)
    assert table.returncode == 0 and "2/2" in table.stdout and "1 failed" in table.stdout
    for arguments in (("table", "mixed", "-o", "table.xlsx"), ("curves", "mixed", "-o", "curves.png")):
        written = medtui("suite", *arguments, cwd=place)
        assert written.returncode == 0 and (place / arguments[-1]).stat().st_size > 1000, written.stderr
        assert medtui("suite", *arguments, cwd=place).returncode == 2  # nothing is replaced


def test_the_queue_survives_its_runner_and_does_every_run_once(place: Path, start: Start) -> None:
    for seed in (1, 2, 3, 4):
        added = medtui("queue", "add", "short.yaml", f"training.seed={seed}", cwd=place)
        assert added.returncode == 0, added.stderr
    assert medtui("queue", "move", "4", "1", cwd=place).returncode == 0
    assert medtui("queue", "remove", "2", cwd=place).returncode == 0
    runner = start("queue", "start")
    wait_until(lambda: [run for run in list_runs(place / "outputs") if run.manifest.is_there], "no run began")
    busy = medtui("queue", "remove", "4", cwd=place)
    assert busy.returncode == 2 and "cannot be removed" in busy.stderr
    assert medtui("queue", "add", "short.yaml", "training.seed=5", cwd=place).returncode == 0
    kill(runner.pid)
    end_engines(place)  # as a reboot does
    done = medtui("queue", "start", cwd=place)
    assert done.returncode == 0, done.stdout + done.stderr
    work = queue_of(Workspace(place)).journal().work
    assert [(item.id, item.state) for item in work.items.values()] == [(id_, "completed") for id_ in "4135"]
    seeds = [mark_of(json.loads(run.manifest.content())) for run in list_runs(place / "outputs")]
    assert seeds == [("the queue", id_) for id_ in "4135"]


# ---- kills at random moments ----------------------------------------------------------------------------------------


def grid(place: Path, seeds: str, epochs: int) -> None:
    """Two data sets, twice as many with dropout, and each with these seeds."""
    import numpy as np

    np.savez(place / "graded.npz", **graded_arrays())
    digest = md5((place / "graded.npz").read_bytes(), usedforsecurity=False).hexdigest()
    training = {"epochs": epochs, "batch_size": 16, "patience": None}
    (place / "cells.yaml").write_text(yaml_of(tiny(training=training)))
    graded = tiny(training=training)
    graded["dataset"] = {"name": "bloodmnist", "archive": str(place / "graded.npz"), "md5": digest}
    (place / "graded.yaml").write_text(yaml_of(graded))
    (place / "grid.yaml").write_text(f"recipes: [cells.yaml, graded.yaml]\nmodel.dropout: [0, 0.2]\nseeds: {seeds}\n")


def results(place: Path) -> dict[str, Any]:
    """Of every run: the digest of its weights, and the epochs that its history has; and the table."""
    table = medtui("suite", "table", "grid", "--format", "csv", cwd=place)
    assert table.returncode == 0, table.stderr
    rows = [line.rpartition(",")[0] for line in table.stdout.splitlines()]  # without the names of the runs
    found: dict[str, Any] = {"table": rows}
    for item in Store(Workspace(place), "grid").journal().work.items.values():
        run = RunDirectory(place / "outputs" / str(item.run))
        assert item.state == "completed"
        history = (run.metrics / "history.csv").content()
        found[item.id] = (sha256(run.best.content()).hexdigest(), sha256(history).hexdigest())
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "epochs", "runs", "often"), [("1", 8, 4, 1), ("1-3", 15, 12, 10)], ids=["once", "often"]
)
@pytest.mark.usual("once")
def test_a_suite_that_is_killed_at_any_moment_ends_as_one_that_is_not(
    tmp_path_factory: pytest.TempPathFactory, seeds: str, epochs: int, runs: int, often: int
) -> None:
    undisturbed, disturbed = (tmp_path_factory.mktemp(name) for name in ("undisturbed", "disturbed"))
    for place in (undisturbed, disturbed):
        (place / "README.md").touch()
    grid(undisturbed, seeds, epochs)
    for name in ("grid.yaml", "cells.yaml", "graded.yaml"):
        (disturbed / name).write_text((undisturbed / name).read_text())
    quiet = medtui("suite", "run", "grid.yaml", cwd=undisturbed)
    assert quiet.returncode == 0, quiet.stdout + quiet.stderr

    kills = disturb(("suite", "run", "grid.yaml"), Store(Workspace(disturbed), "grid"), often, random.Random(16))
    assert min(kills.values()) >= often / 2, kills  # all, unless a fast machine was done before
    assert results(disturbed) == results(undisturbed)

    marks = [mark_of(json.loads(run.manifest.content())) for run in trained(disturbed)]
    assert len(marks) == len(set(marks)) == runs  # nothing was trained twice
