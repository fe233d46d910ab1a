"""Screens show text and nothing else: no control character is drawn and no str is markup, whatever a widget gets."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from screen_helpers import screen_text
from textual.app import ComposeResult
from textual.color import Color
from textual.screen import ModalScreen
from textual.widget import Widget

from medtui.console.app import ConsoleApp
from medtui.console.results.text import provenance
from medtui.console.shell.plain import (
    Button,
    Label,
    Option,
    OptionList,
    Static,
    VisibleText,
    border_subtitle,
    border_title,
)
from medtui.console.widgets.table import DataTable

BLACK = Color(0, 0, 0)
HOSTILE = "\x1b[2J\x9b1m\x7f\u202e[/x][bold]b[/bold][@click=app.bell]c\x00\ud800"
SHOWN = "[/x][bold]b[/bold][@click=app.bell]c"


def drawn(*texts: str) -> list[str]:
    return [segment.text for segment in VisibleText().apply([Segment(text) for text in texts], BLACK)]


@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=12), max_size=4))
def test_what_is_drawn_has_no_control_characters_and_the_same_width(texts: list[str]) -> None:
    for before, after in zip(texts, drawn(*texts), strict=True):
        unsafe = {unicodedata.category(one) for one in after} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
        assert not unsafe
        assert cell_len(after) == cell_len(before)


@pytest.mark.parametrize("text", ["╭─┤│", "⣿⡇⠁", "漢字かな", "e\u0301é", "🔬😀", "a\u00a0b\u3000c", "▁▂█·…✓●", " "])
def test_what_is_only_text_is_drawn_as_it_is(text: str) -> None:
    assert drawn(text) == [text]


def test_styles_and_the_programs_control_sequences_stay() -> None:
    styled = Segment("a\x1bb", Style(bold=True))
    assert VisibleText().apply([styled], BLACK)[0].style == Style(bold=True)


class Raw(Widget):
    """A widget whose author thought of nothing."""

    def render(self) -> Text:
        return Text(HOSTILE)


class Everything(ModalScreen[None]):
    """Each kind of widget, given hostile text as a plain str."""

    def compose(self) -> ComposeResult:
        yield Static(HOSTILE, id="static")
        yield Label(HOSTILE)
        yield Button(HOSTILE)
        yield OptionList(Option(HOSTILE), HOSTILE)
        yield Raw()
        yield DataTable()

    def on_mount(self) -> None:
        table = self.query_one(DataTable)
        table.add_column(HOSTILE)
        table.add_row(Text(HOSTILE))
        for widget in self.query(Raw):
            widget.styles.border = ("round", "white")
            widget.styles.height = 3
            border_title(widget, HOSTILE)
            border_subtitle(widget, HOSTILE)
        self.query_one("#static", Static).update(HOSTILE)


@pytest.mark.asyncio
async def test_hostile_text_in_every_kind_of_widget_is_text(console, workspace) -> None:
    app: ConsoleApp = console()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await app.push_screen(Everything())
        app.notify(HOSTILE, title=HOSTILE)
        app.screen.query_one(Label).notify(HOSTILE)
        await pilot.pause(0.3)
        shown = screen_text(app)
        assert not [ascii(one) for one in shown if one != "\n" and not one.isprintable()]
        assert shown.count(SHOWN) >= 10, shown


def test_a_manifest_nested_to_the_limit_is_shown_as_such() -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    assert "nested too deeply" in provenance({"deep": deep, "run": "mine"}).plain
    assert "mine" in provenance({"deep": deep, "run": "mine"}).plain
