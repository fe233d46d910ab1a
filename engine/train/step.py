"""One training step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from engine.device import to_device
from engine.train.loss import Criterion
from engine.train.mixup import Mix, mix_images
from engine.train.optimizer import set_rate
from engine.train.state import TrainingState


@dataclass(frozen=True)
class Precision:
    """Mixed precision: the type inside the model, or None for float32 throughout."""

    device_type: str
    dtype: torch.dtype | None

    def context(self) -> torch.autocast:
        return torch.autocast(self.device_type, dtype=self.dtype, enabled=self.dtype is not None)


Truths = list[tuple[float | None, torch.Tensor]]  # the labels of each image, by their weight; None for the only ones


@dataclass(frozen=True)
class TrainingStep:
    criterion: Criterion
    precision: Precision
    clip_norm: float | None
    forward: Callable[[torch.Tensor], torch.Tensor]  # the model, compiled or not
    part: int | None = None  # images that go through the model at a time; None is all of them

    def __call__(
        self, state: TrainingState, images: torch.Tensor, labels: torch.Tensor, lr: float, mix: Mix | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Change the weights by one batch; the mean loss and the number of correct images, on the device.

        images: float [B, 3, H, W], normalised; labels: int64 [B], or float [B, K] for multi-label. Gradients of parts
        are accumulated: each part has its share of the batch's mean, so that they are those of the batch.
        """
        if mix is not None:
            images = mix_images(images, mix)
        truths = truths_of(labels, mix)
        self.begin(state, lr)
        parts = parts_of(len(images), self.part)
        if len(parts) == 1:
            loss, n_correct = self.accumulate(state, images, truths, None)
        else:
            each = [
                self.accumulate(state, images[part], [(weight, own[part]) for weight, own in truths], truths)
                for part in parts
            ]
            loss, n_correct = (torch.stack(values).sum() for values in zip(*each, strict=True))
        self.update(state)
        return loss, n_correct

    def begin(self, state: TrainingState, lr: float) -> None:
        """The rate of the step, and no gradients yet."""
        set_rate(state.optimizer, lr)
        state.optimizer.zero_grad(set_to_none=True)

    def accumulate(
        self, state: TrainingState, images: torch.Tensor, truths: Truths, batch: Truths | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add to the gradients what these images have in the mean of the batch; None: they are all of it."""
        with self.precision.context():
            logits = self.forward(images)
        logits = logits.float()
        losses = []
        for number, (_, labels) in enumerate(truths):
            loss = self.criterion.loss(logits, labels)
            if batch is not None:
                loss = loss * (self.criterion.weight(labels) / self.criterion.weight(batch[number][1]))
            losses.append(loss)
        loss = _mixed(losses, truths)
        (loss if state.scaler is None else state.scaler.scale(loss)).backward()
        with torch.no_grad():
            n_correct = _mixed([self.criterion.n_correct(logits, labels) for _, labels in truths], truths)
        return loss.detach(), n_correct

    def update(self, state: TrainingState) -> None:
        """Change the weights by the gradients that there are."""
        optimizer, scaler = state.optimizer, state.scaler
        if scaler is not None:
            scaler.unscale_(optimizer)
        if self.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(state.model.parameters(), self.clip_norm)
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
        if state.average is not None:
            state.average.update()


def parts_of(images: int, size: int | None) -> list[slice]:
    """Of at most `size` images each. A last one of one image joins the one before: batch normalisation has nothing to
    average there."""
    if size is None or images <= size:
        return [slice(0, images)]
    starts = list(range(0, images, size))
    if images - starts[-1] == 1:
        del starts[-1]
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], images], strict=True)]


def truths_of(labels: torch.Tensor, mix: Mix | None) -> Truths:
    """The labels are weighed by λ, never chosen by position."""
    if mix is None:
        return [(None, labels)]
    partners = labels[to_device(mix.partners, labels.device)]
    return [(mix.weight, labels), (1 - mix.weight, partners)]


def _mixed(values: list[torch.Tensor], truths: Truths) -> torch.Tensor:
    """λ·a + (1 − λ)·b, or the only value."""
    weighed = [value if weight is None else weight * value for value, (weight, _) in zip(values, truths, strict=True)]
    return weighed[0] if len(weighed) == 1 else weighed[0] + weighed[1]
