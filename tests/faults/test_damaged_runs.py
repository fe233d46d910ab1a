"""A run of which a file is damaged or missing stays listed, marked, and as usable as its other files allow."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from forked import CommandOutput, Commands
from kit import Fault, ForkServer, go_on, new_run
from scenes import BROKEN, DONE, OLD, SHORT, Scene

from engine.contract.store.run_directory import RunDirectory, list_runs

SEED = 12
FILES = ["manifest.json", "status.json", "events.jsonl"]


@pytest.fixture
def clean(scene: Scene) -> Iterator[Scene]:
    yield scene
    scene.restore()


def output_of(scene: Scene, commands: Commands, *words: str) -> CommandOutput:
    said = commands(*words, cwd=scene.workspace, environment=scene.environment, patience=100)
    assert said.code is not None and 0 <= said.code < 8 and "Traceback" not in said.text, (words, said)
    return said


# ---- killed at its last word -----------------------------------------------------------------------------------------


def test_a_run_that_was_killed_after_its_last_line_is_completed_for_everyone(
    clean: Scene, scene_fork_server: ForkServer, commands: Commands
) -> None:
    """The journal has `run.finished`, the status file does not know it yet."""
    finished = RunDirectory(clean.workspace / "outputs" / DONE)
    before = {run.name for run in list_runs(clean.workspace / "outputs")}
    fault = Fault("fsync", "*/events.jsonl", flushes_of(finished), "kill")
    assert scene_fork_server.run(clean.workspace, new_run(SHORT), fault=fault).status == -9
    (run,) = [run for run in list_runs(clean.workspace / "outputs") if run.name not in before]
    assert json.loads(run.journal.path.read_text().splitlines()[-1])["event"] == "run.finished"
    assert json.loads(run.status.path.read_text())["outcome"] is None

    listed = {one["run"]: one["state"] for one in json.loads(output_of(clean, commands, "runs", "--json").out)}
    assert listed[run.name] == "completed"
    shown = json.loads(output_of(clean, commands, "show", run.name, "--json").out)
    assert (shown["state"], shown["outcome"]) == ("completed", "completed")
    attached = output_of(clean, commands, "attach", run.name, "--json")
    assert attached.code == 0
    assert json.loads(attached.out.splitlines()[-1])["outcome"] == "completed"
    resumed = output_of(clean, commands, "run", "--resume", run.name)
    assert resumed.code == 2 and "is completed: there is nothing to resume" in resumed.err
    assert f"Run {run.name} is over: completed" in output_of(clean, commands, "stop", run.name).err


def flushes_of(run: RunDirectory) -> int:
    """How often the journal of such a run is flushed: before each `last`, before tables are made of it, and after its
    last line."""
    told = [json.loads(line) for line in run.journal.path.read_text().splitlines()]
    saved = [event for event in told if event["event"] == "checkpoint.saved" and event["kind"] == "last"]
    assert saved
    return len(saved) + 2


# ---- a damaged or missing file ---------------------------------------------------------------------------------------


def missing(file: Path) -> None:
    file.unlink()


def damaged_at(position: float) -> Callable[[Path], None]:
    """One byte, at that part of the file, has its highest bit changed: no UTF-8 any more."""

    def damage(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[int(position * (len(content) - 1))] ^= 0x80
        file.write_bytes(content)

    return damage


PLACES = [0.0, random.Random(SEED).random(), 1.0]
HARMS = {"missing": missing, **{f"damaged at {position:.0%}": damaged_at(position) for position in PLACES}}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", FILES)
def test_a_finished_run_stays_completed_and_usable_whichever_file_is_damaged(
    name: str, harm: str, clean: Scene, commands: Commands
) -> None:
    HARMS[harm](clean.run(DONE).root / name)
    (listed,) = [one for one in json.loads(output_of(clean, commands, "runs", "--json").out) if one["run"] == DONE]
    shown = json.loads(output_of(clean, commands, "show", DONE, "--json").out)
    assert (listed["state"], shown["state"], shown["outcome"]) == ("completed", "completed", "completed")
    assert any(name in mark for mark in shown["damage"]), shown["damage"]
    if name != "events.jsonl" or harm in ("missing", "damaged at 0%", "damaged at 100%"):  # it reads a journal's ends
        assert any(name in mark for mark in listed["damage"]), listed["damage"]
    assert "completed" in output_of(clean, commands, "show", DONE).out
    assert output_of(clean, commands, "attach", DONE).code == 0
    for words in (
        ("tag", DONE, "kept"),
        ("prune", DONE, "--yes"),
        ("archive", DONE),
        ("unarchive", DONE),
        ("delete", DONE, "--yes"),
    ):
        said = output_of(clean, commands, "runs", *words)
        assert said.code == 0, (words, said)
    assert not clean.run(DONE).root.exists()


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def garbage(file: Path) -> None:
    file.write_text("garbage")


@pytest.mark.parametrize(
    ("name", "harm", "said"),
    [
        ("checkpoints/best.safetensors", Path.unlink, "best.safetensors is missing"),
        ("checkpoints/best.safetensors", truncated, "best.safetensors is damaged"),
        ("checkpoints/best.safetensors", garbage, "best.safetensors is damaged"),
        ("checkpoints/best.safetensors", a_folder, "best.safetensors is unreadable: a folder, not a regular file"),
        ("checkpoints/model.json", Path.unlink, "model.json is missing"),
        ("recipe.yaml", Path.unlink, "recipe.yaml is missing"),
        ("recipe.yaml", a_folder, "recipe.yaml is unreadable: a folder, not a regular file"),
        ("labels.json", garbage, "labels.json is damaged"),
        ("metrics/*_test_*.csv", Path.unlink, "its score file is missing"),
    ],
)
def test_show_and_runs_say_what_a_completed_run_lacks_and_list_no_file_that_is_gone(
    name: str, harm: Callable[[Path], None], said: str, clean: Scene, commands: Commands
) -> None:
    run = clean.run(DONE)
    (file,) = run.root.glob(name) if "*" in name else [run.root / name]
    harm(file)
    (listed,) = [one for one in json.loads(output_of(clean, commands, "runs", "--json").out) if one["run"] == DONE]
    shown = json.loads(output_of(clean, commands, "show", DONE, "--json").out)
    assert listed["damage"] == shown["damage"] == [said]
    assert all(Path(path).is_file() for path in shown["artifacts"].values())
    assert f"! {said}" in output_of(clean, commands, "show", DONE).out


@pytest.mark.parametrize("name", FILES)
def test_a_run_without_one_of_its_files_is_evaluated_from_the_others(
    name: str, clean: Scene, scene_fork_server: ForkServer
) -> None:
    (clean.run(DONE).root / name).unlink()
    assert scene_fork_server.run(clean.workspace, {"job": "evaluate", "run": str(clean.run(DONE).root)}).status == 0


@pytest.mark.parametrize("harm", [Path.unlink, a_folder])
def test_evaluate_predict_and_export_say_the_same_of_a_completed_run_whose_best_weights_are_gone(
    harm: Callable[[Path], None], clean: Scene, commands: Commands
) -> None:
    best = clean.run(DONE).best.path
    harm(best)
    (clean.workspace / "image.png").write_bytes(b"none")
    for words in (("evaluate", DONE), ("predict", DONE, "image.png"), ("export", DONE, "--format", "torch")):
        said = output_of(clean, commands, *words)
        assert said.code == 5, (words, said)
        assert f"The checkpoint {best} cannot be read: " in " ".join(said.err.split()), (words, said)


def test_a_run_whose_recipe_is_gone_says_so_and_where_its_values_are(clean: Scene, commands: Commands) -> None:
    for name, words in ((BROKEN, ("run", "--resume", BROKEN)), (DONE, ("evaluate", DONE)), (DONE, ("report", DONE))):
        clean.run(name).recipe.delete()
        said = output_of(clean, commands, *words)
        assert said.code == 2, (words, said)
        assert f"The recipe of {name} is missing" in said.err and "must_match" in said.err, (words, said)


def test_a_run_whose_journal_is_a_folder_is_refused_by_a_resume_as_by_a_report(
    clean: Scene, commands: Commands
) -> None:
    run = clean.run(BROKEN)
    a_folder(run.journal.path)
    before = {path: path.stat().st_mtime_ns for path in run.root.rglob("*")}
    said = output_of(clean, commands, "run", "--resume", BROKEN)
    assert said.code == 5
    assert f"{run.journal.path}: it is a folder, not a regular file" in " ".join(said.err.split()), said
    assert "Errno" not in said.text
    assert {path: path.stat().st_mtime_ns for path in run.root.rglob("*")} == before, "what is refused changes nothing"


@pytest.mark.parametrize("harm", ["missing", "damaged at 0%"])
def test_a_run_without_a_manifest_resumes_only_with_allow_drift_and_gets_a_complete_one(
    harm: str, clean: Scene, scene_fork_server: ForkServer
) -> None:
    run = clean.run(BROKEN)
    names = set(json.loads(run.manifest.path.read_text()))
    HARMS[harm](run.manifest.path)
    journal = run.journal.path.read_bytes()
    assert scene_fork_server.run(clean.workspace, go_on(run)).status == 2
    assert run.journal.path.read_bytes() == journal, "what is refused changes nothing"
    assert scene_fork_server.run(clean.workspace, go_on(run, allow_drift=True)).status == 0
    manifest = json.loads(run.manifest.path.read_text())
    assert set(manifest) >= names
    assert manifest["drift"], "its results are marked"
    assert manifest["attempts"][-1]["resumed_from"]["epoch"] >= 0


def test_a_resume_without_a_manifest_is_refused_in_one_sentence(clean: Scene, commands: Commands) -> None:
    clean.run(BROKEN).manifest.path.unlink()
    said = output_of(clean, commands, "run", "--resume", BROKEN)
    assert said.code == 2
    assert "cannot be read. Restore the file, or pass --allow-drift" in " ".join(said.text.split())


def test_a_run_with_only_its_weights_left_is_still_a_run(clean: Scene, commands: Commands) -> None:
    folder = clean.run(BROKEN).root
    for name in (*FILES, "recipe.yaml"):
        (folder / name).unlink()
    (listed,) = [one for one in json.loads(output_of(clean, commands, "runs", "--json").out) if one["run"] == BROKEN]
    assert listed["state"] == "unreadable" and len(listed["damage"]) == 3
    assert output_of(clean, commands, "show", BROKEN).code == 0
    for words in (("run", "--resume", BROKEN), ("stop", BROKEN), ("kill", BROKEN)):
        assert output_of(clean, commands, *words).code == 2
    shutil.rmtree(clean.workspace / "outputs/archive" / OLD)
    assert output_of(clean, commands, "runs", "delete", BROKEN, "--yes").code == 0
