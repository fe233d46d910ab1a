"""What the fields of a recipe say against each other, each with what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.contract.datasets import datasets

if TYPE_CHECKING:
    from engine.contract.recipe import Recipe, TrainingSection

SMALL_IMAGE_LIMIT = 64  # pixels a side; above it a stride-1 stem without pooling is needlessly slow


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a recipe. `path` is (), (section,) or (section, field); `line` counts from 1."""

    path: tuple[str, ...]
    message: str
    line: int | None = None


def conflicts(recipe: Recipe) -> list[Problem]:
    """What fields say against each other, each with what to write instead."""
    return _dataset_conflicts(recipe) + _training_conflicts(recipe.training) + _strict_conflicts(recipe)


def _dataset_conflicts(recipe: Recipe) -> list[Problem]:
    facts = datasets().get(recipe.dataset.name)
    if facts is None:
        return [Problem(("dataset", "name"), unknown_name("data set", recipe.dataset.name, datasets()))]
    dataset, augmentation, found = recipe.dataset, recipe.augmentation, []
    if dataset.size not in facts.sizes:
        sizes = ", ".join(map(str, facts.sizes))
        found.append(Problem(("dataset", "size"), f"{facts.name} exists at {sizes} px, found {dataset.size}"))
    if dataset.archive is not None and facts.synthetic:
        found.append(Problem(("dataset", "archive"), f"{facts.name} is drawn, not read: remove `archive`"))
    if dataset.md5 is not None and dataset.archive is None:
        found.append(Problem(("dataset", "md5"), "stands without `archive`: name the file, or remove `md5`"))
    if recipe.model.name == "resnet18_adapted" and dataset.size > SMALL_IMAGE_LIMIT:
        found.append(
            Problem(
                ("model", "name"),
                f"resnet18_adapted is for images up to {SMALL_IMAGE_LIMIT} px, found {dataset.size}: "
                "write `name: resnet18`, whose stem and pooling are made for them",
            )
        )
    if facts.orientation_matters:
        found += [
            Problem(
                ("augmentation", name),
                f"{facts.name} tells left from right organs, so flips would change the class: write `{name}: 0`",
            )
            for name in ("hflip", "vflip")
            if getattr(augmentation, name) not in ("auto", 0.0)
        ]
    if dataset.archive is None:
        images = min(facts.splits["train"], dataset.limit or facts.splits["train"])
        found += batch_size_conflicts(recipe.training.batch_size, images)
    return found


def batch_size_conflicts(batch_size: int, images: int) -> list[Problem]:
    """A batch must not be larger than the training split; checked again when the real split is known."""
    if batch_size <= images:
        return []
    message = f"must be at most the {images} training images, found {batch_size}: write `batch_size: {images}`"
    return [Problem(("training", "batch_size"), message)]


def _training_conflicts(training: TrainingSection) -> list[Problem]:
    found = []
    if training.min_lr >= training.lr:
        found.append(
            Problem(
                ("training", "min_lr"),
                f"must be below lr ({training.lr:g}), found {training.min_lr:g}: write `min_lr: {training.lr / 100:g}`",
            )
        )
    if training.mixup_until is not None and training.mixup_until > training.epochs:
        found.append(
            Problem(
                ("training", "mixup_until"),
                f"must be at most epochs ({training.epochs}), found {training.mixup_until}: "
                f"write `mixup_until: {training.epochs}` or null",
            )
        )
    if training.schedule == "one_cycle" and training.warmup_epochs:
        found.append(Problem(("training", "warmup_epochs"), "one_cycle warms up by itself: write `warmup_epochs: 0`"))
    elif training.warmup_epochs >= training.epochs:
        found.append(
            Problem(
                ("training", "warmup_epochs"),
                f"must be below epochs ({training.epochs}), found {training.warmup_epochs}: "
                f"write `warmup_epochs: {training.epochs // 10}`",
            )
        )
    if training.nesterov and (training.optimizer != "sgd" or training.momentum == 0.0):
        found.append(Problem(("training", "nesterov"), "needs SGD with momentum above 0: write `nesterov: false`"))
    return found


def _strict_conflicts(recipe: Recipe) -> list[Problem]:
    if recipe.training.compile and recipe.runtime.reproducible:
        return [Problem(("training", "compile"), "cannot be bit for bit reproducible: write `compile: false`")]
    return []


def unknown_name(what: str, found: str, known: Any) -> str:
    """One sentence for a name nobody knows, with the nearest known one."""
    from difflib import get_close_matches

    names = list(known)
    nearest = get_close_matches(found.lower(), names, n=1, cutoff=0.5)
    offer = f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(names)}"
    shown = found if len(found) <= 60 else found[:57] + "..."
    return f"there is no {what} named {shown!r}; {offer}"
