"""Recipes in the palette: choosing one opens it in Recipes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, cast

from medtui.console.palette.entries import Entry, EntryProvider

if TYPE_CHECKING:
    from medtui.console.recipes.screen import Recipes

SOURCES = {"shipped": "Shipped with medtui.", "workspace": "A file of this workspace."}


class RecipeEntries(EntryProvider):
    before = 0.03

    async def load(self) -> Sequence[Entry]:
        """Those of runs are opened from their runs."""
        recipes = cast("Recipes", await self.screen_of("recipes"))
        from medtui.console.recipes.store import entries

        drafts = recipes.open_recipes.drafts
        found = recipes.entries or await asyncio.to_thread(entries, self.context.workspace, drafts)
        return [
            Entry("recipe", entry.name, SOURCES[entry.kind], partial(self.context.open_recipe, entry.path))
            for entry in found
            if entry.kind in SOURCES
        ]
