"""The packages that this program depends on, by the names under which they are installed."""

from __future__ import annotations

import importlib.metadata

NUMERIC = (
    "torch",
    "torchvision",
    "numpy",
    "scikit-learn",
    "safetensors",
    "pydantic",
)  # another version, another result
REPORTING = ("openpyxl", "matplotlib")


def installed_version(package: str) -> str | None:
    """Without importing it; None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
