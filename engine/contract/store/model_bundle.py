"""`model.json` next to `best.safetensors`: with these two files a model can be used, wherever they are copied to.

With a third, `features.safetensors`, it also says which images are unlike those it was trained on. The description
contains no time: equal runs write equal bundles. Fields that were added later have defaults, so older ones still read.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.contract.data.datasets import TaskKind
from engine.contract.files.folders import FileOrPath, file_at
from engine.contract.sentences import ModelDescription
from engine.contract.wire.errors import CheckpointError


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class BundledWeights(_Part):
    file: str  # its name, in the same folder
    digest: str  # as the file declares it, over tensors and metadata: `checkpoint_file.verified_digest`


class Calibration(_Part):
    """A temperature T: the calibrated scores are proportional to `score ** (1 / T)` (Guo et al., ICML 2017)."""

    temperature: float = Field(gt=0)
    nll_before: float  # of the validation split, nats per image (per label for multi-label)
    nll_after: float
    images: int = Field(ge=1)  # of the validation split


class TrainingFeatures(_Part):
    """Where the training images lie in the spaces of the model's features, and how far is too far."""

    file: str  # its name, in the same folder: `N.mean` [D], `N.whitening` [D, D] and `N.scale` of each depth N
    digest: str
    threshold: float  # of the distance: beyond it an image is unlike the training images
    quantile: float = Field(gt=0, lt=1)  # of the validation images, that lies within it
    images: int = Field(ge=1)  # training images whose features were used


class ModelBundle(_Part):
    format: Literal["medtui-model-1"] = "medtui-model-1"
    model: str  # its name in the catalogue
    task: TaskKind
    class_names: tuple[str, ...]
    size: int = Field(ge=1)  # pixels per side
    input_size: int | None = Field(default=None, ge=1)  # pixels per side that images are enlarged to for the model
    channels: int = Field(ge=1)  # of the images; the model itself takes three, grey ones three times the same
    mean: tuple[float, ...]  # per channel, of images in 0 … 1: (image - mean) / std is what the model takes
    std: tuple[float, ...]
    views: tuple[str, ...]  # whose scores are averaged; `identity` alone without test-time augmentation
    recipe_hash: str
    resolved_hash: str | None = None
    weights: BundledWeights
    fit: Literal["pad", "crop", "stretch"] = "pad"  # how an oblong image becomes a square
    bits: int = Field(default=8, ge=1, le=16)  # per channel, of the deepest training image
    amp: bool | Literal["auto"] = "auto"  # whether scores are computed in mixed precision, as the recipe has it
    tta_views: tuple[str, ...] = ()  # what test-time augmentation averages, whether the run used it or not
    calibration: Calibration | None = None  # None until the run has ended, and of runs before it was computed
    uncalibrated: str | None = None  # a sentence: why the run has ended and no temperature was fitted
    calibration_tta: Calibration | None = None  # of averaged views, where the run itself averages them
    features: TrainingFeatures | None = None

    @property
    def model_size(self) -> int:
        """Pixels per side of what the model gets."""
        return self.input_size or self.size

    @model_validator(mode="after")
    def _check_channels(self) -> Self:
        if self.channels not in (1, 3) or not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"expected 1 or 3 channels, each with mean and std; found {self.channels}")
        if len(self.class_names) < 2:
            raise ValueError(f"expected two classes or more, found {len(self.class_names)}")
        return self


def write_bundle(path: FileOrPath, bundle: ModelBundle) -> None:
    """In one step. Raises OSError."""
    file_at(path).write(bundle.model_dump_json(indent=2) + "\n")


def read_bundle(path: FileOrPath) -> ModelBundle:
    """Raises CheckpointError where the file is missing, damaged or of another format."""
    try:
        return ModelBundle.model_validate_json(file_at(path).content())
    except OSError as error:
        raise CheckpointError(ModelDescription.UNREADABLE, path=path, reason=error.strerror) from None
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(map(str, found["loc"])) or "the file"
        raise CheckpointError(ModelDescription.DAMAGED, path=path, where=where, reason=found["msg"]) from None
