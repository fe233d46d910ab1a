"""The sections of a recipe, field by field.

Each field carries title, help, unit, bounds, and whether it belongs to the run's identity (its hash).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from engine.contract.models.catalogue import TIMM, TIMM_PATTERN, help_text, models
from engine.contract.recipe.augmentation_section import AugmentationSection
from engine.contract.recipe.runtime_section import RuntimeSection
from engine.contract.recipe.setting import Fraction, Section, Text, setting
from engine.contract.recipe.sources import DatasetSection
from engine.contract.wire.monitor import Monitor


def normalised_name(name: Any) -> Any:
    """One spelling for "ResNet-18 Adapted", `resnet18-adapted` and `resnet18_adapted`."""
    if not isinstance(name, str) or name.startswith(TIMM):
        return name
    squeezed = re.sub(r"[\s_-]", "", name).lower()
    return next((model for model in models() if model.replace("_", "") == squeezed), name)


def _reject_number(value: Any) -> Any:
    """1 == True in Python, so that a literal `true` would take it; in a recipe it is a number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise PydanticCustomError("no_number", "a number")
    return value


AutoOrBool = Annotated[Literal["auto", True, False], BeforeValidator(_reject_number)]
if TYPE_CHECKING:
    ModelName = str
else:
    ModelName = Annotated[
        Literal[tuple(models())] | Annotated[str, Field(pattern=TIMM_PATTERN)], BeforeValidator(normalised_name)
    ]


class ModelSection(Section):
    name: ModelName = setting(
        "resnet18_adapted",
        title="Model",
        help=help_text()
        + " Up to 64 px they are adapted, above that as published. Any other model of timm: `timm/NAME`.",
        expected=", ".join(models()) + " or timm/NAME",
    )
    pretrained: AutoOrBool = setting(
        "auto",
        title="Pretrained",
        help="Start from ImageNet weights; `auto` uses them if available and logs the decision.",
    )
    weights: Text | None = setting(
        None,
        title="Weights from file",
        help=(
            "Start from the weights of a .safetensors or .pth file that fit instead; name prefixes such as `module.` "
            "and `backbone.` are removed. null is off."
        ),
        expected="the path of a file or null",
        path=True,
        advanced=True,
    )
    input_size: Annotated[int, Field(ge=8, le=1024)] | None = setting(
        None,
        title="Input size",
        help="Enlarge images to this size for the model; null leaves them as they are.",
        unit="px",
        advanced=True,
    )
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = setting(
        0.0, title="Dropout", help="Fraction of the features dropped before the classifier.", advanced=True
    )
    stochastic_depth: Annotated[float, Field(ge=0.0, lt=1.0)] | None = setting(
        None,
        title="Stochastic depth",
        help=(
            "Probability of skipping the last residual branch for an image in training, rising from 0 at the first "
            "one (Huang et al. 2016); null is the model's own: 0.1 for ConvNeXt, 0.2 for Swin and EfficientNetV2, "
            "else 0."
        ),
        advanced=True,
    )


class TrainingSection(Section):
    @property
    def images_per_batch(self) -> int:
        """`batch_size` where it is a number, as it is once `auto` is decided."""
        assert self.batch_size != "auto", "batch_size: auto is decided when a run is prepared"
        return self.batch_size

    @property
    def images_per_step(self) -> int:
        """What one step of the optimizer is made of, however many batches that takes."""
        return self.images_per_batch * self.accumulate

    @property
    def weight_copies(self) -> int:
        """What a checkpoint holds, in times the weights: they, the optimizer's moments, an average."""
        averages = (self.ema_decay is not None) + (self.swa_start is not None)
        return 2 + (self.optimizer != "sgd") + averages

    epochs: Annotated[int, Field(ge=1, le=100_000)] = setting(
        60, title="Epochs", help="Planned passes over the training split.", unit="epochs"
    )
    batch_size: Literal["auto"] | Annotated[int, Field(ge=2, le=65_536)] = setting(
        128,
        title="Batch size",
        help=(
            "Images per training step, or per batch of it with `accumulate`; `auto` is 128, or the largest power of "
            "two below it that fits into the memory."
        ),
        unit="images",
    )
    accumulate: Annotated[int, Field(ge=1, le=1024)] = setting(
        1,
        title="Accumulate",
        help=(
            "Batches whose gradients make one training step: as one batch of `accumulate` x `batch_size` images, in "
            "the memory of `batch_size`; only batch normalisation sees the smaller ones."
        ),
        unit="batches",
        advanced=True,
    )
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = setting(
        42, title="Seed", help="Seeds all randomness: initial weights, data order, augmentation, MixUp, dropout."
    )
    optimizer: Literal["sgd", "adamw", "nadamw"] = setting(
        "sgd",
        title="Optimizer",
        help=(
            "SGD with momentum, AdamW (Loshchilov & Hutter 2019), or NAdamW, which is AdamW with Nesterov momentum "
            "(Dozat 2016) at the same learning rates."
        ),
    )
    lr: Annotated[float, Field(gt=0.0, le=10.0)] = setting(
        0.008, title="Learning rate", help="Peak learning rate of the schedule."
    )
    min_lr: Annotated[float, Field(ge=0.0, le=10.0)] = setting(
        1e-6,
        title="Minimum learning rate",
        help="Final rate of cosine, lower bound of plateau; below `lr`. The other schedules ignore it.",
        advanced=True,
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
        0,
        title="Warm-up",
        help="Epochs of linear warm-up before the schedule; not with one_cycle.",
        unit="epochs",
        advanced=True,
    )
    plateau_patience: Annotated[int, Field(ge=1, le=100_000)] = setting(
        5,
        title="Plateau patience",
        help="Epochs without a better value of `monitor` before the rate is reduced.",
        unit="epochs",
        advanced=True,
    )
    plateau_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = setting(
        0.5, title="Plateau factor", help="Factor by which the rate is multiplied at a plateau.", advanced=True
    )
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = setting(
        0.9, title="Momentum", help="Momentum of SGD, or first beta of AdamW and NAdamW.", advanced=True
    )
    nesterov: bool = setting(False, title="Nesterov", help="Use Nesterov momentum; SGD only.", advanced=True)
    weight_decay: Annotated[float, Field(ge=0.0, le=10.0)] = setting(
        5e-4, title="Weight decay", help="L2 penalty of SGD, or decoupled decay of AdamW and NAdamW."
    )
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = setting(
        0.0, title="Label smoothing", help="Fraction of the target spread evenly over the classes.", advanced=True
    )
    focal_gamma: Annotated[float, Field(ge=0.0, le=10.0)] = setting(
        0.0,
        title="Focal gamma",
        help=(
            "Focal loss (Lin et al. 2017): the loss of a label with score p is multiplied by (1 - p) to this power; 0 "
            "is off. Label smoothing and class weights change the loss that is multiplied, not p."
        ),
        advanced=True,
    )
    class_weights: Literal["none", "balanced"] = setting(
        "none", title="Class weights", help="`balanced` weights each class by images / (classes x its images)."
    )
    sampling: Literal["shuffled", "weighted", "balanced"] = setting(
        "shuffled",
        title="Sampling",
        help=(
            "Which training images an epoch uses: `shuffled`: each once; `weighted`: as many, drawn with replacement, "
            "from a class of n images with weight n^-`sampling_power`; `balanced`: equally many of every class."
        ),
        advanced=True,
    )
    sampling_power: Fraction = setting(
        0.5,
        title="Sampling power",
        help=(
            "For `sampling: weighted`: 0.5 is square-root sampling (Kang et al. 2020); 1 draws every class equally "
            "often on average, 0 every image equally often."
        ),
        advanced=True,
    )
    mixup_alpha: Annotated[float, Field(ge=0.0, le=10.0)] = setting(
        0.002, title="MixUp alpha", help="Lambda of each batch is sampled from Beta(alpha, alpha); 0 is off."
    )
    cutmix_alpha: Annotated[float, Field(ge=0.0, le=10.0)] = setting(
        0.0,
        title="CutMix alpha",
        help=(
            "CutMix (Yun et al. 2019): a rectangle of 1 - lambda of the area comes from another image, lambda from "
            "Beta(alpha, alpha); 0 is off. With MixUp too, each batch gets one of the two with equal probability."
        ),
        advanced=True,
    )
    mixup_until: Annotated[int, Field(ge=0, le=100_000)] | None = setting(
        None,
        title="MixUp until",
        help="The last epoch with MixUp or CutMix; null means all epochs.",
        unit="epochs",
        advanced=True,
    )
    freeze: Literal["head"] | Annotated[int, Field(ge=1, le=1000)] | None = setting(
        None,
        title="Freeze",
        help=(
            "`head` trains only the head; a number N freezes the first N stages, with their batch statistics and "
            "dropout; null trains everything."
        ),
        advanced=True,
    )
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)] = setting(
        1.0,
        title="Layer decay",
        help="Factor by which the learning rate falls from each stage to the one before it; 1 is off.",
        advanced=True,
    )
    head_lr: Annotated[float, Field(gt=0.0, le=1000.0)] = setting(
        1.0, title="Head LR factor", help="Factor that multiplies the head's learning rate.", advanced=True
    )
    decay_norms: bool | None = setting(
        None,
        title="Decay norms",
        help="Weight decay for norms and biases too; null is the model's own: no for transformers and ConvNeXt.",
        advanced=True,
    )
    clip_norm: Annotated[float, Field(gt=0.0, le=1e6)] | None = setting(
        None, title="Gradient clipping", help="Maximum norm of all gradients together; null is off.", advanced=True
    )
    ema_decay: Annotated[float, Field(gt=0.0, lt=1.0)] | None = setting(
        None,
        title="EMA decay",
        help=(
            "Keep a moving average of the weights with decay min(value, (1+t)/(10+t)); validation, best and test "
            "use it. null is off."
        ),
        advanced=True,
    )
    swa_start: Annotated[int, Field(ge=1, le=100_000)] | None = setting(
        None,
        title="SWA from epoch",
        help=(
            "Stochastic weight averaging (Izmailov et al. 2018): from this epoch on, validation, best and test use "
            "the mean of the weights at the ends of epochs, with batch statistics recomputed; null is off."
        ),
        advanced=True,
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
            "Validation metric that decides the best epoch, early stopping and plateau; ties are broken by the lower "
            "loss."
        ),
    )
    amp: AutoOrBool = setting(
        "auto", title="Mixed precision", help="Automatic mixed precision; `auto` enables it where it is faster."
    )
    compile: bool = setting(
        False, title="Compile", help="Run the model through torch.compile; not with `reproducible`.", advanced=True
    )
    init_from: Text | None = setting(
        None,
        title="Start from run",
        help="Start from the best weights of another run, by name or folder; null is off.",
        advanced=True,
    )


class EvaluationSection(Section):
    tta: bool = setting(
        True,
        title="Test-time augmentation",
        help="Average the test scores over up to six views of each image, chosen for the data set.",
    )
    test: bool = setting(
        True,
        title="Test split",
        help=(
            "Evaluate the test split at the end. `false` does not load it: the run ends with its validation, without "
            "scores and workbook, as the runs of a search do."
        ),
        advanced=True,
    )


class Sections(Section):
    """All of them, each field within its bounds; whether they agree is not checked."""

    dataset: DatasetSection = Field(DatasetSection(), title="Data set")
    model: ModelSection = Field(ModelSection(), title="Model")
    training: TrainingSection = Field(TrainingSection(), title="Training")
    augmentation: AugmentationSection = Field(AugmentationSection(), title="Augmentation")
    evaluation: EvaluationSection = Field(EvaluationSection(), title="Evaluation")
    runtime: RuntimeSection = Field(RuntimeSection(), title="Runtime")

    @property
    def input_size(self) -> int:
        """Pixels per side of what the model gets."""
        return self.model.input_size or self.dataset.size

    @property
    def enlarged_to(self) -> int | None:
        """The same, where the images are smaller; None where the model gets them as they are."""
        return self.input_size if self.input_size != self.dataset.size else None
