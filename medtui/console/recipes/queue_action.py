"""Recipes: add one to the queue, also while a run trains."""

from __future__ import annotations

import asyncio

from engine.contract.recipe.recipe import Recipe
from medtui.console.shell.app_context import AppContext


async def add_to_queue(context: AppContext, recipe: Recipe) -> str:
    """What was done. Raises MedtuiError."""
    words = await asyncio.to_thread(_add, context, recipe)
    return f"{words} {context.actions['go.suites'].key} shows the queue."


def _add(context: AppContext, recipe: Recipe) -> str:
    from engine.contract.data.archives import offline
    from medtui.suites.requests import add_to_queue, describe_added

    return describe_added(*add_to_queue(context.workspace, recipe, context.data, offline=offline()))
