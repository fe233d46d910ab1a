"""Training mode of a model of which parts are frozen."""

from __future__ import annotations

from torch import nn


def train_mode(model: nn.Module) -> None:
    """Training mode, but for parts whose parameters are all frozen: these work as in evaluation.

    So their batch statistics stay what they were trained with, and nothing of them is dropped.
    """
    model.train()
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()
