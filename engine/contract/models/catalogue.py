"""Every model that a recipe can name, as data: recipe, form, preflight, doctor, documents and engine read it here.

A new model is an entry here and a builder in `engine/model/`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engine.contract.files.paths import expanded


@dataclass(frozen=True)
class WeightsSpec:
    """Published weights that a model can start from, in the file that torchvision would fetch."""

    trained_on: str
    file_name: str
    url: str
    sha256: str  # its first hex digits, at least eight
    bytes: int  # about
    mean: tuple[float, ...]  # per channel, of images in 0 … 1: how theirs were normalised
    std: tuple[float, ...]

    @property
    def path(self) -> Path:
        """Where torchvision keeps it: `$TORCH_HOME/hub/checkpoints/`."""
        cache_folder = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        home = os.environ.get("TORCH_HOME") or Path(cache_folder) / "torch"
        return expanded(home) / "hub" / "checkpoints" / self.file_name


@dataclass(frozen=True)
class ModelSpec:
    """What is known of a model without torch."""

    name: str  # in recipes, and so in the hash of every recipe that names it: never changed
    title: str
    family: str  # models of one family share a title in tables, and stand in for each other at other image sizes
    summary: str  # what it is and is for, as the recipe field's help says it
    builder: str  # `module:function` of the engine; it takes a `ModelPlan` and gives the module
    parameters: int  # about, with ten classes
    activations: float  # bytes per image of 28 px while training, about; they grow with the area
    classifier: tuple[str, ...]  # keys in the state dict that depend on the classes
    weights: WeightsSpec | None = None
    stem: str | None = None  # key of a kernel that is smaller here than in the weights, and resized from theirs
    smallest: int = 1  # pixels per side; smaller images leave nothing to pool
    largest: int | None = None  # pixels per side; larger images are needlessly slow
    decays_norms: bool = True  # whether weight decay holds for norms and biases too
    rates: tuple[tuple[str, float], ...] = ()  # learning-rate multipliers by the beginning of a parameter's name
    spellings: tuple[str, ...] = ()  # other words for it, squeezed as `recipe.names.squeezed` does it

    def fits(self, size: int) -> bool:
        """Can it be trained on images of this many pixels per side?"""
        return self.smallest <= size and (self.largest is None or size <= self.largest)


RESNET18_IMAGENET = WeightsSpec(
    trained_on="ImageNet",
    file_name="resnet18-f37072fd.pth",
    url="https://download.pytorch.org/models/resnet18-f37072fd.pth",
    sha256="f37072fd",
    bytes=47_000_000,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)

MODELS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="resnet18_adapted",
        title="ResNet-18, adapted to small images",
        family="ResNet-18",
        summary="3x3 stride-1 stem, no max-pool, for 28 and 64 px",
        builder="engine.model.resnet18:adapted",
        parameters=11_200_000,
        activations=6.5e6,
        classifier=("fc.weight", "fc.bias"),
        weights=RESNET18_IMAGENET,
        stem="conv1.weight",
        largest=64,
        spellings=("resnet",),
    ),
    ModelSpec(
        name="resnet18",
        title="ResNet-18",
        family="ResNet-18",
        summary="torchvision's original, for 128 and 224 px",
        builder="engine.model.resnet18:plain",
        parameters=11_200_000,
        activations=0.7e6,
        classifier=("fc.weight", "fc.bias"),
        weights=RESNET18_IMAGENET,
        spellings=("resnet",),
    ),
    ModelSpec(
        name="mini_cnn",
        title="Mini CNN",
        family="Mini CNN",
        summary="about 130,000 parameters, for laptops",
        builder="engine.model.mini_cnn:mini_cnn",
        parameters=130_000,
        activations=0.6e6,
        classifier=("fc.weight", "fc.bias"),
        spellings=("cnn", "minicnn"),
    ),
)


@cache
def models() -> dict[str, ModelSpec]:
    """Every model by its name, the default first."""
    return {spec.name: spec for spec in MODELS}


def published_weights() -> dict[str, WeightsSpec]:
    """Every file of published weights by its name."""
    return {spec.weights.file_name: spec.weights for spec in MODELS if spec.weights is not None}


def model_aliases() -> dict[str, tuple[str, ...]]:
    """The models that each alias may mean."""
    found: dict[str, tuple[str, ...]] = {}
    for spec in sorted(MODELS, key=lambda spec: spec.name):
        for word in spec.spellings:
            found[word] = (*found.get(word, ()), spec.name)
    return found


def help_text() -> str:
    """What each model is, in a sentence."""
    return "; ".join(f"`{spec.name}`: {spec.summary}" for spec in MODELS) + "."
