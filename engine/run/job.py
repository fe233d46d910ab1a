"""What a job is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engine.contract.data_files import data_folders
from engine.contract.errors import COMPLETED
from engine.contract.lock import WorkspaceLock
from engine.contract.protocol import ErrorInfo, Metrics, Outcome, Phase, PhaseChanged, Start
from engine.contract.run_directory import RunDirectory
from engine.contract.workspace import Workspace
from engine.control import Control
from engine.events import EventStream, now


@dataclass
class Job:
    start: Start
    workspace: Workspace
    stream: EventStream
    control: Control
    lock: WorkspaceLock | None  # held by a job that trains
    on_run_directory: Callable[[RunDirectory], None]
    run: RunDirectory | None = None
    last_folders: tuple[Path, ...] = ()  # where an earlier run found its data, if that is none of the usual places

    def enter(self, phase: Phase) -> None:
        self.stream.emit(PhaseChanged(time=now(), phase=phase))

    def data_folders(self) -> list[Path]:
        """Where data set files are looked for, first to last."""
        found = data_folders(self.start.data, self.workspace.root)
        return list(dict.fromkeys([*found, *self.last_folders]))


@dataclass(frozen=True)
class JobResult:
    outcome: Outcome = "completed"
    exit_code: int = COMPLETED
    error: ErrorInfo | None = None
    metrics: dict[str, Metrics | None] = field(default_factory=lambda: {"validation": None, "test": None})
