"""How far an image lies from the training images, in the spaces of the model's features at several depths.

At each resolution that the model works in, the features are the means over the image of the last map there; the deepest
are what the classifier sees. Of a model of patches they are the means over those of its first and its last layer. In
each the distance is Mahalanobis's from the mean of the training images, divided by the median of the validation images,
and the largest counts (after Lee et al., NeurIPS 2018). The deepest alone, and nearest neighbours among them, told
BreastMNIST from RetinaMNIST less well: what a classifier does not need it does not keep.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

SHRINKAGE = 0.01  # of the correlations, towards none: a few hundred images say little of hundreds of features
MOST_FEATURES = 2048  # at a depth: more are no better, and their correlations take long to invert
QUANTILE = 0.99  # of the validation images: as many lie within the threshold
_CONSTANT = 1e-6  # a deviation that is none

Depths = Sequence[np.ndarray]  # float32 [N, D] of the same N images, D by depth


@dataclass(frozen=True)
class Depth:
    mean: np.ndarray  # float32 [D], of the training images
    whitening: np.ndarray  # float32 [D, D]: of features minus mean, it makes coordinates of unit variance
    scale: float  # the median distance of the validation images

    def distances(self, features: np.ndarray) -> np.ndarray:
        """float64 [N]"""
        centred = features.astype(np.float64) - self.mean
        found: np.ndarray = np.sqrt(np.mean((centred @ self.whitening.astype(np.float64)) ** 2, axis=1)) / self.scale
        return found


@dataclass(frozen=True)
class FeatureSpace:
    """Where the training images lie, at each depth."""

    depths: tuple[Depth, ...]

    def distances(self, features: Depths) -> np.ndarray:
        """Distances float64 [N]; about 1 for an image like those of training and validation."""
        found: np.ndarray = np.max([d.distances(f) for d, f in zip(self.depths, features, strict=True)], axis=0)
        return found


def fit_space(training: Depths, validation: Depths) -> FeatureSpace | None:
    """None where the features are not finite, or do not vary at any depth."""
    if not training or not all(np.isfinite(values).all() for values in (*training, *validation)):
        return None
    depths = [_depth(*pair) for pair in zip(training, validation, strict=True)]
    found = tuple(depth for depth in depths if depth is not None)
    return FeatureSpace(found) if len(found) == len(depths) else None


def _depth(training: np.ndarray, validation: np.ndarray) -> Depth | None:
    values = training.astype(np.float64)
    mean, deviation = values.mean(axis=0), np.maximum(values.std(axis=0), _CONSTANT)
    standard = (values - mean) / deviation
    size = standard.shape[1]
    shrunk = (1 - SHRINKAGE) * (standard.T @ standard) / len(standard) + SHRINKAGE * np.eye(size)
    whitening = np.linalg.inv(np.linalg.cholesky(shrunk)).T / deviation[:, None]
    depth = Depth(mean.astype(np.float32), whitening.astype(np.float32), 1.0)
    scale = float(np.median(depth.distances(validation)))
    return Depth(depth.mean, depth.whitening, scale) if scale > 0 else None


@contextmanager
def capturing(model: nn.Module, classifier: str, channels_last: bool = False) -> Iterator[list[list[torch.Tensor]]]:
    """The features at each depth, float32 [B, D] on the CPU, of each forward pass of the block.

    classifier: the name of its module; its input is the deepest where further layers lie before it, and all there is of
    a model that has no maps of features. channels_last: are its maps [B, H, W, C]? Patches [B, N, C] are a map of one
    row.
    """
    passes: list[list[torch.Tensor]] = []
    maps: dict[tuple[int, ...], torch.Tensor] = {}
    last: list[torch.Tensor] = []

    def keep(_: nn.Module, __: object, output: object) -> None:
        if not isinstance(output, torch.Tensor):
            return
        if output.ndim == 3 and output.shape[1] > 1:
            maps[1, output.shape[1]] = output.detach().mT[:, :, None]
        elif output.ndim == 4:
            found = output.detach().permute(0, 3, 1, 2) if channels_last else output.detach()
            if min(found.shape[-2:]) > 1 and not (channels_last and output.shape[1] != output.shape[2]):
                maps[found.shape[-2], found.shape[-1]] = found

    def keep_last(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        last[:] = [inputs[0].detach()]

    def finish(_: nn.Module, __: object, ___: object) -> None:
        found = [output.float().mean((2, 3)) for output in maps.values()]
        if not found or found[-1].shape[1] != last[0].shape[1] <= MOST_FEATURES:
            found.append(last[0].float())  # behind further layers
        passes.append([values.cpu() for values in found])
        maps.clear()

    parts = [part for part in model.modules() if part is not model]
    handles = [part.register_forward_hook(keep) for part in parts]
    handles += [model.get_submodule(classifier).register_forward_pre_hook(keep_last)]
    handles += [model.register_forward_hook(finish)]
    try:
        yield passes
    finally:
        for handle in handles:
            handle.remove()


def joined(passes: Sequence[Sequence[torch.Tensor]]) -> list[np.ndarray]:
    """The features of all passes together, by depth."""
    return [torch.cat(list(parts)).numpy() for parts in zip(*passes, strict=True)]
