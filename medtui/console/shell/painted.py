"""Pictures by the terminal's own graphics, after each update of the screen.

What the terminal can show is decided once, when it has answered (`graphics/terminal.py`). Until then, and in a terminal
without graphics, nothing here does anything.
"""

from __future__ import annotations

import os
from typing import Any

from rich.console import RenderableType
from textual import work
from textual.app import App
from textual.message import Message
from textual.screen import Screen

from medtui.console.graphics.gallery import Gallery, Key
from medtui.console.graphics.picture import Picture
from medtui.console.graphics.terminal import CELL_QUERY, Terminal, TmuxClient, decided, queries_for


class TerminalAnswered(Message):
    """The terminal said what it is, or more of it."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self.terminal = terminal


class InTmux(Message):
    """What tmux says of its terminal."""

    def __init__(self, client: TmuxClient | None) -> None:
        super().__init__()
        self.client = client


class PicturesEncoded(Message):
    def __init__(self, found: dict[Key, str]) -> None:
        super().__init__()
        self.found = found


class PaintedPictures(App[int]):
    """An app whose widgets may show pictures: they are in `gallery.widgets`."""

    pictures_setting = "auto"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.gallery = Gallery()
        self._terminal = Terminal()
        self._update: object = None  # that is being written
        self._requested: set[Key] = set()  # pictures that are being encoded

    def decide_graphics(self, setting: str) -> None:
        """By the setting, before the terminal has been asked; `auto` waits for what it answers."""
        self.pictures_setting = setting
        self.gallery.in_tmux = bool(os.environ.get("TMUX"))
        self.gallery.protocol = "blocks" if setting == "auto" else decided(setting, self._terminal, os.environ)

    @property
    def queries(self) -> str:
        """What the driver sends to the terminal at the start."""
        return queries_for(self.pictures_setting, os.environ)

    # ---- what the terminal can show ----------------------------------------------------------------------------------

    def on_terminal_answered(self, message: TerminalAnswered) -> None:
        before, self._terminal = self._terminal, message.terminal
        if before.has_answered and self._terminal.cell != before.cell:
            self.gallery.cell = self._terminal.cell
            self.screen.refresh()  # pictures of the old size may be larger than their cells now
        if before.has_answered or not self._terminal.has_answered:
            return
        if self.pictures_setting == "auto" and self.gallery.in_tmux:
            self._ask_tmux()
        else:
            self._decide(None)

    def on_resize(self) -> None:
        """Another font changes the size of the cells, too."""
        if self.gallery.protocol == "sixel" and self._driver is not None and not self.is_headless:
            self._driver.write(CELL_QUERY)

    @work(thread=True, exit_on_error=False, group="tmux")
    def _ask_tmux(self) -> None:
        from medtui.console.graphics.tmux import tmux_client

        self.post_message(InTmux(tmux_client()))

    def on_in_tmux(self, message: InTmux) -> None:
        self._decide(message.client)

    def _decide(self, client: TmuxClient | None) -> None:
        gallery = self.gallery
        gallery.cell = self._terminal.cell
        gallery.protocol = decided(self.pictures_setting, self._terminal, os.environ, client)
        for widget in gallery.widgets:
            widget.refresh()

    # ---- painting ----------------------------------------------------------------------------------------------------

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        self._update = renderable
        try:
            super()._display(screen, renderable)
        finally:
            self._update = None
        if self.gallery.paints and self.gallery.widgets:
            self._encode_missing()

    def _end_update(self) -> None:
        """Within the update, so that no terminal shows the characters in between."""
        if self._update is not None and self.gallery.paints and self._driver is not None:
            self._driver.write(self.gallery.painted(self.screen, self._update))
        super()._end_update()

    def _encode_missing(self) -> None:
        missing = self.gallery.missing(self.screen)
        new = {key: picture for key, picture in missing.items() if key not in self._requested}
        if new:
            self._requested |= set(new)
            self._encode(new)

    @work(thread=True, exit_on_error=False, group="pictures")
    def _encode(self, pictures: dict[Key, Picture]) -> None:
        from medtui.console.graphics.encode import encoded

        for key, picture in pictures.items():
            self.post_message(PicturesEncoded({key: encoded(picture, *key[1:])}))

    def on_pictures_encoded(self, message: PicturesEncoded) -> None:
        for key, payload in message.found.items():
            self._requested.discard(key)
            self.gallery.add(key, payload)
        if self._driver is None or self.is_headless or not self.gallery.paints:
            return
        if text := self.gallery.painted(self.screen, None):
            self._begin_update()
            self._driver.write(text)
            super()._end_update()
            self._driver.flush()

    def free_graphics(self) -> None:
        """When the console ends: the terminal keeps no picture of it."""
        if self._driver is not None and not self.is_headless and (text := self.gallery.removed()):
            self._driver.write(text)
