"""One image that is to be shown, and how many cells it takes."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

COLUMNS, ROWS = 16, 8  # cells of a small picture, which are about twice as high as wide
MOST_PIXELS = 32 * 1024 * 1024  # of a file; a figure of ours has about two million

Colour = tuple[int, int, int]  # red, green, blue; 0 … 255


@dataclass(frozen=True)
class Picture:
    """Pixels, and the cells to show them in. Made by `picture_of` or `picture_from_png`."""

    width: int  # pixels
    height: int  # pixels
    data: bytes = field(repr=False, compare=False)  # uint8 [H, W, 3]
    columns: int  # cells
    rows: int  # cells
    cells: bytes = field(repr=False, compare=False)  # uint8 [2 × rows, columns, 3], for two pixels per cell
    key: bytes  # equal pixels in as many cells have equal keys

    def image(self) -> Image:
        """As Pillow has it, RGB."""
        from PIL import Image

        return Image.frombytes("RGB", (self.width, self.height), self.data)


def picture_of(data: bytes, width: int, height: int, channels: int) -> Picture:
    """Of uint8 [H, W] or [H, W, 3], in `COLUMNS` × `ROWS` cells. Raises ValueError for another number of bytes."""
    from PIL import Image

    image = Image.frombytes("L" if channels == 1 else "RGB", (width, height), data).convert("RGB")
    return _picture(image, COLUMNS, ROWS)


def picture_from_png(content: bytes, columns: int, rows: int, cell: tuple[int, int]) -> Picture | None:
    """A figure, as large as `columns` × `rows` cells of `cell` pixels allow; None for what is no figure."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                return None
            image = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, MemoryError):
        return None
    return _picture(image, *_fitting(image.size, columns, rows, cell))


def _fitting(size: tuple[int, int], columns: int, rows: int, cell: tuple[int, int]) -> tuple[int, int]:
    """The cells that an image of `size` pixels fills, within these; never more than its own pixels."""
    scale = min(columns * cell[0] / size[0], rows * cell[1] / size[1], 1.0)
    fitted = [round(pixels * scale / side) for pixels, side in zip(size, cell, strict=True)]
    return max(1, min(columns, fitted[0])), max(1, min(rows, fitted[1]))


def _picture(image: Image, columns: int, rows: int) -> Picture:
    from PIL import Image

    data = image.tobytes()
    cells = image.resize((columns, 2 * rows), Image.Resampling.BOX).tobytes()  # each the mean of what it covers
    key = blake2b(f"{image.size} {columns} {rows}".encode() + data, digest_size=16).digest()
    return Picture(*image.size, data, columns, rows, cells, key)
