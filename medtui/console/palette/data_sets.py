"""Official data sets in the palette: choosing one goes to Machine, and offers to fetch a file that is not here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from itertools import groupby

from medtui.client.data_sets import DataFile, inventory
from medtui.console.palette.entries import Entry, EntryProvider


class DataSetEntries(EntryProvider):
    before = 0.01

    async def load(self) -> Sequence[Entry]:
        files = await asyncio.to_thread(inventory, self.context.workspace, self.context.data)
        return [self._entry(name, list(sizes)) for name, sizes in groupby(files, key=lambda file: file.facts.name)]

    def _entry(self, name: str, files: list[DataFile]) -> Entry:
        missing = [file.size for file in files if file.path is None]
        here = ", ".join(f"{file.size} px {file.state}" for file in files if file.path is not None)
        words = f"{files[0].facts.title}: {here or 'no file here'}."
        if not missing:
            return Entry("data set", name, words, partial(self.context.go_to, "machine"))
        sizes = ", ".join(map(str, missing))
        return Entry("data set", name, f"{words} Fetch {sizes} px.", partial(self.context.fetch, name, missing[0]))
