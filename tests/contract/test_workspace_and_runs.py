"""Where runs lie: the workspace, run directories that are never overwritten, and the words that find them."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.contract.files.folders import Folder, file_at
from engine.contract.sentences import Runs, RunsFolder, Workspaces
from engine.contract.store.find_run import find_run
from engine.contract.store.lock import WorkspaceLock
from engine.contract.store.run_directory import list_runs, make_run_directory, read_object
from engine.contract.store.workspace import Workspace, find_workspace
from engine.contract.wire.errors import OutputError, UsageError

NAME = "20261122_breastmnist_resnet18-adapted_1a2b3c"


@pytest.fixture(autouse=True)
def outside_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IN_DOCKER", raising=False)


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def run_of(outputs: Path, name: str, started: str) -> Path:
    folder = outputs / name
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"started": started}))
    return folder


# ---- the workspace ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("marker", [".git", "README.md"])
def test_the_workspace_is_the_nearest_marked_folder_upward(tmp_path: Path, marker: str) -> None:
    (tmp_path / "README.md").touch()
    root = tmp_path / "project"
    deep = root / "a" / "b"
    deep.mkdir(parents=True)
    (root / marker).touch()
    assert find_workspace(start=deep).root == root.resolve()
    assert find_workspace(start=root).root == root.resolve()


def test_without_a_marker_the_workspace_is_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marked = [folder for folder in tmp_path.parents if (folder / ".git").exists() or (folder / "README.md").exists()]
    if marked:
        pytest.skip(f"the temporary folder lies in a marked one: {marked[0]}")
    monkeypatch.chdir(tmp_path)
    assert find_workspace().root == tmp_path.resolve()


def test_an_explicit_workspace_overrides_markers_and_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marked = tmp_path / "marked"
    marked.mkdir()
    (marked / ".git").mkdir()
    given = tmp_path / "given"
    given.mkdir()
    monkeypatch.setenv("IN_DOCKER", "TRUE")
    assert find_workspace(given, start=marked).root == given.resolve()


@pytest.mark.parametrize("kind", ["missing", "a file"])
def test_an_explicit_workspace_must_be_a_folder(tmp_path: Path, kind: str) -> None:
    given = tmp_path / "given"
    if kind == "a file":
        given.touch()
    with pytest.raises(UsageError) as error:
        find_workspace(given)
    assert (error.value.code, error.value.fields["folder"]) == (Workspaces.NOT_FOUND.code, given)


def test_in_the_container_the_workspace_is_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("IN_DOCKER", "TRUE")
    assert find_workspace(start=tmp_path).root == Path("/app")
    monkeypatch.setenv("IN_DOCKER", "FALSE")
    assert find_workspace(start=tmp_path).root == tmp_path.resolve()


def test_runs_and_lock_are_in_outputs(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert workspace.make_outputs() == workspace.make_outputs() == tmp_path / "outputs"
    assert (tmp_path / "outputs").is_dir()
    assert workspace.lock_file.path == tmp_path / "outputs" / ".medtui.lock"


def test_outputs_that_are_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("mine")
    with pytest.raises(OutputError) as error:
        Workspace(tmp_path).make_outputs()
    assert (error.value.code, error.value.exit_code) == (RunsFolder.NOT_A_FOLDER.code, 2)
    assert (tmp_path / "outputs").read_text() == "mine"


def test_outputs_under_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "workspace").touch()
    with pytest.raises(OutputError) as error:
        Workspace(tmp_path / "workspace").make_outputs()
    assert error.value.code == RunsFolder.NOT_CREATED.code
    assert error.value.fields["folder"] == tmp_path / "workspace" / "outputs"


@contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Root may write anywhere, and so permissions would prove nothing: act as a user whom nobody has."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(54321)
    os.seteuid(54321)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that every user may enter, and change."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


@pytest.mark.parametrize("existing", [True, False])
def test_outputs_that_cannot_be_written_are_refused(open_folder: Path, existing: bool) -> None:
    workspace = Workspace(open_folder / "workspace")
    with as_ordinary_user():
        workspace.outputs.mkdir(parents=True) if existing else workspace.root.mkdir()
        closed = workspace.outputs if existing else workspace.root
        closed.chmod(0o500)
        try:
            with pytest.raises(OutputError) as error:
                workspace.make_outputs()
        finally:
            closed.chmod(0o700)
    expected = RunsFolder.NOT_WRITABLE if existing else RunsFolder.NOT_CREATED
    assert (error.value.code, error.value.fields["folder"]) == (expected.code, workspace.outputs)
    assert error.value.exit_code == 2
    assert [path.name for path in workspace.root.rglob("*")] == (["outputs"] if existing else [])


def test_outputs_on_a_read_only_file_system_are_refused(disk: Callable[[str], Path]) -> None:
    with pytest.raises(OutputError) as error:
        Workspace(disk("size=1m,ro")).make_outputs()
    assert (error.value.code, error.value.exit_code) == (RunsFolder.NOT_CREATED.code, 2)
    assert error.value.fields["reason"] == os.strerror(errno.EROFS)


# ---- run directories ----------------------------------------------------------------------------------------------


def test_a_second_run_of_the_same_name_overwrites_nothing(tmp_path: Path) -> None:
    first = make_run_directory(tmp_path, NAME)
    (first.root / "manifest.json").write_text("first")
    names = [make_run_directory(tmp_path, NAME).name for _ in range(3)]
    assert names == [f"{NAME}_2", f"{NAME}_3", f"{NAME}_4"]
    assert first.manifest.path.read_text() == "first"


def test_a_file_in_the_way_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("mine")
    assert make_run_directory(tmp_path, NAME).name == f"{NAME}_2"
    assert (tmp_path / NAME).read_text() == "mine"


def test_runs_that_start_at_once_get_a_directory_each(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def make() -> str:
        together.wait(10)
        return make_run_directory(tmp_path, NAME).name

    with ThreadPoolExecutor(8) as pool:
        names = [future.result() for future in [pool.submit(make) for _ in range(8)]]
    assert sorted(names) == sorted([NAME, *(f"{NAME}_{number}" for number in range(2, 9))])


def test_a_run_directory_has_its_subfolders_and_a_private_control_file(tmp_path: Path) -> None:
    run = make_run_directory(tmp_path, NAME)
    folders = {entry.name for entry in run.root.iterdir() if entry.is_dir()}
    assert folders == {"checkpoints", "metrics", "reports", "figures", "evaluations"}
    assert run.control.name == "control.jsonl"
    assert run.control.path.stat().st_mode & 0o777 == 0o600
    assert run.best.name_below == "checkpoints/best.safetensors"


def test_a_run_directory_that_cannot_be_created_is_an_error_of_the_outputs(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as error:
        make_run_directory(tmp_path / "missing", NAME)
    assert error.value.code == Runs.NOT_CREATED.code
    assert str(error.value.fields["path"]) == str(tmp_path / "missing" / NAME)


# ---- finding a run ------------------------------------------------------------------------------------------------


OLDEST = "20261123_breastmnist_mini-cnn_aaaaaa"


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Three runs; the one that sorts last by name started first."""
    outputs = tmp_path / "outputs"
    run_of(outputs, OLDEST, "2026-11-22T23:30:00.000+00:00")
    run_of(outputs, "20261122_bloodmnist_mini-cnn_bbbbbb", "2026-11-22T23:40:00.000+00:00")
    run_of(outputs, "20261122_bloodmnist_mini-cnn_bbbbbb_2", "2026-11-22T23:35:00.000+00:00")
    return outputs


def test_runs_are_in_the_order_they_started_whatever_their_names(outputs: Path) -> None:
    assert [run.name for run in list_runs(outputs)] == [
        "20261123_breastmnist_mini-cnn_aaaaaa",
        "20261122_bloodmnist_mini-cnn_bbbbbb_2",
        "20261122_bloodmnist_mini-cnn_bbbbbb",
    ]


def test_last_is_the_run_that_started_last(outputs: Path) -> None:
    assert find_run(outputs, "last").name == "20261122_bloodmnist_mini-cnn_bbbbbb"


def test_a_run_that_was_resumed_after_the_others_started_is_the_last(outputs: Path) -> None:
    manifest = outputs / OLDEST / "manifest.json"
    attempts = [{"started": "2026-11-22T23:30:00.000+00:00"}, {"started": "2026-11-22T23:50:00.000+00:00"}]
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"attempts": attempts}))
    assert find_run(outputs, "last").name == list_runs(outputs)[-1].name == OLDEST


def test_last_is_the_run_that_holds_the_workspace_whatever_the_clock(outputs: Path) -> None:
    lock = WorkspaceLock(Workspace(outputs.parent).lock_file)
    lock.acquire()
    assert find_run(outputs, "last").name == "20261122_bloodmnist_mini-cnn_bbbbbb", "it holds it for no run yet"
    lock.describe(OLDEST)
    assert find_run(outputs, "last").name == OLDEST
    lock.release()
    assert find_run(outputs, "last").name == "20261122_bloodmnist_mini-cnn_bbbbbb", "the text alone is no lock"


def test_a_run_is_found_by_its_path(outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = run_of(tmp_path / "archive", "old_run", "2020-01-01T00:00:00.000+00:00")
    assert find_run(outputs, str(elsewhere)).root == elsewhere.resolve()
    monkeypatch.chdir(tmp_path)
    assert find_run(outputs, "archive/old_run").root == elsewhere.resolve()
    monkeypatch.chdir(elsewhere)
    assert find_run(outputs, ".").root == elsewhere.resolve()


def test_a_run_is_found_by_its_name_even_where_others_contain_it(outputs: Path) -> None:
    name = "20261122_bloodmnist_mini-cnn_bbbbbb"
    assert find_run(outputs, name).root == outputs / name


@pytest.mark.parametrize("part", ["breast", "aaaaaa", "20261123"])
def test_a_run_is_found_by_a_unique_part_of_its_name(outputs: Path, part: str) -> None:
    assert find_run(outputs, part).name == "20261123_breastmnist_mini-cnn_aaaaaa"


def test_a_part_of_several_names_is_refused_and_they_are_named(outputs: Path) -> None:
    with pytest.raises(UsageError) as error:
        find_run(outputs, "bbbbbb")
    assert error.value.code == Runs.AMBIGUOUS_NAME.code
    assert (error.value.fields["count"], error.value.fields["word"]) == (2, "bbbbbb")
    names = {"20261122_bloodmnist_mini-cnn_bbbbbb", "20261122_bloodmnist_mini-cnn_bbbbbb_2"}
    assert set(str(error.value.fields["names"]).split(", ")) == names
    assert error.value.exit_code == 2


def test_an_unknown_run_is_refused_and_the_nearest_suggested(outputs: Path) -> None:
    with pytest.raises(UsageError) as error:
        find_run(outputs, "20261123_breastmnist_mini-cnn_aaaaab")
    assert (error.value.code, error.value.fields["found"]) == (
        Runs.UNKNOWN.code,
        "20261123_breastmnist_mini-cnn_aaaaab",
    )
    assert error.value.fields["alternatives"] == "did you mean 20261123_breastmnist_mini-cnn_aaaaaa?"


@pytest.mark.parametrize("word", ["x" * 300, "a\0b", "no/such/run"])
def test_an_impossible_run_name_is_refused_in_the_same_way(outputs: Path, word: str) -> None:
    with pytest.raises(UsageError) as error:
        find_run(outputs, word)
    assert error.value.code == Runs.UNKNOWN.code


@pytest.mark.parametrize("word", ["last", "breast"])
def test_a_workspace_without_runs_is_reported(tmp_path: Path, word: str) -> None:
    (tmp_path / "outputs").mkdir()
    for outputs in (tmp_path / "outputs", tmp_path / "missing"):
        assert list_runs(outputs) == []
        with pytest.raises(UsageError) as error:
            find_run(outputs, word)
        assert (error.value.code, error.value.fields) == (Runs.NONE_YET.code, {"folder": outputs})


DAMAGED = {
    "empty": b"",
    "half": b'{"started": "2026-',
    "no object": b"[]",
    "no UTF-8": b'{"started": "\xff"}',
    "deep": b"[" * 100_000,
    "long number": b"9" * 5000,
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_manifest_is_skipped(outputs: Path, name: str) -> None:
    before = list_runs(outputs)
    (run_of(outputs, "damaged", "") / "manifest.json").write_bytes(DAMAGED[name])
    assert read_object(outputs / "damaged" / "manifest.json") is None
    assert list_runs(outputs) == before


def test_entries_that_are_not_runs_are_skipped(outputs: Path) -> None:
    before = list_runs(outputs)
    (outputs / ".medtui.lock").touch()
    (outputs / "notes.txt").touch()
    (outputs / "made_but_not_begun").mkdir()
    (outputs / "manifest_is_a_folder" / "manifest.json").mkdir(parents=True)
    (outputs / "gone").symlink_to(outputs / "nowhere")
    assert list_runs(outputs) == before


def test_an_oversized_manifest_is_skipped(outputs: Path) -> None:
    folder = run_of(outputs, "huge", "")
    with (folder / "manifest.json").open("r+b") as file:
        file.truncate(1 << 34)  # sparse
    assert "huge" not in [run.name for run in list_runs(outputs)]


# ---- files that are whole or not there ----------------------------------------------------------------------------


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_is_there_when_the_block_has_ended_well(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "status.json"
    path.write_text("old")
    with file_at(path).replacing(durable=durable) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names_in(tmp_path) == ["status.json"]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, OSError])
def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "status.json"
    path.write_text("old")

    def write_badly() -> None:
        with file_at(path).replacing() as file:
            file.write(b"ne")
            raise error

    with pytest.raises(error):
        write_badly()
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["status.json"]


def test_a_block_that_raises_creates_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        file_at(tmp_path / "notes.txt").write("\ud800")
    assert names_in(tmp_path) == []


def test_a_file_that_cannot_be_replaced_leaves_no_temporary(tmp_path: Path) -> None:
    (tmp_path / "status.json").mkdir()
    with pytest.raises(OSError):
        file_at(tmp_path / "status.json").write("new")
    assert names_in(tmp_path) == ["status.json"]


def test_a_kill_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_text("old and whole")
    program = (
        "import sys; from pathlib import Path; from engine.contract.files.folders import file_at\n"
        "with file_at(Path(sys.argv[1])).replacing() as file:\n"
        "    file.write(b'new'); file.flush(); print('half', flush=True); sys.stdin.read()\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"half\n"
    writer.kill()
    writer.communicate(timeout=30)
    assert path.read_text() == "old and whole"
    file_at(path).write("newer")
    assert path.read_text() == "newer"


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    """`status.json` is read by others while it is replaced."""
    path = tmp_path / "status.json"
    old, new = "a" * 200_000, "b" * 200_000
    file_at(path).write(old, durable=False)

    def write() -> None:
        for turn in range(60):
            file_at(path).write(old if turn % 2 else new, durable=False)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while not writing.done():
            assert path.read_text() in (old, new)
        writing.result()
    assert path.read_text() == old


# ---- by hash ------------------------------------------------------------------------------------------------------


def test_a_run_is_found_by_the_beginning_of_its_recipe_hash_whatever_its_folder_is_called(outputs: Path) -> None:
    for name, digits in ((OLDEST, "0123456789abcdef" * 2), ("20261122_bloodmnist_mini-cnn_bbbbbb", "fedc" * 8)):
        manifest = outputs / name / "manifest.json"
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"recipe_hash": digits}))
    for word in ("0123", "012345", "0123456789abcdef" * 2):
        assert find_run(outputs, word).name == OLDEST
    with pytest.raises(UsageError) as error:
        find_run(outputs, "0124")
    assert error.value.code == Runs.UNKNOWN.code


def test_a_hash_that_two_runs_share_is_refused_and_both_are_named(outputs: Path) -> None:
    for name in (OLDEST, "20261122_bloodmnist_mini-cnn_bbbbbb"):
        manifest = outputs / name / "manifest.json"
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"recipe_hash": "0123" * 8}))
    with pytest.raises(UsageError) as error:
        find_run(outputs, "01230")
    assert (error.value.code, error.value.fields["count"]) == (Runs.AMBIGUOUS_HASH.code, 2)
    assert set(str(error.value.fields["names"]).split(", ")) == {OLDEST, "20261122_bloodmnist_mini-cnn_bbbbbb"}


def test_three_digits_of_a_hash_say_too_little(outputs: Path) -> None:
    manifest = outputs / OLDEST / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"recipe_hash": "0123" * 8}))
    with pytest.raises(UsageError) as error:
        find_run(outputs, "012")
    assert error.value.code == Runs.UNKNOWN.code


def test_a_run_in_the_archive_is_refused_with_how_it_is_restored(outputs: Path) -> None:
    run_of(outputs / "archive", "20261101_octmnist_mini-cnn_cccccc", "2026-11-01T23:30:00.000+00:00")
    with pytest.raises(UsageError) as error:
        find_run(outputs, "octmnist")
    assert (error.value.code, error.value.fields["run"]) == (Runs.ARCHIVED.code, "20261101_octmnist_mini-cnn_cccccc")
    run_of(outputs / "archive", "20261102_octmnist_mini-cnn_dddddd", "2026-11-02T23:30:00.000+00:00")
    with pytest.raises(UsageError) as error:
        find_run(outputs, "octmnist")
    assert error.value.code == Runs.UNKNOWN.code


def test_a_run_of_outputs_that_cannot_be_listed_is_not_said_to_be_missing(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file")
    with pytest.raises(OutputError) as error:
        find_run(tmp_path / "outputs", "anything")
    assert error.value.code == RunsFolder.UNREADABLE.code


# ---- files that are made --------------------------------------------------------------------------------------------


def test_a_file_is_created_complete_or_not_at_all_and_never_over_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(tmp_path)
    folder.file("new").create(b"text")
    assert (tmp_path / "new").read_bytes() == b"text"
    with pytest.raises(FileExistsError):
        folder.file("new").create(b"other")
    assert (tmp_path / "new").read_bytes() == b"text"

    def full(descriptor: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("engine.contract.files.folders.append_all", full)
    with pytest.raises(OSError, match="No space left"):
        folder.file("late").create(b"text")
    assert not (tmp_path / "late").exists()
