"""Runs in the palette: choosing one opens it in Results, or in Live where it trains."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, cast

from engine.contract.store.run_directory import list_runs
from medtui.console.palette.entries import Entry, EntryProvider
from medtui.text import number

if TYPE_CHECKING:
    from medtui.client.run_row import RunRow
    from medtui.console.results.screen import Results


class RunEntries(EntryProvider):
    before = 0.02

    async def load(self) -> Sequence[Entry]:
        """Newest first; with what Results knows of them, if it has been opened: names need no file to be read."""
        results = cast("Results", await self.screen_of("results"))
        rows = {row.run: row for row in results.run_rows or []}
        found = await asyncio.to_thread(list_runs, self.context.workspace.outputs)
        return [self._entry(run.name, rows.get(run.name)) for run in reversed(found)]

    def _entry(self, name: str, row: RunRow | None) -> Entry:
        if name in self.context.living:
            return Entry("run", name, "Trains now: watch it in Live.", partial(self._watch, name))
        state = f"{row.state}, test AUC {number(row.test_auc)}. " if row is not None else ""
        return Entry("run", name, f"{state}Show it in Results.", partial(self.context.show_run, name))

    def _watch(self, name: str) -> None:
        if self.context.attach_to(name):
            self.context.go_to("live")
