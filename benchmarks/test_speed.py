"""Guards for the numbers that `make bench` measures, lenient enough for a noisy machine: the best of several pairs
counts, and a miss is measured again before the test fails."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.augmentation import DEFAULT, batch_times
from benchmarks.children import apart
from benchmarks.epochs import Case, epoch_times
from benchmarks.first_paint import paint_times
from benchmarks.help import help_times
from benchmarks.live import step_times, training
from benchmarks.second_start import archive_starts

ROUNDS = 3


def best_of_rounds(measure: Callable[[], float], goal: float) -> float:
    """The highest of up to three rounds; stops once the goal is reached."""
    found = measure()
    for _ in range(ROUNDS - 1):
        if found >= goal:
            break
        found = max(found, measure())
    return found


def speed(ours: list[float], other: list[float]) -> float:
    """How many times as fast as the other, by the undisturbed times of both, or of the best pair."""
    pairs = [theirs / own for own, theirs in zip(ours, other, strict=True)]
    return max(min(other) / min(ours), *pairs)


def test_augmentation_is_at_least_20_times_as_fast_as_torchvision_sample_by_sample() -> None:
    assert best_of_rounds(lambda: speed(*apart(batch_times, DEFAULT, 3)), 20) >= 20


@pytest.mark.parametrize(
    "case", [Case("resnet18_adapted", 1, 0.90, batch=32), Case("mini_cnn", 4, 0.75)], ids=lambda case: case.model
)
def test_a_training_epoch_keeps_up_with_a_bare_loop_on_tensors_in_memory(case: Case) -> None:
    assert best_of_rounds(lambda: speed(*apart(epoch_times, case, 2)), case.goal) >= case.goal


def test_a_second_start_on_90_000_images_has_its_first_batch_3_seconds_after_the_imports(tmp_path: Path) -> None:
    starts = archive_starts(tmp_path, zipfile.ZIP_STORED)  # quicker to make
    to_spare = best_of_rounds(lambda: 3 - starts(), 0)
    assert to_spare >= 0, f"{3 - to_spare:.1f} s"


def test_help_takes_at_most_twice_a_bare_interpreter_and_half_a_second() -> None:
    def to_spare() -> float:
        ours, bare = help_times(3)
        return 2 * (min(bare) + 0.5) - min(ours)

    assert best_of_rounds(to_spare, 0) >= 0


def test_with_a_live_screen_training_keeps_nine_tenths_of_its_speed(tmp_path: Path) -> None:
    with training(tmp_path) as (terminal, workspace):
        assert best_of_rounds(lambda: speed(*step_times(terminal, workspace, 2, window=4.0)), 0.90) >= 0.90


def test_the_console_paints_within_twice_the_time_of_an_empty_textual_app() -> None:
    def to_spare() -> float:
        ours, empty = paint_times(3)
        return 2 * min(empty) - min(ours)

    assert best_of_rounds(to_spare, 0) >= 0
