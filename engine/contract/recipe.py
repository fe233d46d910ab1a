"""The recipe: everything that decides what a run does, one frozen pydantic model.

Each field carries title, help, unit, bounds, and whether it belongs to the run's identity (its hash). Reading from
YAML is `recipe_file`'s job, describing the fields to people and forms is `recipe_schema`'s.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from engine.contract.recipe_conflicts import conflicts

MODELS = ("resnet18_adapted", "resnet18", "mini_cnn")


def setting(
    default: Any, *, title: str, help: str, unit: str | None = None, expected: str | None = None, identity: bool = True
) -> Any:
    """A recipe field. `identity`: does a change of it make another run (another hash)?

    `expected` says in words what may stand there, where the bounds of the type cannot.
    """
    extra: JsonDict = {"identity": identity, "unit": unit, "expected": expected}
    return Field(default, title=title, description=help, json_schema_extra=extra)


def same_name(name: Any) -> Any:
    """One spelling for "ResNet-18 Adapted", `resnet18-adapted` and `resnet18_adapted`."""
    if not isinstance(name, str):
        return name
    squeezed = re.sub(r"[\s_-]", "", name).lower()
    return next((model for model in MODELS if model.replace("_", "") == squeezed), name)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("control_characters", "control characters")
    return text


Text = Annotated[str, AfterValidator(_printable)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


def _no_number(value: Any) -> Any:
    """1 == True in Python, so that a literal `true` would take it; in a recipe it is a number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise PydanticCustomError("no_number", "a number")
    return value


AutoOrNot = Annotated[Literal["auto", True, False], BeforeValidator(_no_number)]
ModelName = Annotated[Literal["resnet18_adapted", "resnet18", "mini_cnn"], BeforeValidator(same_name)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class DatasetSection(Section):
    name: Text = setting(
        "bloodmnist",
        title="Data set",
        help="One of the twelve 2D MedMNIST sets, or `cells`, a synthetic set that needs no file.",
        expected="the name of a data set",
    )
    size: Literal[28, 64, 128, 224] = setting(28, title="Image size", help="Side of the square images.", unit="pixels")
    limit: Annotated[int, Field(ge=2)] | None = setting(
        None,
        title="Limit",
        help="Use at most this many images of each split, for rehearsals; null uses all.",
        unit="images",
    )
    archive: Text | None = setting(
        None,
        title="Archive",
        help=(
            "An .npz file in MedMNIST's layout to use in place of the official one, for example a corrected "
            "edition; `md5` must then say which file is meant. null is the official file."
        ),
        identity=False,
    )
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = setting(
        None,
        title="MD5 of the archive",
        help="The MD5 that proves `archive`, as `md5sum FILE` prints it; null without one.",
        expected="32 lower-case hex digits or null",
    )
    cache: Literal["auto", "device", "ram", "mapped"] = setting(
        "auto",
        title="Cache",
        help="Where the images stay while training; `auto` decides by their size against free memory.",
        identity=False,
    )


class ModelSection(Section):
    name: ModelName = setting(
        "resnet18_adapted",
        title="Model",
        help=(
            "`resnet18_adapted`: 3x3 stride-1 stem, no max-pool, for 28 and 64 px; `resnet18`: torchvision's own, "
            "for 128 and 224 px; `mini_cnn`: about 130,000 parameters, for laptops."
        ),
    )
    pretrained: AutoOrNot = setting(
        "auto",
        title="Pretrained",
        help="Start from ImageNet weights; `auto` uses them when their file is there and says what it did.",
    )
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = setting(
        0.0, title="Dropout", help="Share of the features dropped before the classifier."
    )


class TrainingSection(Section):
    epochs: Annotated[int, Field(ge=1, le=100_000)] = setting(
        60, title="Epochs", help="Passes over the training split that are planned.", unit="epochs"
    )
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = setting(
        128, title="Batch size", help="Images a training step.", unit="images"
    )
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = setting(
        42, title="Seed", help="Decides every random draw: weights, order, augmentation, MixUp, dropout."
    )
    optimizer: Literal["sgd", "adamw"] = setting(
        "sgd", title="Optimizer", help="SGD with momentum, or AdamW (Loshchilov & Hutter 2019)."
    )
    lr: Annotated[float, Field(gt=0.0, le=10.0)] = setting(
        0.008, title="Learning rate", help="The highest learning rate of the schedule."
    )
    min_lr: Annotated[float, Field(ge=0.0, le=10.0)] = setting(
        1e-6, title="Lowest learning rate", help="Where cosine and plateau end; must be below `lr`."
    )
    schedule: Literal["cosine", "one_cycle", "plateau", "constant"] = setting(
        "cosine",
        title="Schedule",
        help=(
            "Learning rate over the planned epochs: cosine, one_cycle (up for 30 %, then down), plateau (down when "
            "the validation AUC stalls), or constant."
        ),
    )
    warmup_epochs: Annotated[int, Field(ge=0, le=100_000)] = setting(
        0, title="Warm-up", help="Epochs of linear warm-up before the schedule; not with one_cycle.", unit="epochs"
    )
    plateau_patience: Annotated[int, Field(ge=1, le=100_000)] = setting(
        5,
        title="Plateau patience",
        help="Epochs without a better validation AUC before the rate is lowered.",
        unit="epochs",
    )
    plateau_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = setting(
        0.5, title="Plateau factor", help="What the rate is multiplied by at a plateau."
    )
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = setting(
        0.9, title="Momentum", help="Momentum of SGD, first beta of AdamW."
    )
    nesterov: bool = setting(False, title="Nesterov", help="Nesterov's momentum, with SGD.")
    weight_decay: Annotated[float, Field(ge=0.0, le=10.0)] = setting(
        5e-4, title="Weight decay", help="L2 penalty of SGD, decoupled decay of AdamW."
    )
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = setting(
        0.0, title="Label smoothing", help="Share of the target spread evenly over the classes."
    )
    class_weights: Literal["none", "balanced"] = setting(
        "none", title="Class weights", help="`balanced` weighs each class by images / (classes x its images)."
    )
    mixup_alpha: Annotated[float, Field(ge=0.0, le=10.0)] = setting(
        0.002, title="MixUp alpha", help="Lambda of each batch is drawn from Beta(alpha, alpha); 0 is off."
    )
    mixup_until: Annotated[int, Field(ge=0)] | None = setting(
        None, title="MixUp until", help="The last epoch with MixUp; null is all of them.", unit="epochs"
    )
    clip_norm: Annotated[float, Field(gt=0.0)] | None = setting(
        None, title="Gradient clipping", help="Largest norm of all gradients together; null is off."
    )
    ema_decay: Annotated[float, Field(gt=0.0, lt=1.0)] | None = setting(
        None,
        title="EMA decay",
        help=(
            "Keep a moving average of the weights, decay min(this, (1+t)/(10+t)); validation, best and test then "
            "use it. null is off."
        ),
    )
    patience: Annotated[int, Field(ge=1, le=100_000)] | None = setting(
        15,
        title="Patience",
        help="Stop early after this many epochs without a better validation AUC; null never does.",
        unit="epochs",
    )
    amp: AutoOrNot = setting(
        "auto", title="Mixed precision", help="Automatic mixed precision; `auto` turns it on where it is faster."
    )
    compile: bool = setting(False, title="Compile", help="Run the model through torch.compile; not when reproducible.")
    init_from: Text | None = setting(
        None,
        title="Start from run",
        help="Start from the best weights of an earlier run: its name or folder; null starts anew.",
    )


class AugmentationSection(Section):
    hflip: Literal["auto"] | Share = setting(
        "auto",
        title="Horizontal flip",
        help="Chance of a left-right flip; `auto` is 0.5, and 0 where orientation carries meaning.",
    )
    vflip: Share = setting(0.0, title="Vertical flip", help="Chance of an up-down flip.")
    rotation: Annotated[float, Field(ge=0.0, le=180.0)] = setting(
        10.0, title="Rotation", help="Turned by up to this angle either way.", unit="degrees"
    )
    shift: Annotated[float, Field(ge=0.0, le=0.5)] = setting(
        0.0, title="Shift", help="Moved by up to this share of the side, either way, in both directions."
    )
    scale: Annotated[float, Field(ge=0.0, le=0.5)] = setting(
        0.0, title="Scale", help="Zoomed by a factor between 1 - this and 1 + this."
    )
    brightness: Share = setting(0.2, title="Brightness", help="Multiplied by a factor between 1 - this and 1 + this.")
    contrast: Share = setting(
        0.2, title="Contrast", help="Contrast multiplied by a factor between 1 - this and 1 + this."
    )
    saturation: Share = setting(
        0.0, title="Saturation", help="Colour multiplied by a factor between 1 - this and 1 + this; no effect on grey."
    )


class EvaluationSection(Section):
    tta: bool = setting(
        True,
        title="Test-time augmentation",
        help="Average the test scores over up to six views of each image, chosen for the data set.",
    )


class RuntimeSection(Section):
    reproducible: bool = setting(
        False,
        title="Reproducible",
        help="Strict mode: deterministic kernels, fixed thread count; the same weights bit for bit.",
    )
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:[0-9]{1,2})?)$")] = setting(
        "auto",
        title="Device",
        help="Where to train; `auto` takes the first GPU, else the CPU.",
        expected="auto, cpu, mps, cuda or cuda:N",
    )
    threads: Annotated[int, Field(ge=1, le=1024)] | None = setting(
        None, title="Threads", help="CPU threads of torch; null is one a core.", identity=False
    )
    max_minutes: Annotated[float, Field(gt=0.0)] | None = setting(
        None,
        title="Time budget",
        help="Stop after this time, as the stop command does; null has no limit.",
        unit="minutes",
        identity=False,
    )
    checkpoint_minutes: Annotated[float, Field(gt=0.0)] | None = setting(
        10.0,
        title="Checkpoint every",
        help="Save a checkpoint within long epochs too, this long after the newest one; null saves at epoch ends only.",
        unit="minutes",
        identity=False,
    )
    on_disconnect: Literal["auto", "continue", "stop"] = setting(
        "auto",
        title="On disconnect",
        help="When the console goes away; `auto` goes on from the console and stops a headless run.",
        identity=False,
    )
    allow_process_kill: bool = setting(
        True,
        title="May end ghosts",
        help="A headless start may end leftover engines of this workspace; never on a cluster.",
        identity=False,
    )


class Recipe(Section):
    """What a run does. Frozen: a decision taken later (AMP off, scratch weights) is recorded elsewhere."""

    dataset: DatasetSection = Field(DatasetSection(), title="Data set")
    model: ModelSection = Field(ModelSection(), title="Model")
    training: TrainingSection = Field(TrainingSection(), title="Training")
    augmentation: AugmentationSection = Field(AugmentationSection(), title="Augmentation")
    evaluation: EvaluationSection = Field(EvaluationSection(), title="Evaluation")
    runtime: RuntimeSection = Field(RuntimeSection(), title="Runtime")

    @model_validator(mode="after")
    def _fields_agree(self) -> Recipe:
        if found := conflicts(self):
            raise PydanticCustomError("conflicts", "the fields do not agree", {"problems": found})
        return self
