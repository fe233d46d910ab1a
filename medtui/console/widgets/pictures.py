"""Pictures with text below or beside them: by the terminal's graphics where it has them, else in characters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from rich.cells import cell_len
from rich.text import Text
from textual.geometry import Offset, Size
from textual.widget import Widget

from medtui.console.graphics.blocks import Marks, block_rows, marks_for
from medtui.console.graphics.gallery import Shown
from medtui.console.graphics.picture import COLUMNS, Picture
from medtui.console.shell.app_context import context_of
from medtui.console.shell.capability import marks

GAP = 2  # columns between pictures

_rows_of = lru_cache(512)(block_rows)


@dataclass(frozen=True)
class Captioned:
    """A picture and the lines of its text."""

    picture: Picture
    lines: tuple[Text, ...] = ()


@dataclass(frozen=True)
class Sheet:
    """What the widget shows."""

    items: tuple[Captioned, ...] = ()
    before: Text = field(default_factory=Text)  # above them all
    after: Text = field(default_factory=Text)
    captions_right: bool = False  # one item below the other, its text on the right; else side by side, as many as fit


class Pictures(Widget):
    """As high as its pictures and their text."""

    DEFAULT_CSS = "Pictures { height: auto; width: 100%; text-wrap: nowrap; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.sheet = Sheet()

    def on_mount(self) -> None:
        context_of(self).gallery.widgets.add(self)

    def on_unmount(self) -> None:
        context_of(self).gallery.widgets.discard(self)

    def show(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.refresh(layout=True)

    def shown_pictures(self) -> Iterable[Shown]:
        """Where they are, for the terminal's own graphics."""
        return _positions(self.sheet, self.content_size.width)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(sheet_lines(self.sheet, width, self._marks))

    def render(self) -> Text:
        return Text("\n", no_wrap=True).join(sheet_lines(self.sheet, self.content_size.width, self._marks))

    @property
    def _marks(self) -> Marks | None:
        """None where pictures are switched off."""
        if context_of(self).gallery.protocol == "off":
            return None
        return marks_for(self.app.console.color_system, marks())


# ---- the layout, as functions of values -----------------------------------------------------------------------------


def sheet_lines(sheet: Sheet, width: int, kind: Marks | None) -> list[Text]:
    """Every line of a sheet that is `width` columns wide."""
    lines = _text_lines(sheet.before)
    for row in _rows(sheet, width):
        lines += _captions_right(row[0], kind) if sheet.captions_right else _side_by_side(row, kind)
    return lines + _text_lines(sheet.after)


def _rows(sheet: Sheet, width: int) -> list[Sequence[Captioned]]:
    items = sheet.items
    widest = max((item.picture.columns for item in items), default=COLUMNS)
    across = 1 if sheet.captions_right else max(1, (width + GAP) // (widest + GAP))
    return [items[start : start + across] for start in range(0, len(items), across)]


def _side_by_side(row: Sequence[Captioned], kind: Marks | None) -> list[Text]:
    pictures = max(item.picture.rows for item in row) if kind is not None else 0
    lines = []
    for number in range(pictures + max(len(item.lines) for item in row)):
        line = Text()
        for item in row:
            drawn = _drawn(item.picture, kind, number) if number < pictures else _line(item, number - pictures)
            line.append_text(drawn).append(" " * (max(0, item.picture.columns - cell_len(drawn.plain)) + GAP))
        lines.append(line)
    return lines


def _captions_right(item: Captioned, kind: Marks | None) -> list[Text]:
    pictures = item.picture.rows if kind is not None else 0
    lines = []
    for number in range(max(pictures, len(item.lines))):
        line = Text()
        if kind is not None:
            drawn = _drawn(item.picture, kind, number) if number < pictures else Text()
            line.append_text(drawn).append(" " * (item.picture.columns - cell_len(drawn.plain) + GAP))
        lines.append(line.append_text(_line(item, number)))
    return [*lines, Text()]


def _drawn(picture: Picture, kind: Marks | None, row: int) -> Text:
    return _rows_of(picture, kind)[row] if kind is not None and row < picture.rows else Text()


def _line(item: Captioned, number: int) -> Text:
    return item.lines[number] if number < len(item.lines) else Text()


def _text_lines(text: Text) -> list[Text]:
    return list(text.split("\n")) if text.plain else []


def _positions(sheet: Sheet, width: int) -> Iterable[Shown]:
    """The same layout: where each picture's upper left cell is."""
    y = len(_text_lines(sheet.before))
    for row in _rows(sheet, width):
        x = 0
        for item in row:
            yield Shown(item.picture, Offset(x, y))
            x += item.picture.columns + GAP
        heights = [item.picture.rows for item in row]
        texts = [len(item.lines) for item in row]
        y += max(heights[0], texts[0]) + 1 if sheet.captions_right else max(heights) + max(texts)
