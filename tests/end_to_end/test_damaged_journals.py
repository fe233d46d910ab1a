"""Suites and the queue whose journal was damaged: nothing that is asked for is lost, and what was lost is said."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from disturbing import kill, trained
from driving import PATIENCE, medtui, tiny, yaml_of
from warm_starts import MEDTUI

from engine.contract.machine.engines import engines_in
from engine.contract.store.run_directory import attempts_of, list_runs, read_object
from engine.contract.store.run_record import read_run
from engine.contract.store.workspace import Workspace
from medtui.suites.store import Store, queue_of


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "README.md").touch()
    (tmp_path / "r.yaml").write_text(yaml_of(tiny()))
    (tmp_path / "lg.yaml").write_text('{"name": "lg", "recipes": ["r.yaml"], "seeds": [1]}')
    return tmp_path


def begin(place: Path, *arguments: str) -> subprocess.Popen[bytes]:
    null = subprocess.DEVNULL
    return subprocess.Popen([*MEDTUI, *arguments], cwd=place, stdout=null, stderr=null)


def wait_until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def runner(place: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Of a suite whose only run has saved a checkpoint, and trains for long."""
    recipe = tiny(training={"epochs": 5000, "batch_size": 16, "patience": None})
    (place / "r.yaml").write_text(yaml_of(recipe))
    process = begin(place, "suite", "run", "lg.yaml")
    try:
        wait_until(lambda: trained(place) and list_runs(place / "outputs")[0].last.is_regular)
        yield process
    finally:
        end(place, process)


def end(place: Path, runner: subprocess.Popen[bytes]) -> None:
    """As a loss of power does."""
    runner.kill()
    runner.wait(PATIENCE)
    while engines := engines_in(Workspace(place).folder):
        for engine in engines:
            kill(engine.pid)


def garble(file: Path, line: int) -> None:
    lines = file.read_text().splitlines(keepends=True)
    lines[line - 1] = "#" + lines[line - 1][1:]
    file.write_text("".join(lines))


@pytest.mark.parametrize("garbled", [1, 2])
def test_an_entry_is_added_after_any_line_of_the_queue_was_damaged(place: Path, garbled: int) -> None:
    for seed in (7, 8):
        medtui("queue", "add", "r.yaml", f"training.seed={seed}", cwd=place)
    file = place / "outputs/suites/.queue/journal.jsonl"
    garble(file, garbled)
    added = medtui("queue", "add", "r.yaml", "training.seed=9", cwd=place)
    assert added.returncode == 0 and "Entry 3:" in added.stdout and "seed 9" in added.stdout
    assert added.stderr.count(f"Cannot read line {garbled} of {file}: ") == 1
    kept = str(3 - garbled)
    assert list(queue_of(Workspace(place)).journal().work.items) == [kept, "3"]


def test_every_command_that_reads_a_damaged_journal_says_which_lines_once(place: Path) -> None:
    medtui("queue", "add", "r.yaml", cwd=place)
    assert medtui("suite", "run", "lg.yaml", cwd=place).returncode == 0
    queue = place / "outputs/suites/.queue/journal.jsonl"
    suite = place / "outputs/suites/lg/journal.jsonl"
    garble(queue, 1)
    with suite.open("a") as file:
        file.write('#\n[]\n{"event": "asked", "runn')  # the last line is a torn one
    ends = len(suite.read_text().splitlines())
    lines = f"Cannot read lines {ends - 2}, {ends - 1} of {suite}: "
    for command in (["status", "lg"], ["table", "lg"], ["resume", "lg"], ["run", "lg.yaml", "--dry-run"]):
        found = medtui("suite", *command, cwd=place)
        assert (found.returncode, found.stderr.count(lines), found.stderr.count("Cannot read")) == (0, 1, 1), command
    for command in (["list"], ["list", "--json"], ["start"]):
        found = medtui("queue", *command, cwd=place)
        assert (found.returncode, found.stderr.count(f"Cannot read line 1 of {queue}: ")) == (0, 1), command


def test_a_torn_last_line_is_no_damage(place: Path) -> None:
    medtui("queue", "add", "r.yaml", cwd=place)
    with (place / "outputs/suites/.queue/journal.jsonl").open("a") as file:
        file.write('{"event": "added", "it')
    found = medtui("queue", "list", cwd=place)
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.parametrize("lives", [False, True])
def test_a_run_of_which_a_damaged_journal_has_no_word_is_continued(
    place: Path, runner: subprocess.Popen[bytes], lives: bool
) -> None:
    if lives:
        runner.kill()
        runner.wait(PATIENCE)
    else:
        end(place, runner)
    garble(place / "outputs/suites/lg/journal.jsonl", 1)
    again = begin(place, "suite", "run", "lg.yaml")
    try:
        store = Store(Workspace(place), "lg")
        wait_until(lambda: store.journal().work.of("running"))
        [run] = list_runs(place / "outputs")
        assert [item.run for item in store.journal().work.items.values()] == [run.name]
        assert len(attempts_of(read_object(run.manifest) or {})) == (1 if lives else 2)
    finally:
        end(place, again)


def replaced(file: Path) -> None:
    (copy := file.with_name("copy")).write_bytes(file.read_bytes())
    copy.replace(file)


LOSSES: dict[str, Callable[[Path], object]] = {
    "removed": Path.unlink,
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-3]),
    "replaced": replaced,
    "removed with its folder": lambda file: shutil.rmtree(file.parent),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_runner_whose_journal_is_lost_ends_and_its_run_is_found_again(
    place: Path, runner: subprocess.Popen[bytes], loss: str
) -> None:
    """It would start the run again and again whose end it cannot read."""
    journal = place / "outputs/suites/lg/journal.jsonl"
    LOSSES[loss](journal)
    assert runner.wait(PATIENCE) == 2
    [run] = list_runs(place / "outputs")
    assert len(engines_in(Workspace(place).folder)) == 1, "what trains goes on"
    again = begin(place, "suite", "run", "lg.yaml")
    try:
        store = Store(Workspace(place), "lg")
        wait_until(lambda: store.journal().work.of("running"))
        assert [item.run for item in store.journal().work.items.values()] == [run.name]
        assert len(attempts_of(read_object(run.manifest) or {})) == 1
    finally:
        end(place, again)


@pytest.mark.parametrize("content", ["", "#\n"])
def test_a_suite_without_a_readable_plan_is_not_called_complete(place: Path, content: str) -> None:
    for name in ("lg", "other"):
        (place / "outputs/suites" / name).mkdir(parents=True)
    (place / "outputs/suites/lg/journal.jsonl").write_text(content)
    words = f"Expected the plan of suite lg, found none in {place / 'outputs/suites/lg'}."
    for command in ("resume", "status", "table", "curves"):
        found = medtui("suite", command, "lg", cwd=place)
        assert (found.returncode, found.stdout, words in found.stderr) == (2, "", True), command
    (place / "outputs/suites/other/journal.jsonl").write_text('{"event": "planned", "items": []}\n')
    assert words in medtui("suite", "status", cwd=place).stdout


@pytest.mark.parametrize(("asked", "outcome"), [("stop", "stopped"), ("abort", "aborted")])
def test_a_suite_whose_runner_was_killed_is_stopped_and_continued(
    place: Path, runner: subprocess.Popen[bytes], asked: str, outcome: str
) -> None:
    runner.kill()
    runner.wait(PATIENCE)
    [run] = list_runs(place / "outputs")
    finish = medtui("suite", "stop", "lg", "--finish", cwd=place)
    assert (finish.returncode, f"({run.name}" in finish.stdout) == (0, True)
    stopped = medtui("suite", "stop", "lg", *["--abort"] * (asked == "abort"), cwd=place)
    assert stopped.returncode == 0 and f"({run.name}" in stopped.stdout, stopped.stdout + stopped.stderr
    assert f"it was asked to {asked} after its batch." in stopped.stdout
    wait_until(lambda: not engines_in(Workspace(place).folder))
    assert read_run(run).outcome == outcome
    none = medtui("suite", "stop", "lg", cwd=place)
    assert none.returncode == 2 and "No runner is working on suite lg." in none.stderr
    again = begin(place, "suite", "resume", "lg")
    try:
        wait_until(lambda: len(attempts_of(read_object(run.manifest) or {})) == 2)
    finally:
        end(place, again)
