"""What a model's features are worth without its classifier: nearest neighbours among them, and a linear probe.

Features are what the classifier is given. Both methods see the labels of the training split alone; the strength of the
probe's regularisation is chosen on the validation split.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from engine.contract.data.datasets import TaskKind
from engine.evaluate.metrics import log_loss, one_against_rest
from engine.randomness import generator

TEMPERATURE = 0.07  # of the votes, as Wu et al. (CVPR 2018) and DINO have it
QUERIES = 512  # images whose similarities are computed at once

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # inverse, of regularisation, tried in this order; the strongest first
PROBE_IMAGES = 50_000  # training images at most that a probe is fitted to
_ITERATIONS = 1000  # of L-BFGS
_CONSTANT = 1e-6  # a deviation that is none


@contextmanager
def classifier_inputs(model: nn.Module, classifier: str) -> Iterator[list[torch.Tensor]]:
    """What the classifier is given in each forward pass of the block, float32 [B, D] on the CPU."""
    passes: list[torch.Tensor] = []

    def keep(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        passes.append(inputs[0].detach().float().cpu())

    handle = model.get_submodule(classifier).register_forward_pre_hook(keep)
    try:
        yield passes
    finally:
        handle.remove()


def knn_scores(
    training: np.ndarray,
    labels: np.ndarray,
    features: np.ndarray,
    neighbours: int,
    classes: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """Scores float32 [N, K]: the labels of the nearest training images by cosine, each weighted by exp(cosine / 0.07).

    training, features: float32 [M, D], [N, D]. labels: int64 [M], or [M, K] for multi-label.
    """
    truth = one_against_rest(labels, classes).astype(np.float32)
    known, found = _directions(training), np.empty((len(features), classes), dtype=np.float32)
    for start in range(0, len(features), QUERIES):
        on_progress(start)
        cosines = _directions(features[start : start + QUERIES]) @ known.T
        nearest = np.argpartition(-cosines, neighbours - 1, axis=1)[:, :neighbours]
        closeness = np.take_along_axis(cosines, nearest, axis=1)
        votes = np.exp((closeness - closeness.max(axis=1, keepdims=True)) / TEMPERATURE)
        votes /= votes.sum(axis=1, keepdims=True)
        found[start : start + QUERIES] = np.einsum("nk,nkc->nc", votes, truth[nearest])
    return found


def _directions(features: np.ndarray) -> np.ndarray:
    """Features of length one; without any, zero."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    scaled: np.ndarray = features / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled


@dataclass(frozen=True)
class Tried:
    """A strength of regularisation, and what it gave on the validation split."""

    c: float  # inverse strength, as scikit-learn has it
    loss: float  # nats
    converged: bool


@dataclass(frozen=True)
class Probe:
    mean: np.ndarray  # float64 [D], of the training images
    deviation: np.ndarray  # float64 [D]
    models: tuple[Any, ...]  # one of scikit-learn; one per label for multi-label, None of a label that never varies
    constant: np.ndarray  # float64 [K]: the scores where there is no model
    task: TaskKind
    tried: tuple[Tried, ...]
    images: int  # of the training split that it was fitted to

    @property
    def c(self) -> float:
        return _best(self.tried).c

    def scores(self, features: np.ndarray) -> np.ndarray:
        """float32 [N, K]"""
        return _scores(self.models, self.constant, (features - self.mean) / self.deviation, self.task)


def fit_probe(
    training: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    task: TaskKind,
    classes: int,
    seed: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Probe:
    """Multinomial logistic regression on standardised features; one regression per label for multi-label.

    training, validation: features float32 [N, D] and labels int64 [N] or [N, K]. Of the strengths the one with the
    least loss on the validation split is taken, the strongest of equal ones. seed: of the choice of training images,
    where there are more than a probe is fitted to. on_progress: called with the strengths that were tried.
    """
    features, labels = _limited(*training, seed)
    values = features.astype(np.float64)
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    deviation = np.where(deviation > _CONSTANT, deviation, 1.0)
    standard, held_out = (values - mean) / deviation, (validation[0] - mean) / deviation
    constant = one_against_rest(labels, classes).mean(axis=0)
    fitted, tried = [], []
    for number, c in enumerate(STRENGTHS):
        on_progress(number)
        models, converged = _fit(standard, labels, c)
        fitted.append(models)
        tried.append(Tried(c, log_loss(validation[1], _scores(models, constant, held_out, task), task), converged))
    models = fitted[tried.index(_best(tried))]
    return Probe(mean, deviation, models, constant, task, tuple(tried), len(labels))


def _best(tried: Sequence[Tried]) -> Tried:
    return min(tried, key=lambda one: one.loss)


def _limited(features: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    if len(labels) <= PROBE_IMAGES:
        return features, labels
    rows = np.sort(generator(seed, "probe").permutation(len(labels))[:PROBE_IMAGES])
    return features[rows], labels[rows]


def _fit(features: np.ndarray, labels: np.ndarray, c: float) -> tuple[tuple[Any, ...], bool]:
    """One model, or one per label; and whether all converged. L-BFGS starts from zero: nothing in it is random."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    targets = [labels] if labels.ndim == 1 else list(labels.T.astype(np.int64))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        models = tuple(
            LogisticRegression(C=c, max_iter=_ITERATIONS).fit(features, target) if len(np.unique(target)) > 1 else None
            for target in targets
        )
    return models, not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)


def _scores(models: Sequence[Any], constant: np.ndarray, features: np.ndarray, task: TaskKind) -> np.ndarray:
    """A class without training images has score 0; what has no model has the frequency among training images."""
    found = np.tile(constant.astype(np.float32), (len(features), 1))
    for column, model in enumerate(models):
        if model is None:
            continue
        scores = model.predict_proba(features)
        if task == "multi_label":
            found[:, column] = scores[:, 1]
        else:
            found[:] = 0
            found[:, model.classes_] = scores
    return found
