"""What an engine says that it uses."""

from __future__ import annotations

import os
import time

from engine.session import _Resources


def test_the_first_report_of_cpu_use_says_no_more_than_the_machine_has() -> None:
    """Also right after the beginning, and a report right after another."""
    resources = _Resources()
    cores = os.cpu_count() or 1
    for _ in range(200):
        assert 0 <= resources.now().cpu_percent <= 100 * cores * 1.5  # clocks are read one after the other


def test_a_busy_core_is_reported_as_one() -> None:
    resources, until = _Resources(), time.process_time() + 0.3
    began = time.monotonic()
    while time.process_time() < until:
        pass
    expected = 100 * 0.3 / (time.monotonic() - began)  # other processes may have had the core meanwhile
    assert expected / 2 < resources.now().cpu_percent < 2 * expected
