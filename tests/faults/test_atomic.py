"""Atomic: whichever write, fsync or rename fails, the newest checkpoint or its predecessor loads, and no artifact is
half written under its final name; the run goes on and ends as the undisturbed one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from driving import tiny
from kit import EIO, ENOSPC, Fault, ForkServer, go_on, new_run, results
from openpyxl import load_workbook

from engine.contract.files.folders import File
from engine.contract.store.checkpoint_file import verified_digest
from engine.contract.store.run_directory import RunDirectory, list_runs
from engine.contract.wire.errors import CheckpointError
from medtui.client.journal import replay

STRICT = tiny(runtime={"reproducible": True})
PNG = (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82")  # how one begins and ends


@pytest.fixture(scope="module")
def undisturbed(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    workspace = tmp_path_factory.mktemp("undisturbed")
    assert fork_server.run(workspace, new_run(STRICT)).status == 0
    return list_runs(workspace / "outputs")[0]


EVERYDAY = ("fsync */checkpoints/*-5", "rename */last.safetensors-5", "write */events.jsonl-0")


def loads(path: File) -> bool:
    try:
        return bool(verified_digest(path))
    except CheckpointError:
        return False


def assert_intact(run: RunDirectory, undisturbed: RunDirectory) -> None:
    """A file with its final name is complete."""
    if replay(run.journal).last_checkpoint is not None:
        assert loads(run.last) or loads(run.previous)
    for path in (run.last, run.previous, run.best, run.previous_best):
        assert loads(path) or not path.is_there, path
    for path in run.metrics.path.glob("*.csv"):
        found, expected = (
            path.read_bytes(),
            next(undisturbed.metrics.path.glob(path.name.replace("[", "[[]"))).read_bytes(),
        )
        grows = path.name in ("history.csv", "per_class.csv")  # row by row, none of them half
        assert found == expected or (grows and expected.startswith(found) and found.endswith(b"\n")), path
    for path in run.figures.path.iterdir():
        assert (path.read_bytes()[:8], path.read_bytes()[-8:]) == PNG
    for path in run.reports.path.iterdir():
        assert load_workbook(path).sheetnames[0] == "Summary"
    for file in (run.manifest, run.status, run.metrics / "samples.json"):
        if file.is_there:
            json.loads(file.path.read_text())
    assert run.journal.path.read_bytes().endswith(b"\n")


def survives(fork_server: ForkServer, workspace: Path, undisturbed: RunDirectory, fault: Fault) -> Any:
    """Run with the fault, check, resume; how the faulty one ended."""
    workspace.mkdir()
    ended = fork_server.run(workspace, new_run(STRICT), fault=fault)
    assert ended.status in (0, 2, 5), "a fault is an outcome, never an internal error"
    for run in list_runs(workspace / "outputs"):
        assert_intact(run, undisturbed)
        assert not list(run.root.rglob(".*")), "half files are left"
        if ended.status:
            alarms = [message for message in replay(run.journal).messages if message.event == "alarm"]
            assert [alarm.kind for alarm in alarms] == ["disk_full" if fault.errno == ENOSPC else "file"]
            assert fork_server.run(workspace, go_on(run)).status == 0
        assert results(run) == results(undisturbed)
    return ended


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault("write", "*/checkpoints/*", 6, errno=ENOSPC), 5),
        (Fault("fsync", "*/checkpoints/*", 3), 5),
        (Fault("rename", "*/previous.safetensors", 1), 5),
        (Fault("rename", "*/last.safetensors", 2), 5),
        (Fault("write", "*/reports/*", 2, errno=ENOSPC), 0),  # named, and made later: test_artifacts
        (Fault("write", "*/events.jsonl", 7, errno=ENOSPC), 0),
    ],
    ids=lambda value: f"{value.on} {value.path}" if isinstance(value, Fault) else str(value),
)
@pytest.mark.everyday(*EVERYDAY)
@pytest.mark.usual(*EVERYDAY, "write */checkpoints/*-5", "write */reports/*-0")
def test_a_write_fsync_or_rename_that_fails_costs_no_checkpoint_and_no_artifact(
    fault: Fault, status: int, fork_server: ForkServer, undisturbed: RunDirectory, tmp_path: Path
) -> None:
    ended = survives(fork_server, tmp_path / "faulty", undisturbed, fault)
    assert ended.count >= fault.nth, "the fault did not happen"
    assert ended.status == status


@pytest.mark.exhaustive
@pytest.mark.parametrize(("on", "errno"), [("write", ENOSPC), ("fsync", EIO), ("rename", EIO)])
def test_every_operation_fails_in_turn_until_a_run_passes(
    on: str, errno: int, fork_server: ForkServer, undisturbed: RunDirectory, tmp_path: Path
) -> None:
    nth, ended = 0, None
    while ended is None or ended.count >= nth:
        nth += 1
        ended = survives(fork_server, tmp_path / str(nth), undisturbed, Fault(on, "*/outputs/2*", nth, errno=errno))
    assert nth > 20, "there was nothing to fail"
    assert ended.status == 0
