"""Shell completion beyond commands and options: names of recipes, runs and data sets. Imports nothing heavy.

Names of runs and files are untrusted: one with a character that a shell could interpret is not offered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

_SAFE = re.compile(r"[\w][\w.@%+,=/-]*")
RUNNABLE = (".yaml", ".yml", ".csv", ".tsv", ".npz")  # recipes, and images of the user's own
MOST = 200  # names; more help nobody


def recipes(incomplete: str) -> list[str]:
    """Shipped recipes, and recipe files and folders that begin so."""
    from engine.contract.files.paths import is_folder
    from engine.contract.recipe.shipped import shipped_recipes

    folder = Path(incomplete).parent if "/" in incomplete else Path()
    try:
        entries = [
            one
            for one in sorted(folder.iterdir())
            if is_folder(one) or one.suffix in (".yaml", ".yml", ".csv", ".tsv", ".npz")
        ]
    except OSError:
        entries = []
    files = [f"{one}/" if is_folder(one) else str(one) for one in entries if one.name[0] != "."]
    return _offered([*shipped_recipes(), *files], incomplete)


def runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Runs of the selected workspace, newest first."""
    from engine.contract.store.run_directory import list_runs
    from engine.contract.store.workspace import find_workspace
    from engine.contract.wire.errors import MedtuiError

    try:
        found = list_runs(find_workspace(_workspace(ctx)).outputs)
    except (MedtuiError, OSError):
        found = []
    return _offered(["last", *(run.name for run in reversed(found))], incomplete)


def data_sets(incomplete: str) -> list[str]:
    from engine.contract.data.datasets import datasets

    return _offered(datasets(), incomplete)


def official_data_sets(incomplete: str) -> list[str]:
    from engine.contract.recipe.sources import official_sets

    return _offered([facts.name for facts in official_sets()], incomplete)


def _workspace(context: Any) -> Path | None:
    """As it was typed, behind the command or before it."""
    while context is not None:
        if given := context.params.get("workspace"):
            return Path(given[-1] if isinstance(given, list | tuple) else given)
        context = context.parent
    return None


def _offered(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete) and _SAFE.fullmatch(name)][:MOST]
