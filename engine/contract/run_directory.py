"""One run's folder: where everything lies, how it is made, and how a user's word for a run finds it."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.contract.errors import OutputError, UsageError
from engine.contract.files import read_bounded
from engine.contract.lock import LOCK_FILE, held_run
from engine.contract.recipe_conflicts import unknown_name

FOLDERS = ("checkpoints", "metrics", "reports", "figures", "evaluations")


@dataclass(frozen=True)
class RunDirectory:
    root: Path

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def recipe(self) -> Path:
        return self.root / "recipe.yaml"

    @property
    def manifest(self) -> Path:
        return self.root / "manifest.json"

    @property
    def journal(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def status(self) -> Path:
        return self.root / "status.json"

    @property
    def control(self) -> Path:
        return self.root / "control.jsonl"

    @property
    def log(self) -> Path:
        return self.root / "run.log"

    @property
    def last(self) -> Path:
        return self.root / "checkpoints" / "last.safetensors"

    @property
    def previous(self) -> Path:
        return self.root / "checkpoints" / "previous.safetensors"

    @property
    def best(self) -> Path:
        return self.root / "checkpoints" / "best.safetensors"

    @property
    def previous_best(self) -> Path:
        """The best before `best`: `previous` may be of a time when it was the best."""
        return self.root / "checkpoints" / "previous_best.safetensors"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics"

    @property
    def evaluations(self) -> Path:
        """A folder a later evaluation, `1`, `2` …"""
        return self.root / "evaluations"

    @property
    def labels(self) -> Path:
        """Tags and a note of its owner."""
        return self.root / "labels.json"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def figures(self) -> Path:
        return self.root / "figures"

    def within(self, path: Path) -> str:
        """The path of one of its files as events name it."""
        return path.relative_to(self.root).as_posix()


def make_run_directory(outputs: Path, name: str) -> RunDirectory:
    """`name`, or `name_2`, `name_3` …: made by exclusive mkdir, so nothing is ever overwritten. Raises OutputError."""
    number = 1
    while True:
        root = outputs / (name if number == 1 else f"{name}_{number}")
        try:
            root.mkdir()
            break
        except FileExistsError:
            number += 1
        except OSError as error:
            raise OutputError(f"Cannot make the run directory {root}: {error.strerror}.", "Free or mend it.") from None
    run = RunDirectory(root)
    make_parts(run)
    return run


def make_parts(run: RunDirectory) -> None:
    """The folders of a run and its control file, where they are missing. Raises OSError."""
    for folder in FOLDERS:
        (run.root / folder).mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(run.control, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None when it is missing, damaged, too large or no object."""
    try:
        text = read_bounded(path).decode()
        value = json.loads(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair could not be written again
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def list_runs(outputs: Path) -> list[RunDirectory]:
    """Every run of a workspace, in the order in which they were last started or resumed."""
    if not outputs.is_dir():
        return []
    manifests = {entry: read_object(entry / "manifest.json") for entry in outputs.iterdir() if entry.name[0] != "."}
    started = [(_last_start(manifest), entry) for entry, manifest in manifests.items() if manifest]
    return [RunDirectory(entry) for _, entry in sorted(started)]


def attempts_of(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The attempts that a manifest names, oldest first; what is none is passed over."""
    attempts = manifest.get("attempts")
    return [attempt for attempt in attempts if isinstance(attempt, dict)] if isinstance(attempts, list) else []


def _last_start(manifest: dict[str, Any]) -> str:
    """When the newest attempt began; UTC, ISO 8601, which sorts as text."""
    return max(str(begun.get("started", "")) for begun in (manifest, *attempts_of(manifest)))


def find_run(outputs: Path, word: str) -> RunDirectory:
    """The run that `word` means: a directory, a name, a unique part of one, or `last`. Raises UsageError.

    `last` is the run that holds the workspace, else the one that was last started or resumed.
    """
    with contextlib.suppress(OSError, ValueError):  # too long for a file name, or a NUL
        if (Path(word) / "manifest.json").is_file():
            return RunDirectory(Path(word).resolve())
    if not word:
        raise UsageError("Expected a run, found an empty name.", "Name one, or write `last`.")
    runs = list_runs(outputs)
    if not runs:
        raise UsageError(f"There is no run in {outputs} yet.", "`medtui run quickstart` makes one.")
    if word == "last":
        held = held_run(outputs / LOCK_FILE)
        return next((run for run in runs if run.name == held), runs[-1])
    named = [run for run in runs if run.name == word] or [run for run in runs if word in run.name]
    if len(named) == 1:
        return named[0]
    if named:
        names = ", ".join(run.name for run in named[:5])
        raise UsageError(f"{len(named)} runs have {word!r} in their names: {names}.", "Write more of the name.")
    raise UsageError(f"In {outputs}, {unknown_name('run', word, [run.name for run in runs])}.", "See `medtui runs`.")
