"""What is no run of this workspace is neither deleted, moved nor written to; and what `outputs/` may be a link to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from driving import Engine, medtui, tiny, yaml_of
from forked import CommandOutput, Commands

HELLO = {"event": "hello", "time": 1.0, "seq": 1, "engine": "e1", "pid": 1, "started": 1.0, "host": "h", "boot": "b"}
FINISHED = {"event": "run.finished", "time": 2.0, "seq": 2, "outcome": "completed", "exit_code": 0}
RUN = "20261101_cells"


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    commands = Commands()
    yield commands
    commands.close()


def make_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"run": folder.name, "started": "2026-11-01T00:00:00+00:00"}))
    lines = [HELLO | {"versions": {}}, FINISHED | {"metrics": {"validation": None, "test": None}, "run_dir": None}]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def content(*trees: Path) -> dict[str, bytes | str]:
    """Every name below, with what it holds or leads to."""
    paths = sorted(path for tree in trees for path in (tree, *tree.rglob("*")))
    return {
        str(path): str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
        for path in paths
    }


# ---- runs that are not of this workspace -----------------------------------------------------------------------------


def plain_folder(workspace: Path, other: Path) -> Path:
    folder = workspace / "precious"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    return folder


def manifest_of_a_run(workspace: Path, other: Path) -> Path:
    return make_run(workspace / "elsewhere" / RUN)


def run_of_another_workspace(workspace: Path, other: Path) -> Path:
    return other / "outputs" / RUN


def link_to_such_a_run(workspace: Path, other: Path) -> Path:
    link = workspace / "outputs/20261102_linked"
    link.symlink_to(other / "outputs" / RUN)
    return link


def run_below_a_linked_archive(workspace: Path, other: Path) -> Path:
    (workspace / "outputs/archive").symlink_to(other / "outputs")
    return other / "outputs" / RUN


def folder_above(workspace: Path, other: Path) -> Path:
    return Path("..")


def folder_above_by_name(workspace: Path, other: Path) -> Path:
    return workspace / "outputs" / RUN / ".."


def outputs_itself(workspace: Path, other: Path) -> Path:
    return workspace / "outputs"


def outputs_that_look_like_a_run(workspace: Path, other: Path) -> Path:
    (workspace / "outputs/manifest.json").write_text('{"run": "outputs", "started": "2026"}')
    return workspace / "outputs"


def folder_of_archived_runs(workspace: Path, other: Path) -> Path:
    make_run(workspace / "outputs/archive/20261001_old")
    return workspace / "outputs/archive"


def archive_that_looks_like_a_run(workspace: Path, other: Path) -> Path:
    make_run(workspace / "outputs/archive/20261001_old")
    (workspace / "outputs/archive/manifest.json").write_text('{"run": "archive", "started": "2026"}')
    return workspace / "outputs/archive"


FOREIGN: list[Callable[[Path, Path], Path]] = [
    *(plain_folder, manifest_of_a_run, run_of_another_workspace, link_to_such_a_run, run_below_a_linked_archive),
    *(folder_above, folder_above_by_name, outputs_itself, outputs_that_look_like_a_run, folder_of_archived_runs),
    archive_that_looks_like_a_run,
]
KEEPING = {"delete": ["--yes"], "archive": [], "tag": ["mine"], "note": ["mine"]}


@pytest.mark.parametrize("keep", KEEPING)
@pytest.mark.parametrize("made", FOREIGN, ids=lambda made: made.__name__.replace("_", " "))
def test_an_entry_that_is_not_a_run_of_this_workspace_is_not_changed(
    made: Callable[[Path, Path], Path], keep: str, tmp_path: Path, commands: Commands
) -> None:
    workspace, other = tmp_path / "workspace", tmp_path / "other"
    make_run(workspace / "outputs" / RUN)
    make_run(other / "outputs" / RUN)
    named = made(workspace, other)
    before = content(workspace, other)
    said = commands("runs", keep, named, *KEEPING[keep], "--workspace", workspace, cwd=workspace)
    assert said.code == 2, said
    assert said.err.startswith("medtui: ") and said.err.count("\n") == 1
    assert content(workspace, other) == before


def test_nothing_is_unarchived_from_an_archive_that_is_a_link(tmp_path: Path, commands: Commands) -> None:
    workspace, other = tmp_path / "workspace", tmp_path / "other"
    make_run(workspace / "outputs/20261103_mine")
    run_below_a_linked_archive(workspace, make_run(other / "outputs" / RUN).parent.parent)
    before = content(workspace, other)
    for words in (("unarchive", RUN), ("archive", "20261103_mine")):
        said = commands("runs", *words, cwd=workspace, environment={"PWD": str(workspace)})
        assert said.code == 2 and said.err.startswith("medtui: ")
    assert content(workspace, other) == before


# ---- outputs/ as a link ----------------------------------------------------------------------------------------------


def linked(tmp_path: Path) -> tuple[Path, Path]:
    """A workspace, and where its `outputs/` leads."""
    workspace, target = tmp_path / "workspace", tmp_path / "scratch"
    workspace.mkdir()
    (workspace / "tiny.yaml").write_text(yaml_of(tiny()))
    (workspace / "outputs").symlink_to(target)
    return workspace, target


@pytest.mark.slow
def test_outputs_may_be_a_link_to_an_empty_folder(tmp_path: Path, commands: Commands) -> None:
    """Run, list, a second start, stop and kill as everywhere."""
    workspace, target = linked(tmp_path)
    target.mkdir()
    where = ("--workspace", workspace)
    engines = [Engine(workspace)]
    try:
        engines[0].train(tiny(training={"epochs": 2000, "patience": None}))
        run = Path(engines[0].wait_for_event("run.started")["run_dir"])
        assert (target / run.name).is_dir()
        assert run.name in commands("runs", "--json", *where, cwd=workspace).out
        second = commands("run", "tiny.yaml", *where, cwd=workspace, patience=100)
        assert second.code == 3 and run.name in second.text
        assert commands("stop", "last", *where, cwd=workspace).code == 0
        assert engines[0].wait_for_event("run.finished")["outcome"] == "stopped"
        assert engines[0].end() == 6

        engines.append(Engine(workspace))
        engines[1].train({}, resume=str(workspace / "outputs" / run.name))
        engines[1].wait_for_phase("training")
        killed = commands("kill", run.name, "--now", *where, cwd=workspace)
        assert killed.code == 0 and "process gone" in killed.out, killed
        assert engines[1].end() == -9
        assert f"{run.name}: killed" in commands("show", run.name, *where, cwd=workspace).out
    finally:
        for engine in engines:
            engine.kill()


def test_a_link_to_a_folder_with_other_things_is_refused_and_nothing_there_is_changed(
    tmp_path: Path, commands: Commands
) -> None:
    workspace, target = linked(tmp_path)
    target.mkdir()
    (target / "thesis.tex").write_text("years of work")
    before = content(target)
    said = commands("run", "tiny.yaml", "--workspace", workspace, cwd=workspace, patience=100)
    assert said.code == 2
    assert (
        f"{workspace}/outputs is a link to {target}, which contains something other than runs: thesis.tex." in said.text
    )
    assert content(target) == before


def sentence(said: CommandOutput) -> str:
    """Up to the part that tells what to do."""
    return " ".join(said.text.split()).partition("Mount or create it")[0].strip()


def test_a_broken_link_is_reported_with_the_same_message_by_all_commands(tmp_path: Path, commands: Commands) -> None:
    """A disk that is not mounted: `runs` must not report that nothing was ever trained."""
    workspace, target = linked(tmp_path)
    expected = f"{workspace}/outputs is a link to {target}, which does not exist (unmounted, purged?)."
    for words in (("runs",), ("show", "last"), ("stop", "last"), ("run", "--resume", "last"), ("run", "tiny.yaml")):
        said = commands(*words, "--workspace", workspace, cwd=workspace, patience=100)
        assert said.code == 2, (words, said)
        assert expected in sentence(said), (words, said)
    assert not target.exists()


@pytest.mark.parametrize("words", [("runs",), ("show", "last"), ("attach", "last")], ids=" ".join)
def test_a_pipe_is_not_an_empty_folder_of_runs(words: tuple[str, ...], tmp_path: Path, commands: Commands) -> None:
    os.mkfifo(tmp_path / "outputs")
    said = commands(*words, "--workspace", tmp_path, cwd=tmp_path)
    assert said.code != 0
    assert f"The runs folder {tmp_path}/outputs cannot be read: it is not a folder." in " ".join(said.text.split())


@pytest.mark.slow
def test_doctor_fails_for_outputs_that_are_a_broken_link(tmp_path: Path) -> None:
    workspace, target = linked(tmp_path)
    done = medtui("doctor", "--workspace", workspace, cwd=workspace)
    assert done.returncode == 1
    expected = f"{workspace}/outputs is a link to {target}, which does not exist (unmounted, purged?)."
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("fail  workspace ")]
    assert expected in line
