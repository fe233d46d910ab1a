"""How far an image lies from the training images, in the space of the features before the classifier.

The distance is Mahalanobis's from the mean of the training images (Lee et al., NeurIPS 2018, with one Gaussian for all
classes, which told BreastMNIST from RetinaMNIST as well as one per class). What is unlike shows in directions in which
the training images hardly vary, so their covariance is shrunk very little. The nearest neighbours among them told the
two sets apart less well, and need all their features.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

SHRINKAGE = 1e-3  # towards equal variance in every direction
QUANTILE = 0.99  # of the validation images: as many lie within the threshold


@dataclass(frozen=True)
class FeatureSpace:
    """Where the training images lie."""

    mean: np.ndarray  # float32 [D]
    whitening: np.ndarray  # float32 [D, D]: of features minus mean, it makes coordinates of unit variance

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Distances float64 [N] of features [N, D]; about 1 for a training image, whatever D is."""
        centred = features.astype(np.float64) - self.mean
        found: np.ndarray = np.sqrt(np.mean((centred @ self.whitening.astype(np.float64)) ** 2, axis=1))
        return found


def fit_space(features: np.ndarray) -> FeatureSpace | None:
    """The space of training features [N, D]; None where they do not vary or are not finite."""
    values = features.astype(np.float64)
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    mean = values.mean(axis=0)
    covariance = np.atleast_2d(np.cov((values - mean).T, bias=True))
    size = len(covariance)
    variance = covariance.trace() / size
    if variance <= 0:
        return None
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * variance * np.eye(size)
    whitening = np.linalg.inv(np.linalg.cholesky(shrunk)).T
    return FeatureSpace(mean.astype(np.float32), whitening.astype(np.float32))


@contextmanager
def capturing(model: nn.Module, classifier: str) -> Iterator[list[torch.Tensor]]:
    """What the classifier is given in each forward pass of the block: float32 [B, D], on the CPU.

    classifier: the name of its module in the model.
    """
    captured: list[torch.Tensor] = []

    def note(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        captured.append(inputs[0].detach().float().cpu())

    handle = model.get_submodule(classifier).register_forward_pre_hook(note)
    try:
        yield captured
    finally:
        handle.remove()
