"""Diagnostics: each a name, pass, warn or fail, what was found, and the remedy. The same list everywhere."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import locale
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from engine.contract.data_files import offline
from engine.contract.lock import is_locked, read_holder
from engine.contract.scheduler import scheduler_job
from engine.contract.workspace import Workspace
from medtui.client.data_sets import inventory
from medtui.client.preflight import weights_file
from medtui.settings import read_settings, settings_file

Level = Literal["pass", "warn", "fail"]
OLDEST_PYTHON = (3, 11)
OLDEST_TORCH = (2, 9)
LITTLE_DISK, TOO_LITTLE_DISK = 5e9, 1e9  # bytes
LITTLE_MEMORY = 1.5e9  # bytes
PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn", "safetensors", "matplotlib", "openpyxl", "pydantic")


@dataclass(frozen=True)
class Check:
    id: str
    title: str
    level: Level
    found: str
    remedy: str = ""

    def values(self) -> dict[str, str]:
        return asdict(self)


def passed(id_: str, title: str, found: str) -> Check:
    return Check(id_, title, "pass", found)


def run_checks(workspace: Workspace, data: Sequence[str], facts: dict[str, str] | None) -> list[Check]:
    """Every check. `facts`: the engine's diagnosis; None when it did not answer."""
    checks: list[Callable[[], list[Check]]] = [
        lambda: [check_python()],
        check_packages,
        lambda: check_engine(facts),
        lambda: [check_terminal()],
        lambda: [check_writing(workspace)],
        lambda: [check_locking(workspace)],
        lambda: [check_disk(workspace)],
        lambda: [check_memory()],
        lambda: check_data(workspace, data),
        lambda: [check_weights()],
        lambda: [check_cluster()],
        lambda: [check_session()],
        lambda: [check_settings()],
    ]
    return [check for part in checks for check in part()]


# ---- software ------------------------------------------------------------------------------------------------------


def check_python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Check:
    found = ".".join(map(str, version))
    if version < OLDEST_PYTHON:
        return Check("python", "Python", "fail", f"{found}, 3.11 or newer is needed", "Install a newer Python.")
    return passed("python", "Python", f"{found} ({sys.executable})")


def check_packages(version_of: Callable[[str], str] = importlib.metadata.version) -> list[Check]:
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version_of(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        words = f"missing: {', '.join(missing)}"
        return [Check("packages", "packages", "fail", words, f"pip install {' '.join(missing)}")]
    torch = version_of("torch").split("+")[0].split(".")
    if tuple(int(part) for part in torch[:2] if part.isdigit()) < OLDEST_TORCH:
        return [Check("packages", "packages", "fail", f"torch {'.'.join(torch)}", "pip install 'torch>=2.9'")]
    return [passed("packages", "packages", ", ".join(found))]


def check_engine(facts: dict[str, str] | None) -> list[Check]:
    """What the engine says of itself."""
    if facts is None:
        remedy = "Run `python -P -m engine` and read what it prints."
        return [Check("engine", "engine", "fail", "it did not answer `diagnose`", remedy)]
    if "torch_error" in facts:
        return [
            Check("engine", "engine", "fail", facts["torch_error"], "Install torch and torchvision again, together.")
        ]
    threads = facts.get("threads", "?")
    found = f"torch {facts.get('torch', '?')} on {facts.get('device', '?')}, {threads} threads"
    checks = [passed("engine", "engine", found)]
    if facts.get("cuda") == "false" and _has_nvidia():
        remedy = "Install a torch build with CUDA, and a driver that fits it."
        checks.append(Check("cuda", "CUDA", "warn", "an NVIDIA card is here, torch cannot use it", remedy))
    checks.append(passed("amp", "mixed precision", facts.get("amp", "unknown")))
    checks.append(passed("deterministic", "strict mode", facts.get("deterministic", "unknown")))
    cores = os.cpu_count() or 1
    if threads == "1" and cores > 1 and os.environ.get("OMP_NUM_THREADS") == "1":
        checks.append(Check("threads", "threads", "warn", f"OMP_NUM_THREADS=1 on {cores} cores", "Unset it."))
    return checks


def _has_nvidia() -> bool:
    return Path("/proc/driver/nvidia/version").exists()


# ---- terminal and session ------------------------------------------------------------------------------------------


def check_terminal(size: os.terminal_size | None = None) -> Check:
    """Colours, size, multiplexer, encoding."""
    if not sys.stdout.isatty() and size is None:
        return passed("terminal", "terminal", "none here; `medtui run` needs none")
    size = size or shutil.get_terminal_size()
    environment = os.environ
    encoding = (locale.getpreferredencoding(False) or "?").lower()
    colours = "NO_COLOR" if environment.get("NO_COLOR") else environment.get("COLORTERM") or "256 or fewer colours"
    around = " in tmux" if environment.get("TMUX") else " in screen" if environment.get("STY") else ""
    found = f"{environment.get('TERM', 'no TERM')}, {colours}, {size.columns} × {size.lines}{around}, {encoding}"
    if environment.get("TERM", "dumb") == "dumb":
        return Check("terminal", "terminal", "fail", found, "Set TERM, for example xterm-256color.")
    if "utf" not in encoding:
        return Check("terminal", "terminal", "warn", found, "Set LANG to a UTF-8 locale, for example C.UTF-8.")
    if size.columns < 60 or size.lines < 18:
        return Check("terminal", "terminal", "warn", found, "Make it 60 × 18 or larger.")
    return passed("terminal", "terminal", found)


def check_cluster() -> Check:
    found = scheduler_job()
    return passed(
        "cluster", "cluster", f"{found}; leftover engines are left to it" if found else "no job scheduler seen"
    )


def check_session(linger: Callable[[], str | None] | None = None) -> Check:
    """Would logging out kill a detached run?"""
    if "SLURM_JOB_ID" in os.environ:
        return passed("session", "log-out", "a run ends with its Slurm job")
    kills = _kill_user_processes()
    if kills is None:
        return passed("session", "log-out", "no systemd login manager seen; a detached run survives")
    if not kills:
        return passed("session", "log-out", "a detached run survives it")
    if (linger or _linger)() == "yes":
        return passed("session", "log-out", "processes are killed, but this user lingers")
    found = "logging out kills every process (KillUserProcesses=yes)"
    return Check("session", "log-out", "warn", found, "loginctl enable-linger, and start runs in tmux.")


def _kill_user_processes(file: Path = Path("/etc/systemd/logind.conf")) -> bool | None:
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return None
    values = [line.partition("=")[2].strip().lower() for line in lines if line.strip().startswith("KillUserProcesses")]
    return values[-1] in ("yes", "true", "1") if values else False


def _linger() -> str | None:
    try:
        command = ["loginctl", "show-user", str(os.getuid()), "--property=Linger", "--value"]
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None


def check_settings() -> Check:
    settings = read_settings()
    if settings.warnings:
        return Check("settings", "settings", "warn", "; ".join(settings.warnings), f"Mend {settings_file()}.")
    file = settings_file()
    return passed("settings", "settings", str(file) if file.is_file() else f"defaults: no file at {file}")


# ---- workspace -----------------------------------------------------------------------------------------------------


def check_writing(workspace: Workspace) -> Check:
    folder = workspace.outputs if workspace.outputs.is_dir() else workspace.root
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".medtui-check-"):
            pass
    except OSError as error:
        found = f"cannot write in {folder}: {error.strerror}"
        return Check("writing", "workspace", "fail", found, "Make it writable, or give --workspace.")
    return passed("writing", "workspace", str(workspace.root))


def check_locking(workspace: Workspace) -> Check:
    """Can this file system lock, and who holds the workspace?"""
    if is_locked(workspace.lock_file):
        holder = read_holder(workspace.lock_file)
        return passed("lock", "lock", f"held by {holder}" if holder else "held by another process")
    folder = workspace.outputs if workspace.outputs.is_dir() else workspace.root
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        found = f"the file system of {folder} cannot lock: {error.strerror}"
        return Check("lock", "lock", "fail", found, "Give a --workspace on a local disk.")
    return passed("lock", "lock", "free")


def check_disk(workspace: Workspace, free: float | None = None) -> Check:
    if free is None:
        try:
            free = psutil.disk_usage(str(workspace.root)).free
        except OSError as error:
            return Check("disk", "disk", "fail", f"cannot be read: {error.strerror}", "Give another --workspace.")
    found = f"{free / 1e9:.1f} GB free"
    if free < TOO_LITTLE_DISK:
        return Check("disk", "disk", "fail", found, "Free some space: a run needs about 0.5 GB.")
    if free < LITTLE_DISK:
        return Check("disk", "disk", "warn", found, "Free some space before long runs.")
    return passed("disk", "disk", found)


def check_memory(free: float | None = None) -> Check:
    available = psutil.virtual_memory().available if free is None else free
    found = f"{available / 1e9:.1f} GB free"
    if available < LITTLE_MEMORY:
        return Check("memory", "memory", "warn", found, "End other programs, or lower training.batch_size.")
    return passed("memory", "memory", found)


def check_data(workspace: Workspace, data: Sequence[str]) -> list[Check]:
    """Which official files are here, and are they what they claim to be?"""
    checks, present = [], []
    for file in inventory(workspace, data):
        if file.state == "damaged":
            words = f"{file.path} is damaged or another edition: MD5 {file.found_md5}"
            remedy = f"Fetch it again, or name it as dataset.archive; expected {file.archive.md5}."
            checks.append(Check(f"data.{file.label}", file.label, "fail", words, remedy))
        elif file.path is not None:
            present.append(file.label + (" ✓" if file.state == "official" else " (not verified yet)"))
    if present:
        checks.insert(0, passed("data", "data sets", ", ".join(present)))
    elif not checks:
        fetch = "" if offline() else "`medtui data fetch NAME`, or "
        remedy = f"{fetch}an .npz in {workspace.root / 'dataset'}; `quickstart` needs none."
        checks.append(Check("data", "data sets", "warn", "no MedMNIST file found", remedy))
    return checks


def check_weights() -> Check:
    path = weights_file()
    if path.is_file():
        return passed("weights", "ImageNet weights", str(path))
    by_hand = f"put https://download.pytorch.org/models/{path.name} there."
    remedy = f"MEDTUI_OFFLINE is set: {by_hand}" if offline() else f"A run that needs it fetches it; or {by_hand}"
    return Check("weights", "ImageNet weights", "warn", f"not at {path}", remedy)


def as_values(checks: list[Check]) -> dict[str, Any]:
    """What `doctor --json` prints."""
    return {"ok": not any(check.level == "fail" for check in checks), "checks": [check.values() for check in checks]}


def versions() -> str:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return f"medtui {importlib.metadata.version('medtui')}, {platform.platform()}"
    return platform.platform()
