"""Temperature scaling, against its definition and another program's minimum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from engine.evaluate.calibration import FEWEST, NoTemperature, calibrated, fit_temperature
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
    assert found.value == pytest.approx(2.5, rel=0.2)
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


def test_no_temperature_is_fitted_on_few_images_which_says_how_many_are_needed() -> None:
    labels, scores = drawn(3, 1.5, images=FEWEST)
    assert fit_temperature(labels, scores, "multi_class").value > 0
    for count in (0, 1, 10, FEWEST - 1):
        with pytest.raises(NoTemperature, match=rf"needs {FEWEST} validation images; the run had {count}\."):
            fit_temperature(labels[:count], scores[:count], "multi_class")


def test_no_temperature_is_fitted_on_scores_that_are_not_finite() -> None:
    scores = np.full((FEWEST, 2), np.nan)
    with pytest.raises(NoTemperature, match="not all finite"):
        fit_temperature(np.zeros(FEWEST, np.int64), scores, "binary")


@pytest.mark.parametrize("score", [0.6, 0.9, 0.9999999, 1.0])
def test_a_model_that_is_always_right_gets_no_temperature_which_says_so(score: float) -> None:
    """Any lower temperature would fit such images better, so that new ones would get absurd certainty."""
    right = np.where(np.eye(2)[[0, 1] * 50] > 0, score, 1 - score)
    for labels, task in ((np.array([0, 1] * 50), "binary"), (np.eye(2, dtype=np.int64)[[0, 1] * 50], "multi_label")):
        with pytest.raises(NoTemperature, match="right about all 100 validation images"):
            fit_temperature(labels, right, task)  # type: ignore[arg-type]


def test_a_hopeless_model_gets_no_temperature_which_says_so() -> None:
    """Its best scores say nothing: the temperature has no upper end."""
    scores = np.array([[0.9, 0.1], [0.1, 0.9]] * 50)
    with pytest.raises(NoTemperature, match=r"beyond 0\.05 to 20\.0"):
        fit_temperature(np.array([1, 0] * 50), scores, "binary")


def test_nearly_separated_images_get_no_temperature_at_the_lower_limit() -> None:
    scores = np.array([[0.51, 0.49]] * 99 + [[0.5001, 0.4999]])
    with pytest.raises(NoTemperature, match=r"beyond 0\.05 to 20\.0"):
        fit_temperature(np.array([0] * 99 + [1]), scores, "binary")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 20), st.integers(FEWEST, 60))
def test_a_fitted_temperature_never_makes_validation_worse(seed: int, temperature: float, images: int) -> None:
    labels, scores = drawn(seed, temperature, images=images)
    try:
        found = fit_temperature(labels, scores.astype(np.float32), "multi_class")
    except NoTemperature:
        return
    assert 0.05 < found.value < 20 and found.nll_after <= found.nll_before + 1e-12
