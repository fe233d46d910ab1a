"""The views that test-time augmentation averages, by name; what each does to an image is in the engine."""

from __future__ import annotations

from engine.contract.data.datasets import Symmetry

IDENTITY = "identity"
VIEW_NAMES: dict[Symmetry, tuple[str, ...]] = {
    "all": (IDENTITY, "hflip", "vflip", "rot90", "rot180", "rot270"),
    "mirror": (IDENTITY, "hflip"),
    "none": (IDENTITY, "left", "right", "up", "down"),
}


def view_names(symmetry: Symmetry, tta: bool) -> tuple[str, ...]:
    """The views to average: at most six, and no flip where orientation carries meaning."""
    return VIEW_NAMES[symmetry] if tta else (IDENTITY,)
