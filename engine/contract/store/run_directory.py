"""One run's folder: where everything lies, how it is made, and how a user's word for a run finds it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from engine.contract.files.folders import File, FileOrPath, Folder, file_at
from engine.contract.files.inspection import describe_owner, untrusted_entry, unwritable_folder
from engine.contract.files.owners import shared_group
from engine.contract.files.paths import absolute, is_link, path_status
from engine.contract.sentences import Runs, RunsFolder
from engine.contract.wire.errors import OutputError, UsageError

ARCHIVE = "archive"  # folder in outputs/; what lies in it is not listed
SUITES = "suites"  # folder in outputs/, with what is known of each suite, and of the queue
SEARCHES = ".searches"  # folder in it, with what is known of each search; no suite's name begins with a dot
MLFLOW = "mlruns"  # folders in outputs/ with the files of trackers
WANDB = "wandb"

FOLDERS = ("checkpoints", "metrics", "reports", "figures", "evaluations")


@dataclass(frozen=True)
class RunDirectory:
    root: Path
    folder: Folder = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Folder(self.root, follow=False))

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def recipe(self) -> File:
        return self.folder.file("recipe.yaml")

    @property
    def manifest(self) -> File:
        return self.folder.file("manifest.json")

    @property
    def journal(self) -> File:
        return self.folder.file("events.jsonl")

    @property
    def status(self) -> File:
        return self.folder.file("status.json")

    @property
    def control(self) -> File:
        return self.folder.file("control.jsonl")

    @property
    def killed(self) -> File:
        """Who killed which of its engines on request: an engine that is killed cannot say so itself."""
        return self.folder.file("killed.json")

    @property
    def log(self) -> File:
        return self.folder.file("run.log")

    @property
    def checkpoints(self) -> File:
        return self.folder.file("checkpoints")

    @property
    def last(self) -> File:
        return self.folder.file("checkpoints/last.safetensors")

    @property
    def previous(self) -> File:
        return self.folder.file("checkpoints/previous.safetensors")

    @property
    def best(self) -> File:
        return self.folder.file("checkpoints/best.safetensors")

    @property
    def previous_best(self) -> File:
        """The best before `best`: `previous` may be of a time when it was the best."""
        return self.folder.file("checkpoints/previous_best.safetensors")

    @property
    def model_bundle(self) -> File:
        """What must be known to use `best`."""
        return self.folder.file("checkpoints/model.json")

    @property
    def features(self) -> File:
        """Where the training images lie in the space of the features of `best`."""
        return self.folder.file("checkpoints/features.safetensors")

    @property
    def metrics(self) -> File:
        return self.folder.file("metrics")

    def score_files(self) -> list[File]:
        """Of the test split: one, unless somebody put another there. Its name holds that of the run when it ended,
        which may have another name now. None where they cannot be listed."""
        try:
            names = self.metrics.names()
        except OSError:
            return []
        return [self.metrics / name for name in names if "_test_[AUC]" in name and name.endswith(".csv")]

    @property
    def evaluations(self) -> File:
        """One folder per later evaluation, `1`, `2` …"""
        return self.folder.file("evaluations")

    @property
    def labels(self) -> File:
        """Tags and a note of its owner."""
        return self.folder.file("labels.json")

    @property
    def reports(self) -> File:
        return self.folder.file("reports")

    @property
    def figures(self) -> File:
        return self.folder.file("figures")


def make_run_directory(outputs: Path, name: str) -> RunDirectory:
    """`name`, or `name_2`, `name_3` …: made by exclusive mkdir, so nothing is ever overwritten. Raises OutputError."""
    for free in _run_names(name):
        folder = Folder(outputs).file(free)
        try:
            folder.make_folder()
            break
        except FileExistsError:
            continue
        except OSError as error:
            raise OutputError(Runs.NOT_CREATED, path=folder, reason=error.strerror) from None
    run = RunDirectory(folder.path)
    make_parts(run)
    return run


def free_run_name(outputs: Path, name: str) -> str:
    """What `make_run_directory` would call a run now. Never raises."""
    return next(free for free in _run_names(name) if not Folder(outputs).file(free).is_there)


def _run_names(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}_{number}" for number in count(2))


def make_parts(run: RunDirectory) -> None:
    """The folders of a run and its control file, where they are missing. Raises OSError."""
    for folder in FOLDERS:
        run.folder.file(folder).make_folder(exist_ok=True)
    with run.folder.opened() as root:
        shared = shared_group(root) is not None
    with contextlib.suppress(FileExistsError):
        mode = 0o660 if shared else 0o600
        os.close(run.control.descriptor(os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))


def read_object(path: FileOrPath) -> dict[str, Any] | None:
    """The JSON object in a file; None when it is missing, damaged, too large or no object."""
    try:
        text = file_at(path).content().decode()
        value = json.loads(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair could not be written again
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def is_run(root: Path, manifest: dict[str, Any] | None = None) -> bool:
    """Is this folder a run's? By its manifest, else by files that only a run has. `manifest`: if known."""
    run = RunDirectory(root)
    manifest = manifest if manifest is not None else read_object(run.manifest)
    if manifest and any(isinstance(manifest.get(name), str) for name in ("started", "run")):
        return True
    return run.journal.size > 0 or (run.recipe.is_regular and run.status.is_regular) or run.last.is_regular


def list_runs(outputs: Path) -> list[RunDirectory]:
    """Every run of a workspace, in the order in which they were last started or resumed.

    One whose manifest is damaged or missing is among them, by when something last happened in it.
    """
    return [run for _, run, _ in _in_order(outputs)]


def list_runs_and_manifests(outputs: Path) -> list[tuple[RunDirectory, dict[str, Any] | None]]:
    """As `list_runs`, each with its manifest, which the order is read from; None where it is damaged or missing."""
    return [(run, manifest) for _, run, manifest in _in_order(outputs)]


def run_names(outputs: Path) -> list[str]:
    """What in `outputs/` may be a run, by its name; nothing where it cannot be listed."""
    try:
        names = Folder(outputs).itself.names()
    except OSError:
        return []
    return [name for name in names if name[0] != "." and name not in (ARCHIVE, SUITES, MLFLOW, WANDB)]


def order_and_manifest(run: RunDirectory) -> tuple[str, dict[str, Any] | None] | None:
    """The run's place in the order of all, and its manifest, as far as it can be read; None for what is no run."""
    manifest = read_object(run.manifest)
    if is_run(run.root, manifest or {}) or _is_linked_run(run):
        return last_start(manifest or {}) or _last_change(run), manifest
    return None


def _in_order(outputs: Path) -> list[tuple[str, RunDirectory, dict[str, Any] | None]]:
    runs = [RunDirectory(outputs / name) for name in run_names(outputs)]
    found = [(listed[0], run, listed[1]) for run in runs if (listed := order_and_manifest(run)) is not None]
    return sorted(found, key=lambda one: (one[0], one[1].name))


def _is_linked_run(run: RunDirectory) -> bool:
    """A link to a run that was moved: listed, with a mark, and not followed."""
    return is_link(run.root) and is_run(absolute(run.root))


def attempts_of(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The attempts that a manifest names, oldest first; what is none is passed over."""
    attempts = manifest.get("attempts")
    return [attempt for attempt in attempts if isinstance(attempt, dict)] if isinstance(attempts, list) else []


def mark_of(manifest: dict[str, Any]) -> tuple[str, str] | None:
    """Owner and item of a run that a suite, a search or the queue started."""
    mark = manifest.get("suite")
    if not isinstance(mark, dict):
        return None
    owner, item = mark.get("owner"), mark.get("item")
    return (owner, item) if isinstance(owner, str) and isinstance(item, str) else None


def last_start(manifest: dict[str, Any]) -> str:
    """The place of a run's newest attempt in the order of all: UTC, ISO 8601, which sorts as text.

    `order` is when it began, or just after the run before it, where the machine's clock was set back meanwhile.
    """
    begun = (manifest, *attempts_of(manifest))
    return max(str(one.get("order") or one.get("started", "")) for one in begun)


def next_in_order(outputs: Path) -> str:
    """The `order` of an attempt that begins now: after every other one of the workspace, whatever the clock says."""
    now = datetime.now(UTC)
    newest = max((order for order, *_ in _in_order(outputs)), default="")
    if newest < _iso(now):
        return _iso(now)
    try:
        return _iso(datetime.fromisoformat(newest) + timedelta(milliseconds=1))
    except (ValueError, OverflowError):  # not a time: nothing can be after it for certain
        return _iso(now)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def _last_change(run: RunDirectory) -> str:
    found = run.journal.info() or run.folder.itself.info()
    try:
        return _iso(datetime.fromtimestamp(found.st_mtime if found else 0, UTC))
    except (ValueError, OverflowError):
        return ""


def refuse_link_to_nothing(outputs: Path) -> None:
    """Where `outputs/` is a link to a disk that is not there, its runs are not gone. Raises OutputError."""
    there = path_status(outputs)
    if is_link(outputs) and not there.is_folder:
        why = there.trouble or f"{outputs} is a link to {outputs.readlink()}, which is not a folder"
        raise OutputError(RunsFolder.MISSING, reason=why)


def refuse_unlisted(outputs: Path) -> None:
    """Where the runs cannot be seen, they are not none. Raises OutputError."""
    refuse_link_to_nothing(outputs)
    found = path_status(outputs)
    trouble = found.trouble or ("it is not a folder" if found.is_there and not found.is_folder else "")
    try:
        Folder(outputs).itself.names()
    except OSError as error:
        trouble = trouble or f"{error.strerror}{describe_owner(Folder(outputs).itself)}"
    if trouble:
        raise OutputError(RunsFolder.UNREADABLE, folder=outputs, reason=trouble)


def refuse_untrusted_entries(run: RunDirectory, what: str) -> None:
    """Before a run is resumed, evaluated, moved or deleted. Raises UsageError where links, pipes or files of
    others lie in it, or where the user may not write; `what` is not done then."""
    try:
        found, locked = untrusted_entry(run.folder.itself), unwritable_folder(run.folder.itself)
    except OSError as error:
        found, locked = str(error), None
    if found is None and locked is None:
        return
    if found is None or describe_owner(run.folder.itself):
        raise UsageError(Runs.NOT_WRITABLE, run=run.name, action=what, reason=found or locked)
    raise UsageError(Runs.UNTRUSTED_ENTRY, run=run.name, action=what, reason=found)
