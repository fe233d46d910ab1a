"""What a job is given, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engine.contract.store.lock import WorkspaceLock
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import COMPLETED
from engine.contract.wire.jobs import Start
from engine.contract.wire.protocol import ErrorInfo, Metrics, Outcome, Phase, PhaseChanged
from engine.control import Control
from engine.events import EventStream, now


@dataclass
class Job:
    start: Start  # what every job is given; its own fields come to it as an argument
    workspace: Workspace
    stream: EventStream
    control: Control
    lock: WorkspaceLock | None  # held by a job that needs the workspace for itself
    on_run_directory: Callable[[RunDirectory], None]
    find_run: Callable[[str], RunDirectory]  # a run of the workspace by name, hash, path or `last`; raises UsageError
    run: RunDirectory | None = None
    last_folders: tuple[Path, ...] = ()  # where an earlier run found its data, if that is none of the usual folders

    def enter(self, phase: Phase) -> None:
        self.stream.emit(PhaseChanged(time=now(), phase=phase))

    @property
    def here(self) -> Path:
        """What relative paths are below."""
        return Path(self.start.folder or "")


@dataclass(frozen=True)
class JobResult:
    outcome: Outcome = "completed"
    exit_code: int = COMPLETED
    error: ErrorInfo | None = None
    metrics: dict[str, Metrics | None] = field(default_factory=lambda: {"validation": None, "test": None})
