"""The texts of the Recipes screen, as functions of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from engine.contract.recipe.yaml_reader import written
from engine.contract.wire.errors import Problem
from medtui.actions import BY_ID, Action
from medtui.client.recipe_document import Checked, differences
from medtui.console.recipes.document import Document
from medtui.text import clean, duration

if TYPE_CHECKING:
    from medtui.client.preflight import Preflight


def problems_text(problems: Sequence[Problem]) -> Text:
    """What is wrong, each with its line and field, below the text."""
    text = Text()
    for problem in problems:
        where = f"line {problem.line}:" if problem.line else ""
        words = " ".join(filter(None, (where, ".".join(problem.path), problem.message)))
        text.append(f"{'' if not text else chr(10)}✗ {clean(words, 400)}", "red")
    return text


def preflight_text(
    document: Document,
    checked: Checked,
    ready: Preflight | None,
    saved: Checked | None,
    *,
    stale: bool = False,
    actions: Mapping[str, Action] = BY_ID,
) -> Text:
    """The panel below form and text. `stale`: `ready` is of an earlier text and is being updated."""
    text = Text()
    if document.entry.kind == "run":
        text.append(f"recipe of {clean(document.entry.name)}\n", "dim")
    if document.fresh_on_disk is not None:
        save, revert = actions["recipes.save"].key, actions["recipes.revert"].key
        words = f"The file changed on disk. {save} asks which text to keep, {revert} loads the file.\n"
        text.append(words, "bold yellow")
    if checked.recipe is None:
        number, key = len(checked.problems), actions["recipes.problem"].key
        errors = "1 error" if number == 1 else f"{number} errors"
        text.append(f"✗ {errors}", "bold red")
        text.append(f": this recipe cannot run yet. {key} goes to {'it' if number == 1 else 'the first'}.\n")
        return text
    if document.dirty:
        text.append("differs from the saved recipe: ", "bold")
        text.append(_differences(checked, saved) + "\n")
    if ready is None:
        text.append("checking data, weights, previous runs …\n", "dim")
    else:
        known = _ready(ready)
        if stale:
            known.stylize("dim")
            known.append("updating …", "dim")
        text.append_text(known)
    return text


def _ready(ready: Preflight) -> Text:
    text = Text()
    text.append("data ", "bold")
    text.append(clean(ready.data, 300) + "\n", "" if ready.data_ok else "bold red")
    text.append("weights ", "bold")
    text.append(clean(ready.weights, 300), "" if ready.weights_ok else "bold red")
    steps = f"{ready.steps:,}" if ready.steps is not None else "unknown"
    free = "unknown" if ready.memory_free is None else f"{ready.memory_free / 1e9:.1f} GB"
    needs = f"needs about {ready.memory_needed / 1e9:.1f} GB of {free} free"
    needs += f" within {clean(ready.memory_limit, 80)}" if ready.memory_limit else ""
    text.append(f" · steps {steps} · ")
    text.append(needs, "" if ready.memory_free is None or ready.memory_needed < ready.memory_free else "bold red")
    pace = "time unknown until the first similar run"
    if ready.seconds:
        pace = f"about {duration(ready.seconds)}, from {clean(ready.seconds_from)}"
    text.append(f"\n{pace}\nrun {clean(ready.run)}\n")
    for sentence in ready.trackers:
        text.append(f"{clean(sentence, 300)}\n", "yellow")
    return text


def _differences(checked: Checked, saved: Checked | None) -> str:
    if saved is None or saved.recipe is None or checked.recipe is None:
        return "the saved text is not a valid recipe"
    found = [f"{path} {_shown(old)} → {_shown(new)}" for path, old, new in differences(saved.recipe, checked.recipe)]
    return "  ".join(found) if found else "only comments or layout"


def _shown(value: Any) -> str:
    return clean(value, 60) if isinstance(value, str) else written(value)
