"""Learning rates against torch's one-cycle, formulas by hand, and a plateau walked through."""

from __future__ import annotations

import math

import pytest
import torch

from engine.train.schedule import Plateau, Schedule


@pytest.mark.parametrize("total", [1, 2, 3, 4, 5, 7, 10, 11, 20, 100, 333, 1000])
@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*")
def test_one_cycle_is_torch_s_at_every_step(total: int) -> None:
    lr = 0.37
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=lr, total_steps=total, cycle_momentum=False)
    ours = Schedule("one_cycle", lr, 1e-6, total)
    assert total > 0
    for step in range(total):
        assert ours(step) == pytest.approx(theirs.get_last_lr()[0], rel=1e-9), f"step {step} of {total}"
        optimizer.step()
        if step + 1 < total:
            theirs.step()


@pytest.mark.parametrize(("total", "warm_up"), [(10, 0), (10, 3), (100, 20), (1, 0), (7, 6)])
def test_cosine_is_its_formula_after_a_linear_warm_up(total: int, warm_up: int) -> None:
    highest, lowest = 0.5, 0.01
    schedule = Schedule("cosine", highest, lowest, total, warm_up)
    for step in range(total):
        if step < warm_up:
            expected = highest * (step + 1) / warm_up
        else:
            t, whole = step - warm_up, total - warm_up
            expected = lowest + (highest - lowest) * (1 + math.cos(math.pi * t / whole)) / 2
        assert schedule(step) == pytest.approx(expected, rel=1e-12)
    assert schedule(total) == pytest.approx(lowest, rel=1e-9)
    assert schedule(warm_up) == pytest.approx(highest, rel=1e-12)


def test_cosine_only_falls_after_the_warm_up_that_only_rises() -> None:
    schedule = Schedule("cosine", 0.1, 0.001, 50, 10)
    rates = [schedule(step) for step in range(50)]
    assert rates[:10] == sorted(set(rates[:10]))
    assert rates[10:] == sorted(set(rates[10:]), reverse=True)
    assert rates[9] == rates[10] == 0.1


def test_a_constant_rate_stays_except_for_its_warm_up() -> None:
    schedule = Schedule("constant", 0.2, 0.0, 10, 4)
    assert [schedule(step) for step in range(10)] == pytest.approx([0.05, 0.1, 0.15, *[0.2] * 7])


def test_a_plateau_lowers_the_rate_after_its_patience_and_restarts_counting() -> None:
    plateau = Plateau(patience=2, factor=0.5)
    seen = []
    #        better, equal, worse → lower, worse, better, worse, NaN → lower, equal, equal → lower, better
    for auc in (0.5, 0.5, 0.4, 0.4, 0.6, 0.5, math.nan, 0.6, 0.6, 0.7):
        plateau.update(auc)
        seen.append(plateau.scale)
    assert seen == [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]


def test_the_plateau_s_rate_never_falls_below_the_lowest() -> None:
    schedule = Schedule("plateau", 0.4, 0.03, 100, 2)
    assert schedule(0) == pytest.approx(0.2)
    assert [schedule(50, scale) for scale in (1.0, 0.5, 0.125, 0.0625, 1e-9)] == pytest.approx(
        [0.4, 0.2, 0.05, 0.03, 0.03]
    )
