"""The index of runs is never believed: whatever happens to runs and to it, the list is that of the run directories."""

from __future__ import annotations

import contextlib
import json
import marshal
import os
import random
import shutil
import sqlite3
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from ended_runs import NOBODY, ended_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract.files import stamps
from engine.contract.machine.process_identity import start_of
from engine.contract.store.run_directory import RunDirectory, list_runs_and_manifests
from engine.contract.store.workspace import Workspace
from medtui.client import forks, run_index
from medtui.client.labels import set_note, set_tags
from medtui.client.run_index import index_file, run_rows
from medtui.client.run_management import archive, delete, unarchive
from medtui.client.run_row import RunRow
from medtui.client.run_summary import summary
from medtui.client.runs import read_run_row

TICK = 0.02  # seconds; longer than a tick of the kernel's clock
A, B, C, D = NAMES = [f"20261121_breastmnist_resnet18-adapted_{letter * 6}" for letter in "abcd"]


def read_anew(outputs: Path) -> list[RunRow]:
    """Without an index: as every list was read before there was one."""
    return [read_run_row(run, manifest) for run, manifest in list_runs_and_manifests(outputs)]


def assert_same(outputs: Path) -> None:
    """By their texts, in which a NaN equals itself."""
    assert list(map(repr, run_rows(outputs))) == list(map(repr, read_anew(outputs)))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An index of few runs, in which a change of a moment ago counts as settled, as in a real one after seconds."""
    monkeypatch.setattr(run_index, "SMALLEST", 0)
    monkeypatch.setattr(stamps, "TICK", int(TICK * 1e9))
    monkeypatch.setenv("MEDTUI_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def workspace(quick: None, tmp_path: Path) -> Workspace:
    """Three runs, listed often enough to be in the index."""
    found = Workspace(tmp_path / "work")
    for name, outcome in ((A, "completed"), (B, "failed"), (C, None)):
        ended_run(found.outputs, name, outcome)
    settle(found)
    assert set(indexed(found)) == {A, B, C}
    return found


def settle(workspace: Workspace) -> None:
    time.sleep(1.5 * TICK)
    assert_same(workspace.outputs)


def indexed(workspace: Workspace) -> list[str]:
    """The runs that the index holds."""
    return list(marshal.loads(index_file(workspace.outputs).path.read_bytes().partition(b"\n")[2]))


@pytest.fixture
def was_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs whose files were read."""
    names: list[str] = []
    real = run_index.order_and_manifest

    def noted(run: RunDirectory) -> object:
        names.append(run.name)
        return real(run)

    monkeypatch.setattr(run_index, "order_and_manifest", noted)
    return names


# ---- what happens to runs -------------------------------------------------------------------------------------------


def in_place(run: RunDirectory) -> None:
    """Another test AUC in as many bytes, its mtime put back: only the ctime tells."""
    before = run.status.path.stat()
    text = run.status.path.read_text()
    with run.status.path.open("r+") as file:
        file.write(text.replace('"auc":0.9', '"auc":0.8') if '"auc":0.9' in text else text.replace("0.8", "0.9"))
    os.utime(run.status.path, ns=(before.st_atime_ns, before.st_mtime_ns))


def resumed(run: RunDirectory) -> None:
    ended_run(run.root.parent, run.name, None, engine=(os.getpid(), start_of(os.getpid())))


def killed(run: RunDirectory) -> None:
    ended_run(run.root.parent, run.name, None)
    run.killed.path.write_text(json.dumps({"pid": NOBODY[0], "started": NOBODY[1], "by": "me"}))


def replaced_by_copy(run: RunDirectory) -> None:
    """As from a backup: other inodes, the same contents and mtimes."""
    copy = run.root.with_name(".copy")
    shutil.copytree(run.root, copy, symlinks=True)
    shutil.rmtree(run.root)
    copy.rename(run.root)


def linked(run: RunDirectory) -> None:
    link = run.metrics.path / "link"
    link.unlink() if link.is_symlink() else link.symlink_to("/etc/passwd")


def swapped(run: RunDirectory) -> None:
    """Two runs take each other's names."""
    other = run.root.with_name(B if run.name != B else A)
    if other.is_dir():
        aside = run.root.with_name(".aside")
        for source, target in ((run.root, aside), (other, run.root), (aside, other)):
            source.rename(target)


def damaged(run: RunDirectory) -> None:
    file = random.Random(run.name).choice([run.status, run.manifest, run.journal]).path
    content = file.read_bytes() if file.is_file() else b""
    file.write_bytes(content[: len(content) // 2])


def garbled(run: RunDirectory) -> None:
    """A line in the middle of its journal is garbage; its ends are as they were."""
    if run.journal.is_there:
        first, *others = run.journal.path.read_bytes().splitlines(keepends=True)
        run.journal.path.write_bytes(b"".join([first, b"\0" * 20 + b"\n", *others]))


def scrambled(content: bytes) -> bytes:
    return bytes(byte ^ 1 if at % 997 == 5 else byte for at, byte in enumerate(content))


OPERATIONS: dict[str, Callable[[RunDirectory, Workspace], object]] = {
    "again": lambda run, ws: ended_run(ws.outputs, run.name, seed=2),
    "failed": lambda run, ws: ended_run(ws.outputs, run.name, "failed", started="2026-11-20T00:00:00.000+00:00"),
    "resumed": lambda run, ws: resumed(run),
    "died": lambda run, ws: ended_run(ws.outputs, run.name, None),
    "killed": lambda run, ws: killed(run),
    "edited in place": lambda run, ws: in_place(run),
    "tagged": lambda run, ws: set_tags(run, ["good"]),
    "noted": lambda run, ws: set_note(run, "ünï\tcode\n" * 3),
    "labels gone": lambda run, ws: run.labels.delete(),
    "deleted": lambda run, ws: delete(run, ws),
    "archived": lambda run, ws: archive(run, ws),
    "unarchived": lambda run, ws: unarchive(RunDirectory(ws.outputs / "archive" / run.name), ws),
    "renamed": lambda run, ws: run.root.rename(ws.outputs / D),
    "swapped": lambda run, ws: swapped(run),
    "copied back": lambda run, ws: replaced_by_copy(run),
    "a link": lambda run, ws: linked(run),
    "evaluated": lambda run, ws: (run.evaluations.path / "1").mkdir(),
    "pruned": lambda run, ws: run.last.path.write_bytes(b"x") if not run.last.is_there else run.last.path.unlink(),
    "damaged": lambda run, ws: damaged(run),
    "garbled": lambda run, ws: garbled(run),
    "status gone": lambda run, ws: run.status.delete(),
    "no run any more": lambda run, ws: [file.delete() for file in (run.status, run.manifest, run.journal)],
    "a link to it": lambda run, ws: (ws.outputs / D).symlink_to(run.root),
    "NaN": lambda run, ws: ended_run(ws.outputs, run.name, auc=float("nan")),
}  # fmt: skip
OF_INDEX: dict[str, Callable[[Path], object]] = {
    "index deleted": lambda file: file.unlink(),
    "index cut": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 3]),
    "index scrambled": lambda file: file.write_bytes(scrambled(file.read_bytes())),
}  # fmt: skip
WAIT = "wait"
steps = st.tuples(st.sampled_from([*OPERATIONS, *OF_INDEX, *[WAIT] * 6]), st.sampled_from(NAMES))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=12))
def test_the_list_is_that_of_the_directories_after_whatever_happened(
    quick: None, tmp_path: Path, steps: list[tuple[str, str]]
) -> None:
    workspace = Workspace(tmp_path / "work")
    shutil.rmtree(workspace.root, ignore_errors=True)
    for name in (A, B, C):
        ended_run(workspace.outputs, name)
    settle(workspace)
    for what, name in [*steps, (WAIT, A), (WAIT, A)]:
        with contextlib.suppress(Exception):  # of an operation that makes no sense now
            if what == WAIT:
                time.sleep(1.5 * TICK)
            elif what in OF_INDEX:
                OF_INDEX[what](index_file(workspace.outputs).path)
            else:
                OPERATIONS[what](RunDirectory(workspace.outputs / name), workspace)
        assert_same(workspace.outputs)


@pytest.mark.parametrize("what", OPERATIONS)
def test_each_change_is_shown_at_once_and_again_when_it_has_settled(workspace: Workspace, what: str) -> None:
    run = RunDirectory(workspace.outputs / A)
    if what == "unarchived":
        archive(run, workspace)
        settle(workspace)
    OPERATIONS[what](run, workspace)
    assert_same(workspace.outputs)
    settle(workspace)
    settle(workspace)


def test_what_did_not_change_is_not_read_again(workspace: Workspace, was_read: list[str]) -> None:
    assert_same(workspace.outputs)
    assert was_read == []
    set_tags(RunDirectory(workspace.outputs / A), ["new"])
    assert [run_row.labels.tags for run_row in run_rows(workspace.outputs)] == [("new",), (), ()]
    assert was_read == [A]


def test_a_run_that_lacks_a_file_is_not_read_again_until_it_is_there(workspace: Workspace, was_read: list[str]) -> None:
    recipe = RunDirectory(workspace.outputs / A).recipe.path
    recipe.unlink(missing_ok=True)
    settle(workspace)
    settle(workspace)
    was_read.clear()
    (damage,) = (row.damage for row in run_rows(workspace.outputs) if row.run == A)
    assert damage == ("recipe.yaml is missing",)
    assert was_read == []
    recipe.write_text("dataset: {name: cells}\n")
    (damage,) = (row.damage for row in run_rows(workspace.outputs) if row.run == A)
    assert damage == () and was_read == [A]


def test_a_line_of_garbage_in_a_journal_is_marked_in_the_list_in_the_words_of_show(workspace: Workspace) -> None:
    run = RunDirectory(workspace.outputs / A)
    garbled(run)
    (row,) = (row for row in run_rows(workspace.outputs) if row.run == A)
    assert row.damage == ("events.jsonl has 1 damaged line",) and list(row.damage) == summary(run)["damage"]


def test_a_run_that_lives_is_read_each_time_and_its_death_is_shown(workspace: Workspace, was_read: list[str]) -> None:
    run = RunDirectory(workspace.outputs / B)
    resumed(run)
    settle(workspace)
    was_read.clear()
    assert [run_row.state for run_row in run_rows(workspace.outputs)] == ["completed", "finished", "crashed"]
    assert was_read == [B]


def test_what_crashed_elsewhere_is_not_taken_from_what_was_seen_here(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another host nobody can know whether that engine lives."""
    assert run_rows(workspace.outputs)[2].state == "crashed"
    monkeypatch.setattr("socket.gethostname", lambda: "another-host")
    assert run_rows(workspace.outputs)[2].state != "crashed"
    assert_same(workspace.outputs)


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("reads", [False, True])
def test_processes_that_look_at_a_part_of_the_runs_each_find_what_changed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, was_read: list[str], reads: bool, killed: bool
) -> None:
    monkeypatch.setattr(run_index, "STAMPED_PER_PROCESS", 1)
    monkeypatch.setattr(run_index, "READ_PER_PROCESS", 1 if reads else 50)
    monkeypatch.setattr(forks, "cores", lambda: 3)
    monkeypatch.setattr("threading.active_count", lambda: 1)
    if killed:  # before it could write
        own, real = os.getpid(), os.fdopen
        monkeypatch.setattr("os.fdopen", lambda *how, **more: real(*how, **more) if os.getpid() == own else os._exit(1))
    assert_same(workspace.outputs)
    assert was_read == []
    for name in (A, C):
        set_tags(RunDirectory(workspace.outputs / name), ["new"])
    settle(workspace)
    assert was_read == ([A, C] if killed or not reads else [A]), "C was read by the other process"
    was_read.clear()
    settle(workspace)
    assert was_read == [], "what was read there is in the index too"


# ---- clocks ---------------------------------------------------------------------------------------------------------


class CoarseClock:
    """Of a file system that stamps files every two seconds."""

    STEP = 2_000_000_000  # ns

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = stamps.Stamper.__init__

        def made(stamper: stamps.Stamper, folder: Path) -> None:
            real(stamper, folder)
            look = stamper._look

            def coarse(name: str) -> os.stat_result:
                found = look(name)
                whole = {time: getattr(found, time) // self.STEP * self.STEP for time in ("st_mtime_ns", "st_ctime_ns")}
                others = {one: getattr(found, one) for one in ("st_ino", "st_size", "st_mode", "st_dev")}
                return SimpleNamespace(**whole, **others)  # type: ignore[return-value]

            stamper._look = coarse

        monkeypatch.setattr(stamps.Stamper, "__init__", made)


def test_two_changes_within_one_tick_of_the_clock_are_both_shown(
    quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stamps, "TICK", 2_500_000_000)
    CoarseClock(monkeypatch)
    workspace = Workspace(tmp_path / "work")
    run = ended_run(workspace.outputs, A)
    assert_same(workspace.outputs)
    in_place(run)
    assert [run_row.test_auc for run_row in run_rows(workspace.outputs)] == [0.8]


def test_where_the_clock_of_a_server_cannot_be_asked_only_what_is_a_day_old_is_kept(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network file system, mounted read-only: nothing can be written to see what time it is there."""

    def read_only(folder: int) -> Iterator[int]:
        raise OSError("Read-only file system")

    index_file(workspace.outputs).delete()
    monkeypatch.setattr(stamps, "_file_system", lambda descriptor: "nfs4")
    monkeypatch.setattr(stamps, "temporary_in", contextlib.contextmanager(read_only))
    settle(workspace)
    assert not index_file(workspace.outputs).is_there
    monkeypatch.undo()


def test_on_a_network_file_system_the_server_is_asked_by_opening(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, was_read: list[str]
) -> None:
    monkeypatch.setattr(stamps, "_file_system", lambda descriptor: "nfs4")
    opened: list[str] = []
    by_opening = stamps.Stamper._by_opening
    monkeypatch.setattr(
        stamps.Stamper, "_by_opening", lambda self, name: (opened.append(name), by_opening(self, name))[1]
    )
    assert_same(workspace.outputs)
    assert was_read == [] and f"{A}/status.json" in opened and f"{A}/metrics" in opened


def test_a_time_in_a_distant_future_is_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As tmpfs and NFS keep it, and ext4 does not: in nanoseconds it is longer than 64 bits."""
    monkeypatch.setattr(
        stamps, "_facts", lambda found: (found.st_dev, 1, 2, 2**70 + len(list(tmp_path.iterdir())), 4, found.st_mode)
    )
    with stamps.Stamper(tmp_path) as stamper:
        before = stamper.stamp(["."])
        (tmp_path / "one").write_text("")
        assert before is not None and before != stamper.stamp(["."])


@pytest.mark.parametrize("kind", ["vfat", "cifs", "fuse.sshfs", None])
def test_where_times_say_little_nothing_is_kept(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, kind: str | None, was_read: list[str]
) -> None:
    monkeypatch.setattr(stamps, "_file_system", lambda descriptor: kind)
    assert_same(workspace.outputs)
    assert was_read == NAMES[:3]


# ---- the file of the index ------------------------------------------------------------------------------------------


def other_program(file: Path) -> None:
    file.unlink()
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE runs (name TEXT)")
        database.commit()


def forged_value(file: Path) -> None:
    """Flipped bits that leave a good number."""
    content, true = file.read_bytes(), struct.pack("<d", 0.9)
    assert true in content
    file.write_bytes(content.replace(true, struct.pack("<d", 0.7)))


def in_the_way(file: Path) -> None:
    file.unlink()
    file.mkdir()


def to_another_file(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


CPYTHON = str(sys.implementation.cache_tag).encode()
DAMAGES: dict[str, Callable[[Path], object]] = {
    "deleted": lambda file: file.unlink(),
    "empty": lambda file: file.write_bytes(b""),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-20]),
    "random bytes": lambda file: file.write_bytes(random.Random(1).randbytes(4000)),
    "zeros": lambda file: file.write_bytes(b"\0" * 4000),
    "another value": forged_value,
    "another program's": other_program,
    "an older version's": lambda file: file.write_bytes(b"medtui runs\tolder" + file.read_bytes()[12:]),
    "another Python's": lambda file: file.write_bytes(file.read_bytes().replace(CPYTHON, b"cpython-300", 1)),
    "a folder": in_the_way,
    "a link": to_another_file,
    "a pipe": lambda file: (file.unlink(), os.mkfifo(file)),
    "no folder for it": lambda file: (shutil.rmtree(file.parent), file.parent.write_text("a file")),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_changes_nothing_and_is_made_again_where_it_can_be(
    workspace: Workspace, damage: str, was_read: list[str]
) -> None:
    file = index_file(workspace.outputs).path
    DAMAGES[damage](file)
    settle(workspace)
    assert was_read, "of what is damaged nothing is believed"
    was_read.clear()
    assert_same(workspace.outputs)
    assert bool(was_read) == (damage in ("a folder", "no folder for it"))


def test_the_index_of_another_code_is_not_read(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, was_read: list[str]
) -> None:
    monkeypatch.setattr(run_index, "_code", lambda: "another")
    assert_same(workspace.outputs)
    assert was_read == NAMES[:3]


def test_code_that_was_replaced_while_it_runs_writes_no_index(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_file(workspace.outputs).delete()
    monkeypatch.setattr(run_index, "_LOADED", 0)
    run_index._code.cache_clear()
    settle(workspace)
    run_index._code.cache_clear()
    assert not index_file(workspace.outputs).is_there


def test_on_a_full_disk_the_runs_are_listed_without_an_index(
    workspace: Workspace, disk: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = disk("size=16k")
    with contextlib.suppress(OSError):
        (full / "filler").write_bytes(b"x" * 65536)
    monkeypatch.setenv("MEDTUI_CACHE", str(full))
    settle(workspace)
    settle(workspace)
    assert not list((full / "runs").glob("*")) if (full / "runs").is_dir() else True


def test_several_readers_and_a_writer_at_once_see_no_stale_run(workspace: Workspace) -> None:
    """A reader that began before a change may write its older index after it: lines in it no longer fit."""
    stop, failures = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            try:
                assert len(run_rows(workspace.outputs)) == 3
            except BaseException as error:
                failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(20):
        set_tags(RunDirectory(workspace.outputs / A), [f"tag{number}"])
        tags = {run_row.run: run_row.labels.tags for run_row in run_rows(workspace.outputs)}
        assert tags[A] == (f"tag{number}",)
    stop.set()
    for reader in readers:
        reader.join()
    assert not failures
    settle(workspace)


def test_a_workspace_by_another_path_has_the_paths_that_were_asked_for(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(workspace.root)
    alias = Workspace(tmp_path / "alias")
    assert [run_row.run_dir for run_row in run_rows(alias.outputs)] == [alias.outputs / name for name in NAMES[:3]]


def test_few_runs_need_no_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDTUI_CACHE", str(tmp_path / "cache"))
    workspace = Workspace(tmp_path / "work")
    ended_run(workspace.outputs, A)
    assert_same(workspace.outputs)
    assert not (tmp_path / "cache").exists()
