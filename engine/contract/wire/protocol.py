"""The protocol, version 1: JSON lines between an engine and its clients. `docs/protocol.md` is its manual.

State events carry `seq` and are journaled; `progress` and `resources` are snapshots without one. Unknown fields are
ignored, so either side may be older. NaN and infinities travel as "NaN", "Infinity", "-Infinity".
"""

from __future__ import annotations

from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, Lt
from pydantic import ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError

from engine.contract.sentences import Commands
from engine.contract.wire.errors import ProtocolError
from engine.contract.wire.jobs import JOBS, Start, job_of
from engine.contract.wire.message import Command, Message, SafeInt
from engine.contract.wire.monitor import Monitor
from engine.contract.wire.resolved import Resolved

VERSION = 1
LINE_LIMIT = 1024 * 1024  # bytes
CONTROL_LIMIT = 4096  # bytes of a line in control.jsonl: one append of this size is atomic under the writer's flock

Time = Annotated[float, Ge(0), Lt(1e11)]  # Unix seconds that a calendar has
Phase = Literal["idle", "preparing", "training", "paused", "evaluating", "reporting", "finished"]
Fraction = Annotated[float, Ge(0), Le(1)]
Ci95 = tuple[Fraction, Fraction]  # a 95 % confidence interval
Outcome = Literal["completed", "stopped", "aborted", "failed", "crashed"]


# ---- parts of events ----------------------------------------------------------------------------------------------


class ErrorInfo(Message):
    kind: str
    code: str = ""  # of its sentence, such as `archive.changed`; empty where an older version wrote it
    message: str
    hint: str = ""


class Metrics(Message):
    """Results on one split. NaN where undefined; `reasons` then says why, by the metric's name."""

    loss: float | None = None
    auc: float
    acc: float
    f1: float  # macro mean over the defined classes
    reasons: dict[str, str] = {}
    auc_ci95: Ci95 | None = None  # None: undefined, or not computed, as for the validation of an epoch
    acc_ci95: Ci95 | None = None  # None for multi-label too: the labels of one image are not independent


class ClassMetrics(Message):
    """One class against the rest. NaN where undefined."""

    name: str
    recall: float
    precision: float
    f1: float
    auc: float
    support: SafeInt  # images of this class (labels set, for multi-label)
    auc_ci95: Ci95 | None = None


class Position(Message):
    """How far training is: `epoch` epochs are complete, and `step` steps of the next are done. Both count from 0."""

    epoch: SafeInt
    step: SafeInt


# ---- events -------------------------------------------------------------------------------------------------------


class Event(Message):
    time: Time
    seq: SafeInt | None = None


class Hello(Event):
    event: Literal["hello"] = "hello"
    v: SafeInt = VERSION
    engine: str  # random id of this engine process
    pid: SafeInt
    started: float  # seconds since boot (elsewhere than on Linux: Unix seconds): with `pid`, which process it is
    host: str
    boot: str
    versions: dict[str, str]
    jobs: list[str] = []  # what this engine can be asked to do; an older one does not say


class PhaseChanged(Event):
    event: Literal["phase.changed"] = "phase.changed"
    phase: Phase


class RunStarted(Event):
    """The run directory exists and everything is decided."""

    event: Literal["run.started"] = "run.started"
    attempt: SafeInt
    resumed_from: Position | None
    run: str
    run_dir: str
    recipe_hash: str
    dataset: str
    size: SafeInt
    input_size: SafeInt | None = None  # pixels per side that images are enlarged to for the model
    task: str
    synthetic: bool
    limit: SafeInt | None = None  # images of each split that are used, of all when None
    class_names: list[str]
    model: str
    parameters: SafeInt
    epochs: SafeInt
    steps_per_epoch: SafeInt
    batch_size: SafeInt
    accumulate: SafeInt = 1  # batches per step
    images: dict[str, SafeInt]  # images per split
    patience: SafeInt | None
    monitor: Monitor = "auc"  # what of the validation split decides the best epoch and early stopping
    device: str
    decisions: dict[str, str]  # what `auto` became, in words: amp, weights, cache, hflip
    resolved: Resolved | None = None  # and as values; None from an older engine
    resolved_hash: str | None = None
    seed: SafeInt | None = None
    schedule: str | None = None  # of the learning rate, as the recipe names it
    lr: float | None = None  # at its peak
    clip_norm: float | None = None  # the most that the gradients' norm may be; null: any, or an older engine
    only_in_training_loss: list[str] = []  # in words: what the validation loss is without, such as MixUp
    drift: list[str] = []  # what changed between attempts and was allowed to; results are then not bit for bit


class Progress(Event):
    """A snapshot, up to five a second."""

    event: Literal["progress"] = "progress"
    phase: Phase
    activity: str  # what is being done, in words
    done: SafeInt
    total: SafeInt
    unit: Literal["bytes"] | None = None  # of done and total; null: what the activity counts
    epoch: SafeInt | None = None  # from 1, while training
    step: SafeInt | None = None  # steps of this epoch that are done
    loss: float | None = None
    lr: float | None = None
    images_per_second: float | None = None


class Resources(Event):
    """A snapshot of what the engine uses."""

    event: Literal["resources"] = "resources"
    cpu_percent: float  # of one core
    memory: SafeInt  # bytes, resident
    gpu_memory: SafeInt | None = None  # bytes allocated on the device


class EpochFinished(Event):
    event: Literal["epoch.finished"] = "epoch.finished"
    epoch: SafeInt  # from 1
    step: SafeInt  # steps of the run that are done
    seconds: float
    images_per_second: float
    lr: float
    train_loss: float
    train_acc: float
    validation: Metrics
    per_class: list[ClassMetrics]
    confusion: list[list[SafeInt]] | None = None  # of the validation split: rows true, columns predicted
    best: bool  # is this epoch the new best? By the run's monitor, among equals by a lower loss
    best_epoch: SafeInt | None
    best_auc: float | None  # validation AUC of that epoch
    without_improvement: SafeInt  # epochs without a better value of the monitor
    curve: list[tuple[SafeInt, float]]  # (step of the run, mean loss), at most 100 points


class CheckpointSaved(Event):
    event: Literal["checkpoint.saved"] = "checkpoint.saved"
    kind: Literal["last", "best"]
    path: str  # within the run directory
    position: Position
    digest: str
    bytes: SafeInt
    seconds: float


class EvaluationFinished(Event):
    event: Literal["evaluation.finished"] = "evaluation.finished"
    dataset: str
    split: str
    n: SafeInt
    views: list[str]  # names of the averaged views; ["identity"] without TTA
    metrics: Metrics
    per_class: list[ClassMetrics]


class ArtifactWritten(Event):
    event: Literal["artifact.written"] = "artifact.written"
    name: str
    path: str  # within the run directory
    bytes: SafeInt


class Log(Event):
    event: Literal["log"] = "log"
    level: Literal["info", "warning", "error"] = "info"
    message: str


class Alarm(Event):
    """Something the user should look at now."""

    event: Literal["alarm"] = "alarm"
    kind: str
    code: str = ""
    message: str
    hint: str = ""


class CommandAccepted(Event):
    event: Literal["command.accepted"] = "command.accepted"
    id: str
    command: str
    expected: float  # seconds until it shows effect
    by: str
    via: Literal["stdin", "control", "signal"]
    note: str = ""


class CommandRejected(Event):
    event: Literal["command.rejected"] = "command.rejected"
    id: str
    command: str
    reason: str
    by: str
    via: Literal["stdin", "control", "signal"]


class Diagnosis(Event):
    event: Literal["diagnosis"] = "diagnosis"
    id: str
    facts: dict[str, str]


class RunFinished(Event):
    event: Literal["run.finished"] = "run.finished"
    outcome: Outcome
    exit_code: SafeInt
    metrics: dict[str, Metrics | None]  # "validation" and "test"
    run_dir: str | None
    error: ErrorInfo | None = None


AnyEvent = Annotated[
    Hello
    | PhaseChanged
    | RunStarted
    | Progress
    | Resources
    | EpochFinished
    | CheckpointSaved
    | EvaluationFinished
    | ArtifactWritten
    | Log
    | Alarm
    | CommandAccepted
    | CommandRejected
    | Diagnosis
    | RunFinished,
    Field(discriminator="event"),
]
SNAPSHOTS = (Progress, Resources)


# ---- commands -----------------------------------------------------------------------------------------------------


class Pause(Command):
    command: Literal["pause"] = "pause"


class Resume(Command):
    command: Literal["resume"] = "resume"


class Stop(Command):
    command: Literal["stop"] = "stop"


class Abort(Command):
    command: Literal["abort"] = "abort"


class SaveCheckpoint(Command):
    command: Literal["checkpoint"] = "checkpoint"


class Diagnose(Command):
    command: Literal["diagnose"] = "diagnose"


class Shutdown(Command):
    command: Literal["shutdown"] = "shutdown"


_WITHOUT_JOB = (Pause, Resume, Stop, Abort, SaveCheckpoint, Diagnose, Shutdown)
AnyCommand = Start | Pause | Resume | Stop | Abort | SaveCheckpoint | Diagnose | Shutdown

_AT_FIRST_USE = ConfigDict(defer_build=True)
_EVENTS: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent, config=_AT_FIRST_USE)


@cache
def _commands(jobs: tuple[type[Start], ...]) -> TypeAdapter[AnyCommand]:
    """The union by `command`, that of `start` by `job` below it."""
    starts = reduce(or_, (Annotated[job, Tag(job.model_fields["job"].default)] for job in jobs))
    start: Any = Annotated[starts, Discriminator(job_of)]
    union: Any = Annotated[reduce(or_, _WITHOUT_JOB, start), Discriminator("command")]
    return TypeAdapter(union)


def build_parsers() -> None:
    """Before their first use, which would wait for it."""
    _commands(tuple(JOBS.values()))
    _EVENTS.rebuild()


def parse_event(line: bytes | str) -> AnyEvent | None:
    """The event of a line; None for one that this version does not know or that is no event."""
    try:
        return _EVENTS.validate_json(line)
    except ValidationError:
        return None


def parse_command(line: bytes | str) -> AnyCommand:
    """The command of a line. Raises ProtocolError with the reason to reject it."""
    if len(line) > LINE_LIMIT:
        raise ProtocolError(Commands.TOO_LONG, size=len(line))
    try:
        return _commands(tuple(JOBS.values())).validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "union_tag_invalid" and where == "start":
            raise ProtocolError(Commands.UNKNOWN_JOB, found=first["ctx"]["tag"], known=", ".join(JOBS)) from None
        if where:
            raise ProtocolError(Commands.INVALID_FIELD, field=where, reason=first["msg"]) from None
        raise ProtocolError(Commands.INVALID, reason=first["msg"]) from None
