"""What a terminal would show of the graphics it is sent: from the protocols' descriptions, not from the encoders."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
from PIL import Image

KITTY = re.compile(rb"\x1b_G([^;\x1b]*);?([^\x1b]*)\x1b\\")
PASSED_ON = re.compile(rb"\x1bPtmux;((?:\x1b\x1b|[^\x1b])*)\x1b\\")
ITERM = re.compile(rb"\x1b\]1337;File=([^:]*):([A-Za-z0-9+/=]*)\x07")
SIXEL = re.compile(rb"\x1bP[\d;]*q([^\x1b]*)\x1b\\")
CELL = re.compile(r"\U0010eeee([\u0300-\U0001ffff])([\u0300-\U0001ffff])")
COLOUR = re.compile(rb"\x1b\[38;2;(\d+);(\d+);(\d+)m")


def kitty_pictures(sent: bytes) -> dict[int, np.ndarray]:
    """uint8 [H, W, 3] by the picture's number: the chunks of each message are joined."""
    found: dict[int, np.ndarray] = {}
    number, payload = 0, b""
    for fields, chunk in KITTY.findall(sent):
        values = dict(part.split(b"=") for part in fields.split(b",") if part)
        if values.get(b"a") == b"T":
            assert values[b"f"] == b"100" and values[b"U"] == b"1", "a PNG, placed by text"
            number, payload = int(values[b"i"]), b""
        elif b"a" in values:
            continue
        payload += chunk
        assert len(chunk) <= 4096
        if values[b"m"] == b"0":
            found[number] = decoded(payload)
    return found


def decoded(payload: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(payload, validate=True))).convert("RGB"))


def without_tmux(sent: bytes) -> bytes:
    """What tmux passes on, where it may, and the rest as it is."""
    return PASSED_ON.sub(lambda found: found[1].replace(b"\x1b\x1b", b"\x1b"), sent)


def sixel_picture(body: bytes) -> np.ndarray:
    """uint8 [H, W, 3] of the body of a sixel sequence; -1 elsewhere would be a hole, which no picture has."""
    width, height = map(int, re.match(rb'"1;1;(\d+);(\d+)', body).groups())  # type: ignore[union-attr]
    colours = {
        int(number): tuple(round(int(part) * 255 / 100) for part in parts)
        for number, *parts in re.findall(rb"#(\d+);2;(\d+);(\d+);(\d+)", body)
    }
    found = np.full((height + 6, width, 3), -1, np.int16)
    x = y = colour = 0
    drawing = re.sub(rb"#\d+;2;\d+;\d+;\d+", b"", body[body.index(b"#") :])
    for number, repeat, letter in re.findall(rb"#(\d+)|(?:!(\d+))?([?-~$-])", drawing):
        if number:
            colour = int(number)
        elif letter == b"$":
            x = 0
        elif letter == b"-":
            x, y = 0, y + 6
        else:
            times = int(repeat or 1)
            assert x + times <= width
            for bit in range(6):
                if (letter[0] - 63) >> bit & 1:
                    found[y + bit, x : x + times] = colours[colour]
            x += times
    assert (found[height:] == -1).all(), "nothing below the picture"
    assert (found[:height] >= 0).all(), "no holes"
    return found[:height].astype(np.uint8)


def placeholder_cells(sent: bytes) -> list[tuple[str, str]]:
    """The marks (row, column) of every cell that shows a part of a kitty picture, as they were written."""
    return CELL.findall(sent.decode(errors="replace"))


def enlarged(pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Each pixel repeated: the nearest one of the middle of every new one."""
    rows, columns = (
        (2 * np.arange(side) + 1) * given // (2 * side) for side, given in zip(shape[:2], pixels.shape[:2], strict=True)
    )
    return pixels[rows][:, columns]
