"""What stands out in a run: no rule speaks of a healthy one, at any epoch, nor fails on anything.

`healthy_runs.tar.xz` holds what real runs journaled, `run.started` and `epoch.finished`: of quickstart, breastmnist and
retinamnist as they are shipped but for `model.name=mini_cnn`, with four seeds each, on the official data.
`tests/end_to_end/test_findings_of_runs.py` trains the runs that are made to show something.
"""

from __future__ import annotations

import json
import math
import random
import tarfile
from collections.abc import Iterator
from functools import reduce
from itertools import permutations
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pytest
from any_events import CALM, STORIES
from hypothesis import given, settings

from engine.contract.findings.history import RunHistory, fold_history, history_from
from engine.contract.findings.rules import RULES, findings
from engine.contract.findings.trend import falls, rises
from engine.contract.wire.protocol import (
    AnyEvent,
    ClassMetrics,
    EpochFinished,
    Metrics,
    Position,
    RunStarted,
    parse_event,
)

HEALTHY = Path(__file__).parents[1] / "fixtures" / "healthy_runs.tar.xz"


def healthy() -> dict[str, list[AnyEvent]]:
    with tarfile.open(HEALTHY) as archive:
        return {
            member.name: [event for line in archive.extractfile(member) or [] if (event := parse_event(line))]
            for member in archive.getmembers()
        }


def histories(events: list[AnyEvent]) -> Iterator[RunHistory]:
    """After each event."""
    history = RunHistory()
    for event in events:
        history = fold_history(history, event)
        yield history


def test_nothing_stands_out_in_healthy_runs_of_the_shipped_recipes_at_any_epoch() -> None:
    runs = healthy()
    recipes = {name.partition("_")[0] for name in runs}
    assert recipes == {"quickstart", "breastmnist", "retinamnist"} and len(runs) == 12
    for name, events in runs.items():
        assert len(events) > 5
        for history in histories(events):
            assert findings(history) == (), f"{name}, epoch {len(history.points)}"


@pytest.mark.slow
@settings(max_examples=100, **CALM)
@given(story=STORIES)
def test_any_events_at_all_can_be_judged(story: list[Any]) -> None:
    for history in histories(story):
        for finding in findings(history):
            assert finding.message and finding.hint
            assert finding.code.startswith("findings.")
            json.dumps(finding.values())


def started(**changes: Any) -> RunStarted:
    facts: dict[str, Any] = {
        "time": 0.0, "seq": 1, "attempt": 1, "resumed_from": None, "run": "r", "run_dir": "/r", "recipe_hash": "h",
        "dataset": "d", "size": 28, "task": "multi_class", "synthetic": False, "class_names": ["a", "b", "c"],
        "model": "m", "parameters": 1, "epochs": 20, "steps_per_epoch": 4, "batch_size": 8,
        "images": {"train": 32, "val": 300, "test": 300}, "patience": None, "device": "cpu", "decisions": {},
    }  # fmt: skip
    return RunStarted(**facts | changes)


def epoch(number: int, **changes: Any) -> EpochFinished:
    """A good one: both losses fall, every class is predicted."""
    auc, loss = changes.pop("auc", 0.9), changes.pop("val_loss", 1.0 / number)
    rows = changes.pop("rows", [(0.9, 0.9, 100)] * 3)
    classes = [
        ClassMetrics(name=name, recall=recall, precision=precision, f1=0.9, auc=0.9, support=support)
        for name, (recall, precision, support) in zip("abc", rows, strict=True)
    ]
    facts: dict[str, Any] = {
        "time": float(number), "seq": 1 + number, "epoch": number, "step": 4 * number, "seconds": 1.0,
        "images_per_second": 100.0, "lr": 0.1, "train_loss": 1.0 / number, "train_acc": 0.9,
        "validation": Metrics(loss=loss, auc=auc, acc=0.9, f1=0.9), "per_class": classes, "best": False,
        "best_epoch": 1, "best_auc": 0.9, "without_improvement": 5, "curve": [],
    }  # fmt: skip
    return EpochFinished(**facts | changes)


def codes(events: list[AnyEvent]) -> list[str]:
    return [finding.code.removeprefix("findings.") for finding in findings(reduce(fold_history, events, RunHistory()))]


def test_each_rule_has_a_finding_of_its_own_and_nothing_is_found_in_nothing() -> None:
    assert len({rule.__name__ for rule in RULES}) == len(RULES) == 9
    assert codes([]) == codes([started()]) == codes([started(), *map(epoch, range(1, 21))]) == []


def test_a_rare_class_that_is_never_predicted_is_no_finding_but_a_common_one_is() -> None:
    unpredicted = (0.0, math.nan)
    rare = [(0.9, 0.9, 150), (0.9, 0.9, 100), (*unpredicted, 50)]  # 50 is half of 300 / 3, no more
    common = [(0.9, 0.9, 149), (0.9, 0.9, 100), (*unpredicted, 51)]
    assert codes([started(), *(epoch(n, rows=rare) for n in range(1, 21))]) == []
    assert codes([started(), *(epoch(n, rows=common) for n in range(1, 21))]) == ["never_predicted"]
    assert codes([started(task="multi_label"), *(epoch(n, rows=common) for n in range(1, 21))]) == []
    once = [epoch(n, rows=common if n != 19 else [*rare[:2], (0.1, 1.0, 51)]) for n in range(1, 21)]
    assert codes([started(), *once]) == []


def test_half_above_a_loss_near_zero_is_no_spike_but_half_above_guessing_is() -> None:
    """Three classes: guessing costs log 3 = 1.0986, of which a quarter is 0.27."""
    low = [epoch(n, train_loss=0.05 if n != 15 else 0.30, val_loss=0.5) for n in range(1, 21)]
    high = [epoch(n, train_loss=1.0 if n != 15 else 1.51, val_loss=0.5) for n in range(1, 21)]
    assert codes([started(), *low]) == []
    assert codes([started(), *high]) == ["loss_spike"]
    at_low_rate = [one.model_copy(update={"lr": 0.04}) if one.epoch == 15 else one for one in high]
    assert codes([started(), *at_low_rate]) == []


def test_a_spike_waits_for_five_epochs_and_is_measured_by_the_peak_of_the_rate() -> None:
    """At the end of a cycle of one epoch, the rate is near 0, and the highest of those that were noted."""
    high = [epoch(n, train_loss=1.0 if n != 2 else 1.7, val_loss=0.5) for n in range(1, 7)]
    few = started(epochs=6)
    assert codes([few, *high[:4]]) == []
    assert codes([few, *high[:5]]) == ["loss_spike"]
    assert codes([started(epochs=6, lr=0.2), *high]) == ["loss_spike"]  # 0.1 is half of it
    assert codes([started(epochs=6, lr=0.21), *high]) == []


@pytest.mark.parametrize(
    ("norm", "hint"),
    [(None, "Lower training.lr, or set training.clip_norm."), (1.0, "Lower training.lr or training.clip_norm.")],
)
def test_who_clips_gradients_is_not_told_to_clip_them(norm: float | None, hint: str) -> None:
    high = [epoch(n, train_loss=1.0 if n != 15 else 1.51, val_loss=0.5) for n in range(1, 21)]
    (found,) = findings(reduce(fold_history, [started(clip_norm=norm), *high], RunHistory()))
    assert found.hint == hint


def test_a_resumed_run_forgets_what_lay_beyond() -> None:
    rising = [epoch(n, val_loss=0.1 * n) for n in range(1, 21)]
    assert codes([started(), *rising]) == ["overfitting"]
    again = started(seq=50, attempt=2, resumed_from=Position(epoch=3, step=0))
    assert codes([started(), *rising, again]) == []
    history = reduce(fold_history, [started(), *rising, again], RunHistory())
    assert [point.epoch for point in history.points] == [1, 2, 3]


def test_the_evidence_of_overfitting_is_that_of_the_epochs() -> None:
    """The lowest loss, 1.0, is of epoch 2; its neighbours have 1.1 and 1.2; the last three have 2.7, 2.8, 2.9."""
    losses = [1.1, 1.0, *(1.0 + 0.1 * n for n in range(2, 20))]
    events = [started(), *(epoch(n, val_loss=loss) for n, loss in enumerate(losses, start=1))]
    (finding,) = findings(reduce(fold_history, events, RunHistory()))
    assert finding.evidence["epoch"] == 2
    assert finding.evidence["before"] == pytest.approx(1.1)
    assert finding.evidence["now"] == pytest.approx(2.8)
    assert finding.evidence["train_now"] == pytest.approx((1 / 18 + 1 / 19 + 1 / 20) / 3)
    assert "since epoch 2 the validation loss has risen (1.1 to 2.8)" in finding.message


def test_a_loss_that_rises_with_the_auc_is_confidence_and_no_overfitting() -> None:
    rising = [epoch(n, val_loss=0.1 * n, auc=0.5 + 0.02 * n) for n in range(1, 20)]
    assert codes([started(), *rising]) == []


def test_a_journal_that_ends_in_the_middle_of_a_line_is_judged_as_far_as_it_goes(tmp_path: Path) -> None:
    events = [started(), *(epoch(n, val_loss=0.1 * n) for n in range(1, 21))]
    journal = tmp_path / "events.jsonl"
    journal.write_bytes(b"".join(event.line() for event in events) + b'{"event": "epoch.fin')
    assert [finding.code for finding in findings(history_from(journal))] == ["findings.overfitting"]


# ---- trends ---------------------------------------------------------------------------------------------------------


def test_a_trend_is_as_rare_in_noise_as_the_exact_test_says() -> None:
    """All orders of seven values: those that count as a rise are at most 1 in 100, and rising ones are among them."""
    orders = list(permutations(range(7)))
    rising = [order for order in orders if rises(order)]
    assert 0 < len(rising) <= len(orders) / 100
    assert (0, 1, 2, 3, 4, 5, 6) in rising and (1, 0, 2, 3, 4, 5, 6) in rising
    assert {tuple(reversed(order)) for order in rising} == {order for order in orders if falls(order)}


def test_a_long_series_of_noise_rarely_has_a_trend_and_a_slope_in_it_is_seen() -> None:
    noise = random.Random(1)
    series = [[noise.gauss(0, 1) for _ in range(200)] for _ in range(500)]
    assert sum(map(rises, series)) <= 500 * 0.01 + NormalDist().inv_cdf(0.999) * math.sqrt(500 * 0.01 * 0.99)
    assert all(rises([value + at / 50 for at, value in enumerate(one)]) for one in series)
    assert not rises([0.0] * 50) and not rises([math.nan] * 50) and not rises(range(5))
