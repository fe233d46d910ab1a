"""What has changed between two attempts of a run, value by value, and whether that changes its results. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from engine.contract.recipe.identity import DECIDED_BY, newer_defaults
from engine.contract.wire.recorded import translated
from engine.contract.wire.resolved import UNKNOWN, StartingWeights
from engine.kernels import NAMES

VECTOR_UNITS = NAMES[-1]
HARDWARE = {"device_name", "threads", *NAMES}  # others of the same kind round the last bits otherwise, and no more
# An older medtui did not record these: that alone is no drift
NEWER_NAMES = {*NAMES, "device_name", "hflip", "views", "best_by", "batch_size"}
UNCOMPARED = {"pydantic", "safetensors"}  # recorded by an older medtui, and part of no result
# Identity fields that may be written otherwise where the same was decided. Not the starting weights: a resumed run
# has those of its checkpoint, whatever its recipe asks for now.
COMPARED_BY_DECISION = {path: name for path, name in DECIDED_BY.items() if name != "weights"}


@dataclass(frozen=True)
class Change:
    kind: str  # the name of what was recorded
    name: str  # as users know it
    before: str
    now: str

    @property
    def is_hardware(self) -> bool:
        """Another CPU, another model of GPU or number of cores: not another kind of device or precision."""
        return self.kind in HARDWARE

    @property
    def description(self) -> str:
        """`threads 1 → 2`."""
        return f"{self.name} {self.before} → {self.now}"


def changes(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> list[Change]:
    """What differs between what an attempt recorded that must match, by whatever medtui, and what is found now."""
    before, now = translated(recorded), translated(found)
    if before:
        before = {name: value for name, value in newer_defaults().items() if name in now} | before
    names = [*now, *(name for name in before if name not in now)]
    if before.get("device") != now.get("device"):  # then its name says nothing more
        names.remove("device_name")
    return [_change(name, before, now) for name in names if not _matches(name, before, now)]


def _matches(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    if name in UNCOMPARED or (before and name in NEWER_NAMES and name not in before):
        return True
    decided = COMPARED_BY_DECISION.get(name)
    if decided in before and decided in now:
        return True  # compared by that
    if name == "weights":
        if name in before and before[name] is None and now.get(name) is None:
            return True  # still unknown, of a run whose manifest was lost
        one, other = _weights(before.get(name)), _weights(now.get(name))
        return one is not None and other is not None and one.same_as(other)
    return bool(before.get(name) == now.get(name))


def _weights(value: Any) -> StartingWeights | None:
    try:
        return StartingWeights.model_validate(value)
    except (ValidationError, RecursionError):
        return None


def _change(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Change:
    if name == "weights":
        return _change_of_weights(_weights(before.get(name)), _weights(now.get(name)))
    old, new = _describe(name, before, UNKNOWN), _describe(name, now, "none")
    if name == VECTOR_UNITS and isinstance(before.get(name), str):  # of two long lists only what went and what came
        removed, added = set(old.split()) - set(new.split()), set(new.split()) - set(old.split())
        old, new = (" ".join(sorted(units)) or "none" for units in (removed, added))
    shown = "device" if name == "device_name" else name
    return Change(name, shown[:60], old[:80], new[:80])


def _change_of_weights(before: StartingWeights | None, now: StartingWeights | None) -> Change:
    if before is not None and now is not None and before.kind == now.kind == "run":
        old, new = (f"{weights.id} {weights.digest or UNKNOWN}" for weights in (before, now))
        return Change("weights", "init_from", old[:120], new[:120])
    old, new = (weights.description if weights else UNKNOWN for weights in (before, now))
    return Change("weights", "weights", old[:80], new[:80])


def _describe(name: str, values: Mapping[str, Any], missing: str) -> str:
    if name == "device" and isinstance(values.get("device_name"), str):
        return str(values["device_name"])
    value = values.get(name)
    if isinstance(value, list):
        return " ".join(map(str, value))
    return missing if value is None else str(value)
