"""What fields of their recipes runs had, for a table of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from engine.contract.recipe.yaml_reader import scalar
from engine.contract.store.run_directory import RunDirectory, attempts_of, read_object
from engine.contract.store.run_record import own_recipe
from medtui.client.run_row import RunRow


def with_settings(run_rows: Iterable[RunRow], paths: Sequence[str], alive: Callable[[], None]) -> list[RunRow]:
    """The rows with these fields, such as `training.cutmix_alpha`. `alive` is called for each run."""
    found = []
    for run_row in run_rows:
        alive()
        found.append(replace(run_row, settings=settings_of(RunDirectory(run_row.run_dir), paths)))
    return found


def settings_of(run: RunDirectory, paths: Iterable[str]) -> dict[str, Any]:
    """As its newest attempt recorded them, else from the run's recipe; without those that are not known."""
    attempts = attempts_of(read_object(run.manifest) or {})
    recorded = attempts[-1].get("must_match") if attempts else None
    known = recorded if isinstance(recorded, dict) else {}
    found = {path: _value(known[path]) for path in paths if isinstance(known.get(path), str)}
    missing = [path for path in paths if path not in found]
    recipe = own_recipe(run) if missing else None
    for path in missing if recipe is not None else ():
        section, _, name = path.partition(".")
        found[path] = getattr(getattr(recipe, section), name)
    return found


def _value(text: str) -> Any:
    """Of a field as a recipe writes it."""
    try:
        return json.loads(text) if text.startswith('"') else scalar(text)
    except ValueError:  # a damaged or untrusted manifest
        return text
