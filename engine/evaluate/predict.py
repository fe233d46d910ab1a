"""Scores of a split: a plain forward pass, or the mean over views of each image (test-time augmentation)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from engine.contract.data.datasets import Symmetry, TaskKind
from engine.contract.data.views import view_names

Images = torch.Tensor
SMALL_IMAGES = 64  # pixels per side


@dataclass(frozen=True)
class View:
    """A transformation of a batch, float [B, C, H, W] to the same shape. The same on every device: no resampling."""

    name: str
    of: Callable[[Images], Images]


def _shifted(dx: int, dy: int) -> Callable[[Images], Images]:
    """Moved by 1/28 of the side, one pixel at 28 px; the edge is repeated."""

    def shift(images: Images) -> Images:
        side = images.shape[-1]
        pixels = max(1, round(side / 28))
        columns = (torch.arange(side, device=images.device) - dx * pixels).clamp(0, side - 1)
        rows = (torch.arange(side, device=images.device) - dy * pixels).clamp(0, side - 1)
        return images[:, :, rows][:, :, :, columns]

    return shift


IDENTITY = View("identity", lambda images: images)
_TURNS = [View(f"rot{90 * n}", lambda images, n=n: images.rot90(n, (-2, -1))) for n in (1, 2, 3)]  # type: ignore[misc]
_SHIFTS = [
    View(name, _shifted(dx, dy)) for name, dx, dy in (("left", -1, 0), ("right", 1, 0), ("up", 0, -1), ("down", 0, 1))
]
_FLIPS = [View("hflip", lambda images: images.flip(-1)), View("vflip", lambda images: images.flip(-2))]
VIEWS = {view.name: view for view in (IDENTITY, *_FLIPS, *_TURNS, *_SHIFTS)}


def views_for(symmetry: Symmetry, tta: bool) -> list[View]:
    """The views to average, by `view_names`."""
    return [VIEWS[name] for name in view_names(symmetry, tta)]


def evaluation_batch(size: int) -> int:
    """Images per forward pass; apart from training's, so that the same weights always give the same scores."""
    return 128 if size <= SMALL_IMAGES else 32


def predict_scores(
    model: nn.Module,
    batches: Iterable[torch.Tensor],
    prepare: Callable[[torch.Tensor], torch.Tensor],
    task: TaskKind,
    views: Sequence[View],
    context: Callable[[], torch.autocast],
    on_progress: Callable[[int], None],
) -> np.ndarray:
    """Scores float32 [N, K]: softmax, or one sigmoid per label, averaged over the views.

    batches: uint8 [B, C, H, W], on the device. prepare: to the model's input. on_progress: called before each batch
    with the images done so far; it may raise to end the pass.
    """
    training = model.training
    model.eval()
    scores: list[np.ndarray] = []
    done = 0
    try:
        with torch.inference_mode():
            for images in batches:
                on_progress(done)
                inputs = prepare(images)
                total = torch.zeros((), device=images.device)
                for view in views:
                    with context():
                        logits = model(view.of(inputs).contiguous(memory_format=torch.channels_last))
                    total = total + activation(logits.float(), task)
                scores.append((total / len(views)).cpu().numpy())
                done += len(images)
    finally:
        model.train(training)
    return np.concatenate(scores)


def activation(logits: torch.Tensor, task: TaskKind) -> torch.Tensor:
    """Logits to scores: one sigmoid per label for multi-label sets, softmax over the classes otherwise."""
    return logits.sigmoid() if task == "multi_label" else logits.softmax(dim=1)
