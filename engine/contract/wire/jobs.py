"""The jobs of an engine, one class each. This is all that the protocol and a session know of a job.

A job is added by its class here and the function that it names. `JOBS` has every class by its job's name.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from engine.contract.wire.message import Command, SafeInt

# A path: not empty, no NUL, no longer than a path may be
PathText = Annotated[str, Field(min_length=1, max_length=4095, pattern=r"^[^\x00]*$")]

JOBS: dict[str, type[Start]] = {}


class Start(Command):
    """Start a job: what each job takes. What one takes besides is in its class."""

    work: ClassVar[str]  # what does it, as "module:function"; called with the Job and the command
    holds_workspace: ClassVar[bool] = False  # does it need the workspace for itself, and so its lock?
    warms_up: ClassVar[bool] = False  # does a warm engine import what it needs, before it is asked for?

    command: Literal["start"] = "start"
    job: str
    data: list[PathText] = []  # folders to search first for data set files
    offline: bool = False  # nothing is fetched
    folder: PathText | None = None  # what relative paths are below; null is where the engine was started
    command_line: list[str] = []  # for the manifest

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        name = cls.model_fields["job"].default
        if JOBS.setdefault(name, cls) is not cls:
            raise TypeError(f"two jobs are named {name!r}: {JOBS[name].__name__} and {cls.__name__}")

    @property
    def stops_when_left(self) -> bool:
        """Does the job stop when its client disconnects? Before it has a run directory every job ends then."""
        return False


class Train(Start):
    """Train, evaluate, report: a new run, or a resumed one."""

    work = "engine.run.train_job:train"
    holds_workspace = True
    warms_up = True

    job: Literal["train"] = "train"
    recipe: dict[str, Any] = {}  # sections of fields; what is left out has its default
    resume: PathText | None = None  # the directory of a run to resume; without `recipe`, with its own
    allow_drift: bool = False  # resume although recipe, data, threads or versions are not what they were
    on_disconnect: Literal["continue", "stop"] = "continue"

    @property
    def stops_when_left(self) -> bool:
        return self.on_disconnect == "stop"


class Evaluate(Start):
    """Evaluate a run's test split again, from its best weights."""

    work = "engine.run.evaluate_job:evaluate_again"

    job: Literal["evaluate"] = "evaluate"
    run: PathText  # a run directory
    tta: bool | None = None  # null is as the run's recipe has it


class Report(Start):
    """Make the artifacts of a finished run again."""

    work = "engine.run.report_job:report_again"

    job: Literal["report"] = "report"
    run: PathText  # a run directory
    everything: bool = False  # all artifacts, not only the missing ones


class Score(Start):
    """Evaluate an official result file."""

    work = "engine.run.score_job:score"

    job: Literal["score"] = "score"
    file: PathText


class Predict(Start):
    """The classes of images, by a model bundle alone. It changes nothing of the run that the bundle is in."""

    work = "engine.run.predict_job:predict"

    job: Literal["predict"] = "predict"
    model: PathText  # the folder that model.json is in
    images: PathText  # a file: a JSON list of files, folders, patterns and .npz archives, however many they are
    output: PathText  # a folder, where `predictions.csv` or `.jsonl` and `summary.json` are written
    format: Literal["csv", "jsonl"] = "csv"
    tta: bool = False  # average the scores over the views of test-time augmentation


class Export(Start):
    """A run's model for other programs, checked on the test split. It needs the run's data, not the lock."""

    work = "engine.run.export_job:export"

    job: Literal["export"] = "export"
    run: PathText  # a run directory
    output: PathText  # the folder to make
    formats: list[Literal["onnx", "torch"]] = ["onnx", "torch"]  # besides the bundle itself
    int8: bool = False  # a quantised ONNX file too
    replace: bool = False  # a folder that is there already


class Fetch(Start):
    """Fetch an official data set file."""

    work = "engine.run.data_jobs:fetch"

    job: Literal["data.fetch"] = "data.fetch"
    dataset: str
    size: SafeInt = 28  # pixels per side
    replace: bool = False  # fetch although a file of this name is there that is not the official one


class Verify(Start):
    """Read an official data set file again, and verify it."""

    work = "engine.run.data_jobs:verify"

    job: Literal["data.verify"] = "data.verify"
    dataset: str
    size: SafeInt = 28  # pixels per side


def job_of(values: Any) -> str:
    """The name of the job that a `start` command asks for. Without one it is `train`, as it was in the beginning."""
    if isinstance(values, Start):
        return values.job
    return str(values.get("job", "train"))[:60]
