"""What preflight says a run will take, against what its engine took."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.memory import _estimate_and_peak


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["mini_cnn", "resnet18_adapted", "mobilenet_v3_large", "convnext_tiny", "swin_t"])
def test_the_estimate_is_within_15_percent_of_the_peak(name: str, tmp_path: Path) -> None:
    row = _estimate_and_peak(name, 8, tmp_path)
    assert row.met, f"estimated {row.ours[0]:.0f} MB, measured {row.other[0]:.0f} MB"
