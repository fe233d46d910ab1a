"""How much memory a run takes, before it starts, and the largest batch that fits. Pure, and torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from engine.contract.data.datasets import DatasetFacts
from engine.contract.models.catalogue import spec_of
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.sections import TrainingSection
from engine.contract.recipe.steps import SMALLEST_BATCH

_USUAL_PARAMETERS = 25_000_000  # of a model that only timm knows
_COPIES = 3  # of the weights, besides what a checkpoint holds: gradients, while saving, while reading the best again
LARGEST_AUTO = 128  # images: the usual batch, which learning rates are chosen for; `auto` is at most this
MIXED = 0.6  # of the activations' bytes in mixed precision: norms and some sums stay float32
EVALUATED = 15  # images to train with take what 128 to evaluate with take, of which nothing is kept for gradients
USED = 0.8  # of what is free: the estimate is within 15 %, and other programs need some


@dataclass(frozen=True)
class RunMemory:
    """Bytes, about, of a run besides what its process has before it reads anything."""

    weights: float  # and what is as large: gradients, moments, averages
    batch: float  # activations and images: of one training step, or of one batch that is evaluated, if these are more
    images: float  # of the training split

    @property
    def training(self) -> float:
        """Besides the images, which lie elsewhere or are there already."""
        return self.weights + self.batch


def run_memory(
    recipe: Recipe, training: TrainingSection, images: int, facts: DatasetFacts, *, mixed: bool
) -> RunMemory:
    """training: the recipe's, with a batch size that is a number. images: of the training split. mixed: precision.

    The images of several batches that make one step are there in float32, and once more while they are mixed.
    """
    spec, size = spec_of(recipe.model.name), recipe.input_size
    waiting = 2 * 4 * 3 * size**2 * (training.images_per_step - training.images_per_batch)
    return RunMemory(
        weights=(spec.parameters_at(size) or _USUAL_PARAMETERS) * 4.0 * (training.weight_copies + _COPIES),
        batch=spec.activations_at(size) * (MIXED if mixed else 1) * max(training.images_per_batch, EVALUATED) + waiting,
        images=float(images * recipe.dataset.size**2 * facts.channels),
    )


def with_batch_size(training: TrainingSection, size: int) -> TrainingSection:
    """The section with `batch_size: auto` decided."""
    return training.model_copy(update={"batch_size": size}) if training.batch_size == "auto" else training


def largest_batch(recipe: Recipe, images: int, facts: DatasetFacts, free: int | None, *, mixed: bool) -> int:
    """What `batch_size: auto` is: the largest power of two that fits into `free` bytes, at most 128.

    images: of the training split, which has `accumulate` such batches at least; they are not counted, as they are there
    already. None: it is not known what is free, and nothing is held to it.
    """
    size = LARGEST_AUTO
    while size > SMALLEST_BATCH:
        training = with_batch_size(recipe.training, size)
        fits = free is None or run_memory(recipe, training, images, facts, mixed=mixed).training <= USED * free
        if fits and training.images_per_step <= images:
            break
        size //= 2
    return size
