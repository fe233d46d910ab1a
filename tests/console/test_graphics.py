"""Pictures by a terminal's own graphics: which ones it has, and that it is sent the picture and nothing else."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from graphics_decoders import (
    COLOUR,
    ITERM,
    SIXEL,
    decoded,
    enlarged,
    kitty_pictures,
    placeholder_cells,
    sixel_picture,
    without_tmux,
)
from textual import events

from medtui.console.graphics import terminal as terminal_module
from medtui.console.graphics.blocks import block_rows, marks_for
from medtui.console.graphics.encode import encoded, placed, transmitted
from medtui.console.graphics.picture import picture_of
from medtui.console.graphics.terminal import QUERIES, Answers, Terminal, TmuxClient, decided, queries_for
from medtui.console.shell.keyboard import Keys
from medtui.console.shell.painted import TerminalAnswered
from medtui.settings import settings_of

CELL = (10, 20)  # pixels
ANSWERS = "\x1bP>|XTerm(390)\x1b\\\x1b[6;20;10t\x1b[?63;1;2;4;22c"  # in the order of the questions


@pytest.fixture
def pixels() -> np.ndarray:
    """28 × 28, grey with a coloured corner: as many colours as a picture of cells has."""
    ramp = np.add.outer(np.arange(28), np.arange(28)).astype(np.uint8)[..., None] * np.array([4, 4, 4], np.uint8)
    ramp[:6, :6] = (200, 30, 60)
    return ramp


# ---- what is sent ---------------------------------------------------------------------------------------------------


def test_kitty_is_sent_the_pixels_enlarged_and_a_cell_for_every_part(pixels: np.ndarray) -> None:
    picture = picture_of(pixels.tobytes(), 28, 28, 3)
    payload = encoded(picture, "kitty", CELL)
    sent = (
        transmitted(picture, payload, 0x6D0001, in_tmux=False)
        + placed(picture, payload, "kitty", (3, 4), (0, 0, 0), 0x6D0001)
    ).encode()
    ((number, shown),) = kitty_pictures(sent).items()
    assert shown.shape == (160, 160, 3), "16 × 8 cells of 10 × 20 pixels"
    assert (shown == enlarged(pixels, shown.shape)).all()
    red, green, blue = map(int, COLOUR.search(sent).groups())  # type: ignore[union-attr]
    assert red << 16 | green << 8 | blue == number == 0x6D0001, "the colour of the text names the picture"
    cells = placeholder_cells(sent)
    rows, columns = (list(dict.fromkeys(part)) for part in zip(*cells, strict=True))
    assert cells == [(row, column) for row in rows for column in columns] and (len(rows), len(columns)) == (8, 16)
    assert "".join(rows[:3]) == "\u0305\u030d\u030e", "kitty's marks for 0, 1, 2"
    assert re.findall(rb"\x1b\[(\d+);(\d+)H", sent) == [(b"%d" % (5 + row), b"4") for row in range(8)]


def test_inside_tmux_kitty_gets_the_same_through_tmux(pixels: np.ndarray) -> None:
    picture = picture_of(pixels.tobytes(), 28, 28, 3)
    payload = encoded(picture, "kitty", CELL)
    plain, inside = (transmitted(picture, payload, 7, in_tmux=in_tmux).encode() for in_tmux in (False, True))
    assert inside != plain and without_tmux(inside) == plain


def test_iterm_is_sent_the_pixels_enlarged(pixels: np.ndarray) -> None:
    picture = picture_of(pixels.tobytes(), 28, 28, 3)
    sent = placed(picture, encoded(picture, "iterm", CELL), "iterm", (0, 0), (0, 0, 0)).encode()
    fields, payload = ITERM.search(sent).groups()  # type: ignore[union-attr]
    assert b"inline=1" in fields and b"width=16;height=8" in fields
    shown = decoded(payload)
    assert (shown == enlarged(pixels, shown.shape)).all()


def test_sixel_shows_the_pixels_enlarged_within_the_cells(pixels: np.ndarray) -> None:
    """To the percent that the format has of a colour; its height is a multiple of six, which no terminal rounds up."""
    picture = picture_of(pixels.tobytes(), 28, 28, 3)
    sent = placed(picture, encoded(picture, "sixel", CELL), "sixel", (0, 0), (0, 0, 0)).encode()
    shown = sixel_picture(SIXEL.search(sent)[1])  # type: ignore[index]
    assert shown.shape[0] <= 160 and shown.shape[0] % 6 == 0 and shown.shape[0] > 150
    expected = enlarged(pixels, shown.shape).astype(int)
    assert np.abs(expected - shown).max() <= 2


def test_of_a_picture_that_is_scrolled_half_away_the_rest_is_sent(pixels: np.ndarray) -> None:
    """Its rows 2 to 4 of 8: 60 of 160 lines of pixels, where they were; kitty gets the cells of those rows."""
    picture, part = picture_of(pixels.tobytes(), 28, 28, 3), (2, 3)
    whole = enlarged(pixels, (160, 160))
    for protocol, pattern in (("iterm", ITERM), ("sixel", SIXEL)):
        payload = encoded(picture, protocol, CELL, part)
        sent = placed(picture, payload, protocol, (0, 0), (0, 0, 0), part=part).encode()
        body = pattern.search(sent)[pattern.groups]  # type: ignore[index]
        shown = decoded(body) if protocol == "iterm" else sixel_picture(body)
        assert shown.shape == (60, 160, 3) and np.abs(whole[40:100].astype(int) - shown).max() <= 2
    cells = placeholder_cells(placed(picture, "", "kitty", (0, 0), (0, 0, 0), 1, part).encode())
    assert len(cells) == 3 * 16 and list(dict.fromkeys(row for row, _ in cells)) == ["\u030e", "\u0310", "\u0312"]


def test_a_photograph_with_many_colours_stays_recognisable_as_sixel() -> None:
    rng = np.random.default_rng(7)
    smooth = rng.integers(0, 256, (4, 4, 3)).repeat(16, 0).repeat(16, 1)
    photograph = (smooth + rng.integers(-20, 20, smooth.shape)).clip(0, 255).astype(np.uint8)
    picture = picture_of(photograph.tobytes(), 64, 64, 3)
    shown = sixel_picture(SIXEL.search(encoded(picture, "sixel", CELL).encode())[1])  # type: ignore[index]
    assert np.abs(enlarged(photograph, shown.shape).astype(int) - shown).mean() < 12


def test_the_cursor_is_left_where_it_was(pixels: np.ndarray) -> None:
    picture = picture_of(pixels.tobytes(), 28, 28, 3)
    for protocol in ("kitty", "iterm", "sixel"):
        sent = placed(picture, encoded(picture, protocol, CELL), protocol, (0, 0), (1, 2, 3), 1)
        assert sent.startswith("\x1b7") and sent.endswith("\x1b8"), "saved and restored, with its colours"


# ---- characters instead ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("colours", "encoding", "ramp"),
    [("standard", "block", " ░▒▓█"), (None, "braille", " ░▒▓█"), ("truecolor", "ascii", " .:-=+*#%@")],
)
def test_without_colours_a_picture_is_readable_by_its_shades(colours, encoding: str, ramp: str) -> None:
    """From black on the left to white on the right every shade comes once, in order."""
    columns = np.arange(256, dtype=np.uint8)[None, :].repeat(16, 0)
    picture = picture_of(columns.tobytes(), 256, 16, 1)
    lines = [line.plain for line in block_rows(picture, marks_for(colours, encoding))]
    assert len(lines) == 8 and set(map(len, lines)) == {16} and len(set(lines)) == 1
    assert "".join(dict.fromkeys(lines[0])) == ramp


def test_half_blocks_show_two_pixels_per_cell() -> None:
    """Upper pixel in front, lower behind: the left half is white above black."""
    image = np.zeros((16, 16), np.uint8)
    image[::2, :8] = 255
    line = block_rows(picture_of(image.tobytes(), 16, 16, 1), marks_for("256", "braille"))[0]
    assert line.plain == "▀" * 16
    styles = [span.style for span in line.spans]
    assert styles[0].color.triplet == (255, 255, 255) and styles[0].bgcolor.triplet == (0, 0, 0)
    assert styles[-1].color.triplet == (0, 0, 0)


# ---- which graphics a terminal has ----------------------------------------------------------------------------------

SIXELS = frozenset({"63", "4"})
KITTY_IN_TMUX = TmuxClient("kitty(0.35.2)", frozenset({"RGB"}), passes_through=True)


@pytest.mark.parametrize(
    ("name", "attributes", "environment", "tmux", "expected"),
    [
        ("kitty(0.35.2)", {"62"}, {}, None, "kitty"),
        ("kitty(0.27.1)", {"62"}, {}, None, "blocks"),  # it cannot place pictures by text
        ("ghostty 1.1.0", {"62"}, {}, None, "kitty"),
        ("WezTerm 20240203", SIXELS, {}, None, "sixel"),  # it knows kitty's protocol, but not that
        ("XTerm(390)", SIXELS, {}, None, "sixel"),
        ("XTerm(390)", {"64"}, {}, None, "blocks"),
        ("iTerm2 3.5.0", SIXELS, {}, None, "iterm"),
        ("", SIXELS, {"LC_TERMINAL": "iTerm2"}, None, "iterm"),
        ("", None, {}, None, "blocks"),
        ("XTerm(390)", SIXELS, {"NO_COLOR": "1"}, None, "blocks"),
        ("tmux 3.4", SIXELS, {"TMUX": "/tmp/x"}, TmuxClient("XTerm(390)", frozenset({"sixel"})), "sixel"),
        ("tmux 3.4", SIXELS, {"TMUX": "/tmp/x"}, TmuxClient("foo", frozenset({"RGB"})), "blocks"),
        ("tmux 3.4", SIXELS, {"TMUX": "/tmp/x"}, None, "blocks"),
        ("tmux 3.4", SIXELS, {}, None, "blocks"),  # behind SSH: tmux would draw a frame of text
        ("tmux 3.3a", {"1"}, {"TMUX": "/tmp/x"}, KITTY_IN_TMUX, "kitty"),
        ("tmux 3.3a", {"1"}, {"TMUX": "/tmp/x"}, TmuxClient("kitty(0.35.2)", frozenset({"RGB"})), "blocks"),
        ("kitty(0.35.2)", {"62"}, {"TMUX": "/tmp/x"}, None, "blocks"),
    ],
)
def test_the_protocol_follows_from_what_the_terminal_says_it_is(name, attributes, environment, tmux, expected) -> None:
    terminal = Terminal(name, None if attributes is None else frozenset(attributes), CELL)
    assert decided("auto", terminal, environment, tmux) == expected


def test_a_terminal_that_does_not_say_how_large_its_cells_are_gets_no_sixels() -> None:
    assert decided("auto", Terminal("XTerm(390)", SIXELS, None), {}) == "blocks"


@pytest.mark.parametrize("setting", ["kitty", "iterm", "sixel", "blocks", "off"])
def test_the_setting_overrules_what_the_terminal_says(setting: str) -> None:
    for terminal in (Terminal(), Terminal("kitty(0.35.2)", frozenset({"62"}), CELL)):
        assert decided(setting, terminal, {"NO_COLOR": "1", "TMUX": "/tmp/x"}) == setting


@pytest.mark.parametrize(
    ("values", "expected", "warnings"),
    [
        ({}, "auto", 0),
        ({"pictures": "sixel"}, "sixel", 0),
        ({"pictures": False}, "off", 0),  # as YAML reads `off`
        ({"pictures": True}, "auto", 0),
        ({"pictures": "ansi"}, "auto", 1),
        ({"pictures": ["sixel"]}, "auto", 1),
    ],
)
def test_the_setting_is_read_and_a_wrong_one_named(values: dict[str, object], expected: str, warnings: int) -> None:
    settings = settings_of(values)
    assert settings.pictures == expected and len(settings.warnings) == warnings
    assert all("auto, kitty, iterm, sixel, blocks or off" in warning for warning in settings.warnings)


@pytest.mark.parametrize(
    ("setting", "environment", "asked"),
    [
        ("auto", {"TERM": "xterm-256color"}, True),
        ("sixel", {"TERM": "xterm-256color"}, True),  # how large is a cell?
        ("off", {"TERM": "xterm-256color"}, False),
        ("blocks", {"TERM": "xterm-256color"}, False),
        ("auto", {"TERM": "linux"}, False),
        ("auto", {}, False),
        ("auto", {"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, False),
    ],
)
def test_only_a_terminal_that_understands_questions_is_asked(setting, environment, asked: bool) -> None:
    assert queries_for(setting, environment) == (QUERIES if asked else "")


# ---- answers among keys ---------------------------------------------------------------------------------------------


def read(*parts: str, answers: bool = True) -> tuple[Terminal, list[str]]:
    """What the driver's parser makes of reads of these texts: the terminal, and the keys."""
    parser = Keys(answers=answers)
    terminal, keys = Terminal(), []
    for part in parts:
        for message in [*parser.feed(part), *parser.tick()]:
            if isinstance(message, TerminalAnswered):
                terminal = message.terminal
            elif isinstance(message, events.Key):
                keys.append(message.key)
    return terminal, keys


def test_answers_are_taken_out_of_the_keys_wherever_a_read_ends() -> None:
    """As a slow line brings them: in two parts, cut anywhere, keys before and after."""
    typed = f"a{ANSWERS}\x1b[Bq"
    expected = Terminal("XTerm(390)", frozenset({"63", "1", "2", "4", "22"}), (10, 20))
    for cut in range(1, len(typed)):
        assert read(typed[:cut], typed[cut:]) == (expected, ["a", "down", "q"]), repr(typed[:cut])


def test_a_late_answer_is_taken_out_as_well() -> None:
    """Long after the question, and although nothing was asked."""
    assert read("j", ANSWERS, "k", answers=False)[1] == ["j", "k"]
    assert read("j\x1b[6;2", "0;10tk", answers=False) == (Terminal(cell=(10, 20)), ["j", "k"])


def test_keys_that_begin_as_answers_do_are_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal_module, "KEY_PATIENCE", 0.0)
    assert read("\x1b[6~", "\x1b[6", "~", "\x1b[5~")[1] == ["pagedown", "pagedown", "pageup"]
    assert read("\x1b[A", "\x1b", "[A")[1] == ["up", "up"]


def test_an_escape_key_is_held_back_a_moment_only_while_answers_are_expected() -> None:
    answers = Answers(expected=True)
    assert answers.without("\x1b") == "" and answers.released() == ""
    deadline = time.monotonic() + 10
    while not (released := answers.released()):
        assert time.monotonic() < deadline
    assert released == "\x1b"
    answers.without(ANSWERS)
    assert answers.without("\x1b") == "\x1b", "all have come"
    assert Answers(expected=False).without("\x1b") == "\x1b"
