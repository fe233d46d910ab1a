"""Losses against numpy by hand, class weights against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from engine.train.loss import Criterion, balanced_class_weights

DRAWS = np.random.default_rng(11)
LOGITS = DRAWS.normal(0, 2, (6, 4))
CLASSES = np.array([0, 3, 1, 1, 2, 0])
SETS = np.array([[0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [1, 0, 1, 1]])
WEIGHTS = np.array([0.5, 2.0, 1.0, 3.0])


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values).double() if values.dtype.kind == "f" else torch.from_numpy(values)


@pytest.mark.parametrize("task", ["binary", "multi_class", "ordinal"])
def test_cross_entropy_is_the_mean_negative_log_probability_of_the_label(task) -> None:
    expected = -log_softmax(LOGITS)[np.arange(6), CLASSES].mean()
    assert float(Criterion(task).loss(tensor(LOGITS), tensor(CLASSES))) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_label_smoothing_spreads_its_fraction_evenly_over_all_classes(smoothing: float) -> None:
    targets = np.eye(4)[CLASSES] * (1 - smoothing) + smoothing / 4
    expected = -(targets * log_softmax(LOGITS)).sum(axis=1).mean()
    loss = Criterion("multi_class", smoothing).loss(tensor(LOGITS), tensor(CLASSES))
    assert float(loss) == pytest.approx(expected, rel=1e-12)


def test_class_weights_make_a_weighted_mean() -> None:
    each, weights = -log_softmax(LOGITS)[np.arange(6), CLASSES], WEIGHTS[CLASSES]
    loss = Criterion("multi_class", class_weights=tensor(WEIGHTS)).loss(tensor(LOGITS), tensor(CLASSES))
    assert float(loss) == pytest.approx((each * weights).sum() / weights.sum(), rel=1e-12)


def test_binary_cross_entropy_is_the_mean_over_all_labels() -> None:
    chances = 1 / (1 + np.exp(-LOGITS))
    expected = -(SETS * np.log(chances) + (1 - SETS) * np.log(1 - chances)).mean()
    loss = Criterion("multi_label").loss(tensor(LOGITS), tensor(SETS).double())
    assert float(loss) == pytest.approx(expected, rel=1e-12)


def test_binary_cross_entropy_with_smoothing_and_weights_of_positives() -> None:
    smoothing = 0.2
    targets = np.where(SETS == 1, 0.9, 0.1)  # a fifth of the target is spread over yes and no
    chances = 1 / (1 + np.exp(-LOGITS))
    expected = -(WEIGHTS * targets * np.log(chances) + (1 - targets) * np.log(1 - chances)).mean()
    criterion = Criterion("multi_label", smoothing, tensor(WEIGHTS))
    assert float(criterion.loss(tensor(LOGITS), tensor(SETS).double())) == pytest.approx(expected, rel=1e-12)


def test_n_correct_counts_images_whose_highest_logit_is_their_label() -> None:
    logits = torch.tensor([[2.0, 1.0], [0.0, 5.0], [3.0, -1.0]])
    assert float(Criterion("multi_class").n_correct(logits, torch.tensor([0, 1, 1]))) == 2.0


def test_n_correct_counts_fractions_of_labels_for_multi_label() -> None:
    logits = torch.tensor([[2.0, -1.0, 1.0, -3.0], [-0.5, 0.5, -0.5, 0.5]])
    labels = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 1.0]])
    assert float(Criterion("multi_label").n_correct(logits, labels)) == 0.75 + 1.0
    even, absent = torch.zeros(1, 2), torch.zeros(1, 2)
    assert float(Criterion("multi_label").n_correct(even, absent)) == 1.0, "a score of exactly 0.5 is no, as officially"


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_balanced_weights_are_scikit_learn_s_where_all_classes_are_present(extra: list[int]) -> None:
    labels = np.array([*range(6), *extra])
    expected = compute_class_weight("balanced", classes=np.arange(6), y=labels)
    weights = balanced_class_weights(labels, 6)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_a_class_without_images_weighs_one_and_changes_no_other() -> None:
    # 6 images, 4 classes: 6 / (4 · 2), 6 / (4 · 4), none, none
    weights = balanced_class_weights(np.array([0, 0, 1, 1, 1, 1]), 4)
    np.testing.assert_allclose(weights, [0.75, 0.375, 1.0, 1.0])


def test_a_label_of_a_set_weighs_its_negatives_over_its_positives() -> None:
    labels = np.array([[1, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1]])
    # one of four, none of four, four of four
    np.testing.assert_allclose(balanced_class_weights(labels, 3), [3.0, 1.0, 0.0])
