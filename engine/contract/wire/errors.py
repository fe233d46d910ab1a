"""Everything that can be refused or can fail, one class per kind. The class decides the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

COMPLETED = 0
STOPPED = 6
ABORTED = 7
INTERNAL = 70


class MedtuiError(Exception):
    """An error a user can act on.

    `message` says what was expected, what was found and where; `hint` says what to do next.
    """

    kind: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = INTERNAL

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(MedtuiError):
    """The command line asks for something that does not exist."""

    kind = "usage"
    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a recipe. `path` is (), (section,) or (section, field); `line` counts from 1."""

    path: tuple[str, ...]
    message: str
    line: int | None = None


class RecipeError(MedtuiError):
    """A recipe, or a value given for it, is not what the schema says."""

    kind = "recipe"
    exit_code = 2

    def __init__(self, message: str, hint: str = "", problems: Sequence[Problem] = ()) -> None:
        super().__init__(message, hint)
        self.problems = tuple(problems)


class DeviceError(MedtuiError):
    """The machine lacks the device, or what a recipe asks of it."""

    kind = "device"
    exit_code = 2


class InstallationError(MedtuiError):
    """A package, or a program, that a job needs is missing or cannot be loaded."""

    kind = "installation"
    exit_code = 2


class OutputError(MedtuiError):
    """The outputs folder cannot be written."""

    kind = "outputs"
    exit_code = 2


class WorkspaceLocked(MedtuiError):
    """Another engine holds the workspace, or its file system cannot lock."""

    kind = "locked"
    exit_code = 3


class DriftError(MedtuiError):
    """A run cannot continue as it began: recipe, data, threads or versions are not what they were."""

    kind = "drift"
    exit_code = 2


class DataError(MedtuiError):
    """A data set is missing, damaged or not what it claims to be."""

    kind = "data"
    exit_code = 4


class WeightsError(MedtuiError):
    """Pretrained or earlier weights are missing, damaged or do not fit."""

    kind = "weights"
    exit_code = 4


class RunFailed(MedtuiError):
    """A run ended by a fault: non-finite loss, out of memory, disk full, engine died."""

    kind = "failed"
    exit_code = 5


class DiskFull(RunFailed):
    """There is no space left, or no quota."""

    kind = "disk_full"


class FileFailed(RunFailed):
    """A file could not be read or written."""

    kind = "file"


class OutOfMemory(RunFailed):
    """Neither the machine's memory nor the device's is enough."""

    kind = "out_of_memory"


class MachineFailed(RunFailed):
    """The machine refused something that a run needs: threads, its graphics card, a compiler."""

    kind = "machine"


class CheckpointError(RunFailed):
    """A checkpoint file is damaged or not a checkpoint."""

    kind = "checkpoint"


class ProtocolError(MedtuiError):
    """The engine sent something that is not the protocol, or nothing at all."""

    kind = "protocol"
