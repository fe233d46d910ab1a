"""One training step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

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


@dataclass(frozen=True)
class TrainingStep:
    criterion: Criterion
    precision: Precision
    clip_norm: float | None
    forward: Callable[[torch.Tensor], torch.Tensor]  # the model, compiled or not

    def __call__(
        self, state: TrainingState, images: torch.Tensor, labels: torch.Tensor, lr: float, mix: Mix | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Change the weights by one batch; the mean loss and the number of correct images, on the device.

        images: float [B, 3, H, W], normalised; labels: int64 [B], or float [B, K] for multi-label.
        """
        if mix is not None:
            images = mix_images(images, mix)
        with self.precision.context():
            logits = self.forward(images)
        logits = logits.float()
        loss = self._mixed(self.criterion.loss, logits, labels, mix)
        self._update(state, loss, lr)
        with torch.no_grad():
            n_correct = self._mixed(self.criterion.n_correct, logits, labels, mix)
        return loss.detach(), n_correct

    def _mixed(
        self,
        measure: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        logits: torch.Tensor,
        labels: torch.Tensor,
        mix: Mix | None,
    ) -> torch.Tensor:
        """λ·measure(a) + (1 − λ)·measure(b); the labels are weighed by λ, never chosen by position."""
        if mix is None:
            return measure(logits, labels)
        partners = labels[torch.from_numpy(mix.partners).to(labels.device)]
        return mix.weight * measure(logits, labels) + (1 - mix.weight) * measure(logits, partners)

    def _update(self, state: TrainingState, loss: torch.Tensor, lr: float) -> None:
        optimizer, scaler = state.optimizer, state.scaler
        set_rate(optimizer, lr)
        optimizer.zero_grad(set_to_none=True)
        if scaler is None:
            loss.backward()
        else:
            scaler.scale(loss).backward()
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
