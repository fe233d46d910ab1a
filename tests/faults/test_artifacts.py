"""One artifact that cannot be made takes nothing else along, and is made later from what the run's folder holds."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from driving import medtui, tiny
from kit import ENOSPC, Fault, ForkServer, go_on, new_run, only_run, results

from engine.contract.store.journal import read_journal
from engine.contract.store.run_directory import RunDirectory
from engine.sentences import Alarms

FIGURES = {"curves", "confusion", "samples", "batch", "roc", "reliability"}


def alarms(run: RunDirectory) -> list[Any]:
    return [event for event in read_journal(run.journal) if event.event == "alarm"]


@pytest.mark.parametrize(
    ("fault", "missing", "said"),
    [
        (Fault("write", "*/figures/*", 1, errno=ENOSPC), "figures/curves.png", "No space left on device"),
        (Fault("rename", "*/report.xlsx", 1), "reports/report.xlsx", "Input/output error"),
        (Fault("rename", "*/confusion.csv", 1, errno=30), "metrics/confusion.csv", "Read-only file system"),
        (Fault("rename", "*/samples.json", 1, errno=13), "metrics/samples.json", "Permission denied"),
    ],
    ids=["a full disk for one figure", "no workbook", "no table", "no samples"],
)
def test_an_artifact_that_cannot_be_written_is_named_and_the_run_completes(
    fault: Fault, missing: str, said: str, fork_server: ForkServer, tmp_path: Path
) -> None:
    assert fork_server.run(tmp_path, new_run(tiny()), fault=fault).status == 0
    run = only_run(tmp_path)
    (alarm,) = alarms(run)
    assert (alarm.kind, alarm.code) == ("artifact", Alarms.ARTIFACT_NOT_WRITTEN.code)
    assert missing in alarm.message and said in alarm.message and run.name in alarm.hint
    files = {path.relative_to(run.root).as_posix() for path in run.root.rglob("*") if path.is_file()}
    assert missing not in files
    expected = {f"figures/{name}.png" for name in FIGURES} | {"reports/report.xlsx", "metrics/history.csv"}
    assert expected - {missing} <= files

    before = results(run)
    done = medtui("report", run.name, "--workspace", tmp_path, cwd=tmp_path)
    assert (done.returncode, done.stdout.split()) == (0, [str(run.root / missing)]), done.stderr
    assert (run.root / missing).stat().st_size and results(run) == before


def test_without_the_images_of_its_first_batch_a_run_trains_as_with_them(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    """They are stored when training begins; where that fails they come with the report."""
    (whole := tmp_path / "whole").mkdir(), (faulty := tmp_path / "faulty").mkdir()
    recipe = tiny(training={"mixup_alpha": 0.4}, runtime={"reproducible": True})
    assert fork_server.run(whole, new_run(recipe)).status == 0
    fault = Fault("rename", "*/batch.json", 1, errno=ENOSPC)
    assert fork_server.run(faulty, new_run(recipe), fault=fault).status == 0
    (alarm,) = alarms(only_run(faulty))
    assert (alarm.kind, alarm.code) == ("artifact", Alarms.ARTIFACT_NOT_WRITTEN.code)
    assert "metrics/batch.json" in alarm.message
    assert results(only_run(faulty)) == results(only_run(whole))
    found, expected = ((only_run(folder).metrics.path / "batch.json").read_bytes() for folder in (faulty, whole))
    assert found == expected


@pytest.mark.parametrize("nth", [1, 3], ids=["its header", "a row"])
def test_a_table_that_cannot_grow_is_reported_once_and_complete_in_the_end(
    nth: int, fork_server: ForkServer, tmp_path: Path
) -> None:
    """`nth` write: 1 is the header's; 3 the second epoch's row."""
    (whole := tmp_path / "whole").mkdir(), (faulty := tmp_path / "faulty").mkdir()
    recipe = tiny(training={"epochs": 4}, runtime={"reproducible": True})
    assert fork_server.run(whole, new_run(recipe)).status == 0
    fault = Fault("write", "*/metrics/*history*.csv", nth, errno=ENOSPC)
    ended = fork_server.run(faulty, new_run(recipe), fault=fault)
    assert (ended.status, ended.count >= nth) == (0, True)
    (alarm,) = alarms(only_run(faulty))
    assert (alarm.kind, alarm.code) == ("artifact", Alarms.TABLE_NOT_EXTENDED.code)
    assert "metrics/history.csv" in alarm.message and os.strerror(ENOSPC) in alarm.message
    assert results(only_run(faulty)) == results(only_run(whole))


def test_a_score_file_that_cannot_be_written_fails_the_run_and_a_resume_completes_it(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    """Without scores there is no result; everything else is there, and the training is kept."""
    fault = Fault("rename", "*_test_*.csv", 1, errno=ENOSPC)
    assert fork_server.run(tmp_path, new_run(tiny()), fault=fault).status == 5
    run = only_run(tmp_path)
    assert [alarm.kind for alarm in alarms(run)] == ["disk_full"]
    assert {path.stem for path in run.figures.path.glob("*.png")} == FIGURES
    assert fork_server.run(tmp_path, go_on(run)).status == 0
    assert len(list(run.metrics.path.glob("*_test_*.csv"))) == 1


def test_every_artifact_of_a_finished_run_is_rebuilt_without_training(fork_server: ForkServer, tmp_path: Path) -> None:
    assert fork_server.run(tmp_path, new_run(tiny())).status == 0
    run = only_run(tmp_path)
    files = [path for name in ("metrics", "reports", "figures") for path in (run.root / name).iterdir()]
    before, digests = {path: path.read_bytes() for path in files}, results(run)
    for path in files:
        path.unlink()
    assert medtui("report", "last", "--all", "--workspace", tmp_path, cwd=tmp_path).returncode == 0
    assert results(run) == digests, "history and scores are those of the run"
    for path, content in before.items():
        if path.suffix != ".xlsx":
            assert path.read_bytes() == content, path.name
    assert openpyxl.load_workbook(run.root / "reports/report.xlsx").sheetnames[0] == "Summary"
    again = medtui("report", "--workspace", tmp_path, cwd=tmp_path)
    assert again.returncode == 0 and "Nothing is missing" in again.stdout


@pytest.fixture(scope="module")
def completed(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("completed")
    assert fork_server.run(workspace, new_run(tiny())).status == 0
    return workspace


def copy_of(completed: Path, workspace: Path, name: str = "renamed") -> RunDirectory:
    shutil.copytree(only_run(completed).root, workspace / "outputs" / name)
    return only_run(workspace)


@pytest.mark.parametrize("damage", ["garbage", "deleted"])
def test_a_renamed_run_has_one_score_file_after_its_report_and_show_names_it(
    damage: str, completed: Path, tmp_path: Path
) -> None:
    run = copy_of(completed, tmp_path)
    (old,) = run.score_files()
    scores = old.path.read_bytes()
    assert only_run(completed).name in old.name
    old.path.write_text("garbage\n") if damage == "garbage" else old.path.unlink()
    done = medtui("report", run.name, "--workspace", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (new,) = run.score_files()
    assert "@renamed" in new.name and new.path.read_bytes() == scores
    shown = json.loads(medtui("show", "--json", "--workspace", tmp_path, cwd=tmp_path).stdout)
    assert shown["artifacts"]["scores"] == str(new.path)


@pytest.mark.parametrize("name", ["history", "per_class"])
def test_a_report_writes_a_table_again_that_does_not_hold_what_the_run_recorded(
    name: str, completed: Path, tmp_path: Path
) -> None:
    run = copy_of(completed, tmp_path)
    table = run.metrics.path / f"{name}.csv"
    content = table.read_bytes()
    for garbage in (
        b"garbage\n",
        b"x" + content,
        content[:-5],
        content + b"7,garbage\n",
        content.replace(b"1,", b"1,9", 1),
    ):
        table.write_bytes(garbage)
        done = medtui("report", run.name, "--workspace", tmp_path, cwd=tmp_path)
        assert (done.returncode, done.stdout.split()) == (0, [str(table)]), done.stderr
        assert table.read_bytes() == content
    assert f"{name}.csv does not hold what the run recorded" in " ".join(done.stderr.split())


def test_a_report_describes_the_best_weights_again_as_the_run_did(completed: Path, tmp_path: Path) -> None:
    run = copy_of(completed, tmp_path)
    (files, names) = (run.checkpoints.path, ("model.json", "features.safetensors"))
    before = {name: (files / name).read_bytes() for name in names}
    for name in names:
        (files / name).unlink()
    refused = medtui("predict", run.name, tmp_path, "--workspace", tmp_path, cwd=tmp_path)
    assert refused.returncode == 2
    assert f"no model description any more ({files / 'model.json'}). `medtui report {run.name}` makes it again." in (
        " ".join(refused.stderr.split())
    )
    done = medtui("report", run.name, "--workspace", tmp_path, cwd=tmp_path)
    assert (done.returncode, done.stdout.split()) == (0, [str(files / "model.json")]), done.stderr
    assert {name: (files / name).read_bytes() for name in names} == before


def test_an_unfinished_run_has_no_report_and_the_message_tells_how_to_get_one(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    killed = Fault("rename", "*/last.safetensors", 2, "kill")
    assert fork_server.run(tmp_path, new_run(tiny()), fault=killed).status == -9
    refused = medtui("report", "--workspace", tmp_path, cwd=tmp_path)
    assert refused.returncode == 2 and "crashed" in refused.stderr and "--resume" in refused.stderr
