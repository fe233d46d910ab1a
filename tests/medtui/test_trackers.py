"""Each tracker as the tool's own reader sees it: every epoch's values are there, once, whatever happened meanwhile."""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from any_events import CALM, STORIES
from driving import medtui as command
from driving import tiny, yaml_of
from hypothesis import given, settings
from test_state import metrics, started
from tracked_runs import (
    EPOCHS,
    KEY,
    assert_complete,
    auc,
    epoch,
    in_tensorboard,
    journal,
    mlflow_run,
    run_in,
    story,
    track,
    wandb_records,
)
from warm_starts import MEDTUI

import medtui.client.trackers
from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.runtime_section import TRACKERS
from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.errors import InstallationError, OutputError, RecipeError, UsageError
from engine.contract.wire.jobs import Train
from medtui.client.state import RunState
from medtui.client.trackers import RunTrackers, is_installed, missing_trackers, trackers_of
from medtui.sentences import Tracking
from medtui.track.follow import AlreadyTracked, Follower, TrackingFailed, only_follower
from medtui.track.records import End, Record, Records, Row, RunFacts

EVERY_TRACKER = pytest.mark.parametrize("name", TRACKERS)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return run_in(tmp_path)


def installed(name: str) -> None:
    if not is_installed(name):
        pytest.skip(f"{name} is not installed: pip install 'medtui[{name}]'")


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in list(os.environ):
        if variable.startswith(("MLFLOW_", "WANDB_", "TRACKIO_")):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # for the reader
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # read when it is imported
    if is_installed("trackio"):
        importlib.import_module("medtui.track.tools.trackio")
        for name, module in list(sys.modules.items()):
            for setting, folder in (("TRACKIO_DIR", "trackio"), ("MEDIA_DIR", "trackio/media")):
                if name.startswith("trackio") and hasattr(module, setting):
                    monkeypatch.setattr(module, setting, tmp_path / folder)


# ---- what is there ------------------------------------------------------------------------------------------------


@EVERY_TRACKER
def test_every_epoch_is_there_once_also_when_repeated(run: RunDirectory, name: str) -> None:
    installed(name)
    journal(run, story())
    for _ in range(3):
        end = track(run, name)
        assert end is not None and end.outcome == "completed"
        assert_complete(run, name)


@EVERY_TRACKER
def test_a_run_that_is_tracked_again_and_again_while_it_grows(run: RunDirectory, name: str) -> None:
    """Each follower finds what the one before it wrote, and that the engine died in between."""
    installed(name)
    events = story()
    cuts = range(2, len(events) + 1) if name in ("tensorboard", "mlflow") else (4, 9, len(events))
    for cut in cuts:
        journal(run, events[:cut])
        track(run, name)
    assert_complete(run, name)


def test_tensorboard_has_recipe_figure_and_outcome(run: RunDirectory) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    journal(run, story())
    track(run, "tensorboard")
    reader = EventAccumulator(str(run.root / "tensorboard"))
    reader.Reload()
    texts = {tag: reader.Tensors(tag)[-1].tensor_proto.string_val[0].decode() for tag in reader.Tags()["tensors"]}
    assert "| training.lr | 0.0125 |" in texts["recipe"] and "mini_cnn" in texts["run"]
    assert texts["outcome"] == "completed."
    (figure,) = reader.Images("figure_curves")
    assert (figure.width, figure.height, figure.step) == (5, 3, EPOCHS)
    assert figure.encoded_image_string == (run.root / "figures/curves.png").read_bytes()


def test_tensorboards_file_only_grows(run: RunDirectory) -> None:
    """So a TensorBoard that shows it live sees what is added, and a record that a kill tore is completed."""
    events, before = story(), b""
    file = run.root / "tensorboard" / "events.out.tfevents.0000000000.medtui"
    for cut in range(3, len(events) + 1):
        journal(run, events[:cut], alive=cut not in (6, len(events)))  # after the sixth event, its engine is gone
        track(run, "tensorboard")
        assert file.read_bytes().startswith(before), events[cut - 1]
        before = file.read_bytes()[: -7 if cut < len(events) else None]
        file.write_bytes(before)
    track(run, "tensorboard")
    assert_complete(run, "tensorboard")


def test_mlflow_has_recipe_outcome_and_artifacts_but_no_weights(run: RunDirectory) -> None:
    installed("mlflow")
    journal(run, story())
    track(run, "mlflow")
    client, found = mlflow_run(run)
    assert found.data.params["training.lr"] == "0.0125"
    assert found.info.run_name == run.name and found.info.status == "FINISHED"
    assert found.data.tags["medtui.outcome"] == "completed"
    listed = {
        file.path for folder in ("reports", "figures") for file in client.list_artifacts(found.info.run_id, folder)
    }
    assert listed == {"reports/report.xlsx", "figures/curves.png"}
    assert {file.path for file in client.list_artifacts(found.info.run_id)} == {"reports", "figures", "recipe.yaml"}
    track(run, "mlflow", weights=True)
    listed = {file.path for file in client.list_artifacts(found.info.run_id, "checkpoints")}
    assert listed == {"checkpoints/best.safetensors"}


def test_wandb_has_recipe_outcome_and_files_but_no_weights(run: RunDirectory) -> None:
    installed("wandb")
    journal(run, story())
    track(run, "wandb")
    by_kind: dict[str, list[Any]] = {}
    for record in wandb_records(run):
        by_kind.setdefault(record.WhichOneof("record_type"), []).append(record)
    (begun,) = by_kind["run"]
    config = {item.key: item.value_json for item in begun.run.config.update}
    assert '"lr":0.0125' in config["training"].replace(" ", "")
    assert (begun.run.run_id, begun.run.display_name) == (KEY, run.name)
    files = {file.path for record in by_kind["files"] for file in record.files.files}
    assert {"reports/report.xlsx", "figures/curves.png"} <= files
    assert "checkpoints/best.safetensors" not in files
    summary = {item.key: item.value_json for record in by_kind["summary"] for item in record.summary.update}
    assert summary["outcome"] == '"completed"'


# ---- followers that are killed ------------------------------------------------------------------------------------


def kill_at_random_moments(run: RunDirectory, name: str, kills: int) -> None:
    """Commands that write the run while it grows, each killed; then one that is not."""
    events, moments = story(), random.Random(5)
    command = [*MEDTUI, "track", str(run.root), "--to", name, "--workspace", str(run.root.parent.parent)]
    begun = time.monotonic()
    subprocess.run(command, capture_output=True, check=False)  # of an empty journal
    lasts = time.monotonic() - begun
    for number in range(kills):
        journal(run, events[: 3 + number * len(events) // kills])
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moments.uniform(0.5, 1.5) * lasts)
        process.kill()
        process.wait()
    journal(run, events)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_complete(run, name)


@EVERY_TRACKER
@pytest.mark.parametrize(
    "kills", [pytest.param(3, marks=pytest.mark.slow), pytest.param(10, marks=pytest.mark.exhaustive)]
)
def test_every_tracker_after_sigkill_at_random_moments(run: RunDirectory, name: str, kills: int) -> None:
    installed(name)
    kill_at_random_moments(run, name, kills)


def test_two_followers_of_a_run_do_not_write_the_same(run: RunDirectory) -> None:
    with only_follower(run, "mlflow", 0.0):
        with pytest.raises(AlreadyTracked) as refused, only_follower(run, "mlflow", 0.0):
            pass
        with only_follower(run, "tensorboard", 0.0):
            pass
    assert (refused.value.code, refused.value.exit_code) == (Tracking.ALREADY.code, 3)
    with only_follower(run, "mlflow", 0.0):
        pass


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.EROFS, "make it writable"), (errno.ENOSPC, "make it writable"), (errno.EACCES, "Only its owner")],
)
def test_a_run_that_cannot_be_tracked_says_whether_that_is_the_owners_affair(
    run: RunDirectory, number: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(run: RunDirectory) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("medtui.track.follow.make_folder", refused)
    with pytest.raises(OutputError) as caught, only_follower(run, "mlflow", 0.0):
        pass
    assert said in caught.value.hint


# ---- what goes wrong ----------------------------------------------------------------------------------------------


class Refusing:
    """A tool that takes nothing."""

    where = "nowhere"

    def __init__(self) -> None:
        self.closed: list[End | None] = []

    def begin(self, facts: RunFacts) -> None:
        self.facts = facts

    def write(self, records: Any) -> None:
        raise ConnectionError("no route to tracker.example")

    def close(self, end: End | None) -> None:
        self.closed.append(end)


def test_a_tool_that_fails_is_one_sentence(run: RunDirectory) -> None:
    journal(run, story())
    tool = Refusing()
    with pytest.raises(TrackingFailed) as failed:
        Follower(run, "mlflow", tool).follow(to_the_end=False)
    assert (failed.value.code, failed.value.exit_code) == (Tracking.FAILED.code, 5)
    assert failed.value.fields["reason"] == "ConnectionError: no route to tracker.example"
    assert tool.closed == [None], "the run has an end, its record in the tool has not"
    assert (tool.facts.key, tool.facts.time) == (KEY, 1.7e9 + 2)


def test_the_command_says_what_it_wrote_and_where(run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    journal(run, story())
    done = command("track", run.name, "--to", "tensorboard", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    where = str(run.root / "tensorboard")
    expected = {"run": run.name, "tracker": "tensorboard", "epochs": EPOCHS, "outcome": "completed", "where": where}
    assert json.loads(done.stdout) == expected
    done = command("track", run.name, "--to", "tensorbord", cwd=tmp_path)
    assert done.returncode == 2 and "did you mean tensorboard" in done.stderr


def test_what_cannot_be_tracked_is_refused(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError) as empty:
        track(run, "tensorboard")
    assert empty.value.code == Tracking.NOT_BEGUN.code
    with pytest.raises(UsageError) as unknown:
        track(run, "tensorbord")
    assert unknown.value.code == Tracking.UNKNOWN.code and "did you mean tensorboard" in unknown.value.message
    monkeypatch.setattr("medtui.track.tracker.is_installed", lambda name: False)
    with pytest.raises(InstallationError) as missing:
        track(run, "wandb")
    assert (missing.value.code, missing.value.exit_code) == (Tracking.NO_PACKAGE.code, 2)
    assert "pip install 'medtui[wandb]'" in missing.value.hint


# ---- the fold -----------------------------------------------------------------------------------------------------


def records_of(events: list[Any]) -> list[Record]:
    fold = Records()
    return [record for event in events for record in fold.of(event)]


def test_a_resumed_run_gives_the_epochs_once_and_those_that_differ_again() -> None:
    rows = [record for record in records_of(story()) if isinstance(record, Row)]
    assert [row.at for row in rows if "val/auc" in row.values] == [*range(1, EPOCHS + 1)]
    assert [row.number for row in rows] == [*range(len(rows))]
    events = story()
    drifted = epoch(4).model_copy(update={"validation": metrics(0.1), "seq": 9, "time": 1.7e9 + 9})
    again = [drifted if event.seq == 9 else event for event in events]
    rows = [record for record in records_of(again) if isinstance(record, Row)]
    assert [row.values["val/auc"] for row in rows if row.at == 4 and "val/auc" in row.values] == [auc(4), 0.1]


def test_an_engine_that_died_is_an_end_where_the_next_attempt_begins() -> None:
    ends = [record for record in records_of(story()) if isinstance(record, End)]
    assert [(end.outcome, end.time) for end in ends] == [("crashed", 1.7e9 + 6), ("completed", ends[-1].time)]


@settings(max_examples=15, **CALM)
@given(story=STORIES)
def test_any_events_make_the_same_records_each_time(story: list[Any]) -> None:
    assert repr(records_of(story)) == repr(records_of(story))
    rows = [record for record in records_of(story) if isinstance(record, Row)]
    assert [row.number for row in rows] == [*range(len(rows))]


# ---- with the run -------------------------------------------------------------------------------------------------


def test_the_recipe_names_trackers_and_its_hash_does_not() -> None:
    from engine.contract.recipe.identity import recipe_hash

    plain = build_recipe({})
    for written in (["tensorboard", "mlflow"], "tensorboard, mlflow", "[tensorboard, mlflow]"):
        recipe = build_recipe({"runtime": {"track": written}})
        assert trackers_of(recipe.model_dump()) == ("tensorboard", "mlflow")
        assert recipe_hash(recipe) == recipe_hash(plain)
    assert trackers_of(plain.model_dump()) == ()
    for wrong in (["tensorbord"], [], 3, "mlflow; wandb"):
        with pytest.raises(RecipeError) as refused:
            build_recipe({"runtime": {"track": wrong}})
        assert "tensorboard, mlflow, wandb, trackio" in refused.value.message


def test_one_that_is_not_installed_is_named_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(medtui.client.trackers, "is_installed", lambda name: name == "tensorboard")
    recipe = build_recipe({"runtime": {"track": ["tensorboard", "wandb"]}}).model_dump()
    (sentence,) = missing_trackers(recipe)
    assert "wandb" in sentence and "pip install 'medtui[wandb]'" in sentence


def test_medtui_run_warns_before_it_begins(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from medtui.cli.run import RunOptions, _composed

    monkeypatch.setattr(medtui.client.trackers, "is_installed", lambda name: False)
    given = ["runtime.track=[mlflow]"]
    options = RunOptions("quickstart", False, {}, given, None, None, False, False, False, False, False)
    assert trackers_of(_composed("quickstart", options).model_dump()) == ("mlflow",)
    assert "medtui: runtime.track names mlflow, which is not installed" in capsys.readouterr().err


def test_a_folder_that_a_tool_made_is_not_that_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder_of_a_tool").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not is_installed("folder_of_a_tool")


def launched(run: RunDirectory, monkeypatch: pytest.MonkeyPatch, *names: str) -> tuple[RunTrackers, list[str]]:
    """Started with the run as its client does, with what is noted at the end."""
    from engine.contract.store.workspace import Workspace

    monkeypatch.setattr(medtui.client.trackers, "PATIENCE", 60.0)
    recipe = build_recipe({"runtime": {"track": list(names)}}).model_dump(mode="json")
    trackers = RunTrackers(Train(id="start", recipe=recipe), Workspace(run.root.parent.parent))
    notes: list[str] = []
    trackers.poll(RunState())
    trackers.poll(RunState(started=started(0).model_copy(update={"run_dir": str(run.root)})))
    trackers.wait(notes.append, lambda: False)
    return trackers, notes


def test_a_tracker_that_starts_with_its_run(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    journal(run, story())
    _, notes = launched(run, monkeypatch, "tensorboard")
    assert notes == [], (run.root / ".tracking/tensorboard.log").read_text()
    assert_complete(run, "tensorboard")


@pytest.mark.slow
def test_a_tracker_that_fails_is_noted_with_the_command_that_repeats_it(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal(run, story())
    (run.root / "tensorboard").write_text("in the way")
    _, (note,) = launched(run, monkeypatch, "tensorboard")
    assert f"medtui track {run.name} --to tensorboard" in note
    assert "did not accept run" in (run.root / ".tracking/tensorboard.log").read_text()


def test_a_run_whose_directory_cannot_be_written_has_no_trackers(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run.root / ".tracking").write_text("in the way")
    assert launched(run, monkeypatch, "tensorboard")[1] == []


@pytest.mark.slow
def test_a_trained_run_is_in_tensorboard_as_in_its_history(tmp_path: Path) -> None:
    """Tracked from its start by `medtui run`, and by what the console and suites start engines with."""
    import csv

    from engine.contract.store.workspace import Workspace
    from medtui.client.own_engine import OwnEngine

    recipe = tiny(dataset={"limit": 32}, runtime={"track": ["tensorboard"]})
    (tmp_path / "tiny.yaml").write_text(yaml_of(recipe))
    done = command("run", "tiny.yaml", "--workspace", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    engine = OwnEngine(Workspace(tmp_path), warm=False)
    engine.start(recipe, [], ["medtui"], "test")
    deadline = time.monotonic() + 60
    while [log.read_text().count("2 epochs, completed") for log in logs(tmp_path)] != [1, 1]:
        assert time.monotonic() < deadline, [log.read_text() for log in logs(tmp_path)]
        time.sleep(0.1)
    assert engine.view.outcome == "completed"
    for root in (log.parents[1] for log in logs(tmp_path)):
        rows = list(csv.DictReader((root / "metrics/history.csv").open()))
        values = in_tensorboard(RunDirectory(root))
        expected = [(int(row["epoch"]), pytest.approx(float(row["val_auc"]))) for row in rows]
        assert len(rows) == 2 and values["val/auc"] == expected
        assert values["train/loss"] == [(int(row["epoch"]), pytest.approx(float(row["train_loss"]))) for row in rows]


def logs(workspace: Path) -> list[Path]:
    return sorted((workspace / "outputs").glob("*/.tracking/tensorboard.log"))


# ---- where it goes ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlflow", "wandb", "trackio"])
def test_nothing_leaves_the_machine(run: RunDirectory, name: str, tmp_path: Path) -> None:
    """A web request of any of its processes would go through this proxy."""
    installed(name)
    journal(run, story())
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=listen, args=(server, heard), daemon=True).start()
        proxy = f"http://127.0.0.1:{server.getsockname()[1]}"
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"), proxy)
        environment = {**os.environ, **proxies, "WANDB_API_KEY": "0" * 40, "NO_PROXY": "", "no_proxy": ""}
        command = [*MEDTUI, "track", str(run.root), "--to", name, "--workspace", str(tmp_path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert heard == []
    assert_complete(run, name)


def listen(server: socket.socket, heard: list[bytes]) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            heard.append(connection.recv(1000))
            connection.close()
