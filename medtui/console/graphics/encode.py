"""Pictures as terminals take them: kitty's graphics protocol, iTerm2's inline images, sixel.

All are used alike: the cells of a picture are cleared, and the picture is put over them. Text that is written there
later takes it away again.
"""

from __future__ import annotations

import base64
import io
import re
from functools import cache
from typing import TYPE_CHECKING

from medtui.console.graphics.picture import Colour, Picture
from medtui.console.graphics.terminal import ASSUMED_CELL, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image

CHUNK = 4096  # characters of base64 in one message, as kitty's protocol has it
COLOURS = 256  # of a sixel picture
BAND = 6  # lines of pixels that sixel draws at once

_PLACEHOLDER = "\U0010eeee"
# The first of kitty's rowcolumn-diacritics.txt: the nth combining mark is the number n
_CODES = (
    "305 30d 30e 310 312 33d 33e 33f 346 34a 34b 34c 350 351 352 357 35b 363 364 365 366 367 368 369 36a 36b 36c "
    "36d 36e 36f 483 484 485 486 487 592 593 594 595 597 598 599 59c 59d 59e 59f 5a0 5a1 5a8 5a9 5ab 5ac 5af 5c4 "
    "610 611 612 613 614 615 616 617 657 658 659 65a 65b 65d 65e 6d6 6d7 6d8 6d9 6da 6db 6dc 6df 6e0 6e1 6e2 6e4 "
    "6e7 6e8 6eb 6ec 730 732 733 735 736 73a 73d 73f 740 741 743 745 747 749 74a 7eb 7ec 7ed 7ee 7ef 7f0 7f1 7f3 "
    "816 817 818 819 81b 81c 81d 81e 81f 820 821 822 823 825 826 827 829 82a 82b 82c 82d 951 953 954 "
)
_NUMBERS = "".join(chr(int(code, 16)) for code in _CODES.split())
MOST_CELLS = len(_NUMBERS)  # columns or rows of a picture


def encoded(
    picture: Picture, protocol: Protocol, cell: tuple[int, int] | None, part: tuple[int, int] | None = None
) -> str:
    """What is sent of a picture once it is known where, for `placed`. May take some 50 ms: not for an event loop.

    part: the first row and the number of rows that are in sight; None is all. kitty has whole pictures in its memory.
    """
    width, height = cell or ASSUMED_CELL
    room = picture.columns * width, picture.rows * height
    if protocol == "sixel" and part is None:
        room = room[0], max(BAND, room[1] // BAND * BAND)
    image = _scaled(picture, room)
    if part is not None:
        image = image.crop((0, part[0] * height, image.width, max(1, (part[0] + part[1]) * height)))
    if protocol == "sixel":
        return sixels(image.crop((0, 0, image.width, max(BAND, image.height // BAND * BAND))))
    return base64.b64encode(_png(image)).decode()


def placed(
    picture: Picture,
    payload: str,
    protocol: Protocol,
    at: tuple[int, int],
    background: Colour,
    number: int = 0,
    part: tuple[int, int] | None = None,
) -> str:
    """A picture, or a part of it, at a position, column and row from 0; the cursor and its colours stay as they are.

    number: of the picture for kitty, which was sent before with `transmitted`.
    """
    first, rows = part or (0, picture.rows)
    text = ["\x1b7", "\x1b[0;48;2;{};{};{}m".format(*background)]
    if protocol == "kitty":
        text.append("\x1b[38;2;{};{};{}m".format(*number.to_bytes(3)))
        lines = _placeholders(picture)[first : first + rows]
        text += [f"{_moved(at, row)}{line}" for row, line in enumerate(lines)]
    else:
        text += [f"{_moved(at, row)}{' ' * picture.columns}" for row in range(rows)]
        text.append(_moved(at, 0))
        text.append(payload if protocol == "sixel" else _inline(picture.columns, rows, payload))
    return "".join([*text, "\x1b8"])


def _moved(at: tuple[int, int], down: int) -> str:
    return f"\x1b[{at[1] + down + 1};{at[0] + 1}H"


# ---- kitty ----------------------------------------------------------------------------------------------------------


def transmitted(picture: Picture, payload: str, number: int, *, in_tmux: bool) -> str:
    """The picture to kitty's memory, to be shown where its placeholders are written. number: 1 … 2**24 - 1."""
    chunks = [payload[start : start + CHUNK] for start in range(0, len(payload), CHUNK)]
    messages = []
    for at, chunk in enumerate(chunks):
        more = int(at < len(chunks) - 1)
        first = f"a=T,U=1,f=100,t=d,i={number},c={picture.columns},r={picture.rows}," if at == 0 else ""
        messages.append(f"\x1b_G{first}q=2,m={more};{chunk}\x1b\\")
    return "".join(_through_tmux(message) if in_tmux else message for message in messages)


def deleted(number: int, *, in_tmux: bool) -> str:
    """Free the memory of a picture."""
    message = f"\x1b_Ga=d,d=I,i={number},q=2\x1b\\"
    return _through_tmux(message) if in_tmux else message


def _through_tmux(message: str) -> str:
    return f"\x1bPtmux;{message.replace(chr(27), chr(27) * 2)}\x1b\\"


def _placeholders(picture: Picture) -> list[str]:
    """One text per row: each cell names its row and its column of the picture."""
    columns = _NUMBERS[: picture.columns]
    return ["".join(f"{_PLACEHOLDER}{row}{column}" for column in columns) for row in _NUMBERS[: picture.rows]]


# ---- iTerm2 ---------------------------------------------------------------------------------------------------------


def _inline(columns: int, rows: int, payload: str) -> str:
    size = len(payload) * 3 // 4 - payload.count("=")
    place = f"width={columns};height={rows};preserveAspectRatio=1;doNotMoveCursor=1"
    return f"\x1b]1337;File=inline=1;size={size};{place}:{payload}\x07"


# ---- pixels ---------------------------------------------------------------------------------------------------------


def _scaled(picture: Picture, room: tuple[int, int]) -> Image:
    """Within `room` pixels. Enlarged, its pixels stay pixels: what is shown is what the model sees."""
    from PIL import Image

    scale = min(room[0] / picture.width, room[1] / picture.height)
    size = max(1, int(picture.width * scale)), max(1, int(picture.height * scale))
    smooth = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS
    return picture.image().resize(size, smooth)


def _png(image: Image) -> bytes:
    content = io.BytesIO()
    image.save(content, format="PNG", compress_level=6)
    return content.getvalue()


# ---- sixel ----------------------------------------------------------------------------------------------------------

_REPEATED = re.compile(r"(.)\1{3,}")


def sixels(image: Image) -> str:
    """An RGB image in at most 256 colours, its pixels as they are (DEC STD 070, chapter 9)."""
    from PIL import Image

    image = image.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    data, (width, height), palette = image.tobytes(), image.size, image.getpalette() or []
    parts = [f'\x1bP0;1;0q"1;1;{width};{height}']
    for number in sorted(set(data)):
        red, green, blue = (round(value * 100 / 255) for value in palette[3 * number : 3 * number + 3])
        parts.append(f"#{number};2;{red};{green};{blue}")
    for top in range(0, height, BAND):
        lines = [data[y * width : (y + 1) * width] for y in range(top, min(top + BAND, height))]
        parts.append("$".join(f"#{number}{_band(lines, number)}" for number in sorted(set(b"".join(lines)))))
        parts.append("-")
    parts[-1] = "\x1b\\"
    return "".join(parts)


def _band(lines: list[bytes], number: int) -> str:
    """Where one colour is in up to six lines: a bit per line in every byte, all bytes of a line at once."""
    bits = 0
    for at, line in enumerate(lines):
        bits |= int.from_bytes(line.translate(_chosen(number))) << at
    width = len(lines[0])
    drawn = bits + int.from_bytes(b"?" * width)
    text = drawn.to_bytes(width).decode("ascii").rstrip("?")
    return _REPEATED.sub(lambda run: f"!{len(run[0])}{run[1]}", text)


@cache
def _chosen(number: int) -> bytes:
    """A table for `bytes.translate`: 1 for this byte, 0 for every other."""
    return bytes(value == number for value in range(256))
