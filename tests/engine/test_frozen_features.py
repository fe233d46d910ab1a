"""Nearest neighbours and a linear probe on frozen features, by hand and by scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from engine.contract.models.catalogue import spec_of
from engine.evaluate import frozen_features
from engine.evaluate.frozen_features import STRENGTHS, classifier_inputs, fit_probe, knn_scores
from engine.model.build import build
from engine.model.plan import ModelPlan


def blobs(images: int, seed: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Features around one centre per class, and labels."""
    random = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    centres = np.random.default_rng(0).normal(size=(classes, 8))
    return (centres[labels] + random.normal(size=(images, 8))).astype(np.float32), labels


def test_nearest_neighbours_by_hand() -> None:
    """Cosines to (1, 0) are 1, 0.8 and 0; the length of a vector says nothing."""
    training = np.array([[7, 0], [0.8, 0.6], [0, 1]], np.float32)
    labels, query = np.array([0, 1, 1]), np.array([[5, 0]], np.float32)
    votes = [1.0, math.exp(-0.2 / 0.07), math.exp(-1 / 0.07)]
    for neighbours, expected in ((1, 1.0), (2, votes[0] / sum(votes[:2])), (3, votes[0] / sum(votes))):
        scores = knn_scores(training, labels, query, neighbours, classes=2)
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, [[expected, 1 - expected]], rtol=1e-5)


def test_each_label_of_a_multi_label_set_has_the_votes_of_its_neighbours() -> None:
    training = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    labels = np.array([[1, 0, 1], [1, 1, 0], [0, 1, 0]])
    scores = knn_scores(training, labels, np.array([[2, 0]], np.float32), 2, classes=3)
    np.testing.assert_allclose(scores, [[1, 0.5, 0.5]])


def test_nearest_neighbours_by_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen_features, "QUERIES", 7)  # several blocks, the last one smaller
    (training, labels), (features, _) = blobs(90, 1), blobs(30, 2)
    reference = KNeighborsClassifier(11, metric="cosine", weights=lambda distance: np.exp((1 - distance) / 0.07))
    expected = reference.fit(training, labels).predict_proba(features)
    np.testing.assert_allclose(knn_scores(training, labels, features, 11, 3), expected, atol=1e-5)


def test_a_probe_is_the_regression_of_scikit_learn_with_the_strength_that_validation_prefers() -> None:
    training, validation, (features, _) = blobs(60, 1), blobs(45, 2), blobs(30, 3)
    models = [make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000)) for c in STRENGTHS]
    losses = [log_loss(validation[1], model.fit(*training).predict_proba(validation[0])) for model in models]
    best = int(np.argmin(losses))
    assert 0 < best < len(STRENGTHS) - 1  # neither end, so that there was something to choose
    probe = fit_probe(training, validation, "multi_class", 3, seed=1)
    assert probe.c == STRENGTHS[best] and all(one.converged for one in probe.tried)
    np.testing.assert_allclose([one.loss for one in probe.tried], losses, rtol=1e-3)
    np.testing.assert_allclose(probe.scores(features), models[best].predict_proba(features), atol=1e-3)


def test_the_labels_of_a_multi_label_set_are_probed_one_by_one() -> None:
    """One that every training image has, or none, keeps that frequency."""
    (training, of_training), (validation, of_validation) = blobs(60, 1), blobs(45, 2)
    as_labels = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [1, 1, 0, 1]])
    probe = fit_probe((training, as_labels[of_training]), (validation, as_labels[of_validation]), "multi_label", 4, 1)
    scores = probe.scores(validation)
    np.testing.assert_allclose(scores[:, 2:], np.tile([0.0, 1.0], (45, 1)))
    reference = OneVsRestClassifier(LogisticRegression(C=probe.c, max_iter=1000))
    pipeline = make_pipeline(StandardScaler(), reference).fit(training, as_labels[of_training][:, :2])
    np.testing.assert_allclose(scores[:, :2], pipeline.predict_proba(validation), atol=1e-3)


def test_a_class_without_training_images_has_no_score() -> None:
    training, validation = blobs(60, 1), blobs(45, 2)
    scores = fit_probe(training, validation, "multi_class", 4, seed=1).scores(validation[0])
    assert scores.shape == (45, 4) and not scores[:, 3].any()
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


def test_of_too_many_training_images_the_seed_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen_features, "PROBE_IMAGES", 30)
    training, validation = blobs(60, 1), blobs(45, 2)
    first, again, other = (fit_probe(training, validation, "multi_class", 3, seed=seed) for seed in (1, 1, 2))
    assert first.images == 30
    np.testing.assert_array_equal(first.scores(validation[0]), again.scores(validation[0]))
    assert not np.array_equal(first.mean, other.mean)


@pytest.mark.parametrize("name", ["mini_cnn", "resnet18_adapted"])
def test_features_are_what_the_classifier_is_given(name: str) -> None:
    """Times its weights, plus its bias, they are the logits."""
    built = build(spec_of(name), ModelPlan(5, 28, 0.3), ([0.5] * 3, [0.2] * 3))
    classifier = built.spec.classifier[0].rpartition(".")[0]
    layer = built.module.eval().get_submodule(classifier)
    assert isinstance(layer, torch.nn.Linear)
    with torch.inference_mode(), classifier_inputs(built.module, classifier) as passes:
        logits = built.module(torch.rand(4, 3, 28, 28))
        torch.testing.assert_close(passes[0] @ layer.weight.T + layer.bias, logits)
    with torch.inference_mode():
        built.module(torch.rand(1, 3, 28, 28))
    assert len(passes) == 1  # nothing is captured any more
