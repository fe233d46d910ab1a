"""Machine and `medtui doctor`: each check fails when what it checks is broken, and names the remedy."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from screen_helpers import shows, wait_for
from serving import Mirror, silent_after
from textual.pilot import Pilot

from engine.contract.data.datasets import datasets
from engine.contract.machine.process_identity import start_of
from engine.contract.machine.scheduler import SchedulerJob, scheduler_job
from engine.contract.models.catalogue import RESNET18_IMAGENET
from engine.contract.sentence import Sentence
from engine.contract.store.lock import LockState, WorkspaceLock
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import RunFailed
from medtui import terminal
from medtui.client.smoke import Step
from medtui.console.app import ConsoleApp
from medtui.console.machine.fetch import requested_file
from medtui.console.machine.screen import WorkspacePolled, smoke_text
from medtui.console.machine.text import WorkspaceState, checks_text, hardware_text
from medtui.machine import checks
from medtui.machine.hardware import Hardware, read_hardware
from medtui.machine.orphans import OrphanedEngine

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


def test_hardware_is_detected_without_torch(tmp_path: Path) -> None:
    found = read_hardware(tmp_path)
    assert found.memory_total > found.memory_used > 0
    assert len(found.cores) == os.cpu_count() or found.cores


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
        await shows(pilot, "✓ pass engine", "torch 2.14.1", "lock    free", "none found")
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
            await pilot.press("right", "enter")
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
        await shows(pilot, "breastmnist.npz is missing: it will be fetched first (at most 0.6 MB)")
        await fetch_breastmnist(pilot, app)
        await shows(pilot, "breastmnist ✓", "Fetched", "MD5 ok")
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
        await shows(pilot, "0.4 MB of 0.6 MB", "c cancels")
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
        ("BreastMNIST ", "28", "At most 0.6 MB"),
    ],
)
def test_the_dialog_shows_what_can_be_fetched(monkeypatch: pytest.MonkeyPatch, name: str, size: str, said: str) -> None:
    monkeypatch.setenv("MEDTUI_OFFLINE", "1")
    assert requested_file(name, size).file is None and "MEDTUI_OFFLINE" in requested_file(name, size).words
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
        found = smoke_text(screen.smoked).plain
        assert "✓ trained 2 epochs 1.5 s" in found
        assert "✗ The disk is full [/]. Free some." in found
        await pilot.press("s")
        await wait_for(pilot, lambda: screen.smoked.over)


@pytest.mark.parametrize(("cores", "in_lines"), [(2, True), (64, False)])
def test_with_many_cores_each_is_a_block_so_that_memory_and_disk_stay_visible(cores: int, in_lines: bool) -> None:
    now = Hardware((50.0,) * (cores - 1) + (100.0,), 6 * 10**9, 25 * 10**9, 77 * 10**9, 270 * 10**9, ())
    lines = hardware_text([now], width=36, rows=8).plain.splitlines()
    assert len(lines) <= 8 and max(map(len, lines)) <= 36, "the pane at 80 × 24"
    assert [line for line in lines if line.startswith(("memory 6.0 of", "disk   77.0 of", "GPU    none"))] == lines[-3:]
    blocks = "".join(line[7:] for line in lines[1:-3])
    assert ("100 %" in blocks) if in_lines else (blocks == "▅" * 63 + "█")


def test_a_long_finding_continues_indented_below_and_nothing_is_cut() -> None:
    check = checks.Check("weights", "ImageNet weights", "warn", "not at " + "x" * 60, "Put " + "y" * 60 + " there.")
    lines = checks_text([check], width=50).plain.splitlines()
    assert max(map(len, lines)) <= 50
    assert lines[1].startswith("! warn ImageNet weights") and all(line.startswith(" " * 7) for line in lines[2:])
    text = "".join("".join(lines[1:]).split())
    assert "x" * 60 in text and "y" * 60 in text
