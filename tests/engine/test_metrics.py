"""Metrics against the official evaluator and scikit-learn; what is undefined is NaN with a reason."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from medmnist.evaluator import getACC, getAUC
from sklearn import metrics as reference

from engine.contract.data.datasets import TaskKind
from engine.evaluate.metrics import Evaluated, area_under_curve, evaluate

OFFICIAL = {
    "binary": "binary-class",
    "multi_class": "multi-class",
    "ordinal": "ordinal-regression",
    "multi_label": "multi-label, binary-class",
}
TASKS: list[TaskKind] = ["binary", "multi_class", "ordinal", "multi_label"]


def names(classes: int) -> list[str]:
    return [f"class {k}" for k in range(classes)]


def example(task: TaskKind, seed: int, *, ties: bool = False, single: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Labels with every class present and absent somewhere, and scores. `single`: float32 scores."""
    draws = np.random.default_rng(seed)
    n = int(draws.integers(8, 60))
    classes = 2 if task == "binary" else int(draws.integers(3, 7))
    if task == "multi_label":
        labels = draws.integers(0, 2, (n, classes))
        labels[0], labels[1] = 0, 1
        scores = draws.random((n, classes))
    else:
        labels = np.concatenate([np.arange(classes), draws.integers(0, classes, n - classes)])
        scores = draws.dirichlet(np.ones(classes), n)
    if ties:
        scores = scores.round(1)
    return labels, scores.astype(np.float32) if single else scores


def result(labels: np.ndarray, scores: np.ndarray, task: TaskKind) -> Evaluated:
    return evaluate(labels, scores, task, names(scores.shape[1]))


@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), ties=st.booleans(), single=st.booleans())
def test_auc_and_acc_are_the_official_evaluator_s(task: TaskKind, seed: int, ties: bool, single: bool) -> None:
    labels, scores = example(task, seed, ties=ties, single=single)
    published = labels if task == "multi_label" else labels[:, None]
    found = result(labels, scores, task).metrics
    assert found.auc == pytest.approx(getAUC(published, scores, OFFICIAL[task]), abs=1e-12)
    assert found.acc == pytest.approx(getACC(published, scores, OFFICIAL[task]), abs=1e-12)
    assert found.reasons == {}


def test_a_binary_score_of_exactly_one_half_counts_as_the_first_class_as_officially() -> None:
    labels, scores = np.array([0, 1, 1]), np.array([[0.5, 0.5], [0.5, 0.5], [0.2, 0.8]])
    assert result(labels, scores, "binary").metrics.acc == getACC(labels, scores, "binary-class") == 2 / 3


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(0, 3), st.sampled_from([np.float32, np.float64]))
def test_the_auc_of_a_class_is_scikit_learn_s_to_the_last_bit(seed: int, n: int, digits: int, dtype: type) -> None:
    """With ties where scores have few digits; runs before and after it was medtui's own have the same numbers."""
    random = np.random.default_rng(seed)
    truth = random.permutation(np.arange(n) < random.integers(1, n))
    scores = random.random(n).astype(dtype)
    scores = scores.round(digits) if digits else scores
    assert area_under_curve(truth, scores) == reference.roc_auc_score(truth, scores)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("seed", range(5))
def test_f1_recall_precision_and_support_are_scikit_learn_s(task: TaskKind, seed: int) -> None:
    labels, scores = example(task, seed, ties=True)
    classes = scores.shape[1]
    if task == "multi_label":
        predicted = (scores > 0.5).astype(int)
    elif task == "binary":
        predicted = (scores[:, 1] > 0.5).astype(int)
    else:
        predicted = scores.argmax(axis=1)
    precision, recall, f1, support = reference.precision_recall_fscore_support(
        labels, predicted, labels=list(range(classes)), average=None, zero_division=np.nan
    )
    found = result(labels, scores, task)
    rows = found.per_class
    assert [row.name for row in rows] == names(classes)
    np.testing.assert_allclose([row.precision for row in rows], precision, rtol=0, atol=1e-12)
    np.testing.assert_allclose([row.recall for row in rows], recall, rtol=0, atol=1e-12)
    np.testing.assert_allclose([row.f1 for row in rows], f1, rtol=0, atol=1e-12)
    assert [row.support for row in rows] == support.tolist()
    macro = reference.f1_score(labels, predicted, labels=list(range(classes)), average="macro", zero_division=np.nan)
    assert found.metrics.f1 == pytest.approx(macro, abs=1e-12)
    for k, row in enumerate(rows):
        truth = labels[:, k] if task == "multi_label" else labels == k
        assert row.auc == pytest.approx(reference.roc_auc_score(truth, scores[:, k]), abs=1e-12)
    if task == "multi_label":
        expected = reference.multilabel_confusion_matrix(labels, predicted)
    else:
        expected = reference.confusion_matrix(labels, predicted, labels=list(range(classes)))
    np.testing.assert_array_equal(found.confusion, expected)


def test_rows_of_the_confusion_are_true_and_columns_predicted() -> None:
    labels = np.array([0, 0, 0, 1, 2])
    scores = np.eye(3)[[0, 1, 1, 1, 0]]
    assert result(labels, scores, "multi_class").confusion.tolist() == [[1, 2, 0], [0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize("task", TASKS)
def test_the_loss_is_scikit_learn_s_log_loss(task: TaskKind) -> None:
    labels, scores = example(task, 3)
    scores = np.clip(scores, 1e-3, 1 - 1e-3)
    if task == "multi_label":
        expected = np.mean([reference.log_loss(labels[:, k], scores[:, k]) for k in range(scores.shape[1])])
    else:
        scores = scores / scores.sum(axis=1, keepdims=True)
        expected = reference.log_loss(labels, scores, labels=list(range(scores.shape[1])))
    assert result(labels, scores, task).metrics.loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_certain_and_wrong_scores_have_a_finite_loss(task: TaskKind) -> None:
    labels, scores = example(task, 4)
    wrong = 1.0 - labels if task == "multi_label" else np.eye(scores.shape[1])[(labels + 1) % scores.shape[1]]
    loss = result(labels, wrong, task).metrics.loss
    assert loss == pytest.approx(-math.log(1e-7), rel=1e-6)


@pytest.mark.parametrize("task", ["multi_class", "ordinal"])
def test_an_absent_class_is_undefined_and_the_auc_is_the_mean_over_the_others_with_a_reason(task: TaskKind) -> None:
    draws = np.random.default_rng(1)
    labels = np.array([0, 1, 3, 0, 1, 3, 3, 0])  # class 2 is absent
    scores = draws.dirichlet(np.ones(4), 8)
    found = result(labels, scores, task)
    defined = [reference.roc_auc_score(labels == k, scores[:, k]) for k in (0, 1, 3)]
    assert found.metrics.auc == pytest.approx(np.mean(defined), abs=1e-12)
    assert "class 2" in found.metrics.reasons["auc"]
    assert "class 1" not in found.metrics.reasons["auc"]
    row = found.per_class[2]
    assert math.isnan(row.auc)
    assert math.isnan(row.recall)
    assert row.support == 0


def test_a_label_that_no_image_or_every_image_has_is_undefined_with_a_reason() -> None:
    labels = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1]])
    scores = np.array([[0.9, 0.2, 0.3], [0.4, 0.1, 0.9], [0.3, 0.2, 0.6]])
    found = result(labels, scores, "multi_label")
    assert found.metrics.auc == 0.5  # of the first label: one pair is in order, one is not
    assert "class 1" in found.metrics.reasons["auc"]
    assert "class 2" in found.metrics.reasons["auc"]
    assert math.isnan(found.per_class[1].auc)
    assert math.isnan(found.per_class[2].auc)
    assert found.per_class[2].recall == pytest.approx(2 / 3)
    assert math.isnan(found.per_class[1].f1)  # neither present nor predicted
    # label 0: one of two found, none wrongly, 2·1 / (2 + 1); label 2: two of three, 2·2 / (3 + 2)
    assert found.metrics.f1 == pytest.approx((2 / 3 + 4 / 5) / 2)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("value", [0, 1])
def test_where_every_label_is_equal_the_auc_is_undefined_with_a_reason(task: TaskKind, value: int) -> None:
    _, scores = example(task, 7)
    labels = np.full(scores.shape if task == "multi_label" else len(scores), value)
    found = result(labels, scores, task)
    assert math.isnan(found.metrics.auc)
    assert found.metrics.reasons["auc"]
    assert 0 <= found.metrics.acc <= 1


@pytest.mark.parametrize("task", TASKS)
def test_uninformative_scores_have_an_auc_of_one_half(task: TaskKind) -> None:
    labels, scores = example(task, 8)
    found = result(labels, np.full_like(scores, 1 / scores.shape[1]), task)
    assert found.metrics.auc == 0.5
    assert [row.auc for row in found.per_class] == [0.5] * scores.shape[1]


@pytest.mark.parametrize("task", TASKS)
def test_perfect_scores_have_an_auc_an_accuracy_and_an_f1_of_one(task: TaskKind) -> None:
    labels, scores = example(task, 9)
    perfect = labels.astype(float) if task == "multi_label" else np.eye(scores.shape[1])[labels]
    found = result(labels, perfect, task).metrics
    assert (found.auc, found.acc, found.f1) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("task", TASKS)
def test_one_image_can_be_evaluated(task: TaskKind) -> None:
    labels = np.array([[1, 0, 1]]) if task == "multi_label" else np.array([1])
    scores = np.array([[0.2, 0.8]]) if task == "binary" else np.array([[0.1, 0.2, 0.7]])
    found = result(labels, scores, task)
    assert math.isnan(found.metrics.auc)
    assert found.metrics.reasons["auc"]
    assert found.metrics.acc == pytest.approx({"binary": 1.0, "multi_label": 2 / 3}.get(task, 0.0))


def test_the_two_classes_of_a_binary_set_have_one_auc_however_their_scores_were_rounded() -> None:
    """Near 0 and 1 float32 makes ties among 1 - s where there are none among s."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 200)
    logits = rng.normal(0, 14, 200) + 4 * labels
    scores = np.stack([1 / (1 + np.exp(logits)), 1 / (1 + np.exp(-logits))], axis=1).astype(np.float32)
    one, other = (reference.roc_auc_score(labels == k, scores[:, k]) for k in (0, 1))
    assert one != other, "there is something to fix"
    found = result(labels, scores, "binary")
    assert [row.auc for row in found.per_class] == [found.metrics.auc] * 2 == [other] * 2


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("everywhere", [True, False])
def test_non_finite_scores_cause_no_crash_and_no_auc(task: TaskKind, value: float, everywhere: bool) -> None:
    labels, scores = example(task, 10)
    scores[... if everywhere else (2, 0)] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = result(labels, scores, task)
    assert math.isnan(found.metrics.auc)
    assert "finite" in found.metrics.reasons["auc"]
    assert math.isnan(found.per_class[0].auc)
    assert 0 <= found.metrics.acc <= 1
    assert found.confusion.sum() == labels.size


def test_what_was_never_predicted_has_no_precision() -> None:
    labels, scores = np.array([0, 1, 2]), np.eye(3)[[0, 0, 2]]
    row = result(labels, scores, "multi_class").per_class[1]
    assert math.isnan(row.precision)
    assert (row.recall, row.f1) == (0.0, 0.0)
