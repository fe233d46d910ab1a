"""What is known of a model without torch: the types of the catalogue."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from engine.contract.files.paths import expanded

SMALL = 64  # pixels per side: for images up to it the models that adapt are adapted; above it they are as published
REFERENCE = 28  # pixels per side of the images that `ModelSpec.activations` is for


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
class AtSize:
    """A model at one image size."""

    size: int  # pixels per side
    maps: tuple[int, ...]  # side of the feature map that each stage ends with; of a ViT patches per side
    activations: float  # bytes per image while training, about
    parameters: int | None = None  # where they depend on the size


@dataclass(frozen=True)
class ModelSpec:
    """What is known of a model without torch."""

    name: str  # in recipes, and so in the hash of every recipe that names it: never changed
    title: str
    family: str  # models of one family share a title in tables, and stand in for each other at other image sizes
    summary: str  # what it is and is for, as the recipe field's help says it
    builder: str  # `module:function` of the engine; it takes a `ModelPlan` and gives the module
    parameters: int | None  # about, with ten classes; None: not known without building it
    activations: float  # bytes per image of 28 px while training, about; they grow with the area
    classifier: tuple[str, ...]  # keys in the state dict that depend on the classes
    weights: WeightsSpec | None = None
    fit: str = ""  # `module:function`: published weights and a `ModelPlan` to the weights of the model of that plan
    fitted: str = ""  # what that does, in words; recorded of every run that starts from them, and decides its result
    adapted: str = ""  # how it differs from the published model on small images, in words; "" where it does not
    sizes: tuple[AtSize, ...] = ()  # what was measured, by size
    stages: tuple[tuple[str, ...], ...] = ()  # beginnings of parameter names, from the input on; the rest is the head
    patches: bool = False  # are images cut into patches, whose size must divide theirs?
    channels_last: bool = False  # are its feature maps [B, H, W, C]?
    smallest: int = 1  # pixels per side; smaller images leave nothing to pool
    largest: int | None = None  # pixels per side; larger images are needlessly slow
    decays_norms: bool = (
        True  # whether weight decay holds for norms and biases too, where the recipe leaves it to the model
    )
    undecayed: tuple[str, ...] = ()  # ends of other names that are as norms and biases
    rates: tuple[tuple[str, float], ...] = ()  # learning-rate multipliers by the beginning of a parameter's name
    stochastic_depth: float | None = None  # where the recipe names none; None: it has no residual branches to skip
    spellings: tuple[str, ...] = ()  # other words for it, squeezed as `recipe.names.squeezed` does it
    extra: str = ""  # of medtui, whose packages it needs

    def fits(self, size: int) -> bool:
        """Can it be trained on images of this many pixels per side?"""
        in_bounds = self.smallest <= size and (self.largest is None or size <= self.largest)
        return in_bounds and not (self.patches and patch_size(size) is None)

    @property
    def has_weights(self) -> bool:
        """Are there published ones, as far as is known here?"""
        return self.weights is not None or self.extra == "timm"

    def describe_bounds(self, size: int) -> str:
        """The sizes it is for, where this is none: `up to 64`."""
        if self.largest is not None and size > self.largest:
            return f"up to {self.largest}"
        if size >= self.smallest:
            return "that whole patches fill, such as 28, 64, 96, 128, 192 or 224"
        return f"from {self.smallest}"

    def activations_at(self, size: int) -> float:
        """Bytes per image of this many pixels per side while training, about: of the next smaller measured size."""
        known = [at for at in self.sizes if at.size <= size] or list(self.sizes[:1])
        if not known:
            return self.activations * (size / REFERENCE) ** 2
        return known[-1].activations * (size / known[-1].size) ** 2

    def parameters_at(self, size: int) -> int | None:
        """About, at the nearest measured size; None where that is not known."""
        known = [at.parameters for at in self.sizes if at.size <= size]
        return (known[-1] if known else None) or self.parameters

    def maps_at(self, size: int) -> tuple[int, ...] | None:
        """The sides of its feature maps; None where that was not measured."""
        return next((at.maps for at in self.sizes if at.size == size), None)


def is_small(size: int) -> bool:
    """Are images of this many pixels per side ones that models are adapted to?"""
    return size <= SMALL


PATCH, GRIDS = 16, range(14, 33)  # pixels per side of a published ViT's patches; patches per side that are allowed


def patch_size(size: int) -> int | None:
    """The side of a ViT's patches for images of this many pixels per side; None where none divides them.

    The largest that leaves at least the 14 × 14 patches that published ones were trained with: 2 for 28 px, 4 for 64,
    8 for 128, 16 for 224.
    """
    fitting = (side for side in range(PATCH, 0, -1) if size % side == 0 and size // side in GRIDS)
    return next(fitting, None)


WINDOW, WINDOWS = 7, range(8, 3, -1)  # side of a published Swin's windows in patches; sides that are allowed instead


def window_size(side: int) -> int:
    """The side of Swin's attention windows on a map of this side, so that windows fill it where that is possible."""
    if side < WINDOW or side % WINDOW == 0:
        return min(side, WINDOW)
    return next((window for window in WINDOWS if side % window == 0), WINDOW)
