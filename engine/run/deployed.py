"""A model as other programs get it: images as they are in memory go in, scores come out; nothing else is needed."""

from __future__ import annotations

import torch
from torch import nn

from engine.contract.data.datasets import TaskKind
from engine.evaluate.predict import activation
from engine.run.bundled_model import BundledModel

INPUT, OUTPUTS = "images", ("scores", "probabilities")
OPSET = 23


class Deployed(nn.Module):
    """uint8 [N, S, S, C] to scores and calibrated probabilities, float32 [N, K] each."""

    def __init__(self, model: BundledModel) -> None:
        super().__init__()
        calibration = model.bundle.calibration
        self.normalisation = model.built.normalisation
        self.model = model.built.module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.task: TaskKind = model.bundle.task
        self.temperature = calibration.temperature if calibration is not None else 1.0

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = self.normalisation(images.permute(0, 3, 1, 2).float() / 255)
        logits = self.model(inputs)
        return activation(logits, self.task), activation(logits / self.temperature, self.task)


def exported_program(model: BundledModel) -> torch.export.ExportedProgram:
    """The graph of the model, for any number of images at once."""
    bundle = model.bundle
    example = torch.zeros(2, bundle.size, bundle.size, bundle.channels, dtype=torch.uint8)
    return torch.export.export(Deployed(model).eval(), (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
