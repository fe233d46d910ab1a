"""Atomic: whichever write, fsync or rename fails, the newest checkpoint or its predecessor loads, and no artifact is
half written under its final name; the run goes on and ends as the undisturbed one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from driving import tiny
from kit import EIO, ENOSPC, Fault, Nursery, go_on, new_run, results
from openpyxl import load_workbook

from engine.contract.checkpoint_file import verified_digest
from engine.contract.errors import CheckpointError
from engine.contract.run_directory import RunDirectory, list_runs
from medtui.client.journal import replay

STRICT = tiny(runtime={"reproducible": True})
PNG = (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82")  # how one begins and ends


@pytest.fixture(scope="module")
def undisturbed(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    workspace = tmp_path_factory.mktemp("undisturbed")
    assert nursery.run(workspace, new_run(STRICT)).status == 0
    return list_runs(workspace / "outputs")[0]


def loads(path: Path) -> bool:
    try:
        return bool(verified_digest(path))
    except CheckpointError:
        return False


def assert_whole(run: RunDirectory, undisturbed: RunDirectory) -> None:
    """What has its final name is whole."""
    if replay(run.journal).last_checkpoint is not None:
        assert loads(run.last) or loads(run.previous)
    for path in (run.last, run.previous, run.best, run.previous_best):
        assert loads(path) or not path.exists(), path
    for path in run.metrics.glob("*.csv"):
        assert path.read_bytes() == next(undisturbed.metrics.glob(path.name.replace("[", "[[]"))).read_bytes()
    for path in run.figures.iterdir():
        assert (path.read_bytes()[:8], path.read_bytes()[-8:]) == PNG
    for path in run.reports.iterdir():
        assert load_workbook(path).sheetnames[0] == "Summary"
    for path in (run.manifest, run.status, run.metrics / "samples.json"):
        if path.exists():
            json.loads(path.read_text())
    assert run.journal.read_bytes().endswith(b"\n")


def survives(nursery: Nursery, workspace: Path, undisturbed: RunDirectory, fault: Fault) -> Any:
    """Run with the fault, look, go on; how the faulty one ended."""
    workspace.mkdir()
    ended = nursery.run(workspace, new_run(STRICT), fault=fault)
    assert ended.status in (0, 2, 5), "a fault is an outcome, never an internal error"
    for run in list_runs(workspace / "outputs"):
        assert_whole(run, undisturbed)
        assert not list(run.root.rglob(".*")), "half files are left"
        if ended.status:
            alarms = [message for message in replay(run.journal).messages if message.event == "alarm"]
            assert [alarm.kind for alarm in alarms] == ["disk_full" if fault.errno == ENOSPC else "file"]
            assert nursery.run(workspace, go_on(run)).status == 0
        assert results(run) == results(undisturbed)
    return ended


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault("write", "*/checkpoints/*", 6, errno=ENOSPC), 5),
        (Fault("fsync", "*/checkpoints/*", 3), 5),
        (Fault("rename", "*/previous.safetensors", 1), 5),
        (Fault("rename", "*/last.safetensors", 2), 5),
        (Fault("write", "*/reports/*", 2, errno=ENOSPC), 5),
        (Fault("write", "*/events.jsonl", 7, errno=ENOSPC), 0),
    ],
    ids=lambda value: f"{value.on} {value.path}" if isinstance(value, Fault) else str(value),
)
def test_a_write_fsync_or_rename_that_fails_costs_no_checkpoint_and_no_artifact(
    fault: Fault, status: int, nursery: Nursery, undisturbed: RunDirectory, tmp_path: Path
) -> None:
    ended = survives(nursery, tmp_path / "faulty", undisturbed, fault)
    assert ended.count >= fault.nth, "the fault did not happen"
    assert ended.status == status


@pytest.mark.exhaustive
@pytest.mark.parametrize(("on", "errno"), [("write", ENOSPC), ("fsync", EIO), ("rename", EIO)])
def test_every_one_in_turn_until_a_run_passes_clean(
    on: str, errno: int, nursery: Nursery, undisturbed: RunDirectory, tmp_path: Path
) -> None:
    nth, ended = 0, None
    while ended is None or ended.count >= nth:
        nth += 1
        ended = survives(nursery, tmp_path / str(nth), undisturbed, Fault(on, "*/outputs/2*", nth, errno=errno))
    assert nth > 20, "there was nothing to fail"
    assert ended.status == 0
