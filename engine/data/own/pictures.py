"""One image file, from its bytes to a square of `size` pixels. By Pillow and numpy, which is all that workers import
until one meets a DICOM file."""

from __future__ import annotations

import io
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from engine.data.own.dicom import NotShown, first_frame, is_dicom, opened, size_of

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
MOST_PIXELS = 100_000_000  # of one image: 300 MB in RGB, while it is decoded
MOST_BYTES = 1024**3  # of one file
OBLONG = 1.05  # the longer side by the shorter one
WIDE = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_ORIENTATION = 0x0112  # EXIF

Image.MAX_IMAGE_PIXELS = None  # `MOST_PIXELS` is checked before anything is decoded, and named in our words


class Unreadable(Exception):
    """Not an image, or damaged; the text says what, for the summary."""


class Picture(NamedTuple):  # which is made for each of a hundred thousand images
    """pixels: uint8 [S, S] or [S, S, 3], or uint16 [S, S] when it has more than 8 bits."""

    pixels: np.ndarray
    inner: tuple[int, int]  # height and width without padding
    digest: str  # of these pixels, and of the size that it had
    width: int  # pixels, upright
    height: int
    bits: int  # per channel
    notes: tuple[str, ...]


def decode(content: bytes, size: int, fit: str) -> Picture:
    """An image file's picture. Raises Unreadable."""
    try:
        return _decoded(content, size, fit)
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable("not an image in a known format") from None
    except MemoryError:
        raise Unreadable("needs too much memory") from None
    except Exception as error:  # of a damaged file, decoders raise anything
        reason = " ".join(str(error).split())[:80]
        raise Unreadable(f"damaged: {reason or type(error).__name__}") from None


def _decoded(content: bytes, size: int, fit: str) -> Picture:
    if is_dicom(content):
        return _of_dicom(content, size, fit)
    with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
        image: Image.Image = opened
        _check_pixels(image.width, image.height)
        notes = []
        if getattr(image, "is_animated", False):
            notes.append("several frames or pages, of which the first is used")
        turned = _is_turned(image)
        image.load()
        if turned or _is_turned(image):  # a PNG may say so after its pixels
            notes.append("turned upright by EXIF")
            image = ImageOps.exif_transpose(image)
        if image.mode in WIDE:
            return picture_of_wide(np.asarray(image), size, fit, notes)
        return _picture(_plain(image, notes), size, fit, notes)


def _of_dicom(content: bytes, size: int, fit: str) -> Picture:
    try:
        dataset = opened(content)
        _check_pixels(*size_of(dataset))
        pixels, notes = first_frame(dataset)
    except NotShown as why:
        raise Unreadable(str(why)) from None
    return _picture(Image.fromarray(pixels), size, fit, notes)


def _is_turned(image: Image.Image) -> bool:
    """Is its EXIF orientation another than upright?"""
    has_exif = image.format == "TIFF" or "exif" in image.info or "Raw profile type exif" in image.info
    return has_exif and image.getexif().get(_ORIENTATION, 1) not in (0, 1)


def _check_pixels(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise Unreadable(f"has {width:,} × {height:,} pixels, more than {MOST_PIXELS // 1_000_000} million")


def _plain(image: Image.Image, notes: list[str]) -> Image.Image:
    """Grey or RGB; what is transparent is black."""
    if image.mode == "F":
        raise Unreadable("has floating-point values: save it with 8 or 16 bits")
    if image.mode in ("L", "RGB") and "transparency" not in image.info:  # most are
        return image
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if np.asarray(image)[..., 3].min() < 255:
            notes.append("transparent, on black")
            image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
        return image.convert("RGB")
    return image.convert("L" if image.mode == "1" else "RGB")


def _picture(image: Image.Image, size: int, fit: str, notes: list[str]) -> Picture:
    """Of a grey or an RGB image."""
    small = resized(image, size, fit)
    shape = (small.height, small.width) if small.mode == "L" else (small.height, small.width, 3)
    return _complete(np.frombuffer(small.tobytes(), np.uint8).reshape(shape), image.size, size, 8, notes)


def _complete(pixels: np.ndarray, before: tuple[int, int], size: int, bits: int, notes: list[str]) -> Picture:
    """`before`: width and height of the image."""
    digest = blake2b(f"{pixels.dtype.char} {pixels.shape} {before} ".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    inner = (pixels.shape[0], pixels.shape[1])
    return Picture(_squared(pixels, size), inner, digest.hexdigest(), *before, bits, _noted(before, notes))


def picture_of_array(array: np.ndarray, size: int, fit: str) -> Picture:
    """array: uint8 [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], or uint16 [H, W]. Raises Unreadable."""
    _check_pixels(array.shape[1], array.shape[0])
    plain = np.ascontiguousarray(array[..., 0] if array.shape[2:] == (1,) else array)
    if plain.dtype != np.uint8:
        return picture_of_wide(plain, size, fit, [])
    notes: list[str] = []
    return _picture(_plain(Image.fromarray(plain), notes), size, fit, notes)


def picture_of_wide(values: np.ndarray, size: int, fit: str, notes: list[str]) -> Picture:
    """Of values with up to 16 bits. Raises Unreadable for others."""
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 or highest > 65535:
        raise Unreadable(f"has values from {lowest} to {highest}: save it with 8 or 16 bits")
    image = Image.fromarray(values.astype(np.float32))
    pixels = np.clip(np.rint(np.asarray(resized(image, size, fit))), 0, 65535).astype(np.uint16)
    return _complete(pixels, image.size, size, max(8, highest.bit_length()), notes)


def resized(image: Image.Image, size: int, fit: str) -> Image.Image:
    """Antialiased, to `size` pixels: the longer side with `pad`, both else."""
    width, height = image.size
    box, target = (0.0, 0.0, float(width), float(height)), (size, size)
    if fit == "pad":
        longer = max(width, height)
        target = (max(1, round(width * size / longer)), max(1, round(height * size / longer)))
    elif fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    if image.size == target and box == (0, 0, *target):
        return image
    return image.resize(target, Image.Resampling.BICUBIC, box=box)


def _squared(pixels: np.ndarray, size: int) -> np.ndarray:
    """Centred on black, where it is not square already."""
    height, width = pixels.shape[:2]
    if (height, width) == (size, size):
        return pixels
    square = np.zeros((size, size, *pixels.shape[2:]), pixels.dtype)
    top, left = (size - height) // 2, (size - width) // 2
    square[top : top + height, left : left + width] = pixels
    return square


def _noted(size: tuple[int, int], notes: list[str]) -> tuple[str, ...]:
    oblong = max(size) > OBLONG * min(size)
    return (*notes, "oblong") if oblong else tuple(notes)
