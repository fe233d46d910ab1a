"""What the console sends to the terminal is shortened, and draws the same."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.style import Style
from textual.color import Color

from medtui.console.app import ConsoleApp
from medtui.console.shell.styling import with_fewer_bytes
from medtui.console.shell.theme import THEMES

Cell = tuple[str, tuple[tuple[str, str], ...]]
ON = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 5: "blink", 7: "reverse", 8: "hidden", 9: "strike"}
OFF = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 25: ("blink",), 27: ("reverse",), 28: ("hidden",)}
OFF[29] = ("strike",)


def drawn(data: str) -> list[Cell]:
    """Each character, or other sequence, with what ECMA-48 says of how it is drawn."""
    state: dict[str, str] = {}
    cells: list[Cell] = []
    for sequence, other, character in re.findall(r"\x1b\[([0-9;]*)m|(\x1b\[[0-9;?]*[A-Za-ln-z])|(.)", data, re.DOTALL):
        if other or character:
            cells.append((other or character, tuple(sorted(state.items()))))
            continue
        codes = [int(code or 0) for code in sequence.split(";")]
        while codes:
            code = codes.pop(0)
            if code == 0:
                state.clear()
            elif code in ON:
                state[ON[code]] = "on"
            elif code in OFF:
                for name in OFF[code]:
                    state.pop(name, None)
            elif code in (38, 48):
                length = {2: 4, 5: 2}[codes[0]]
                state["fg" if code == 38 else "bg"] = ",".join(map(str, codes[:length]))
                del codes[:length]
            elif code in (39, 49):
                state.pop("fg" if code == 39 else "bg", None)
            elif 30 <= code <= 37 or 90 <= code <= 97:
                state["fg"] = str(code)
            else:
                assert 40 <= code <= 47 or 100 <= code <= 107, code
                state["bg"] = str(code)
    return cells


colours = st.sampled_from([None, "#102030", "#a0b0c0", "red", "bright_blue", "color(200)", "default"])
styles = st.builds(
    Style, color=colours, bgcolor=colours, bold=st.booleans(), dim=st.booleans(), reverse=st.booleans(),
    italic=st.booleans(), underline=st.booleans(), strike=st.booleans(),
)  # fmt: skip
systems = st.sampled_from([ColorSystem.TRUECOLOR, ColorSystem.EIGHT_BIT, ColorSystem.STANDARD])
parts = st.lists(st.tuples(styles, st.sampled_from(["a", "bc ", "\x1b[3;4H", "é", "\r\n", "\x1b[K"])), max_size=12)


@given(parts, systems)
def test_the_same_is_drawn_with_no_more_bytes(parts: list[tuple[Style, str]], system: ColorSystem) -> None:
    data = "".join(style.render(text, color_system=system) for style, text in parts)
    shortened = with_fewer_bytes(data)
    assert drawn(shortened + "x") == drawn(data + "x"), "and the next characters too"
    assert len(shortened) <= len(data) + len("\x1b[0m")


@given(st.lists(st.integers(0, 110), max_size=8), st.text("a1;\x1b[m", max_size=12))
def test_any_sequence_draws_the_same_or_is_sent_as_it_is(codes: list[int], text: str) -> None:
    data = f"\x1b[{';'.join(map(str, codes))}m{text}"
    shortened = with_fewer_bytes(data)
    if shortened != data:
        assert drawn(shortened) == drawn(data)


def test_neighbours_of_one_background_name_it_once() -> None:
    dim, bold = Style(color="#808080", bgcolor="#101418"), Style(color="#ffffff", bgcolor="#101418", bold=True)
    line = dim.render("loss ") + bold.render("0.31") + dim.render(" val ") + bold.render("0.28")
    assert with_fewer_bytes(line).count("48;2;16;20;24") == 1
    assert len(with_fewer_bytes(line)) < 0.75 * len(line)


@pytest.mark.parametrize("data", ["", "plain", "\x1b[2J\x1b[H", "\x1b[58:2::1:2:3mx\x1b[0m", "\x1b[?25l", "\x1b[51mx"])
def test_what_it_does_not_know_is_left_as_it_is(data: str) -> None:
    assert with_fewer_bytes(data) == data


def luminance(colour: Color) -> float:
    """Relative, as WCAG 2 defines it."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.normalized]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: Color, other: Color) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.asyncio
@pytest.mark.parametrize("theme", THEMES)
async def test_the_border_of_a_pane_without_the_focus_is_seen_in_each_theme(console, theme: str) -> None:
    app: ConsoleApp = console()
    async with app.run_test(size=(120, 40)) as pilot:
        app.theme = THEMES[theme].name
        await pilot.pause()
        panes = [pane for pane in app.screen.query(".pane") if not pane.has_pseudo_class("focus-within")]
        assert panes
        for pane in panes:
            assert contrast(pane.styles.border_top[1], app.screen.styles.background) >= 1.5
