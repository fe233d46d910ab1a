"""Entries of the palette that are no actions: read in a thread when it opens, found once something is typed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import nlargest
from importlib import import_module
from typing import Any, ClassVar

from textual.command import Hit, Hits, Provider
from textual.screen import Screen

from medtui.console.palette.matching import highlighted, quick, score_of
from medtui.console.shell.app_context import AppContext, context_of
from medtui.console.shell.plain import plain_markup
from medtui.text import clean

EACH_TURN = 25  # entries that are matched before the loop may do something else
MOST = 50  # hits of one kind
PATIENCE = 0.5  # seconds for the files behind the entries; without them, the others are shown


@dataclass(frozen=True)
class Entry:
    """One thing that can be chosen."""

    kind: str  # `recipe`, `run`, …; can be typed, too
    name: str
    help: str
    choose: Callable[[], Any]

    @property
    def text(self) -> str:
        """As it is shown and matched: names come from files, and are made safe here."""
        return clean(f"{self.kind}: {self.name}", 160)


class EntryProvider(Provider):
    """A subclass says what there is; `load` may read files."""

    entries: Sequence[Entry] = ()
    before: ClassVar[float] = 0.0  # added to the score: which kind comes first of what matches equally well

    @property
    def context(self) -> AppContext:
        return context_of(self.screen)

    async def screen_of(self, name: str) -> Screen[Any]:
        """One of the screens, imported in a thread where it has not been opened yet."""
        await asyncio.to_thread(import_module, f"medtui.console.{name}.screen")
        return self.app.get_screen(name)

    async def load(self) -> Sequence[Entry]:
        raise NotImplementedError

    async def startup(self) -> None:
        """Textual shows nothing before this has ended, and a key that is typed meanwhile would end it for good."""
        self._loaded = asyncio.Event()
        self.screen.run_worker(self._load(), exit_on_error=False, group="palette")

    async def _load(self) -> None:
        try:
            self.entries = await self.load()
        finally:
            self._loaded.set()

    async def search(self, query: str) -> Hits:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._loaded.wait(), PATIENCE)
        matcher = quick(self.matcher(query))
        found: list[tuple[float, Entry]] = []
        for number, entry in enumerate(self.entries):
            if number % EACH_TURN == EACH_TURN - 1:
                await asyncio.sleep(0)
            if (score := score_of(matcher, entry.text, entry.help)) > 0:
                found.append((score + self.before, entry))
        for score, entry in nlargest(MOST, found, key=lambda hit: hit[0]):
            yield Hit(score, highlighted(matcher, entry.text), entry.choose, entry.text, plain_markup(entry.help))
