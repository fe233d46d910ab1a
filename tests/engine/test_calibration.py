"""Temperature scaling, against its definition and another program's minimum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from engine.evaluate.calibration import calibrated, fit_temperature
from engine.evaluate.metrics import log_loss, predictions


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def drawn(seed: int, temperature: float, classes: int = 3, images: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Labels that follow the softmax of logits, and scores that are off by a temperature."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (images, classes))
    labels = np.array([random.choice(classes, p=row) for row in softmax(logits)])
    return labels, softmax(logits * temperature)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_is_the_one_with_the_lowest_loss(temperature: float) -> None:
    labels, scores = drawn(1, temperature)
    logits = np.log(scores)

    def loss(value: float) -> float:
        return log_loss(labels, softmax(logits / value), "multi_class")

    found = fit_temperature(labels, scores, "multi_class")
    assert found is not None
    assert found.value == pytest.approx(minimize_scalar(loss, bounds=(0.05, 20), method="bounded").x, rel=1e-3)
    assert found.value == pytest.approx(temperature, rel=0.2)  # what the scores were made with
    assert found.nll_before == pytest.approx(loss(1.0))
    assert found.nll_after == pytest.approx(loss(found.value)) and found.nll_after <= found.nll_before


def test_several_labels_have_one_temperature_of_their_sigmoids() -> None:
    random = np.random.default_rng(2)
    logits = random.normal(0, 2, (500, 4))
    labels = (random.random((500, 4)) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    scores = 1 / (1 + np.exp(-2.5 * logits))
    found = fit_temperature(labels, scores, "multi_label")
    assert found is not None and found.value == pytest.approx(2.5, rel=0.2)
    assert found.nll_after < found.nll_before
    expected = 1 / (1 + np.exp(-2.5 * logits / found.value))
    np.testing.assert_allclose(calibrated(scores, found.value, "multi_label"), expected, rtol=1e-6)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 20), st.sampled_from(["multi_class", "binary", "multi_label"]))
def test_no_temperature_changes_a_prediction(seed: int, temperature: float, task: str) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 6, (30, 2 if task == "binary" else 5))
    scores = (1 / (1 + np.exp(-logits)) if task == "multi_label" else softmax(logits)).astype(np.float32)
    before, after = predictions(scores, task), predictions(calibrated(scores, temperature, task), task)  # type: ignore[arg-type]
    assert (before == after).all()


def test_scores_that_define_no_temperature_have_none() -> None:
    assert fit_temperature(np.array([0, 1]), np.array([[np.nan, 1.0], [0.5, 0.5]]), "binary") is None
    assert fit_temperature(np.zeros(0, np.int64), np.zeros((0, 2)), "binary") is None


def test_a_perfect_model_has_a_temperature_within_bounds() -> None:
    scores = np.array([[0.9, 0.1], [0.1, 0.9]] * 20)
    found = fit_temperature(np.array([0, 1] * 20), scores, "binary")
    assert found is not None and 0.05 <= found.value < 0.06 and found.nll_after < found.nll_before
