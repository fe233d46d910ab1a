"""The sections of a recipe, field by field.

Each field carries title, help, unit, bounds, and whether it belongs to the run's identity (its hash).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from engine.contract.models.catalogue import help_text, models
from engine.contract.recipe.setting import Section, Text, setting
from engine.contract.recipe.sources import DatasetSection
from engine.contract.wire.monitor import Monitor


def normalised_name(name: Any) -> Any:
    """One spelling for "ResNet-18 Adapted", `resnet18-adapted` and `resnet18_adapted`."""
    if not isinstance(name, str):
        return name
    squeezed = re.sub(r"[\s_-]", "", name).lower()
    return next((model for model in models() if model.replace("_", "") == squeezed), name)


Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


def _reject_number(value: Any) -> Any:
    """1 == True in Python, so that a literal `true` would take it; in a recipe it is a number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise PydanticCustomError("no_number", "a number")
    return value


AutoOrBool = Annotated[Literal["auto", True, False], BeforeValidator(_reject_number)]
if TYPE_CHECKING:
    ModelName = str
else:
    ModelName = Annotated[Literal[tuple(models())], BeforeValidator(normalised_name)]


class ModelSection(Section):
    name: ModelName = setting(
        "resnet18_adapted",
        title="Model",
        help=help_text(),
    )
    pretrained: AutoOrBool = setting(
        "auto",
        title="Pretrained",
        help="Start from ImageNet weights; `auto` uses them if available and logs the decision.",
    )
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = setting(
        0.0, title="Dropout", help="Fraction of the features dropped before the classifier."
    )


class TrainingSection(Section):
    epochs: Annotated[int, Field(ge=1, le=100_000)] = setting(
        60, title="Epochs", help="Planned passes over the training split.", unit="epochs"
    )
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = setting(
        128, title="Batch size", help="Images per training step.", unit="images"
    )
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = setting(
        42, title="Seed", help="Seeds all randomness: initial weights, data order, augmentation, MixUp, dropout."
    )
    optimizer: Literal["sgd", "adamw"] = setting(
        "sgd", title="Optimizer", help="SGD with momentum, or AdamW (Loshchilov & Hutter 2019)."
    )
    lr: Annotated[float, Field(gt=0.0, le=10.0)] = setting(
        0.008, title="Learning rate", help="Peak learning rate of the schedule."
    )
    min_lr: Annotated[float, Field(ge=0.0, le=10.0)] = setting(
        1e-6,
        title="Minimum learning rate",
        help="Final rate of cosine, lower bound of plateau; below `lr`. The other schedules ignore it.",
    )
    schedule: Literal["cosine", "one_cycle", "plateau", "constant"] = setting(
        "cosine",
        title="Schedule",
        help=(
            "Learning rate over the planned epochs: cosine, one_cycle (up for 30 %, then down), plateau (reduced "
            "when `monitor` stalls), or constant."
        ),
    )
    warmup_epochs: Annotated[int, Field(ge=0, le=100_000)] = setting(
        0, title="Warm-up", help="Epochs of linear warm-up before the schedule; not with one_cycle.", unit="epochs"
    )
    plateau_patience: Annotated[int, Field(ge=1, le=100_000)] = setting(
        5,
        title="Plateau patience",
        help="Epochs without a better value of `monitor` before the rate is reduced.",
        unit="epochs",
    )
    plateau_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = setting(
        0.5, title="Plateau factor", help="Factor by which the rate is multiplied at a plateau."
    )
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = setting(
        0.9, title="Momentum", help="Momentum of SGD, or first beta of AdamW."
    )
    nesterov: bool = setting(False, title="Nesterov", help="Use Nesterov momentum; SGD only.")
    weight_decay: Annotated[float, Field(ge=0.0, le=10.0)] = setting(
        5e-4, title="Weight decay", help="L2 penalty of SGD, or decoupled decay of AdamW."
    )
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = setting(
        0.0, title="Label smoothing", help="Fraction of the target spread evenly over the classes."
    )
    class_weights: Literal["none", "balanced"] = setting(
        "none", title="Class weights", help="`balanced` weights each class by images / (classes x its images)."
    )
    mixup_alpha: Annotated[float, Field(ge=0.0, le=10.0)] = setting(
        0.002, title="MixUp alpha", help="Lambda of each batch is sampled from Beta(alpha, alpha); 0 is off."
    )
    mixup_until: Annotated[int, Field(ge=0, le=100_000)] | None = setting(
        None, title="MixUp until", help="The last epoch with MixUp; null means all epochs.", unit="epochs"
    )
    clip_norm: Annotated[float, Field(gt=0.0, le=1e6)] | None = setting(
        None, title="Gradient clipping", help="Maximum norm of all gradients together; null is off."
    )
    ema_decay: Annotated[float, Field(gt=0.0, lt=1.0)] | None = setting(
        None,
        title="EMA decay",
        help=(
            "Keep a moving average of the weights with decay min(value, (1+t)/(10+t)); validation, best and test "
            "use it. null is off."
        ),
    )
    patience: Annotated[int, Field(ge=1, le=100_000)] | None = setting(
        15,
        title="Patience",
        help="Stop early after this many epochs without a better value of `monitor`; null disables it.",
        unit="epochs",
    )
    monitor: Monitor = setting(
        "auc",
        title="Monitor",
        help=(
            "Metric of the validation split that decides which epoch is the best, early stopping and plateau; among "
            "equals the lower loss is the best."
        ),
    )
    amp: AutoOrBool = setting(
        "auto", title="Mixed precision", help="Automatic mixed precision; `auto` enables it where it is faster."
    )
    compile: bool = setting(
        False, title="Compile", help="Run the model through torch.compile; not with `reproducible`."
    )
    init_from: Text | None = setting(
        None,
        title="Start from run",
        help="Start from the best weights of another run, by name or folder; null is off.",
    )


class AugmentationSection(Section):
    hflip: Literal["auto"] | Fraction = setting(
        "auto",
        title="Horizontal flip",
        help="Probability of a horizontal flip; `auto` is 0.5, or 0 where orientation carries meaning.",
    )
    vflip: Fraction = setting(0.0, title="Vertical flip", help="Probability of a vertical flip.")
    rotation: Annotated[float, Field(ge=0.0, le=180.0)] = setting(
        10.0, title="Rotation", help="Maximum angle of rotation, in either direction.", unit="degrees"
    )
    shift: Annotated[float, Field(ge=0.0, le=0.5)] = setting(
        0.0, title="Shift", help="Maximum shift along each axis, as a fraction of the side."
    )
    scale: Annotated[float, Field(ge=0.0, le=0.5)] = setting(
        0.0, title="Scale", help="Random zoom factor, from 1 - value to 1 + value."
    )
    brightness: Fraction = setting(
        0.2, title="Brightness", help="Random brightness factor, from 1 - value to 1 + value."
    )
    contrast: Fraction = setting(0.2, title="Contrast", help="Random contrast factor, from 1 - value to 1 + value.")
    saturation: Fraction = setting(
        0.0,
        title="Saturation",
        help="Random saturation factor, from 1 - value to 1 + value; no effect on grey.",
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
        help="Where to train; `auto` uses the first GPU, else the CPU.",
        expected="auto, cpu, cuda or cuda:N",
    )
    threads: Annotated[int, Field(ge=1, le=1024)] | None = setting(
        None, title="Threads", help="CPU threads for torch; null is one per core.", identity=False
    )
    max_minutes: Annotated[float, Field(gt=0.0, le=10_000_000.0)] | None = setting(
        None,
        title="Time budget",
        help="Stop after this time, like the stop command; null is unlimited.",
        unit="minutes",
        identity=False,
    )
    checkpoint_minutes: Annotated[float, Field(gt=0.0, le=10_000_000.0)] | None = setting(
        10.0,
        title="Checkpoint every",
        help="Also save a checkpoint within long epochs, this long after the last one; null saves only at epoch ends.",
        unit="minutes",
        identity=False,
    )
    on_disconnect: Literal["auto", "continue", "stop"] = setting(
        "auto",
        title="On disconnect",
        help="What a run does when its client disconnects; `auto` continues console runs and stops headless ones.",
        identity=False,
    )
    allow_process_kill: bool = setting(
        True,
        title="End orphaned engines",
        help="Let headless runs end orphaned engines of this workspace; never on a cluster.",
        identity=False,
    )


class Sections(Section):
    """All of them, each field within its bounds; whether they agree is not checked."""

    dataset: DatasetSection = Field(DatasetSection(), title="Data set")
    model: ModelSection = Field(ModelSection(), title="Model")
    training: TrainingSection = Field(TrainingSection(), title="Training")
    augmentation: AugmentationSection = Field(AugmentationSection(), title="Augmentation")
    evaluation: EvaluationSection = Field(EvaluationSection(), title="Evaluation")
    runtime: RuntimeSection = Field(RuntimeSection(), title="Runtime")
