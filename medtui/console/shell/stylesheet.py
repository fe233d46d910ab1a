"""Styles that are parsed once.

Textual parses all of them anew whenever it refreshes them, which it does twice before the first frame, and keeps what
was parsed of 64 sources: each kind of widget is one, and a screen that shows one more than that would have all of them
parsed again whenever a kind of widget is new.
"""

from __future__ import annotations

from textual.cache import LRUCache
from textual.css.stylesheet import Stylesheet

SOURCES = 1024  # more than there are kinds of widgets


class ParsedOnce(Stylesheet):
    """Textual's, for an app whose style files do not change while it runs."""

    def __init__(self, variables: dict[str, str]) -> None:
        super().__init__(variables=variables)
        self._parse_cache = LRUCache(SOURCES)

    def set_variables(self, variables: dict[str, str]) -> None:
        """Another theme's; what was parsed with the same ones stays."""
        if variables != self._variables:
            super().set_variables(variables)

    def reparse(self) -> None:
        """What is new, or everything with other variables. Textual's forgets what it parsed here."""
        self.parse()
