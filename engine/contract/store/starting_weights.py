"""What a run's weights started from, in the same words wherever a run is listed, shown, compared or reported."""

from __future__ import annotations

from typing import Any

from engine.contract.wire.recorded import weights_of
from engine.contract.wire.resolved import StartingWeights


def starting_weights(decisions: Any) -> str | None:
    """`ImageNet`, `from scratch`, `run NAME` or `file NAME`; None where that is unknown.

    `decisions`: those of its manifest or of `run.started`, untrusted data, as any version of medtui has written them.
    """
    recorded = decisions.get("weights") if isinstance(decisions, dict) else None
    start = weights_of(recorded) if isinstance(recorded, str) else None
    return describe_start(start) if start is not None else None


def describe_start(start: StartingWeights) -> str:
    if start.kind == "run":
        return f"run {start.id}"
    if start.kind == "file":
        return f"file {start.id}"
    return "ImageNet" if start.kind == "imagenet" else "from scratch"


def describe_origin(weights: str | None) -> str:
    """The same behind a model's name: `from ImageNet`, `from scratch`, `from run NAME`."""
    if weights is None:
        return "from unknown weights"
    return weights if weights.startswith("from ") else f"from {weights}"
