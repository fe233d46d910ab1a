"""What a builder needs to know of the model to build."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelPlan:
    classes: int
    size: int  # pixels per side of the images
    dropout: float  # fraction of the features dropped before the classifier
