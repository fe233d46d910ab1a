"""The recipes that come with the package. Light, so that a shell can complete their names at once."""

from __future__ import annotations

from pathlib import Path

from engine.contract.files.paths import is_folder


def shipped_recipes() -> dict[str, Path]:
    """By name."""
    return {path.stem: path for path in sorted(_folder().glob("*.yaml"))}


def _folder() -> Path:
    """`recipes/` is next to the packages in a checkout and inside `engine` in a wheel."""
    engine = Path(__file__).absolute().parents[2]
    packaged = engine / "recipes"
    return packaged if is_folder(packaged) else engine.parent / "recipes"
