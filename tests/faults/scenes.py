"""A workspace with a run in every state, its cache and settings, and a guarded tree next to it."""

from __future__ import annotations

import json
import os
import shutil
import stat
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from driving import tiny
from unexpected_entries import remove

from engine.contract.machine.process_identity import start_of
from engine.contract.store.run_directory import RunDirectory

DONE, BROKEN, AT_WORK, OLD = "20261101_done", "20261102_broken", "20261103_at_work", "20261031_old"
SHORT = tiny(training={"epochs": 1, "warmup_epochs": 0})


@dataclass(frozen=True)
class Scene:
    """A folder with a workspace, a cache and settings, and a guarded tree next to it."""

    root: Path
    pristine: Path
    guarded: Path

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    @property
    def environment(self) -> dict[str, str]:
        return environment_of(self.root)

    def run(self, name: str) -> RunDirectory:
        return RunDirectory(self.workspace / "outputs" / name)

    def restore(self) -> None:
        """As it was at first, where it is not."""
        for place in sorted(self.pristine.iterdir()):
            now = self.root / place.name
            if stamps(now) != _stamps_of_pristine(place):
                remove(now)
                copy = shutil.copytree if place.is_dir() else shutil.copy2
                copy(place, now)


@cache
def _stamps_of_pristine(tree: Path) -> set[tuple[str, int, int, int, int]]:
    return stamps(tree)


def stamps(tree: Path) -> set[tuple[str, int, int, int, int]]:
    """Of everything in a tree: name, mode, owner, size and mtime."""
    found = set()
    for path in [tree, *tree.rglob("*")]:
        if os.path.lexists(path):
            status = path.lstat()
            is_folder = stat.S_ISDIR(status.st_mode)
            size, changed = (0, 0) if is_folder else (status.st_size, status.st_mtime_ns)
            found.add((str(path.relative_to(tree)), status.st_mode, status.st_uid, size, changed))
    return found


def environment_of(root: Path) -> dict[str, str]:
    places = {"MEDTUI_CACHE": root / "cache", "MEDTUI_SETTINGS": root / "settings.yaml", "HOME": root / "home"}
    return {**{name: str(place) for name, place in places.items()}, "MEDTUI_DATA": str(root / "data")}


def name_engine(run: RunDirectory, pid: int) -> None:
    status = json.loads(run.status.path.read_text())
    run.status.path.write_text(json.dumps(status | {"pid": pid, "started": start_of(pid), "outcome": None}))
