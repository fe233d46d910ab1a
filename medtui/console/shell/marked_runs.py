"""Runs marked in Results. Each has one letter and one colour, on every screen, for as long as it is marked."""

from __future__ import annotations

import string
from collections.abc import Collection
from dataclasses import dataclass, replace

SIGNS = string.ascii_uppercase + string.ascii_lowercase
FIRST_COLOUR = 3  # of the palette: those before it belong to the curves of the run that is shown itself
FREE = ""


@dataclass(frozen=True)
class RunMark:
    """What a marked run is recognised by."""

    run: str  # its name
    sign: str
    colour: int  # of the series palette


@dataclass(frozen=True)
class MarkedRuns:
    """The names of marked runs, each at the place of its letter. Another run that is unmarked changes no letter."""

    places: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.marks)

    @property
    def marks(self) -> tuple[RunMark, ...]:
        """In the order of their letters."""
        named = [(place, name) for place, name in enumerate(self.places) if name != FREE]
        return tuple(RunMark(name, SIGNS[place], FIRST_COLOUR + place) for place, name in named)

    @property
    def is_full(self) -> bool:
        return len(self) == len(SIGNS)

    def mark_of(self, name: str) -> RunMark | None:
        return next((mark for mark in self.marks if mark.run == name), None)

    def toggled(self, name: str) -> MarkedRuns:
        """Unmark the run, or mark it with the first free letter; unchanged where there is none."""
        if name in self.places:
            return self._with(self.places.index(name), FREE)
        if FREE in self.places:
            return self._with(self.places.index(FREE), name)
        return self if self.is_full else replace(self, places=(*self.places, name))

    def kept(self, names: Collection[str]) -> MarkedRuns:
        """Without runs that are no longer there."""
        found = self
        for mark in self.marks:
            found = found if mark.run in names else found.toggled(mark.run)
        return found

    def _with(self, place: int, name: str) -> MarkedRuns:
        places = (*self.places[:place], name, *self.places[place + 1 :])
        while places and places[-1] == FREE:
            places = places[:-1]
        return replace(self, places=places)
