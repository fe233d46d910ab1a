"""What uses the disk, what of it may go, and that what a living run needs never does."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from driving import Engine, tiny

from engine.contract.data.card import own_folder
from engine.contract.data.sums import cache_folder
from engine.contract.files.folders import Folder
from engine.contract.models.catalogue import MODELS, models
from engine.contract.store.lock import WorkspaceLock
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import OutputError, UsageError
from medtui.machine.cache_removal import remove_copy, remove_each, remove_unfinished, unfinished_data
from medtui.machine.caches import DecodedCopy, decoded_copies
from medtui.machine.needs import Needs, copies_and_needs
from medtui.machine.storage import RunSize, Storage, scan_storage

MD5 = "750601b1f35ba3300ea97c75c52ff8f6"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one of this test."""
    monkeypatch.setenv("MEDTUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "cache"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "work" / "outputs").mkdir(parents=True)
    return Workspace(tmp_path / "work")


def write_copy(cache: Path, key: str, content: str | None, size: int) -> Path:
    """A folder of the cache whose files have `size` bytes together."""
    folder = cache / "arrays" / key
    folder.mkdir(parents=True)
    entry = json.dumps({"format": 1, "archive": content, "arrays": {}})
    (folder / "entry.json").write_text(entry)
    (folder / "train_images.npy").write_bytes(bytes(size - len(entry)))
    return folder


def write_run(outputs: Path, name: str, outcome: str, data: str | None = None) -> RunDirectory:
    """A run that is over, as its status tells it, with 1,000 bytes of checkpoints and 200 of another file."""
    run = RunDirectory(outputs / name)
    (run.root / "checkpoints").mkdir(parents=True)
    (run.root / "metrics").mkdir()
    run.manifest.path.write_text(json.dumps({"run": name, "started": "2026-11-21T20:26:40+00:00"}))
    status = {"engine": "e", "host": "h", "boot": "b", "pid": 9, "started": 1.0, "updated": 2.0, "phase": "finished"}
    status |= {"seq": 1, "outcome": outcome, "resolved": {"data": data}, "resolved_hash": "0" * 32}
    run.status.path.write_text(json.dumps(status))
    (run.checkpoints.path / "best.safetensors").write_bytes(bytes(700))
    (run.checkpoints.path / ".last.k3j_x9ab.safetensors").write_bytes(bytes(300))  # of a killed writer
    (run.metrics.path / "history.csv").write_bytes(bytes(200))
    return run


def scanned(workspace: Workspace) -> Storage:
    *_, storage = scan_storage(workspace, [], lambda: False)
    assert storage.done
    return storage


def by_name(runs: tuple[RunSize, ...] | None) -> dict[str, RunSize]:
    return {run.name: run for run in runs or ()}


def test_sizes_are_those_of_the_files_and_archived_runs_are_counted_apart(cache: Path, workspace: Workspace) -> None:
    runs = [write_run(workspace.outputs, name, "completed") for name in ("20261121_a", "20261122_b")]
    archived = write_run(workspace.outputs / "archive", "20261120_c", "completed")
    write_copy(cache, f"breastmnist-{MD5}", MD5, 5_000)
    write_copy(cache, "own-64-crop-v1-abc", "abc", 3_000)
    storage = scanned(workspace)
    sizes = {run.name: sum(path.stat().st_size for path in run.root.rglob("*") if path.is_file()) for run in runs}
    assert {run.name: run.bytes for run in storage.runs or ()} == sizes
    assert [run.checkpoints for run in storage.runs or ()] == [1_000, 1_000]
    assert [run.prunable for run in storage.runs or ()] == [300, 300], "what a killed writer left"
    assert [(run.name, run.checkpoints) for run in storage.archived or ()] == [(archived.name, 1_000)]
    copies = {copy.title: (copy.bytes, copy.is_own) for copy in storage.copies or ()}
    assert copies == {"breastmnist": (5_000, False), "own images, 64 px": (3_000, True)}


def test_each_official_file_is_listed_with_its_size_and_whether_it_is_genuine(
    cache: Path, workspace: Workspace, real_data: Path
) -> None:
    folder = workspace.root / "dataset"
    folder.mkdir()
    shutil.copyfile(real_data / "breastmnist.npz", folder / "breastmnist.npz")
    (folder / "retinamnist.npz").write_bytes(b"something else")
    found = {one.file.label: (one.file.state, one.bytes) for one in scanned(workspace).data}
    assert found == {
        "breastmnist": ("official", (real_data / "breastmnist.npz").stat().st_size),
        "retinamnist": ("damaged", len(b"something else")),
    }


def test_weights_are_listed_for_each_model_of_the_catalogue(
    cache: Path, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert {one.model.name: one.bytes for one in scanned(workspace).weights or ()} == dict.fromkeys(models())
    (tmp_path / "torch" / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "torch" / "hub" / "checkpoints" / "resnet18-f37072fd.pth").write_bytes(bytes(77))
    found = {one.model.name for one in scanned(workspace).weights or () if one.bytes == 77}
    assert found == {"resnet18_adapted", "resnet18"}


def test_a_copy_stays_for_every_run_and_it_is_said_which_only_completed_ones_need(
    cache: Path, workspace: Workspace
) -> None:
    """A run that can be resumed needs its data; one that is completed or archived can be evaluated on them."""
    write_copy(cache, f"breastmnist-{MD5}", MD5, 100)
    write_copy(cache, "cells-v1", None, 100)
    write_copy(cache, "retinamnist-aaaa", "aaaa", 100)
    write_run(workspace.outputs, "20261121_a", "stopped", MD5)
    write_run(workspace.outputs, "20261122_b", "failed", "cells-v1")
    write_run(workspace.outputs, "20261123_c", "completed", "aaaa")
    write_run(workspace.outputs, "20261124_d", "completed", MD5)
    write_run(workspace.outputs / "archive", "20261120_e", "completed", "cccc")
    for key, content in (("pathmnist-bbbb", "bbbb"), ("octmnist-cccc", "cccc")):
        write_copy(cache, key, content, 100)
    storage = scanned(workspace)
    assert [copy.title for copy in storage.unneeded] == ["pathmnist"]
    assert {copy.title for copy in storage.for_completed} == {"retinamnist", "octmnist"}
    kept = {copy.title: copy.used_by for copy in storage.copies or () if copy.used_by}
    assert kept == {
        "breastmnist": ("20261121_a, stopped", "20261124_d, completed"),
        "cells-v1": ("20261122_b, failed",),
        "octmnist": ("20261120_e, completed",),
        "retinamnist": ("20261123_c, completed",),
    }
    assert copies_and_needs(workspace) == list(storage.copies or ()), "as `data prune` has it"


def test_converted_images_stay_for_a_run_on_own_images_whatever_table_it_had() -> None:
    """A run knows the fingerprint of images and table; the converted images are kept by that of the images alone."""
    folder = Folder(Path("/cache"))
    pool = DecodedCopy(folder.file("arrays/own-64-crop-v1-abc"), "abc", 1)
    splits = DecodedCopy(folder.file("arrays/own-splits-123"), "def", 1, "mine.csv", "abc")
    other = DecodedCopy(folder.file("arrays/own-32-crop-v1-xyz"), "xyz", 1)
    official = DecodedCopy(folder.file(f"arrays/breastmnist-{MD5}"), MD5, 1)
    copies = [pool, splits, other, official]

    def kept(needs: Needs) -> set[str]:
        return {copy.key for copy in needs.of(copies) if copy.used_by}

    run = ("a run",)
    for needs in (Needs({"def": run}), Needs(completed={"def": run})):
        assert kept(needs) == {pool.key, splits.key}
    assert kept(Needs({"abc": run})) == {pool.key}
    assert kept(Needs({MD5: run})) == {official.key}
    assert kept(Needs({"unlike any": run})) == set()
    assert kept(Needs({"unlike any": run}, own=run)) == {pool.key, splits.key, other.key}
    assert kept(Needs(everything=("a run that begins",))) == {copy.key for copy in copies}


READS = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
print("mapped", flush=True)
sys.stdin.read()
"""


@pytest.mark.cold  # it is known by its arguments
def test_what_an_engine_of_any_workspace_reads_is_never_removed(cache: Path, workspace: Workspace) -> None:
    """A process that is an engine by its arguments, as all engines are known, and maps an array."""
    folder = write_copy(cache, f"breastmnist-{MD5}", MD5, 5_000)
    arguments = [str(folder / "train_images.npy"), "-m", "engine", "--workspace", "/somewhere/else"]
    reader = subprocess.Popen(
        [sys.executable, "-c", READS, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert reader.stdout is not None and reader.stdout.readline() == "mapped\n"
        (copy,) = scanned(workspace).copies or ()
        assert copy.needed_by == (f"engine {reader.pid}, which reads it",)
        with pytest.raises(UsageError, match=f"needed by engine {reader.pid}"):
            remove_copy(copy, workspace)
        assert (folder / "train_images.npy").exists()
    finally:
        reader.communicate()
    assert [copy.title for copy in scanned(workspace).unneeded] == ["breastmnist"]


@pytest.fixture
def training(shared_cache: Path, cache: Path, workspace: Workspace) -> Iterator[Engine]:
    """A living run on the cells, on decoded copies of its own."""
    if (shared_cache / "arrays").is_dir():
        shutil.copytree(shared_cache / "arrays", cache / "arrays")
    engine = Engine(workspace.root)
    try:
        engine.train(tiny(training={"epochs": 1000, "patience": None}))
        engine.wait_for_event("epoch.finished")
        yield engine
    finally:
        engine.kill()


@pytest.mark.slow
@pytest.mark.cold  # which cache an engine uses is seen in the environment that it was started with
def test_what_a_living_run_uses_is_never_removed_from_whichever_workspace(
    training: Engine, cache: Path, workspace: Workspace, tmp_path: Path
) -> None:
    write_copy(cache, f"pathmnist-{MD5}", MD5, 5_000)
    other = Workspace(tmp_path / "other")
    other.outputs.mkdir(parents=True)
    for asked in (workspace, other):
        copies = {copy.title.partition("-")[0]: copy for copy in scanned(asked).copies or ()}
        assert copies["cells"].needed_by and not copies["pathmnist"].needed_by
        with pytest.raises(UsageError, match="The decoded copy cells-v"):
            remove_copy(copies["cells"], asked)
    remove_copy(copies["pathmnist"], other)
    left = {copy.title.partition("-")[0] for copy in decoded_copies()}
    assert "cells" in left and "pathmnist" not in left
    training.send("stop")
    assert training.end() == 6, "and the run has ended as ever"


def test_nothing_is_removed_while_a_run_begins_whose_data_are_not_known_yet(cache: Path, workspace: Workspace) -> None:
    folder = write_copy(cache, f"breastmnist-{MD5}", MD5, 5_000)
    lock = WorkspaceLock(workspace.lock_file, engine="e" * 16)
    lock.acquire()
    try:
        (copy,) = scanned(workspace).copies or ()
        assert copy.needed_by
        with pytest.raises(UsageError):
            remove_copy(copy, workspace)
        assert (folder / "train_images.npy").exists()
    finally:
        lock.release()
    (copy,) = scanned(workspace).unneeded
    remove_copy(copy, workspace)
    assert list((cache / "arrays").iterdir()) == [], "and nothing is left of it under another name"


def test_what_cannot_be_removed_is_reported_with_its_path(cache: Path, workspace: Workspace) -> None:
    gone = DecodedCopy(Folder(cache_folder()).file("arrays/cells-v1"), None, 1)
    with pytest.raises(OutputError, match="arrays"):
        remove_copy(gone, workspace)


def test_reading_the_disk_shows_what_is_known_so_far_and_ends_when_asked(cache: Path, workspace: Workspace) -> None:
    """As for a slow file system that is left: nothing is read after that."""
    for number in range(5):
        write_run(workspace.outputs, f"2026112{number}_a", "completed")
    own_folder().folder.make()
    cancelled = False
    steps = scan_storage(workspace, [], lambda: cancelled)
    first = next(steps)
    assert first.files is not None and first.runs is None and not first.done
    cancelled = True
    assert not any(storage.runs or storage.done for storage in steps)
    assert list(scan_storage(workspace, [], lambda: True)) == []


def test_a_run_on_own_images_keeps_them_by_its_own_card_where_its_splits_are_gone(
    cache: Path, workspace: Workspace
) -> None:
    """As after another `fraction` was tried and the cache was swept; images that no run had may go."""
    for content in ("abc", "xyz"):
        write_copy(cache, f"own-64-crop-v1-{content}", content, 500)
    run = write_run(workspace.outputs, "20261121_a", "stopped", "def")
    run.manifest.path.write_text(json.dumps({"run": run.name, "data": {"fingerprint": "def"}}))
    assert {copy.content for copy in copies_and_needs(workspace) if not copy.used_by} == set(), "unknown: all stay"
    card = {
        "kind": "csv", "path": "/mine.csv", "fingerprint": "abc", "task": "binary", "class_names": ["a", "b"],
        "symmetry": "mirror", "channels": 1, "size": 64, "fit": "crop", "images": {"train": 2},
        "per_class": {"train": {"a": 1, "b": 1}}, "how_split": "as given", "groups": None, "groups_across_splits": 0,
        "widths": [64, 64, 64], "heights": [64, 64, 64], "bits": 8, "notes": {}, "unusable": 0,
        "unusable_files": [], "ignored": {}, "duplicates": {},
    }  # fmt: skip
    (run.metrics.path / "data_card.json").write_text(json.dumps(card))
    assert {copy.content for copy in copies_and_needs(workspace) if not copy.used_by} == {"xyz"}


def test_an_unfinished_download_is_removed_unless_a_process_takes_it_up_meanwhile(
    cache: Path, workspace: Workspace, tmp_path: Path
) -> None:
    parts = [tmp_path / "data" / f".{name}.npz.01234567.part" for name in ("octmnist", "pathmnist")]
    parts[0].parent.mkdir()
    for part in parts:
        part.write_bytes(bytes(1000))
    found = sorted(unfinished_data(workspace, [str(tmp_path / "data")]), key=lambda one: one.file.name)
    assert [(one.file.path, one.bytes, one.used_by) for one in found] == [(part, 1000, ()) for part in parts]
    with parts[0].open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="is used now"):
            remove_unfinished(found[0])
    remove_unfinished(found[1])
    assert parts[0].exists() and not parts[1].exists()


def test_unfinished_downloads_of_data_and_of_weights_may_go_and_files_of_other_programs_stay(
    cache: Path, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the disk shows as unneeded is what is removed: not what a fetcher holds, nor what another program left."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    published = next(model.weights.path for model in MODELS if model.weights is not None)
    data, weights = tmp_path / "home" / ".medmnist", published.parent
    for folder in (data, weights):
        folder.mkdir(parents=True)
    left, held = data / ".pathmnist.npz.0123abcd.part", data / ".octmnist.npz.0123abcd.part"
    of_weights, of_others = weights / f".{published.name}.89abcdef.part", weights / ".something.else.part"
    for file in (left, held, of_weights, of_others):
        file.write_bytes(bytes(1000))
    with held.open("rb") as fetcher:
        fcntl.flock(fetcher, fcntl.LOCK_EX)
        storage = scanned(workspace)
        assert {one.file.path for one in storage.unneeded} == {left, of_weights}
        removed, troubles = remove_each(storage.unneeded, workspace)
    assert not troubles and sum(one.bytes for one in removed) == 2000
    assert [file.exists() for file in (left, held, of_weights, of_others)] == [False, True, False, True]


def test_a_folder_that_an_engine_made_just_now_is_not_taken_for_an_abandoned_one(
    cache: Path, workspace: Workspace
) -> None:
    """It locks its temporary folder right after making it."""
    folder = cache / "arrays" / ".cells-v1.k3j_x9ab"
    folder.mkdir(parents=True)
    (one,) = unfinished_data(workspace, [])
    assert one.used_by
    with pytest.raises(UsageError, match="is used now"):
        remove_unfinished(one)
    os.utime(folder, (0, 0))
    (one,) = unfinished_data(workspace, [])
    assert not one.used_by
    remove_unfinished(one)
    assert not folder.exists()
