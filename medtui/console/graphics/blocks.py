"""A picture in characters, for terminals without graphics: half blocks, shades, or ASCII only."""

from __future__ import annotations

from typing import Literal

from rich.color import Color
from rich.style import Style
from rich.text import Text

from medtui.console.graphics.picture import Picture

Marks = Literal["half", "shades", "ascii"]

RAMPS = {"shades": " ░▒▓█", "ascii": " .:-=+*#%@"}  # from black to white
ON_BLACK = Style(color="white", bgcolor="black")  # in either theme: white is white


def marks_for(colours: str | None, encoding: str) -> Marks:
    """By Rich's name of the colours, and what the terminal's encoding has (`braille`, `block` or `ascii`)."""
    if encoding == "ascii":
        return "ascii"
    return "half" if colours in ("truecolor", "256") else "shades"  # 16 colours are too few for a photograph


def block_rows(picture: Picture, marks: Marks) -> list[Text]:
    """One text per row of cells."""
    return [
        _half(picture, row) if marks == "half" else _ramp(picture, row, RAMPS[marks]) for row in range(picture.rows)
    ]


def _pixel(picture: Picture, line: int, column: int) -> bytes:
    start = 3 * (line * picture.columns + column)
    return picture.cells[start : start + 3]


def _half(picture: Picture, row: int) -> Text:
    """Upper half block: the foreground is the upper pixel, the background the lower one."""
    text = Text()
    for column in range(picture.columns):
        upper, lower = (_pixel(picture, 2 * row + half, column) for half in (0, 1))
        text.append("▀", Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower)))
    return text


def _ramp(picture: Picture, row: int, ramp: str) -> Text:
    """By the mean of both pixels, as bright as it looks (ITU-R BT.601 luma)."""
    letters = []
    for column in range(picture.columns):
        red, green, blue = (
            sum(_pixel(picture, 2 * row + half, column)[colour] for half in (0, 1)) / 2 for colour in range(3)
        )
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        letters.append(ramp[min(len(ramp) - 1, int(luma * len(ramp) / 256))])
    return Text("".join(letters), ON_BLACK)
