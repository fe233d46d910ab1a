"""The card of an exported model, also of a run that did not get to its end."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from engine.contract.data.datasets import datasets
from engine.contract.store.model_bundle import ModelBundle
from engine.contract.wire.protocol import Metrics
from engine.run.model_card import CardContent, model_card

BUNDLE = SimpleNamespace(
    model="mini_cnn",
    recipe_hash="1a2b3c",
    resolved_hash=None,
    weights=SimpleNamespace(digest="d1", file="best.safetensors"),
    channels=1,
    size=28,
    input_size=None,
    class_names=("malignant", "benign"),
    task="binary",
    views=("original",),
    calibration=None,
    uncalibrated="",
    features=None,
)
MEASURED = Metrics(auc=0.7512, acc=0.6, f1=0.5)
CARD = CardContent(
    run="20261128_breastmnist_mini-cnn_5e89ed",
    bundle=cast(ModelBundle, BUNDLE),
    facts=datasets()["breastmnist"],
    size=28,
    limit=None,
    manifest={},
    test=Metrics(auc=0.9, acc=0.8, f1=0.7),
    per_class=[],
    weights="from scratch",
    outcome="completed",
    epochs=(400, 400),
    checks={"PyTorch": (0.0, MEASURED)},
    files=["model.json"],
)


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ("aborted", "The run was aborted after 34 of 400 epochs."),
        ("stopped", "The run was stopped after 34 of 400 epochs."),
        (None, "The run was not over after 34 of 400 epochs."),
    ],
)
def test_the_card_of_a_run_that_did_not_end_says_so_and_shows_what_was_measured(outcome: str | None, said: str) -> None:
    card = model_card(replace(CARD, outcome=outcome, epochs=(34, 400), test=None))
    assert f"**{said}**" in card
    assert "The run itself reported none; these were measured when it was exported." in card
    assert "| the run, views" not in card and "| PyTorch, without test-time augmentation | 0.7512 |" in card


def test_the_card_of_a_completed_run_says_nothing_of_its_end() -> None:
    card = model_card(CARD)
    assert "epochs" not in card and "reported none" not in card
    assert "| the run, views original | 0.9000 |" in card
