"""Focal loss against torchvision's and by hand, with smoothing and class weights as documented."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from engine.train.loss import Criterion

DRAWS = np.random.default_rng(11)
LOGITS = DRAWS.normal(0, 2, (6, 4))
CLASSES = np.array([0, 3, 1, 1, 2, 0])
SETS = np.array([[0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [1, 0, 1, 1]], dtype=float)
WEIGHTS = np.array([0.5, 2.0, 1.0, 3.0])


def of_classes(criterion: Criterion) -> float:
    return float(criterion.loss(torch.from_numpy(LOGITS), torch.from_numpy(CLASSES)))


def of_sets(criterion: Criterion) -> float:
    return float(criterion.loss(torch.from_numpy(LOGITS), torch.from_numpy(SETS)))


def scores() -> np.ndarray:
    return np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("task", ["multi_class", "ordinal"])
def test_of_classes_it_is_its_formula(task, gamma: float) -> None:
    own = scores()[np.arange(6), CLASSES]
    expected = (-((1 - own) ** gamma) * np.log(own)).mean()
    assert of_classes(Criterion(task, focal_gamma=gamma)) == pytest.approx(expected, rel=1e-9)


def test_of_two_classes_it_is_torchvision_s_of_their_difference() -> None:
    logits, labels = torch.from_numpy(LOGITS[:, :2]), torch.tensor([0, 1, 1, 0, 1, 0])
    ours = Criterion("binary", focal_gamma=2.0).loss(logits, labels)
    reference = sigmoid_focal_loss(logits[:, 1] - logits[:, 0], labels.double(), alpha=-1, gamma=2.0, reduction="mean")
    assert float(ours) == pytest.approx(float(reference), rel=1e-9)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_of_sets_it_is_torchvision_s(gamma: float) -> None:
    reference = sigmoid_focal_loss(
        torch.from_numpy(LOGITS), torch.from_numpy(SETS), alpha=-1, gamma=gamma, reduction="mean"
    )
    assert of_sets(Criterion("multi_label", focal_gamma=gamma)) == pytest.approx(float(reference), rel=1e-9)


def test_smoothing_and_weights_make_the_loss_that_the_factor_multiplies() -> None:
    targets = np.eye(4)[CLASSES] * 0.8 + 0.2 / 4
    each = -(targets * WEIGHTS * np.log(scores())).sum(axis=1)
    factor = (1 - scores()[np.arange(6), CLASSES]) ** 2
    expected = (factor * each).sum() / WEIGHTS[CLASSES].sum()
    criterion = Criterion("multi_class", 0.2, torch.from_numpy(WEIGHTS), focal_gamma=2.0)
    assert of_classes(criterion) == pytest.approx(expected, rel=1e-9)


def test_of_sets_too() -> None:
    chances, targets = 1 / (1 + np.exp(-LOGITS)), np.where(SETS == 1, 0.9, 0.1)
    each = -(WEIGHTS * targets * np.log(chances) + (1 - targets) * np.log(1 - chances))
    factor = np.where(SETS == 1, 1 - chances, chances) ** 1.5
    criterion = Criterion("multi_label", 0.2, torch.from_numpy(WEIGHTS), focal_gamma=1.5)
    assert of_sets(criterion) == pytest.approx((factor * each).mean(), rel=1e-9)


def test_gamma_zero_is_the_plain_loss_bit_for_bit() -> None:
    for criterion in (Criterion("multi_class", 0.1), Criterion("multi_label", 0.1)):
        of = of_sets if criterion.task == "multi_label" else of_classes
        assert of(Criterion(criterion.task, 0.1, focal_gamma=0.0)) == of(criterion)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_a_label_that_is_certain_has_a_finite_slope(gamma: float) -> None:
    """In float32 a score is exactly 1 from a lead of about 17 on."""
    for task, labels in (
        ("multi_class", torch.tensor([0, 1])),
        ("multi_label", torch.tensor([[1.0, 0.0], [0.0, 1.0]])),
    ):
        logits = torch.tensor([[200.0, -200.0], [300.0, -300.0]], requires_grad=True)
        loss = Criterion(task, focal_gamma=gamma).loss(logits, labels)  # type: ignore[arg-type]
        loss.backward()
        assert torch.isfinite(loss) and logits.grad is not None and torch.isfinite(logits.grad).all()
