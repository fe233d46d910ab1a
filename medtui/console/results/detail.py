"""A run in detail, read from its files."""

from __future__ import annotations

from typing import Any

from engine.contract.recipe.reader import recipe_from_values
from engine.contract.recipe.yaml_reader import read_yaml
from engine.contract.store.run_directory import RunDirectory, read_object
from engine.contract.wire.errors import MedtuiError
from medtui.client.evaluate import later_evaluations
from medtui.client.journal import replay
from medtui.client.labels import read_labels
from medtui.client.run_row import RunRow
from medtui.client.state import RunState
from medtui.console.results.pictures import read_samples
from medtui.console.results.text import Detail
from medtui.console.shell.text_file import TooLarge, read_text
from medtui.console.widgets.matrix import read_confusion
from medtui.console.widgets.stored_pictures import Room, read_batch, read_figure


def load_detail(run_row: RunRow, model: Any, room: Room | None = None) -> Detail:
    """Read everything of a run; unreadable parts are empty. `room`: None where figures cannot be shown."""
    run = RunDirectory(run_row.run_dir)
    try:
        state = replay(run.journal)
    except OSError:
        state = RunState()
    try:
        text = read_text(run.recipe)
    except (OSError, UnicodeDecodeError, TooLarge) as error:
        text = f"cannot be read: {error}"
    try:
        recipe = recipe_from_values(read_yaml(text).values, model)  # its data need not be here
    except MedtuiError:
        recipe = None
    return Detail(
        run_row=run_row,
        state=state,
        manifest=read_object(run.manifest) or {},
        confusion=read_confusion(run),
        samples=read_samples(run),
        recipe_text=text,
        recipe=recipe,
        labels=read_labels(run),
        later=later_evaluations(run),
        batch=read_batch(run),
        confusion_figure=read_figure(run, "confusion", room),
    )
