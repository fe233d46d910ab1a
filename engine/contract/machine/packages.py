"""The packages that this program depends on, by the names under which they are installed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from functools import cache
from pathlib import Path

from engine.contract.files.paths import is_file

NUMERIC = (
    "torch",
    "torchvision",
    "numpy",
    "scikit-learn",
    "safetensors",
    "pydantic",
)  # another version, another result
CUDA_LIBRARY = "lib/libtorch_cuda.so"
REPORTING = ("openpyxl", "matplotlib")


def installed_version(package: str) -> str | None:
    """Without importing it; None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@cache
def has_cuda_build() -> bool:
    """Is torch installed with CUDA's libraries, which take memory with or without a GPU? It is not imported."""
    try:
        found = importlib.util.find_spec("torch")
    except (ImportError, ValueError):
        return False
    return found is not None and found.origin is not None and is_file(Path(found.origin).parent / CUDA_LIBRARY)
