"""Everything that can be refused or can fail, one class per kind. The class decides the exit code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from engine.contract.sentence import Sentence

COMPLETED = 0
STOPPED = 6
ABORTED = 7
INTERNAL = 70


class MedtuiError(Exception):
    """An error a user can act on: which sentence of a catalogue applies, with its fields.

    `message` says what was expected, what was found and where; `hint` says what to do next.
    """

    kind: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = INTERNAL

    def __init__(self, sentence: Sentence, **fields: object) -> None:
        self.code = sentence.code
        self.fields = fields
        self.message, self.hint = sentence.text(**fields)
        super().__init__(self.message)

    @classmethod
    def reported(cls, code: str, message: str, hint: str = "") -> Self:
        """The error that another process reported, in its words."""
        error = cls.__new__(cls)
        error.code, error.fields, error.message, error.hint = code, {}, message, hint
        Exception.__init__(error, message)
        return error

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def __reduce__(self) -> tuple[object, ...]:
        fields = {name: str(value) for name, value in self.fields.items()}
        return _as_it_was, (type(self), {**self.__dict__, "fields": fields})


def _as_it_was(of: type[MedtuiError], values: dict[str, object]) -> MedtuiError:
    """Unpickled: after a way through another process."""
    error = of.reported("", str(values["message"]))
    error.__dict__.update(values)
    return error


class UsageError(MedtuiError):
    """The command line asks for something that does not exist."""

    kind = "usage"
    exit_code = 2


_ADVICE = re.compile(r"write `(\w+): ([^`]*)`")  # as a recipe has it


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a recipe, in words that follow the name of what is wrong.

    `path` is (), (section,) or (section, field); `line` counts from 1.
    """

    path: tuple[str, ...]
    message: str
    line: int | None = None
    code: str = ""
    fields: Mapping[str, object] = field(default_factory=dict, compare=False)
    others: tuple[tuple[str, ...], ...] = field(default=(), compare=False)  # fields that it is in conflict with

    def against(self, *others: tuple[str, ...]) -> Self:
        """The same, with the fields that `path` is in conflict with."""
        return replace(self, others=others)

    @property
    def typed(self) -> Self:
        """The same, with advice as a command line has it: write `training.nesterov=false`."""
        if not self.path:
            return self
        return replace(self, message=_ADVICE.sub(rf"write `{self.path[0]}.\1=\2`", self.message))

    @classmethod
    def of(cls, path: tuple[str, ...], sentence: Sentence, line: int | None = None, **fields: object) -> Self:
        return cls(path, sentence.text(**fields)[0], line, sentence.code, fields)


class RecipeError(MedtuiError):
    """A recipe, or a value given for it, is not what the schema says."""

    kind = "recipe"
    exit_code = 2

    problems: tuple[Problem, ...] = ()

    def __init__(self, sentence: Sentence, problems: Sequence[Problem] = (), **fields: object) -> None:
        super().__init__(sentence, **fields)
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
