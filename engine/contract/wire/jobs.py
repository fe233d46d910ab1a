"""The jobs of an engine, one class each. This is all that the protocol and a session know of a job.

A job is added by its class here and the function that it names. `JOBS` has every class by its job's name.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from engine.contract.wire.message import Command, Message, SafeInt

# A path: not empty, no NUL, no longer than a path may be
PathText = Annotated[str, Field(min_length=1, max_length=4095, pattern=r"^[^\x00]*$")]

JOBS: dict[str, type[Start]] = {}


class Slot(Message):
    """What the runner of a suite or queue, which owns the workspace, gives a job to train in."""

    number: Annotated[int, Field(ge=1, le=999)]
    owner: Annotated[str, Field(min_length=1, max_length=200)]  # `suite NAME`, `search NAME`, `the queue`
    runner: Annotated[str, Field(min_length=1, max_length=64)]  # id by which the runner holds the workspace
    item: Annotated[str, Field(max_length=64)]  # what of the suite or queue the run is


class SuiteItem(Message):
    """Which run of a suite or search a scheduler's job does. Its engine locks that run alone: others train too."""

    suite: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$")]  # its name, or that of the search
    item: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,63}$")]
    search: bool = False  # is it a run of a search?
    log: PathText | None = None  # the file with the output of the job, for the manifest

    @property
    def owner(self) -> str:
        return f"search {self.suite}" if self.search else f"suite {self.suite}"


class Start(Command):
    """Start a job: what each job takes. What one takes besides is in its class."""

    work: ClassVar[str]  # what does it, as "module:function"; called with the Job and the command
    holds_workspace: ClassVar[bool] = False  # does it need the workspace for itself, and so its lock?
    warms_up: ClassVar[bool] = False  # does a warm engine import what it needs, before it is asked for?

    command: Literal["start"] = "start"
    job: str
    data: list[PathText] = []  # folders to search first for data set files
    offline: bool = False  # nothing is fetched
    slot: Slot | None = None  # null: a job that needs the workspace takes all of it
    suite_item: SuiteItem | None = None  # of a suite whose runs are jobs of a scheduler
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


class EvaluateFeatures(Start):
    """Evaluate the features of a run's best weights without its classifier, on the validation and the test split."""

    work = "engine.run.evaluate_features:evaluate_features"

    job: Literal["evaluate.features"] = "evaluate.features"
    run: PathText  # a run directory
    method: Literal["knn", "probe"]
    neighbours: Annotated[SafeInt, Field(ge=1)] = 20  # of `knn`


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
    root: PathText | None = None  # the folder that paths in tables are relative to; null is the table's own
    format: Literal["csv", "jsonl"] = "csv"
    tta: bool = False  # average the scores over the views of test-time augmentation
    pictures: SafeInt = 0  # of so many of the first images that can be read, `pictures.json` has what the model sees


class Export(Start):
    """A run's model for other programs, checked on the test split. It needs the run's data, not the lock."""

    work = "engine.run.export_job:export"

    job: Literal["export"] = "export"
    run: PathText  # a run directory
    output: PathText  # the folder to make
    formats: list[Literal["onnx", "torch"]] = ["onnx", "torch"]  # besides the bundle itself
    int8: bool = False  # a quantised ONNX file too
    replace: bool = False  # a folder that is there already


class Explore(Start):
    """What is in a source of images, and what is wrong with it. It changes nothing but its output."""

    work = "engine.run.explore_job:explore"

    job: Literal["data.explore"] = "data.explore"
    dataset: dict[str, Any]  # a recipe's section, which names the source
    output: PathText  # a folder, where `exploration.json` and `exploration.html` are written
    model: PathText | None = None  # the folder that model.json is in: labels that this model doubts are named


class ImportData(Start):
    """Check an official file that was brought by hand, and put it where it is looked for."""

    work = "engine.run.archive_jobs:import_file"

    job: Literal["data.import"] = "data.import"
    file: PathText
    replace: bool = False  # another file of its name


class ExportData(Start):
    """Any source of images as one portable archive, with its card."""

    work = "engine.run.archive_jobs:export"

    job: Literal["data.export"] = "data.export"
    dataset: dict[str, Any]  # a recipe's section, which names the source
    output: PathText  # the .npz file to write
    replace: bool = False  # a file that is there


class Synthesise(Start):
    """An archive in the exact format of an official set, with generated images."""

    work = "engine.run.archive_jobs:synthesise"

    job: Literal["data.synth"] = "data.synth"
    dataset: str
    size: SafeInt = 28  # pixels per side
    limit: Annotated[SafeInt, Field(ge=2)] | None = None  # images per split; null: as many as the official file has
    output: PathText  # the .npz file to write
    replace: bool = False  # a file that is there


class Table(Start):
    """A table as a workbook of one sheet. It reads nothing else."""

    work = "engine.run.table_job:table"

    job: Literal["table"] = "table"
    name: Annotated[str, Field(min_length=1, max_length=31, pattern=r"^[A-Za-z0-9 _-]+$")]  # of the sheet
    rows: Annotated[list[list[str | SafeInt | float | None]], Field(min_length=1)]  # the first is the header
    notes: list[str] = []
    output: PathText  # the .xlsx file to write


class GroupCurve(Message):
    """The mean of some runs by epoch, from the first, and the band about it; without one both are empty."""

    label: str
    mean: list[float]
    low: list[float] = []
    high: list[float] = []


class CurvePanel(Message):
    title: str
    curves: list[GroupCurve]


class Curves(Start):
    """Curves of groups of runs as a figure. It reads nothing else."""

    work = "engine.run.table_job:curves"

    job: Literal["curves"] = "curves"
    title: str
    ylabel: str
    note: str = ""
    panels: Annotated[list[CurvePanel], Field(min_length=1)]
    output: PathText  # the .png file to write


class TrialValue(Message):
    """What a trial of a search came to."""

    number: SafeInt
    value: float | None  # None: pruned, or failed


class Importance(Message):
    """How much of the differences between trials a field explains, of 1."""

    name: str
    value: float


class SearchFigure(Start):
    """A search as a figure: its trials with the best so far, and which fields matter. It reads nothing else."""

    work = "engine.run.table_job:search_figure"

    job: Literal["search.figure"] = "search.figure"
    title: str
    ylabel: str
    higher_is_better: bool = True
    trials: Annotated[list[TrialValue], Field(min_length=1)]
    importances: list[Importance] = []  # empty: too few trials to know
    output: PathText  # the .png file to write


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
