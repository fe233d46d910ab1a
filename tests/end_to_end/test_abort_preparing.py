"""A run that is being prepared can be ended at once, whatever it reads; a temporary folder is no condition."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from driving import MEDTUI, PATIENCE, Engine, medtui, tiny
from hanging import hanging

RECIPE = tiny(dataset={"name": "breastmnist", "archive": "", "md5": "0" * 32, "limit": None})
AT_ONCE = 20.0  # seconds; the machine may be loaded, and what is not aborted takes a minute, or never ends


def recipe_of(archive: Path) -> dict[str, dict[str, object]]:
    return {**RECIPE, "dataset": {**RECIPE["dataset"], "archive": str(archive)}}


def sparse(path: Path, gigabytes: int = 20) -> Path:
    with path.open("wb") as file:
        file.truncate(gigabytes * 10**9)
    return path


ENDINGS: dict[str, Callable[[Engine], object]] = {
    "abort": lambda engine: engine.send("abort", id="a"),
    "stop": lambda engine: engine.send("stop", id="s"),
    "SIGTERM": lambda engine: engine.process.send_signal(signal.SIGTERM),
    "SIGINT": lambda engine: engine.process.send_signal(signal.SIGINT),
    "hang-up": lambda engine: engine.hang_up(),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.everyday("abort", "SIGINT")
def test_a_read_that_never_returns_does_not_delay_an_abort(ending: str, tmp_path: Path) -> None:
    archive = sparse(tmp_path / "mine.npz", 1)
    engine = Engine(tmp_path, environment=hanging(read=str(archive)))
    try:
        engine.train(recipe_of(archive))
        engine.wait_for_phase("preparing")
        wait_until_it_reads(engine.process.pid, archive)
        began = time.monotonic()
        ENDINGS[ending](engine)
        assert engine.wait_for_event("run.finished")["outcome"] == "aborted"
        assert engine.end() == 7
        assert time.monotonic() - began < AT_ONCE
    finally:
        engine.kill()
    assert [entry.name for entry in (tmp_path / "outputs").iterdir() if entry.is_dir()] == []


@pytest.mark.parametrize("ending", ["SIGTERM", "SIGINT"])
@pytest.mark.everyday("SIGTERM")
def test_a_signal_just_before_such_a_read_is_heeded_too(ending: str, tmp_path: Path) -> None:
    archive = sparse(tmp_path / "mine.npz", 1)
    engine = Engine(tmp_path, environment=hanging(read=str(archive)) | {"HANGING_LATE": "1"})
    try:
        engine.train(recipe_of(archive))
        wait_until_it_reads(engine.process.pid, archive)
        time.sleep(0.5)  # it has entered the call that does not end for the first signal
        ENDINGS[ending](engine)
        assert engine.wait_for_event("run.finished")["outcome"] == "aborted"
        assert engine.end() == 7
    finally:
        engine.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.everyday("SIGINT")
def test_a_signal_to_the_command_ends_an_engine_blocked_in_a_read(number: signal.Signals, tmp_path: Path) -> None:
    """To the command alone, as `kill` and many supervisors send it: it is passed on, and nothing is left."""
    archive = sparse(tmp_path / "mine.npz", 1)
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe_of(archive)))
    process = subprocess.Popen(
        [*MEDTUI, "run", "recipe.yaml", "--json"],
        cwd=tmp_path,
        env={**os.environ, **hanging(read=str(archive))},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        hello = json.loads(next(line for line in process.stdout if '"hello"' in line))
        wait_until_it_reads(hello["pid"], archive)
        began = time.monotonic()
        process.send_signal(number)
        finished = json.loads(next(line for line in process.stdout if '"run.finished"' in line))
        assert time.monotonic() - began < AT_ONCE
        assert process.stdout.read() == "" and process.wait(PATIENCE) == 7
    finally:
        process.kill()
        process.wait()
    assert (finished["outcome"], finished["exit_code"], finished["run_dir"]) == ("aborted", 7, None)
    assert not Path(f"/proc/{hello['pid']}").exists(), "the engine is still there"
    assert [entry.name for entry in (tmp_path / "outputs").iterdir() if entry.is_dir()] == []
    (tmp_path / "next.yaml").write_text(json.dumps(tiny(training={"epochs": 1})))
    again = medtui("run", "next.yaml", cwd=tmp_path)  # the workspace is free
    assert again.returncode == 0, again.stderr


def wait_until_it_reads(pid: int, path: Path) -> None:
    """Until the process has the file open: it hangs at its first read."""
    deadline = time.monotonic() + PATIENCE
    folder = Path(f"/proc/{pid}/fd")
    while time.monotonic() < deadline and folder.exists():
        for link in folder.iterdir():
            try:
                if link.readlink() == path:
                    return
            except OSError:
                continue
        time.sleep(0.01)
    raise AssertionError("the engine never opened it")


def test_nor_while_scores_are_evaluated(tmp_path: Path) -> None:
    scores = tmp_path / "breastmnist_test_[AUC]0.9_[ACC]0.8@x.csv"
    arrays = {
        f"{split}_{part}": np.zeros((2, 28, 28) if part == "images" else (2, 1), np.uint8)
        for split in ("train", "val", "test")
        for part in ("images", "labels")
    }
    np.savez(tmp_path / "breastmnist.npz", **arrays)
    scores.write_text("0,0.5\n")
    engine = Engine(tmp_path, environment=hanging(read=str(tmp_path / "breastmnist.npz")))
    try:
        engine.send("start", id="start", job="score", file=str(scores), data=[str(tmp_path)])
        wait_until_it_reads(engine.process.pid, tmp_path / "breastmnist.npz")
        engine.send("abort", id="a")
        assert engine.wait_for_event("run.finished")["outcome"] == "aborted"
        assert engine.end() == 7
    finally:
        engine.kill()


def test_ctrl_c_while_a_large_archive_is_hashed_ends_the_command_at_once(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe_of(sparse(tmp_path / "mine.npz"))))
    command = [*MEDTUI, "run", "recipe.yaml", "--json"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    progress = next(line for line in process.stdout if '"verifying mine.npz"' in line)
    assert json.loads(progress)["unit"] == "bytes"
    assert json.loads(progress)["total"] == 20 * 10**9
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    assert process.wait(PATIENCE) == 7
    assert time.monotonic() - began < AT_ONCE


@pytest.mark.parametrize("how", ["missing", "read-only", pytest.param("full", marks=pytest.mark.slow)])
def test_an_unusable_temporary_folder_does_not_prevent_a_run(how: str, tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    if how != "missing":
        folder.mkdir(mode=0o500 if how == "read-only" else 0o700)
    (tmp_path / "recipe.yaml").write_text(json.dumps(tiny(training={"epochs": 1}, evaluation={"test": how != "full"})))
    command = [*MEDTUI, "run", "recipe.yaml"]
    if how == "full":
        mount = f"mount -t tmpfs -o size=16k none {folder} && head -c 99999 /dev/zero 2>/dev/null > {folder}/full; "
        inside = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount + 'exec "$@"', "sh"]
        if subprocess.run([*inside, "test", "-s", folder / "full"], capture_output=True, check=False).returncode:
            pytest.skip("needs a mount namespace of its own")
        command = [*inside, *command]
    environment = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
