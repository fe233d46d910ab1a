"""Preparing decides `batch_size: auto`, says what by, and keeps it for the run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine.contract.machine.limits import Memory
from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.sources import facts_of
from engine.contract.wire.resolved import Resolved
from engine.run import prepare
from engine.run.prepare import OpenedData, decided_batch
from engine.train.step import Precision


def decided(free: int, began: int | None = None, images: int = 1000) -> tuple[int, list[dict[str, Any]]]:
    """With so many bytes free; and what was noted. began: with what a resumed run did."""
    recipe = build_recipe({"dataset": {"name": "pathmnist"}, "training": {"batch_size": "auto"}})
    notes: list[dict[str, Any]] = []
    job = SimpleNamespace(stream=SimpleNamespace(note=lambda sentence, **fields: notes.append(fields)))
    opened = OpenedData(
        recipe=recipe,
        facts=facts_of(recipe.dataset),
        device=torch.device("cpu"),
        precision=Precision("cpu", None),
        threads=1,
        data=SimpleNamespace(length=lambda split: images),  # type: ignore[arg-type]
    )
    resumed = SimpleNamespace(resolved=Resolved(batch_size=began)) if began is not None else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "memory", lambda: Memory(free, free))
        return decided_batch(job, opened, resumed), notes  # type: ignore[arg-type]


def test_what_is_free_decides_and_is_said() -> None:
    assert decided(10**12) == (128, [{"size": 128, "needed": "1.1 GB", "free": "1000.0 GB"}])
    assert decided(800_000_001) == (64, [{"size": 64, "needed": "0.6 GB", "free": "0.8 GB"}])


def test_a_resumed_run_keeps_what_it_began_with() -> None:
    """More or less may be free by then; only what its data could not have made is decided again."""
    assert decided(10**12, began=16) == (16, [])
    assert decided(0, began=128) == (128, [])
    assert decided(10**12, began=4096)[0] == 128
