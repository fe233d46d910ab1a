"""How many runs at once, and what each gets: a GPU, or a part of the CPU's threads."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.contract.machine.limits import cores
from engine.contract.recipe.recipe import Recipe
from engine.contract.wire.errors import UsageError
from medtui.machine.gpu import read_gpus
from medtui.sentences import Suites


@dataclass(frozen=True)
class Slots:
    count: int
    threads: int | None = None  # of each run whose recipe names none; None: as a single run
    devices: tuple[str, ...] = ()  # GPUs, as CUDA_VISIBLE_DEVICES names them; one for each slot

    def environment(self, number: int) -> Mapping[str, str]:
        """What an engine in slot `number`, from 1, finds set."""
        if not self.devices or number > len(self.devices):
            return {}
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": self.devices[number - 1]}

    def __str__(self) -> str:
        each = f", {self.threads} thread{'s' * (self.threads != 1)} each" if self.threads else ""
        return f"{self.count} at once{each}" if self.count > 1 else "one after the other"


def slots_for(recipes: Sequence[tuple[str, Recipe]], requested: int | None = None) -> Slots:
    """Those of this machine. `recipes`: with their labels. Raises UsageError."""
    return choose_slots(recipes, requested, len(read_gpus().devices))


def choose_slots(
    recipes: Sequence[tuple[str, Recipe]], requested: int | None, n_gpus: int, n_cores: int | None = None
) -> Slots:
    """One slot for each GPU; on a CPU one, or as many as requested. `recipes`: with their labels. Raises UsageError."""
    on_gpu = n_gpus > 0 and any(recipe.runtime.device != "cpu" for _, recipe in recipes)
    if not on_gpu:
        n_cores = n_cores or cores()
        count = _checked(1 if requested is None else requested, n_cores, "Each needs a CPU core.")
        return Slots(count, max(1, n_cores // count) if count > 1 else None)
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    devices = tuple(given.split(",")) if given else tuple(map(str, range(n_gpus)))
    count = _checked(len(devices) if requested is None else requested, len(devices), "Each needs a GPU.")
    if count == 1:
        return Slots(1)
    for label, recipe in recipes:
        if ":" in recipe.runtime.device:
            raise UsageError(Suites.SLOT_DEVICE, label=label, device=recipe.runtime.device)
    return Slots(count, None, devices[:count])


def _checked(count: int, most: int, remedy: str) -> int:
    if not 1 <= count <= most:
        raise UsageError(Suites.SLOTS, most=most, found=count, remedy=remedy)
    return count
