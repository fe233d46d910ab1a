"""The top line: what the engine does and who holds the workspace stand in it at every width."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from stand_ins import Story

from medtui.client.view import RunView
from medtui.client.watch import absorb
from medtui.console.status_text import Around, status_line

AROUND = Around(lock="this console", gpu="gpu0 87% 6.1G", eta=1085.0)


@pytest.fixture
def training(tmp_path: Path) -> RunView:
    view = RunView(asked_to_start=True)
    for event in Story(tmp_path / "20261122_breastmnist_resnet18-adapted_1a2b3c", epochs=60).running(11):
        view = absorb(view, event)
    return view


def test_where_it_gets_tight_the_least_important_goes_first(training: RunView) -> None:
    lines = [status_line(training, AROUND, width).plain for width in (150, 132, 120, 100, 90, 80, 60, 40)]
    start, eta, lock = " medtui  ● training", "epoch 12/60  eta 18 min 05 s", "lock: this console"
    assert lines == [
        f"{start}  breastmnist · resnet18-adapted · 1a2b3c  {eta}  {lock}  gpu0 87% 6.1G  link ok",
        f"{start}  breastmnist · resnet18-adapted · 1a2b3c  {eta}  {lock}  gpu0 87% 6.1G",
        f"{start}  breastmnist · resnet18-adapted · 1a2b3c  {eta}  {lock}",
        f"{start}  breastmnist · 1a2b3c  {eta}  {lock}",
        f"{start}  breastmnist  {eta}  {lock}",
        f"{start}  breastmnist  epoch 12/60  {lock}",
        f"{start}  epoch 12/60  {lock}",
        f"{start}  {lock}",
    ]
    for width in range(20, 160):
        assert cell_len(status_line(training, AROUND, width).plain) <= width


@pytest.mark.parametrize("gone", [{"died": "The engine died."}, {"unseen": "not seen since 12:00:00"}], ids=str)
def test_no_link_is_claimed_to_an_engine_that_is_gone(training: RunView, gone: dict[str, str]) -> None:
    assert "link ok" in status_line(training, AROUND, 200).plain
    assert "link" not in status_line(replace(training, **gone), AROUND, 200).plain
    late = replace(AROUND, link="display 4 s behind, training unaffected")
    assert "display 4 s behind" in status_line(replace(training, **gone), late, 80).plain
    assert "training unaffected" not in status_line(replace(training, **gone), late, 200).plain
    assert "display 4 s behind, training unaffected" in status_line(training, late, 80).plain
