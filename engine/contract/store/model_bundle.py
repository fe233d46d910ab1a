"""`model.json` next to `best.safetensors`: with these two files a model can be used, wherever they are copied to.

It contains no time: equal runs write equal bundles.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.contract.data.datasets import TaskKind
from engine.contract.files.folders import FileOrPath, file_at
from engine.contract.sentences import ModelDescription
from engine.contract.wire.errors import CheckpointError


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class BundledWeights(_Part):
    file: str  # its name, in the same folder
    digest: str  # as the file declares it, over tensors and metadata: `checkpoint_file.verified_digest`


class ModelBundle(_Part):
    format: Literal["medtui-model-1"] = "medtui-model-1"
    model: str  # its name in the catalogue
    task: TaskKind
    class_names: tuple[str, ...]
    size: int = Field(ge=1)  # pixels per side
    channels: int = Field(ge=1)  # of the images; the model itself takes three, grey ones three times the same
    mean: tuple[float, ...]  # per channel, of images in 0 … 1: (image - mean) / std is what the model takes
    std: tuple[float, ...]
    views: tuple[str, ...]  # whose scores are averaged; `identity` alone without test-time augmentation
    recipe_hash: str
    resolved_hash: str | None = None
    weights: BundledWeights


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
