"""Diagnostics: a name, pass, warn or fail, the finding, and the remedy. The same list everywhere."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from engine.contract.data.archives import data_folders, offline, open_data_file, unreadable_folders
from engine.contract.data.sums import cache_folder
from engine.contract.files.file_system import NO_ROOM, remedy_for_writing
from engine.contract.files.folders import Folder, file_at
from engine.contract.files.inspection import describe_owner
from engine.contract.files.paths import is_file, is_folder, is_there, path_status
from engine.contract.files.probes import missing_features, probe_locking, probe_writing
from engine.contract.machine.limits import ROOT, cores, cpu_quota, disk_space, gigabytes, is_noexec, memory
from engine.contract.machine.packages import NUMERIC, REPORTING
from engine.contract.machine.scheduler import scheduler_job
from engine.contract.models.catalogue import published_weights
from engine.contract.models.spec import WeightsSpec
from engine.contract.recipe.sources import known_sets
from engine.contract.store.lock import LockState, cannot_open, mode_that_lets_others_lock
from engine.contract.store.workspace import Workspace, distrusted_marker
from engine.contract.wire.errors import OutputError
from medtui import terminal
from medtui.client.data_sets import inventory
from medtui.machine.gpu import NOT_INSTALLED, Gpus, read_gpus
from medtui.settings import read_settings, settings_file

Level = Literal["pass", "skip", "warn", "fail"]  # skip: nothing there to check
OLDEST_PYTHON = (3, 11)
OLDEST_TORCH = (2, 9)
LITTLE_DISK, TOO_LITTLE_DISK = 5e9, 1e9  # bytes
LITTLE_MEMORY = 1.5e9  # bytes
LITTLE_FILES, RUN_FILES = 10_000, 60  # inodes


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
        lambda: [check_gpus(read_gpus())],
        lambda: [check_terminal()],
        lambda: [check_writing(workspace)],
        lambda: [check_locking(workspace)],
        lambda: check_file_system(workspace),
        lambda: [check_disk(workspace)],
        lambda: [check_memory()],
        lambda: [check_cores()],
        lambda: [check_compiler()],
        lambda: check_data(workspace, data),
        check_published_weights,
        lambda: [check_cluster()],
        lambda: [check_session()],
        lambda: [check_settings()],
    ]
    return [check for part in checks for check in part()]


# ---- software ------------------------------------------------------------------------------------------------------


def check_python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Check:
    found = ".".join(map(str, version))
    if version < OLDEST_PYTHON:
        return Check("python", "Python", "fail", f"{found}, needs 3.11 or newer", "Install a newer Python.")
    return passed("python", "Python", f"{found} ({sys.executable})")


def check_packages(version_of: Callable[[str], str] = importlib.metadata.version) -> list[Check]:
    found, missing = [], []
    for name in (*NUMERIC, *REPORTING):
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
    """What the engine reports about itself."""
    if facts is None:
        remedy = "Run `python -P -m engine` and check its output."
        return [Check("engine", "engine", "fail", "did not answer `diagnose`", remedy)]
    if "torch_error" in facts:
        remedy = "Reinstall torch and torchvision together."
        if "address_space" in facts:
            remedy = f"Raise the memory limit (RLIMIT_AS, {facts['address_space']}): `ulimit -v unlimited`."
        return [Check("engine", "engine", "fail", facts["torch_error"], remedy)]
    threads = facts.get("threads", "?")
    found = f"torch {facts.get('torch', '?')} on {facts.get('device', '?')}, {threads} threads"
    checks = [passed("engine", "engine", found)]
    if facts.get("cuda") == "false" and _has_nvidia():
        remedy = "Install a torch build with CUDA and a matching driver."
        checks.append(Check("cuda", "CUDA", "warn", "there is an NVIDIA GPU, but torch cannot use it", remedy))
    checks.append(passed("amp", "mixed precision", facts.get("amp", "unknown")))
    checks.append(passed("deterministic", "strict mode", facts.get("deterministic", "unknown")))
    usable = cores()
    if threads == "1" and usable > 1 and os.environ.get("OMP_NUM_THREADS") == "1":
        checks.append(Check("threads", "threads", "warn", f"OMP_NUM_THREADS=1 on {usable} cores", "Unset it."))
    return checks


def _has_nvidia() -> bool:
    return is_there("/proc/driver/nvidia/version")


def check_gpus(found: Gpus, *, has_driver: bool | None = None) -> Check:
    """What NVML, which loads, memory and temperatures come from, says of the GPUs. `has_driver`: in the kernel."""
    has_driver = _has_nvidia() if has_driver is None else has_driver
    if found.failed:
        remedy = "Check `nvidia-smi`; after an update of the driver, restart the machine."
        return Check("gpu", "GPU", "warn", found.words, remedy)
    if found.trouble == NOT_INSTALLED and has_driver:
        return Check("gpu", "GPU", "warn", found.words, "pip install nvidia-ml-py")
    if found.trouble and has_driver:
        words = f"{found.words} library (libnvidia-ml.so.1), but one in the kernel"
        remedy = "In a container, add `--gpus all`; else install the driver's libraries."
        return Check("gpu", "GPU", "warn", words, remedy)
    lost = [f"GPU {number}, {gpu.name}: {gpu.trouble}" for number, gpu in enumerate(found.devices) if gpu.trouble]
    if lost:
        return Check("gpu", "GPU", "warn", "; ".join(lost), "Check `nvidia-smi`, and restart the machine.")
    if found.trouble:
        return Check("gpu", "GPU", "skip", found.words)
    return passed("gpu", "GPU", found.words or ", ".join(gpu.name for gpu in found.devices))


# ---- terminal and session ------------------------------------------------------------------------------------------


def check_terminal(size: os.terminal_size | None = None) -> Check:
    """Colours, size, multiplexer, encoding."""
    if not sys.stdout.isatty() and size is None:
        return passed("terminal", "terminal", "none; `medtui run` needs none")
    size = size or shutil.get_terminal_size()
    found = terminal.describe_terminal(size)
    if (remedy := terminal.remedy()) is not None:
        return Check("terminal", "terminal", "warn" if terminal.supports_escapes() else "fail", found, remedy)
    if size.columns < 60 or size.lines < 18:
        return Check("terminal", "terminal", "warn", found, "Make it 60 × 18 or larger.")
    return passed("terminal", "terminal", found)


def check_cluster() -> Check:
    found = scheduler_job()
    return passed(
        "cluster", "cluster", f"{found}; orphaned engines are left to it" if found else "no job scheduler found"
    )


def check_session(linger: Callable[[], str | None] | None = None) -> Check:
    """Would logging out kill a detached run?"""
    if "SLURM_JOB_ID" in os.environ:
        return passed("session", "log-out", "a run ends with its Slurm job")
    kills = _kill_user_processes()
    if kills is None:
        return passed("session", "log-out", "no systemd login manager found; a detached run survives")
    if not kills:
        return passed("session", "log-out", "a detached run survives it")
    if (linger or _linger)() == "yes":
        return passed("session", "log-out", "processes are killed, but lingering is enabled for this user")
    found = "logging out kills every process (KillUserProcesses=yes)"
    return Check("session", "log-out", "warn", found, "Run `loginctl enable-linger`, and start runs in tmux.")


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
    settings, file = read_settings(), settings_file()
    if settings.warnings:
        return Check("settings", "settings", "warn", "; ".join(settings.warnings), f"Correct {file}.")
    if trouble := path_status(file).trouble:
        found = f"defaults: {file} cannot be read: {trouble}"
        return Check("settings", "settings", "warn", found, "Fix it, or set MEDTUI_SETTINGS to another file.")
    return passed("settings", "settings", str(file) if is_file(file) else f"defaults: no file at {file}")


# ---- workspace -----------------------------------------------------------------------------------------------------


def check_writing(workspace: Workspace) -> Check:
    """Is there a writable `outputs/`, and is the workspace the intended one?"""
    try:
        workspace.refuse_untrusted_link()
    except OutputError as error:
        return Check("writing", "workspace", "fail", error.message, error.hint)
    folder = workspace.outputs if is_folder(workspace.outputs) else workspace.root
    try:
        probe_writing(folder)
    except OSError as error:
        found = f"cannot write in {folder}{describe_owner(Folder(folder).itself)}: {error.strerror}"
        return Check("writing", "workspace", "fail", found, remedy_for_writing(error))
    if (marker := distrusted_marker(workspace.root)) is not None:
        found = f"{workspace.root}; {marker} is ignored: it or its folder belongs to another user"
        return Check("writing", "workspace", "warn", found, "Pass --workspace to use that folder.")
    return passed("writing", "workspace", str(workspace.root))


def check_locking(workspace: Workspace) -> Check:
    """Can this file system lock, who holds the workspace, and who else could?"""
    lock = workspace.lock_file
    state = LockState.of_workspace(workspace.folder)
    if state.held:
        return _held(state)
    if state.held is None or lock.is_there:
        try:
            os.close(lock.descriptor(os.O_RDWR))
        except OSError as error:
            refused = cannot_open(lock, error)
            return Check("lock", "lock", "fail", refused.message, refused.hint)
        if modes := mode_that_lets_others_lock(lock):
            found = f"{lock} has mode {modes[0]:o}: others could lock you out"
            return Check("lock", "lock", "warn", found, f"Its owner's next run corrects it; or run chmod {modes[1]:o}.")
    folder = workspace.outputs if is_folder(workspace.outputs) else workspace.root
    try:
        probe_locking(folder)
    except PermissionError as error:
        found = f"{folder}{describe_owner(Folder(folder).itself)} is not writable by you: {error.strerror}"
        return Check("lock", "lock", "fail", found, "Choose a --workspace that you own.")
    except OSError as error:
        if error.errno in NO_ROOM:
            found = f"cannot create files in {folder}: {error.strerror}"
            return Check("lock", "lock", "fail", found, remedy_for_writing(error))
        found = f"the file system of {folder} cannot lock files: {error.strerror}"
        return Check("lock", "lock", "fail", found, "Choose a --workspace on a local disk.")
    return passed("lock", "lock", "free")


def check_file_system(workspace: Workspace) -> list[Check]:
    """One line per feature that the file system of the workspace or the cache lacks, and the consequence."""
    checks = []
    outputs = workspace.outputs if is_folder(workspace.outputs) else workspace.root
    for folder in dict.fromkeys((outputs, cache_folder())):
        try:
            found = missing_features(folder)
        except OSError:  # reported by the write check; the cache is created by the first run
            continue
        for lack in found:
            words = f"{folder}: {lack}"
            checks.append(Check("filesystem", "file system", "warn", words, "None needed, if that is acceptable."))
    return checks or [passed("filesystem", "file system", "supports everything that runs need")]


def _held(state: LockState) -> Check:
    if state.other_holder and not state.held_by_engine:
        return Check("lock", "lock", "fail", f"held by {state}", "End that process, or choose another --workspace.")
    return passed("lock", "lock", f"held by {state}")


def check_disk(workspace: Workspace, free: float | None = None) -> Check:
    """Free bytes and inodes."""
    files: int | None = None
    if free is None:
        try:
            disk_room = disk_space(workspace.outputs if is_folder(workspace.outputs) else workspace.root)
        except OSError as error:
            return Check("disk", "disk", "fail", f"cannot be read: {error.strerror}", "Choose another --workspace.")
        free, files = disk_room.bytes, disk_room.files
    found = f"{free / 1e9:.1f} GB free" + ("" if files is None else f", {files:,} inodes free")
    if files is not None and files < LITTLE_FILES:
        remedy = "Delete files, or choose a --workspace on another disk: a run needs about 60 inodes."
        return Check("disk", "disk", "fail" if files < RUN_FILES else "warn", found, remedy)
    if free < TOO_LITTLE_DISK:
        return Check("disk", "disk", "fail", found, "Free some space: a run needs about 0.5 GB.")
    if free < LITTLE_DISK:
        return Check("disk", "disk", "warn", found, "Free some space before long runs.")
    return passed("disk", "disk", found)


def check_memory(free: float | None = None, root: Path = ROOT) -> Check:
    """What a job here may have, and which limit decides that."""
    usable = memory(root)
    available = usable.available if free is None else free
    if available is None:
        return Check("memory", "memory", "warn", "free memory is unknown", "Check /proc/meminfo.")
    found = f"{gigabytes(int(available))} free" + (f" within {usable.limit}" if usable.limit else "")
    if available < LITTLE_MEMORY:
        remedy = "End other programs, or lower training.batch_size."
        if usable.limit:
            remedy = "Request a larger limit, or lower training.batch_size; an engine needs about 0.5 GB."
        return Check("memory", "memory", "warn", found, remedy)
    return passed("memory", "memory", found)


def check_cores(root: Path = ROOT) -> Check:
    """How many cores a job here may use, by affinity and CPU quota."""
    usable, all_, quota = cores(root), os.cpu_count() or 1, cpu_quota(root)
    found = f"{usable} of {all_}" if usable < all_ else f"{usable}"
    found += f", limited by a CPU quota of {quota:g}" if quota is not None and quota <= usable else ""
    if quota is not None and quota < 1:
        return Check("cores", "cores", "warn", found, "Request a full core: training will be slow.")
    return passed("cores", "cores", found)


def check_compiler() -> Check:
    """What training.compile needs: a C++ compiler, and a folder from which its output may be loaded."""
    title = "training.compile"
    own = "clang++" if sys.platform == "darwin" else "g++"  # torch's inductor looks for no other
    compiler = os.environ.get("CXX") or (own if shutil.which(own) else None)
    if compiler is None or not shutil.which(compiler.split()[0] if compiler.split() else ""):
        return Check("compile", title, "warn", f"no C++ compiler ({compiler or 'g++'})", "Install g++, or set CXX.")
    name = "TORCHINDUCTOR_CACHE_DIR" if os.environ.get("TORCHINDUCTOR_CACHE_DIR") else "TMPDIR"
    folder = os.environ.get(name) or "/tmp"
    there = next((path for path in (Path(folder), *Path(folder).parents) if is_there(path)), Path("/"))
    if is_noexec(there):
        found = f"programs cannot run in {folder} (mounted noexec)"
        return Check("compile", title, "warn", found, f"Set {name} to a folder that allows it.")
    return passed("compile", title, f"{compiler}")


def check_data(workspace: Workspace, data: Sequence[str]) -> list[Check]:
    """Which official files are on disk, and are they genuine?"""
    closed = _passed_over(workspace, data)
    checks, present = [] if closed is None else [closed], []
    for file in inventory(workspace, data):
        if file.state == "damaged":
            words = f"{file.path} is damaged or another version: MD5 {file.found_md5}, expected {file.archive.md5}"
            remedy = "Fetch it again, or set dataset.archive to it."
            checks.append(Check(f"data.{file.label}", file.label, "fail", words, remedy))
        elif file.path is not None:
            present.append(file.label + (" ✓" if file.state == "official" else " (not verified yet)"))
    made = ", ".join(facts.name for facts in known_sets() if not facts.archives)
    if present:
        checks.insert(0, passed("data", "data sets", f"{', '.join(present)}; without a file: {made}"))
    elif not any(check.level == "fail" for check in checks):
        put = "Put" if offline() else "Run `medtui data fetch NAME`, or put"
        remedy = f"{put} an .npz in {workspace.root / 'dataset'}; `quickstart` needs none."
        checks.append(Check("data", "data sets", "warn", f"no MedMNIST file found; without a file: {made}", remedy))
    return checks


def _passed_over(workspace: Workspace, data: Sequence[str]) -> Check | None:
    closed = unreadable_folders(data_folders(data, workspace.root))
    if not closed:
        return None
    found = "; ".join(f"{folder} is skipped: {reason}" for folder, reason in closed.items())
    return Check("data.folders", "data folders", "warn", found, "Pass --data, or set HOME or MEDTUI_DATA.")


def check_published_weights() -> list[Check]:
    """The default model's file of published weights, and every other of the catalogue that is there."""
    found = list(published_weights().values())
    there = [weights for number, weights in enumerate(found) if number == 0 or is_file(weights.path)]
    return [check_weights(weights, number) for number, weights in enumerate(there)]


def check_weights(weights: WeightsSpec, number: int = 0) -> Check:
    """`number`: which of the files it is; the first has the plain id."""
    path, title = weights.path, f"{weights.trained_on} weights"
    id_ = "weights" if number == 0 else f"weights.{weights.file_name}"
    if (there := path_status(path)).is_file:
        return _check_digest(weights, id_, title)
    manual_download = f"put {weights.url} there."
    remedy = (
        f"Nothing is fetched offline: {manual_download}"
        if offline()
        else f"A run that needs it downloads it; or {manual_download}"
    )
    return Check(id_, title, "warn", f"not at {path}{there.why}", remedy)


def _check_digest(weights: WeightsSpec, id_: str, title: str) -> Check:
    path, expected = weights.path, weights.sha256
    try:
        with open_data_file(path) as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        words = f"{path} cannot be read: {error.strerror}{describe_owner(file_at(path))}"
        return Check(id_, title, "fail", words, "Fix it, or set `pretrained: false`.")
    if not found.startswith(expected):
        words = f"{path} is damaged: its SHA-256 begins with {found[:8]}, not {expected}"
        return Check(id_, title, "fail", words, "Remove it; the next run downloads it again.")
    return passed(id_, title, str(path))


def as_values(checks: list[Check]) -> dict[str, Any]:
    """What `doctor --json` prints."""
    return {"ok": not any(check.level == "fail" for check in checks), "checks": [check.values() for check in checks]}


def versions() -> str:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return f"medtui {importlib.metadata.version('medtui')}, {platform.platform()}"
    return platform.platform()
