"""What a builder needs to know of the model to build."""

from __future__ import annotations

from dataclasses import dataclass

import torch

Weights = dict[str, torch.Tensor]  # a state dict


@dataclass(frozen=True)
class ModelPlan:
    classes: int
    size: int  # pixels per side of the images that the model gets
    dropout: float  # fraction of the features dropped before the classifier
    enlarged_to: int | None = None  # the same, where the data set's images are smaller
    model: str = ""  # its name in recipes
    stochastic_depth: float | None = None  # probability of skipping the last residual branch; None is the model's own
