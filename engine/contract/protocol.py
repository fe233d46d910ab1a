"""The protocol, version 1: JSON lines between an engine and whoever watches it. `docs/protocol.md` is its manual.

State events carry `seq` and are journaled; `progress` and `resources` are snapshots without one. Unknown fields are
ignored, so either side may be older. NaN and infinities travel as "NaN", "Infinity", "-Infinity".
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, Lt
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from engine.contract.errors import ProtocolError

VERSION = 1
LINE_LIMIT = 1024 * 1024  # bytes
CONTROL_LIMIT = 4096  # bytes of a line in control.jsonl: one append of this size is atomic under the writer's flock

Whole = Annotated[int, Ge(-(2**53)), Le(2**53)]  # what JSON's readers carry exactly, and a float can hold
Time = Annotated[float, Ge(0), Lt(1e11)]  # Unix seconds that a calendar has
Phase = Literal["idle", "preparing", "training", "paused", "evaluating", "reporting", "finished"]
Outcome = Literal["completed", "stopped", "aborted", "failed", "crashed"]


class Message(BaseModel):
    # Built at first use: the console's first picture needs none. Since pydantic 2.14 that is under a lock
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings", defer_build=True)

    def line(self) -> bytes:
        """One line of the protocol, newline included."""
        return self.model_dump_json().encode() + b"\n"


# ---- parts of events ----------------------------------------------------------------------------------------------


class ErrorInfo(Message):
    kind: str
    message: str
    hint: str = ""


class Metrics(Message):
    """Results on one split. NaN where undefined; `reasons` then says why, by the metric's name."""

    loss: float | None = None
    auc: float
    acc: float
    f1: float  # macro mean over the defined classes
    reasons: dict[str, str] = {}


class ClassMetrics(Message):
    """One class against the rest. NaN where undefined."""

    name: str
    recall: float
    precision: float
    f1: float
    auc: float
    support: Whole  # images of this class (labels set, for multi-label)


class Position(Message):
    """How far training is: `epoch` epochs are whole, and `step` steps of the next are done. Both count from 0."""

    epoch: Whole
    step: Whole


# ---- events -------------------------------------------------------------------------------------------------------


class Event(Message):
    time: Time
    seq: Whole | None = None


class Hello(Event):
    event: Literal["hello"] = "hello"
    v: Whole = VERSION
    engine: str  # random id of this engine process
    pid: Whole
    started: float  # seconds since boot (elsewhere than on Linux: Unix seconds): with `pid`, which process it is
    host: str
    boot: str
    versions: dict[str, str]


class PhaseChanged(Event):
    event: Literal["phase.changed"] = "phase.changed"
    phase: Phase


class RunStarted(Event):
    """The run directory exists and everything is decided."""

    event: Literal["run.started"] = "run.started"
    attempt: Whole
    resumed_from: Position | None
    run: str
    run_dir: str
    recipe_hash: str
    dataset: str
    size: Whole
    task: str
    synthetic: bool
    limit: Whole | None = None  # images of each split that are used, of all when None
    class_names: list[str]
    model: str
    parameters: Whole
    epochs: Whole
    steps_per_epoch: Whole
    batch_size: Whole
    images: dict[str, Whole]  # images a split
    patience: Whole | None
    device: str
    decisions: dict[str, str]  # what `auto` became, in words: amp, weights, cache, hflip
    drift: list[str] = []  # what changed between attempts and was allowed to; results are then not bit for bit


class Progress(Event):
    """A snapshot, up to five a second."""

    event: Literal["progress"] = "progress"
    phase: Phase
    activity: str  # what is being done, in words
    done: Whole
    total: Whole
    unit: Literal["bytes"] | None = None  # of done and total; null: what the activity counts
    epoch: Whole | None = None  # from 1, while training
    step: Whole | None = None  # steps of this epoch that are done
    loss: float | None = None
    lr: float | None = None
    images_per_second: float | None = None


class Resources(Event):
    """A snapshot of what the engine uses."""

    event: Literal["resources"] = "resources"
    cpu_percent: float  # of one core
    memory: Whole  # bytes, resident
    gpu_memory: Whole | None = None  # bytes allocated on the device


class EpochFinished(Event):
    event: Literal["epoch.finished"] = "epoch.finished"
    epoch: Whole  # from 1
    step: Whole  # steps of the whole run that are done
    seconds: float
    images_per_second: float
    lr: float
    train_loss: float
    train_acc: float
    validation: Metrics
    per_class: list[ClassMetrics]
    best: bool  # is this epoch the new best?
    best_epoch: Whole | None
    best_auc: float | None
    without_improvement: Whole  # epochs
    curve: list[tuple[Whole, float]]  # (step of the run, mean loss), at most 100 points


class CheckpointSaved(Event):
    event: Literal["checkpoint.saved"] = "checkpoint.saved"
    kind: Literal["last", "best"]
    path: str  # within the run directory
    position: Position
    digest: str
    bytes: Whole
    seconds: float


class EvaluationFinished(Event):
    event: Literal["evaluation.finished"] = "evaluation.finished"
    dataset: str
    split: str
    n: Whole
    views: list[str]  # names of the averaged views; ["identity"] without TTA
    metrics: Metrics
    per_class: list[ClassMetrics]


class ArtifactWritten(Event):
    event: Literal["artifact.written"] = "artifact.written"
    name: str
    path: str  # within the run directory
    bytes: Whole


class Log(Event):
    event: Literal["log"] = "log"
    level: Literal["info", "warning", "error"] = "info"
    message: str


class Alarm(Event):
    """Something the user should look at now."""

    event: Literal["alarm"] = "alarm"
    kind: str
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
    exit_code: Whole
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


class Command(Message):
    id: str = Field(max_length=200)
    by: str = Field("unknown", max_length=200)  # information, not authority
    engine: str | None = None  # the engine that is meant; required in control.jsonl


class Start(Command):
    """Start a job. `train` takes `recipe`, or `resume`, or both; `score` takes `file`, `evaluate` takes `run`;
    `data.fetch` and `data.verify` take `dataset` and `size`."""

    command: Literal["start"] = "start"
    job: Literal["train", "score", "evaluate", "data.fetch", "data.verify"] = "train"
    recipe: dict[str, Any] = {}  # sections of fields; what is left out has its default
    data: list[str] = []  # folders to look in first for data set files
    file: str | None = None
    run: str | None = None  # a run directory
    tta: bool | None = None  # null is as the run's recipe has it
    dataset: str | None = None
    size: Whole = 28  # pixels a side
    replace: bool = False  # fetch although a file of this name is there that is not the official one
    offline: bool = False  # nothing is fetched
    on_disconnect: Literal["continue", "stop"] = "continue"
    command_line: list[str] = []  # for the manifest
    resume: str | None = None  # the directory of a run to go on with; without `recipe`, with its own
    allow_drift: bool = False  # go on although recipe, data, threads or versions are not what they were


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


AnyCommand = Annotated[
    Start | Pause | Resume | Stop | Abort | SaveCheckpoint | Diagnose | Shutdown, Field(discriminator="command")
]

_AT_FIRST_USE = ConfigDict(defer_build=True)
_EVENTS: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent, config=_AT_FIRST_USE)
_COMMANDS: TypeAdapter[AnyCommand] = TypeAdapter(AnyCommand, config=_AT_FIRST_USE)


def parse_event(line: bytes | str) -> AnyEvent | None:
    """The event of a line; None for one that this version does not know or that is no event."""
    try:
        return _EVENTS.validate_json(line)
    except ValidationError:
        return None


def parse_command(line: bytes | str) -> AnyCommand:
    """The command of a line. Raises ProtocolError with the reason to reject it."""
    if len(line) > LINE_LIMIT:
        raise ProtocolError(f"a line may have 1 MiB, found {len(line):,} bytes")
    try:
        return _COMMANDS.validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ProtocolError(f"{where}: {first['msg']}" if where else first["msg"]) from None
