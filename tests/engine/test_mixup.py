"""MixUp by hand: images, loss, accuracy; its cut-off; and where λ falls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from engine.randomness import generator
from engine.train.loss import Criterion
from engine.train.mixup import Mix, MixUp, mix_for, mix_images, sample_mix
from engine.train.optimizer import RATE
from engine.train.state import TrainingState
from engine.train.step import Precision, TrainingStep

MIX = Mix(0.75, np.array([2, 0, 1]))
LABELS = np.array([0, 1, 1])


def test_each_image_is_mixed_with_its_partner_by_lambda() -> None:
    images = torch.tensor([1.0, 10.0, 100.0]).view(3, 1, 1, 1).expand(3, 3, 2, 2).contiguous()
    before = images.clone()
    mixed = mix_images(images, MIX)
    # 0.75·1 + 0.25·100, 0.75·10 + 0.25·1, 0.75·100 + 0.25·10
    assert mixed[:, 0, 0, 0].tolist() == [25.75, 7.75, 77.5]
    assert (mixed == mixed[:, :1, :1, :1]).all()
    assert torch.equal(images, before)


class FirstPixels(nn.Module):
    """Two logits: weight · (the first channel's first pixel, the second's)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.weight * images[:, :2, 0, 0]


def one_step(images: np.ndarray, labels: torch.Tensor, mix: Mix | None, criterion: Criterion) -> tuple[float, float]:
    model = FirstPixels()
    optimizer = torch.optim.SGD([{"params": [*model.parameters()], RATE: 1.0}], lr=0.0)
    state = TrainingState(model, optimizer, torch.zeros(1), torch.zeros(1))
    step = TrainingStep(criterion, Precision("cpu", None), None, model)
    inputs = torch.zeros(len(images), 3, 1, 1)
    inputs[:, :2, 0, 0] = torch.from_numpy(images).float()
    loss, n_correct = step(state, inputs, labels, 0.0, mix)
    assert not loss.requires_grad
    return float(loss), float(n_correct)


PIXELS = np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 0.5]])
# 0.75·own + 0.25·partner, the partners being images 2, 0, 1
MIXED = np.array([[2.25, 0.125], [0.5, 0.75], [2.25, 0.625]])


def mean_cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    log_chances = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return float(-log_chances[np.arange(len(labels)), labels].mean())


def test_loss_and_accuracy_of_a_mixed_batch_weigh_both_labels_by_lambda() -> None:
    loss, n_correct = one_step(PIXELS, torch.from_numpy(LABELS), MIX, Criterion("binary"))
    partners = np.array([1, 0, 1])  # the labels of images 2, 0, 1
    expected = 0.75 * mean_cross_entropy(MIXED, LABELS) + 0.25 * mean_cross_entropy(MIXED, partners)
    assert loss == pytest.approx(expected, rel=1e-6)
    # predictions 0, 1, 0: of the own labels (0, 1, 1) two are right, of the partners' (1, 0, 1) none
    assert n_correct == 0.75 * 2 + 0.25 * 0


def test_the_weight_belongs_to_the_images_label_even_when_it_is_small() -> None:
    small = Mix(0.25, MIX.partners)
    mixed = np.array([[0.25 * 2 + 0.75 * 3, 0.75 * 0.5], [0.75 * 2, 0.25], [0.25 * 3, 0.25 * 0.5 + 0.75 * 1]])
    loss, n_correct = one_step(PIXELS, torch.from_numpy(LABELS), small, Criterion("binary"))
    expected = 0.25 * mean_cross_entropy(mixed, LABELS) + 0.75 * mean_cross_entropy(mixed, np.array([1, 0, 1]))
    assert loss == pytest.approx(expected, rel=1e-6)
    # predictions 0, 0, 1: own (0, 1, 1) two right, partners' (1, 0, 1) two right
    assert n_correct == pytest.approx(0.25 * 2 + 0.75 * 2)


def test_class_weights_are_normalised_for_each_of_the_two_labels_apart() -> None:
    weights = np.array([1.0, 4.0])

    def weighted(labels: np.ndarray) -> float:
        each = [mean_cross_entropy(MIXED[i : i + 1], labels[i : i + 1]) for i in range(3)]
        return float(np.average(each, weights=weights[labels]))

    criterion = Criterion("binary", class_weights=torch.from_numpy(weights).float())
    loss, _ = one_step(PIXELS, torch.from_numpy(LABELS), MIX, criterion)
    assert loss == pytest.approx(0.75 * weighted(LABELS) + 0.25 * weighted(np.array([1, 0, 1])), rel=1e-6)


def test_multi_label_batches_mix_their_losses_too() -> None:
    labels = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    partners = labels[[2, 0, 1]]
    chances = 1 / (1 + np.exp(-MIXED))

    def entropy(truth: np.ndarray) -> float:
        return float(-(truth * np.log(chances) + (1 - truth) * np.log(1 - chances)).mean())

    loss, n_correct = one_step(PIXELS, torch.from_numpy(labels).float(), MIX, Criterion("multi_label"))
    assert loss == pytest.approx(0.75 * entropy(labels) + 0.25 * entropy(partners), rel=1e-6)
    # every logit is above 0: right are the ones; own 0.5 + 1 + 0, partners' 0 + 0.5 + 1
    assert n_correct == 0.75 * 1.5 + 0.25 * 1.5


def test_without_a_mixture_loss_and_accuracy_are_plain() -> None:
    loss, n_correct = one_step(PIXELS, torch.from_numpy(LABELS), None, Criterion("binary"))
    assert loss == pytest.approx(mean_cross_entropy(PIXELS, LABELS), rel=1e-6)
    assert n_correct == 2.0  # predictions 0, 1, 0


def test_mixup_is_off_at_alpha_zero() -> None:
    assert all(mix_for(MixUp(0.0, None), 42, epoch, 0, 8) is None for epoch in range(5))


def test_mixup_is_on_up_to_and_with_its_last_epoch() -> None:
    on = [mix_for(MixUp(0.2, 2), 42, epoch, 0, 8) is not None for epoch in range(4)]  # epochs 1, 2, 3, 4
    assert on == [True, True, False, False]
    assert mix_for(MixUp(0.2, 0), 42, 0, 0, 8) is None
    assert all(mix_for(MixUp(0.2, None), 42, epoch, 0, 8) is not None for epoch in (0, 10, 1000))


def test_each_step_has_a_different_reproducible_mixture() -> None:
    mixup = MixUp(0.4, None)
    first, again, other = (mix_for(mixup, 42, 1, step, 32) for step in (3, 3, 4))
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.weight == again.weight != other.weight
    np.testing.assert_array_equal(first.partners, again.partners)
    assert sorted(first.partners.tolist()) == list(range(32))


def weights_of(alpha: float, n: int = 4000) -> np.ndarray:
    return np.array([sample_mix(alpha, 2, generator(42, "mixup", 0, step)).weight for step in range(n)])


def test_lambda_is_distributed_as_beta() -> None:
    assert stats.kstest(weights_of(0.2), stats.beta(0.2, 0.2).cdf).pvalue > 1e-3


def test_lambda_at_a_tiny_alpha_is_almost_always_near_0_or_1_as_for_beta() -> None:
    weights = weights_of(0.002)
    low, high = stats.beta(0.002, 0.002).cdf([0.01, 0.99])
    chances = [low, high - low, 1 - high]
    assert chances[1] < 0.02
    found = [(weights < 0.01).sum(), ((weights >= 0.01) & (weights <= 0.99)).sum(), (weights > 0.99).sum()]
    assert sum(found) == len(weights)
    assert stats.chisquare(found, np.array(chances) * len(weights)).pvalue > 1e-3
