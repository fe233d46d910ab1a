"""Bit for bit: a run that was killed at any moment, and resumed, ends as the one that never was.

Compared are best and last weights with the optimizer's state, the tables that grow, and the scores file, byte for byte.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from driving import tiny
from kit import Fault, ForkServer, go_on, line_of, new_run, only_run, results

from engine.contract.store.checkpoint_file import read_header, verified_digest
from engine.contract.store.run_directory import RunDirectory, list_runs
from engine.contract.wire.errors import CheckpointError
from engine.sentences import Alarms
from medtui.client.journal import replay

# everything that has a state: momentum, moving average, dropout, MixUp, a schedule that waits
SECTIONS: dict[str, Any] = {
    "model": {"name": "mini_cnn", "dropout": 0.2},
    "training": {
        "epochs": 4,
        "batch_size": 16,
        "mixup_alpha": 0.2,
        "ema_decay": 0.9,
        "schedule": "plateau",
        "plateau_patience": 1,
        "lr": 0.05,
    },
}
STRICT = tiny(**SECTIONS, runtime={"reproducible": True})
LOOSE = tiny(**SECTIONS)
# a checkpoint at nearly every batch
OFTEN = tiny(**SECTIONS, runtime={"reproducible": True, "checkpoint_minutes": 1e-6})

LAST, BEST = "*/last.safetensors", "*/best.safetensors"
PREVIOUS, PREVIOUS_BEST = "*/previous.safetensors", "*/previous_best.safetensors"


@pytest.fixture(scope="module")
def undisturbed(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    workspace = tmp_path_factory.mktemp("undisturbed")
    assert fork_server.run(workspace, new_run(STRICT)).status == 0
    return only_run(workspace)


def finish(fork_server: ForkServer, workspace: Path) -> RunDirectory:
    """Resume to the end."""
    run = only_run(workspace)
    assert fork_server.run(workspace, go_on(run)).status == 0
    assert not list(run.root.rglob(".*")), "what a killed writer left is swept"
    files = [name for name in run.checkpoints.names() if not name.endswith(".aside")]
    assert files == ["best.safetensors", "features.safetensors", "last.safetensors", "model.json"], (
        "a completed run keeps these"
    )
    return run


def at_event(event: str, **fields: Any) -> Any:
    return lambda run: Fault("write", "*/events.jsonl", line_of(run, event, **fields), "kill")


MOMENTS: dict[str, Any] = {
    "before the first checkpoint": at_event("epoch.finished", epoch=1),
    "while the journal gets a line": lambda run: Fault(
        "write", "*/events.jsonl", line_of(run, "epoch.finished", epoch=3), "tear"
    ),
    "inside a checkpoint write": lambda run: Fault("write", "*/checkpoints/.*.safetensors", 5, "tear"),
    "between the renames of a checkpoint": lambda run: Fault("rename", LAST, 3, "kill"),
    "between last and best": lambda run: Fault("rename", PREVIOUS_BEST, 1, "kill"),
    "between the renames of best": lambda run: Fault("rename", BEST, 2, "kill"),
    "in evaluation": at_event("evaluation.finished"),
    "in reporting": lambda run: Fault("write", "*/reports/.report*.xlsx", 3, "tear"),
    "before the checkpoints before the newest go": lambda run: Fault("unlink", PREVIOUS, 1, "kill"),
    "between the two that go": lambda run: Fault("unlink", PREVIOUS_BEST, 1, "kill"),
    "before the final event": at_event("run.finished"),
}
EVERYDAY = ("before the first checkpoint", "inside a checkpoint write", "between the renames of a checkpoint")
EVERYDAY += ("in evaluation",)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.everyday(*EVERYDAY)
@pytest.mark.usual(*EVERYDAY, "between last and best", "in reporting", "before the final event")
def test_a_killed_run_resumes_to_the_same_weights_history_and_scores(
    moment: str, fork_server: ForkServer, undisturbed: RunDirectory, tmp_path: Path
) -> None:
    ended = fork_server.run(tmp_path, new_run(STRICT), fault=MOMENTS[moment](undisturbed))
    assert ended.status == -9, "it was killed there"
    run = finish(fork_server, tmp_path)
    assert results(run) == results(undisturbed)
    state = replay(run.journal)
    assert [epoch.epoch for epoch in state.epochs] == [1, 2, 3, 4]
    assert state.summary.validation == replay(undisturbed.journal).summary.validation
    assert state.started is not None
    assert (state.started.attempt, state.summary.outcome) == (2, "completed")


def test_a_run_killed_within_epochs_and_resumed_again_and_again_ends_the_same(
    fork_server: ForkServer, undisturbed: RunDirectory, tmp_path: Path
) -> None:
    start, positions = new_run(OFTEN), []
    for number in (9, 7, 8):  # a kill before this line of an attempt is written
        assert fork_server.run(tmp_path, start, fault=Fault("write", "*/events.jsonl", number, "kill")).status == -9
        run = only_run(tmp_path)
        start = go_on(run)
        state = replay(run.journal)
        assert state.last_checkpoint is not None
        positions.append(state.last_checkpoint.position)
    assert any(position.step for position in positions), "none was within an epoch"
    assert results(finish(fork_server, tmp_path)) == results(undisturbed)
    state = replay(run.journal)
    assert state.started is not None
    assert state.started.attempt == 4


def test_a_run_stopped_by_its_time_budget_resumes_and_ends_the_same(
    fork_server: ForkServer, undisturbed: RunDirectory, tmp_path: Path
) -> None:
    recipe = tiny(**SECTIONS, runtime={"reproducible": True, "max_minutes": 1e-4})
    assert fork_server.run(tmp_path, new_run(recipe)).status == 6
    run = only_run(tmp_path)
    (stopped,) = run.metrics.path.glob("*_test_*.csv")
    assert fork_server.run(tmp_path, go_on(run, recipe=STRICT)).status == 0
    assert results(run) == results(undisturbed), "and the scores of the stopped attempt are gone"
    assert not stopped.exists() or stopped.read_text() == results(undisturbed)[-1]


def test_without_strict_mode_too(fork_server: ForkServer, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    assert fork_server.run(whole, new_run(LOOSE)).status == 0
    assert fork_server.run(killed, new_run(LOOSE), fault=Fault("rename", LAST, 3, "kill")).status == -9
    assert results(finish(fork_server, killed)) == results(only_run(whole))


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", range(50))
def test_a_run_killed_at_a_random_moment_ends_the_same(
    number: int, fork_server: ForkServer, undisturbed: RunDirectory, tmp_path: Path
) -> None:
    draws = random.Random(number)
    recipe = draws.choice([STRICT, OFTEN])
    for _ in range(draws.choice([1, 1, 2, 3])):
        ended = fork_server.run(tmp_path, next_start(tmp_path, recipe), after=draws.uniform(0.05, 2.5))
        assert ended.status in (-9, 0)
        if ended.status == 0:
            break
    else:
        assert fork_server.run(tmp_path, next_start(tmp_path, recipe)).status == 0
    assert results(only_run(tmp_path)) == results(undisturbed)


def next_start(workspace: Path, recipe: dict[str, Any]) -> dict[str, Any]:
    """Resume, if there is something to resume."""
    runs = list_runs(workspace / "outputs")
    return go_on(runs[0]) if runs else new_run(recipe)


# ---- a checkpoint that is damaged ----------------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "mine").touch()


@pytest.mark.parametrize("damage", [cut, flip, make_folder], ids=["truncated", "one bit flipped", "a folder"])
def test_a_damaged_newest_checkpoint_is_noticed_and_the_one_before_is_used(
    damage: Any, fork_server: ForkServer, undisturbed: RunDirectory, tmp_path: Path
) -> None:
    """With a checkpoint every batch `previous` is within an epoch, and its best is no longer `best`."""
    fault = Fault("rename", BEST, 3 if damage is cut else 2, "kill")
    assert fork_server.run(tmp_path, new_run(OFTEN if damage is cut else STRICT), fault=fault).status == -9
    run = only_run(tmp_path)
    damage(run.last.path)
    with pytest.raises(CheckpointError):
        verified_digest(run.last)
    assert results(finish(fork_server, tmp_path)) == results(undisturbed)
    (alarm,) = [message for message in replay(run.journal).messages if message.event == "alarm"]
    assert (alarm.kind, alarm.code) == ("checkpoint", Alarms.PREVIOUS_CHECKPOINT_USED.code)
    assert "last.safetensors" in alarm.message
    aside = [path.relative_to(run.last.path.parent).as_posix() for path in run.last.path.parent.glob("*.aside/*")]
    assert aside == ["last.safetensors.aside/mine"] * (damage is make_folder), "what is no checkpoint is not lost"


def test_best_weights_from_beyond_a_damaged_checkpoint_are_replaced_by_the_previous_ones(
    fork_server: ForkServer, undisturbed: RunDirectory, tmp_path: Path
) -> None:
    """Killed after `best` of epoch 2; `last` is damaged, so the run is within epoch 2 again, where epoch 1 is best."""
    journal = Fault("write", "*/events.jsonl", line_of(undisturbed, "checkpoint.saved", kind="best") + 3, "kill")
    assert fork_server.run(tmp_path, new_run(STRICT), fault=journal).status == -9
    run = only_run(tmp_path)
    assert (best_epoch(run.best), best_epoch(run.previous_best)) == ("2", "1")
    flip(run.last.path)
    stopped = fork_server.run(
        tmp_path, go_on(run, recipe=tiny(**SECTIONS, runtime={"reproducible": True, "max_minutes": 1e-9}))
    )
    assert stopped.status == 6, "its budget is used up before a batch"
    assert best_epoch(run.best) == "1"
    assert replay(run.journal).summary.best_epoch == 1
    assert results(finish(fork_server, tmp_path)) == results(undisturbed)


def best_epoch(path: Path) -> str:
    return read_header(path).metadata["epoch"]


def test_two_damaged_checkpoints_are_refused_and_nothing_is_changed(fork_server: ForkServer, tmp_path: Path) -> None:
    assert fork_server.run(tmp_path, new_run(STRICT), fault=Fault("rename", LAST, 3, "kill")).status == -9
    run = only_run(tmp_path)
    run.previous.path.rename(run.last)
    for path in (run.last.path, run.best.path):
        flip(path)
    before = {path: path.read_bytes() for path in run.root.rglob("*") if path.is_file()}
    assert fork_server.run(tmp_path, go_on(run)).status == 5
    assert {path: path.read_bytes() for path in run.root.rglob("*") if path.is_file()} == before
