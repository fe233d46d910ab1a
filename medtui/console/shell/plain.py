"""Text on screens: a str is never markup, and nothing that is drawn contains terminal control characters.

Textual reads markup in every str (`[bold]`, and `[@click=…]`, which acts), so its widgets that take one are imported
from here, and tables from `widgets/table.py`. `VisibleText` is what every widget's lines pass last.
"""

from __future__ import annotations

from typing import Any, TypeVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.content import Content, ContentText
from textual.filter import LineFilter
from textual.markup import escape
from textual.visual import VisualType
from textual.widget import Widget
from textual.widgets import Button as TextualButton
from textual.widgets import Label as TextualLabel
from textual.widgets import OptionList as TextualOptionList
from textual.widgets import Static as TextualStatic
from textual.widgets.option_list import Option as TextualOption

from medtui.text import clean, visible


class VisibleText(LineFilter):
    """A dot for each control character; the text around it keeps its position."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        for segment in segments:
            if not segment.text.isprintable():
                return [_visible(segment) for segment in segments]
        return segments


def _visible(segment: Segment) -> Segment:
    text = segment.text
    shown = visible(text)
    if shown == text:
        return segment
    width = cell_len(text)
    return segment._replace(text=shown if cell_len(shown) == width else set_cell_size(shown, width))


Given = TypeVar("Given")


def plain(text: Given) -> Given | Content:
    """A str as plain text, laid out as it will be drawn. Anything else is returned as it is."""
    return Content(visible(text, but="\n")) if isinstance(text, str) else text


class Static(TextualStatic):
    def __init__(self, content: VisualType = "", **options: Any) -> None:
        super().__init__(plain(content), markup=False, **options)

    def update(self, content: VisualType = "", *, layout: bool = True) -> None:
        super().update(plain(content), layout=layout)


class Label(TextualLabel):
    def __init__(self, content: VisualType = "", **options: Any) -> None:
        super().__init__(plain(content), markup=False, **options)


class Button(TextualButton):
    def __init__(self, label: ContentText, **options: Any) -> None:
        super().__init__(plain(label), **options)

    def validate_label(self, label: ContentText) -> Content:
        return Content.from_text(plain(label), markup=False)


class Option(TextualOption):
    def __init__(self, prompt: VisualType, **options: Any) -> None:
        super().__init__(plain(prompt), **options)


class OptionList(TextualOptionList):
    """Of the options above; a str is one, too."""

    def __init__(self, *content: Any, **options: Any) -> None:
        super().__init__(*map(plain, content), markup=False, **options)


def border_title(widget: Widget, text: str) -> None:
    """Write in a widget's border, at the top."""
    widget.border_title = Content(clean(text, 200))


def border_subtitle(widget: Widget, text: str) -> None:
    """Write in a widget's border, at the bottom."""
    widget.border_subtitle = Content(clean(text, 200))


def plain_markup(text: str) -> str:
    """For APIs that accept only markup."""
    return escape(clean(text))
