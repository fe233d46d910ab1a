"""Machine and `medtui doctor`: each check fails when what it checks is broken, and names the remedy."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from rich.cells import cell_len
from screen_helpers import screen_text, shows, wait_for
from serving import Mirror, silent_after
from stand_ins import make_run
from test_golden import on_disk
from textual.pilot import Pilot

from engine.contract.data.datasets import datasets
from engine.contract.machine.process_identity import start_of
from engine.contract.machine.scheduler import SchedulerJob, scheduler_job
from engine.contract.models.catalogue import RESNET18_IMAGENET
from engine.contract.sentence import Sentence
from engine.contract.store.lock import LockState, WorkspaceLock
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import RunFailed
from medtui import terminal
from medtui.actions import BY_ID
from medtui.client.smoke import Step
from medtui.console.app import ConsoleApp
from medtui.console.machine.fetch import requested_file
from medtui.console.machine.hardware_text import hardware_text
from medtui.console.machine.messages import HardwarePolled, StorageRead, WorkspacePolled
from medtui.console.machine.screen import Machine
from medtui.console.machine.storage_text import data_text, disk_text
from medtui.console.machine.text import WorkspaceState, checks_text, smoke_text
from medtui.console.widgets.bars import area_chart
from medtui.machine import checks
from medtui.machine.gpu import NO_DRIVER, Gpus
from medtui.machine.hardware import Hardware, HardwareReader
from medtui.machine.orphans import OrphanedEngine
from medtui.machine.storage import Storage

FACTS = {
    "torch": "2.14.1",
    "device": "cpu",
    "threads": "2",
    "amp": "off",
    "deterministic": "supported",
    "cuda": "false",
}


def failed(found: list[checks.Check] | checks.Check) -> checks.Check:
    """The one failed check, which has a remedy."""
    (check,) = [one for one in (found if isinstance(found, list) else [found]) if one.level == "fail"]
    assert check.remedy
    return check


def test_an_old_python_fails() -> None:
    assert "3.11" in failed(checks.check_python((3, 10, 4))).found
    assert checks.check_python((3, 11, 0)).level == "pass"


def test_a_missing_package_and_an_old_torch_fail() -> None:
    def without(name: str) -> str:
        if name == "torchvision":
            raise importlib.metadata.PackageNotFoundError(name)
        return "2.9.0"

    assert "torchvision" in failed(checks.check_packages(without)).remedy
    assert "torch>=2.9" in failed(checks.check_packages(lambda name: "2.8.1")).remedy
    assert [check.level for check in checks.check_packages(lambda name: "2.14.1+cu130")] == ["pass"]


def test_an_engine_that_does_not_answer_or_has_no_torch_fails() -> None:
    failed(checks.check_engine(None))
    assert "libcudart" in failed(checks.check_engine({"torch_error": "ImportError: libcudart.so.13"})).found
    assert all(check.level == "pass" for check in checks.check_engine(FACTS))


def test_a_dumb_terminal_fails_and_a_small_or_ascii_one_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    failed(checks.check_terminal(os.terminal_size((120, 40))))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(terminal.locale, "getpreferredencoding", lambda _: "UTF-8")
    assert checks.check_terminal(os.terminal_size((120, 40))).level == "pass"
    assert "60 × 18" in checks.check_terminal(os.terminal_size((40, 12))).remedy
    monkeypatch.setattr(terminal.locale, "getpreferredencoding", lambda _: "ANSI_X3.4-1968")
    assert "UTF-8" in checks.check_terminal(os.terminal_size((120, 40))).remedy


def test_a_workspace_that_cannot_be_written_fails(tmp_path: Path) -> None:
    gone = Workspace(tmp_path / "gone")
    failed(checks.check_writing(gone))
    failed(checks.check_locking(gone))
    failed(checks.check_disk(gone))
    assert checks.check_writing(Workspace(tmp_path)).level == "pass"


def test_little_disk_space_warns_and_none_fails(tmp_path: Path) -> None:
    assert checks.check_disk(Workspace(tmp_path), 50e9).level == "pass"
    assert checks.check_disk(Workspace(tmp_path), 3e9).level == "warn"
    failed(checks.check_disk(Workspace(tmp_path), 0.5e9))
    assert checks.check_memory(0.5e9).level == "warn"


def test_the_lock_check_names_the_holder(workspace: Workspace) -> None:
    workspace.make_outputs()
    assert checks.check_locking(workspace).found == "free"
    lock = WorkspaceLock(workspace.lock_file)
    lock.acquire()
    try:
        assert str(os.getpid()) in checks.check_locking(workspace).found
    finally:
        lock.release()


def test_a_damaged_data_set_fails_and_none_warns(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEDTUI_DATA", raising=False)
    assert [check.level for check in checks.check_data(workspace, [])] == ["warn"]
    folder = workspace.root / "dataset"
    folder.mkdir()
    (folder / "breastmnist.npz").write_bytes(b"not a data set")
    check = failed(checks.check_data(workspace, []))
    assert datasets()["breastmnist"].archives[28].md5 in check.found


def test_the_official_file_passes(workspace: Workspace, real_data: Path) -> None:
    (check,) = [check for check in checks.check_data(workspace, [str(real_data)]) if check.id == "data"]
    assert check.level == "pass" and "breastmnist ✓" in check.found


def test_missing_imagenet_weights_warn_and_name_file_and_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    check = checks.check_weights(RESNET18_IMAGENET)
    assert check.level == "warn" and "resnet18-f37072fd.pth" in check.found and str(tmp_path) in check.found
    path = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no weights")
    assert "damaged" in failed(checks.check_weights(RESNET18_IMAGENET)).found, "as a run that needs them would find"
    digest = hashlib.sha256(b"no weights").hexdigest()[:8]
    path.rename(path.with_name(f"resnet18-{digest}.pth"))
    weights = replace(RESNET18_IMAGENET, file_name=f"resnet18-{digest}.pth", sha256=digest)
    assert checks.check_weights(weights).level == "pass"


def test_a_login_manager_that_kills_processes_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    file = tmp_path / "logind.conf"
    file.write_text("[Login]\n#KillUserProcesses=no\nKillUserProcesses=yes\n")
    monkeypatch.setattr(checks, "_kill_user_processes", lambda real=checks._kill_user_processes: real(file))
    assert "enable-linger" in checks.check_session(lambda: "no").remedy
    assert checks.check_session(lambda: "yes").level == "pass"


def test_settings_that_are_not_understood_warn(isolated_settings: Path) -> None:
    isolated_settings.parent.mkdir(parents=True)
    isolated_settings.write_text("theme: purple\n")
    assert "purple" in checks.check_settings().found


def test_a_cluster_is_recognised_by_its_scheduler() -> None:
    found = scheduler_job({"SLURM_JOB_ID": "7"})
    assert (str(found), found.cancel) == ("Slurm (SLURM_JOB_ID)", "scancel 7")
    assert scheduler_job({}) is None


@pytest.fixture
def busy_core() -> Iterator[None]:
    """A process that keeps a core busy."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_the_first_poll_knows_the_load_of_each_core_and_so_does_one_of_another_thread(
    tmp_path: Path, busy_core: None
) -> None:
    read = HardwareReader()
    found = read(tmp_path)
    assert found.memory_total > found.memory_used > 0
    assert len(found.cores) == psutil.cpu_count() and max(found.cores) > 10, "a core is busy"
    polled: list[Hardware] = []
    thread = threading.Thread(target=lambda: polled.append(read(tmp_path)))
    counted = [sum(core) for core in psutil.cpu_times(percpu=True)]
    while min(sum(core) - before for core, before in zip(psutil.cpu_times(percpu=True), counted, strict=True)) < 0.03:
        pass  # until the kernel, which counts in hundredths of a second, has counted a few of each core
    thread.start()
    thread.join()
    assert max(polled[0].cores) > 10 and all(0 <= load <= 100 for load in polled[0].cores)


@pytest.mark.slow
def test_doctor_prints_the_list_and_its_exit_code_reflects_it(workspace: Workspace) -> None:
    command = [
        sys.executable,
        "-c",
        "from medtui.cli import main; main()",
        "doctor",
        "--workspace",
        str(workspace.root),
    ]
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, env=environment, check=False)
    values = json.loads(done.stdout)
    assert done.returncode == (0 if values["ok"] else 1), done.stdout
    by_id = {check["id"]: check for check in values["checks"]}
    assert {"python", "packages", "engine", "amp", "lock", "disk", "weights", "cluster"} <= set(by_id)
    assert by_id["engine"]["level"] == "pass" and "torch" in by_id["engine"]["found"]
    (workspace.root / "dataset").mkdir()
    (workspace.root / "dataset" / "breastmnist.npz").write_bytes(b"damaged")
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert "fail  breastmnist" in done.stdout and "→ Fetch it again" in done.stdout


@pytest.mark.asyncio
async def test_the_machine_screen_shows_the_same_checks(console) -> None:
    app = console()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = app.get_base_screen("machine")
        screen.diagnose = lambda workspace, cancelled: FACTS
        await pilot.press("2")
        await wait_for(pilot, lambda: screen.checks)
        await shows(pilot, "✓ pass engine", "torch 2.14.1", "lock    free", "NVML")
        await pilot.press("X")
        await shows(pilot, "No orphaned engines.")


@pytest.mark.asyncio
@pytest.mark.parametrize("job", [None, SchedulerJob(variable="SLURM_JOB_ID", job="7")], ids=["alone", "on a cluster"])
async def test_an_orphan_is_ended_when_asked_and_never_on_a_cluster(console, workspace, job) -> None:
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    orphan = OrphanedEngine(child.pid, start_of(child.pid), 1_000_000)
    app = console()
    try:
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            screen = app.get_base_screen("machine")
            screen.diagnose = lambda workspace, cancelled: FACTS
            screen._poll_workspace = lambda: None
            await pilot.press("2")
            await wait_for(pilot, lambda: screen.ready)
            screen.on_workspace_polled(
                WorkspacePolled(WorkspaceState(str(workspace.root), LockState(held=False), None, (orphan,), job))
            )
            await shows(pilot, "1 engine; X", str(child.pid))
            await pilot.press("X")
            if job is not None:
                await shows(pilot, "Not on a cluster: Slurm")
                assert child.poll() is None
                return
            await shows(pilot, f"End engine {child.pid}", "end it")
            assert child.poll() is None, "asked first"
            await pilot.press("y")
            await wait_for(pilot, lambda: child.poll() is not None)
            assert child.returncode == -signal.SIGTERM
    finally:
        child.kill()
        child.wait()


@pytest.fixture
def mirror(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """Serves breastmnist.npz to engines of this test."""
    with Mirror({"breastmnist.npz": (real_data / "breastmnist.npz").read_bytes()}) as mirror:
        for name, value in mirror.environment.items():
            monkeypatch.setenv(name, value)
        yield mirror


async def fetch_breastmnist(pilot: Pilot[int], app: ConsoleApp) -> None:
    """In Machine, by its key; the recipe at hand is another's."""
    screen = app.get_base_screen("machine")
    screen.diagnose = lambda workspace, cancelled: FACTS
    await pilot.press("2")
    await wait_for(pilot, lambda: screen.checks)
    await pilot.press("f")
    await shows(pilot, "Fetch an official data set file")
    await pilot.press("ctrl+u", *"breastmnist", "enter")


@pytest.mark.asyncio
async def test_f_fetches_a_data_set_with_progress_and_every_screen_is_updated(
    console, workspace, mirror: Mirror
) -> None:
    app = console()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await wait_for(pilot, lambda: getattr(app.base_screen, "current", None))
        (workspace.root / "mine.yaml").write_text("dataset: {name: breastmnist}\n")
        app._recipes.open_path(workspace.root / "mine.yaml")
        await shows(pilot, "breastmnist.npz is missing: it will be fetched first (at most 628 kB)")
        await fetch_breastmnist(pilot, app)
        await shows(pilot, "✓ breastmnist 28, 560 kB", "Fetched", "MD5 ok")
        assert (Path(os.environ["HOME"]) / ".medmnist" / "breastmnist.npz").is_file()
        assert [name for name, _ in mirror.asked] == ["breastmnist.npz"]
        await pilot.press("1")
        await shows(pilot, "breastmnist.npz found, MD5 ok (546/78/156)")


@pytest.mark.asyncio
async def test_a_fetch_shows_its_progress_and_c_cancels_it_leaving_nothing(console, mirror: Mirror) -> None:
    mirror.serve = silent_after(400_000)
    app = console()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await fetch_breastmnist(pilot, app)
        await shows(pilot, "400 kB of 560 kB", "c cancels")
        await pilot.press("f")
        await shows(pilot, "is already being fetched")
        await pilot.press("c")
        await shows(pilot, "Cancelled; no part of breastmnist 28 px was kept.")
    assert list((Path(os.environ["HOME"]) / ".medmnist").iterdir()) == []


@pytest.mark.asyncio
async def test_a_failed_fetch_shows_the_reason_and_what_to_do(console, mirror: Mirror) -> None:
    mirror.files.clear()
    app = console()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await fetch_breastmnist(pilot, app)
        await shows(pilot, "127.0.0.1 answered 404", "750601b1f35ba3300ea97c75c52ff8f6")


@pytest.mark.asyncio
async def test_f_changes_nothing_in_a_read_only_console(console) -> None:
    app = console(readonly=True)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = app.get_base_screen("machine")
        screen.diagnose = lambda workspace, cancelled: FACTS
        await pilot.press("2")
        await wait_for(pilot, lambda: screen.ready)
        await pilot.press("f")
        await shows(pilot, "This console is read-only.")


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("breastmist", "28", "Choose one of pathmnist, chestmnist"),
        ("cells", "28", "Choose one of pathmnist"),
        ("breastmnist", "32", "BreastMNIST is available at 28, 64, 128, 224 px"),
        ("BreastMNIST ", "28", "At most 628 kB"),
    ],
)
def test_the_dialog_shows_what_can_be_fetched(monkeypatch: pytest.MonkeyPatch, name: str, size: str, said: str) -> None:
    monkeypatch.setenv("MEDTUI_OFFLINE", "1")
    assert (
        requested_file(name, size).file is None and requested_file(name, size).words == "Offline, nothing is fetched."
    )
    monkeypatch.setenv("MEDTUI_OFFLINE", "")
    assert said in requested_file(name, size).words


@pytest.mark.asyncio
async def test_the_smoke_test_shows_each_step_and_what_went_wrong(console, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(cancelled: object, on_step) -> None:
        on_step(Step("trained 2 epochs", 1.5))
        raise RunFailed(Sentence("The disk is full [/].", "Free some."))

    monkeypatch.setattr("medtui.console.machine.screen.smoke", broken)
    app = console()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = app.get_base_screen("machine")
        screen.diagnose = lambda workspace, cancelled: None
        await pilot.press("2")
        await wait_for(pilot, lambda: screen.checks)
        await pilot.press("s")
        await wait_for(pilot, lambda: screen.smoked and screen.smoked.over)
        found = smoke_text(screen.smoked.steps, screen.smoked.words, failed=True).plain
        assert "✓ trained 2 epochs 1.5 s" in found
        assert "✗ The disk is full [/]. Free some." in found
        await pilot.press("s")
        await wait_for(pilot, lambda: screen.smoked.over)


@pytest.mark.parametrize(("cores", "in_lines"), [(2, True), (64, False)])
def test_with_many_cores_each_is_a_block_so_that_memory_and_disk_stay_visible(cores: int, in_lines: bool) -> None:
    now = Hardware((50.0,) * (cores - 1) + (100.0,), 6 * 10**9, 25 * 10**9, 77 * 10**9, 270 * 10**9, Gpus())
    lines = hardware_text([now], width=36, rows=8).plain.splitlines()
    assert len(lines) <= 8 and max(map(len, lines)) <= 36, "the pane at 80 × 24"
    assert [line for line in lines if line.startswith(("memory 6.0 of", "disk   77.0 of", "GPU    none"))] == lines[-3:]
    blocks = "".join(line[7:] for line in lines[1:-3])
    assert ("100 %" in blocks) if in_lines else (blocks == "▅" * 63 + "█")


def test_a_chart_is_as_high_as_its_values_and_averages_what_does_not_fit() -> None:
    assert area_chart((0.0, 0.5, 1.0), 4, 2) == ["···█", "·▁██"], "two lines: sixteen steps; the newest at the right"
    assert area_chart((0.25, 0.25, 0.75, 0.75), 2, 1) == ["▂▆"]
    assert area_chart((), 3, 1) == ["···"]


def test_a_long_finding_continues_indented_below_and_nothing_is_cut() -> None:
    check = checks.Check("weights", "ImageNet weights", "warn", "not at " + "x" * 60, "Put " + "y" * 60 + " there.")
    lines = checks_text([check], width=50).plain.splitlines()
    assert max(map(len, lines)) <= 50
    assert lines[1].startswith("! warn ImageNet weights") and all(line.startswith(" " * 7) for line in lines[2:])
    text = "".join("".join(lines[1:]).split())
    assert "x" * 60 in text and "y" * 60 in text


# ---- data, disk, and what may go


def test_in_the_panes_of_80_by_24_no_size_and_no_mark_is_cut() -> None:
    uses = disk_text(on_disk(), 35, 5, BY_ID).plain.splitlines()
    assert uses[0].split() == ["runs", "3", "420", "MB"] and uses[2].split() == ["P", "prunes", "1", "90", "MB"]
    data = data_text(on_disk(), 35, BY_ID).plain.splitlines()
    assert data[:2] == ["? pathmnist 64, 1.4 GB, unverified", "✓ breastmnist 28, 560 kB  …medmnist"]
    assert all(cell_len(line) <= 35 for line in [*uses[:9], *data[:4]])


@pytest.mark.parametrize("width", [38, 50, 65])
def test_sizes_of_runs_stand_below_each_other_and_no_rest_of_a_name_is_taken_for_a_count(width: int) -> None:
    lines = disk_text(on_disk(), width, 40, BY_ID).plain.splitlines()
    at = lines.index("largest runs")
    assert len({re.search(r"\d [kMG]?B", line).end() for line in lines[at + 1 : at + 4]}) == 1
    needed = [line.partition("needed by ")[2] for line in lines[at:] if line.endswith("needed") or "needed by" in line]
    assert all(name == "" or len(name) >= 12 for name in needed)
    assert all(cell_len(line) <= width for line in lines[at:])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test, with a decoded copy that no run needs."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("MEDTUI_CACHE", str(folder))
    decoded = folder / "arrays" / "cells-v1"
    decoded.mkdir(parents=True)
    (decoded / "entry.json").write_text('{"format": 1, "archive": null, "arrays": {}}')
    (decoded / "train_images.npy").write_bytes(bytes(2_000_000))
    return folder


def many_runs(workspace: Workspace, count: int) -> list[RunDirectory]:
    """Completed ones; in the checkpoints of the first two lies what a killed writer left."""
    names = [f"202611{number:02}_breastmnist_resnet18-adapted_1a2b{number:02}" for number in range(1, count + 1)]
    runs = [make_run(workspace, name, started=f"2026-11-{name[6:8]}T20:26:40+00:00") for name in names]
    for run in runs[:2]:
        (run.checkpoints.path / ".last.k3j_x9ab.safetensors").write_bytes(bytes(3_000_000))
    return runs


async def machine_of(pilot: Pilot[int], app: ConsoleApp) -> Machine:
    """The screen, once the disk was read."""
    screen = app.get_base_screen("machine")
    assert isinstance(screen, Machine)
    screen.diagnose = lambda workspace, cancelled: FACTS
    await pilot.press("2")
    await wait_for(pilot, lambda: screen.storage.done and screen.checks)
    return screen


def empty_fraction(app: ConsoleApp) -> float:
    """Of the cells between top line and keys, those that lie in a pane to the right of its text, or below it."""
    lines = [line.ljust(app.size.width) for line in screen_text(app).splitlines()]
    body = app.screen.query_one("#body").region
    panes = [app.screen.query_one(f"#{id_}").region for id_, _ in Machine.PANES]
    empty = 0
    for pane in panes:
        for y in range(pane.y + 1, pane.bottom - 1):
            empty += pane.width - 2 - len(lines[y][pane.x + 1 : pane.right - 1].rstrip())
    assert sum(pane.area for pane in panes) == body.area, "the panes leave no gap"
    return empty / body.area


@pytest.mark.asyncio
async def test_at_200_by_60_no_more_than_a_third_of_the_screen_is_empty(
    console, workspace, cache: Path, real_data: Path
) -> None:
    many_runs(workspace, 12)
    app = console(data=[str(real_data)])
    async with app.run_test(size=(200, 60), notifications=True) as pilot:
        screen = await machine_of(pilot, app)
        for second in range(180):
            cores = (12.0 + second % 60, 87.0, 33.0, 100.0)
            hardware = Hardware(cores, 6 * 10**9, 25 * 10**9, 77 * 10**9, 270 * 10**9, Gpus(trouble=NO_DRIVER))
            screen.on_hardware_polled(HardwarePolled(hardware))
        screen._poll_hardware = lambda: None
        await pilot.pause(0.5)
        assert empty_fraction(app) <= 1 / 3, f"{empty_fraction(app):.2f}:\n{screen_text(app)}"
        text = screen_text(app)
        for words in ("breastmnist", "MD5 ok", "cells 28 px, generated", "resnet18_adapted", "missing, 47 MB"):
            assert words in text, words
        for words in ("runs", "12: 12 completed", "prunable", "6.0 MB", "P prunes", "D clears", "largest runs"):
            assert words in text, words


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", ["no", "yes"])
async def test_pruning_shows_what_goes_and_asks_first(console, workspace, cache: Path, answer: str) -> None:
    runs = many_runs(workspace, 3)
    kept = {path for run in runs for path in run.root.rglob("*") if path.is_file() and path.name[0] != "."}
    app = console()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await machine_of(pilot, app)
        await pilot.press("P")
        await shows(pilot, "Delete 6.0 MB of checkpoints of 2 runs permanently?", f"{runs[1].name}  3.0 MB in unfini")
        await shows(pilot, "n keep them", "y delete them")
        await pilot.press(*(["right", "enter"] if answer == "yes" else ["enter"]))
        if answer == "yes":
            await shows(pilot, "Freed 6.0 MB.")
            await wait_for(pilot, lambda: not app.base_screen.storage.prunable)
            await pilot.press("P")
            await shows(pilot, "No checkpoints to prune")
        left = {path for run in runs for path in run.root.rglob("*") if path.is_file()}
        assert left >= kept and len(left - kept) == (0 if answer == "yes" else 2)


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", ["no", "yes"])
async def test_clearing_the_cache_shows_what_goes_and_asks_first(console, workspace, cache: Path, answer: str) -> None:
    app = console()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await machine_of(pilot, app)
        await shows(pilot, "D clears")
        await pilot.press("D")
        await shows(pilot, "Delete 1 decoded copy, 2.0 MB?", "cells-v1  2.0 MB")
        await pilot.press(*(["right", "enter"] if answer == "yes" else ["enter"]))
        if answer == "yes":
            await shows(pilot, "Freed 2.0 MB.")
        assert [path.name for path in (cache / "arrays").iterdir()] == ([] if answer == "yes" else ["cells-v1"])


@pytest.mark.asyncio
async def test_clearing_the_cache_removes_downloads_whose_fetcher_is_gone_too(
    console, workspace, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    data = tmp_path / "home" / ".medmnist"
    data.mkdir(parents=True)
    left, held = data / ".pathmnist.npz.0123abcd.part", data / ".octmnist.npz.0123abcd.part"
    for file in (left, held):
        file.write_bytes(bytes(3_000_000))
    app = console()
    with held.open("rb") as fetcher:
        fcntl.flock(fetcher, fcntl.LOCK_EX)
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await machine_of(pilot, app)
            await pilot.press("D")
            await shows(pilot, "Delete 1 decoded copy and 1 unfinished file, 5.0 MB?")
            await pilot.press("right", "enter")
            await shows(pilot, "Freed 5.0 MB.")
    assert not left.exists() and held.exists()


@pytest.mark.asyncio
async def test_a_read_only_console_removes_nothing_from_the_disk(console, workspace, cache: Path) -> None:
    runs = many_runs(workspace, 2)
    app = console(readonly=True)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await machine_of(pilot, app)
        for key in ("P", "D"):
            await pilot.press(key)
            await shows(pilot, "This console is read-only.")
    assert (cache / "arrays" / "cells-v1").exists()
    assert all(".last.k3j_x9ab.safetensors" in run.checkpoints.names() for run in runs)


@pytest.mark.asyncio
async def test_a_disk_that_does_not_answer_delays_no_frame_and_no_key(console, workspace) -> None:
    answers, asked = threading.Event(), threading.Event()

    def slow(*_: object) -> Iterator[Storage]:
        asked.set()
        answers.wait(60)
        yield Storage(done=True)

    app = console()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = app.get_base_screen("machine")
        screen.diagnose = lambda workspace, cancelled: FACTS
        screen.scan_storage = slow
        await pilot.press("2")
        await wait_for(pilot, asked.is_set)
        await shows(pilot, "reading …", "lock    free", "CPU")
        await pilot.press("D")
        await shows(pilot, "The disk is still being read.")
        await pilot.press("1")
        await wait_for(pilot, lambda: app.screen_name == "recipes")
        answers.set()


@pytest.mark.asyncio
async def test_what_is_known_of_the_disk_stays_shown_while_it_is_read_again(console, workspace, cache: Path) -> None:
    many_runs(workspace, 1)
    app = console()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = await machine_of(pilot, app)
        screen.on_storage_read(StorageRead(Storage()))
        await pilot.pause()
        assert screen.storage.runs and "largest runs" in screen_text(app)
