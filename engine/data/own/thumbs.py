"""Small grey images by which duplicates are found, in whole numbers: the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

SIDE = 16  # pixels
_ONE = 1024  # of a weight
_GREY = (77, 150, 29)  # of red, green and blue, by 256


def inner_of(squares: np.ndarray) -> np.ndarray:
    """int64 [N, 2]: height and width of what is in squares between two black bars, as `pictures` pads oblong images.

    squares: [N, S, S] or [N, S, S, C]. Black on all four sides is no padding: it is of the picture.
    """
    side = squares.shape[1]
    drawn: np.ndarray = squares.max(axis=3) > 0 if squares.ndim == 4 else squares > 0
    heights, widths = _centred_lengths(drawn.max(axis=2)), _centred_lengths(drawn.max(axis=1))
    found = np.stack([heights, widths], axis=1)
    found[(found < side).all(axis=1)] = side
    return found


def _centred_lengths(drawn: np.ndarray) -> np.ndarray:
    """int64 [N]: the smallest centred length that holds all that is drawn of bool [N, S]; S without two bars."""
    side = drawn.shape[1]
    first, after = drawn.argmax(axis=1), side - drawn[:, ::-1].argmax(axis=1)
    lengths = np.arange(1, side + 1)
    starts = (side - lengths) // 2
    fits = (starts <= first[:, None]) & (starts + lengths >= after[:, None])
    return np.where((first > 0) & (after < side), lengths[fits.argmax(axis=1)], side)


def thumbs_of(pixels: Sequence[np.ndarray], inner: Sequence[tuple[int, int]]) -> np.ndarray:
    """uint8 [N, 256] of squares, uint8 [S, S] or [S, S, 3] or uint16 [S, S], of their inner part of height × width."""
    thumbs = np.zeros((len(pixels), SIDE * SIDE), np.uint8)
    alike: dict[tuple[int, int, str, tuple[int, int]], list[int]] = {}
    for number, (image, part) in enumerate(zip(pixels, inner, strict=True)):
        alike.setdefault((image.shape[0], image.ndim, image.dtype.char, part), []).append(number)
    for (side, _, _, (height, width)), numbers in alike.items():  # many at once
        top, left = (side - height) // 2, (side - width) // 2
        values = np.stack([pixels[number] for number in numbers])[:, top : top + height, left : left + width]
        thumbs[numbers] = _small(_grey(values)).reshape(len(numbers), -1)
    return thumbs


def _grey(values: np.ndarray) -> np.ndarray:
    """float64 [N, H, W] of whole numbers up to 255 × 256; of more than 8 bits by each image's own maximum."""
    if values.ndim == 4:  # whole numbers below 2**24, which float32 holds exactly
        return (values.astype(np.float32) @ np.array(_GREY, np.float32)).astype(np.float64)
    if values.dtype == np.uint8:
        return values.astype(np.float64) * 256
    highest = np.maximum(values.max(axis=(1, 2), keepdims=True), 1).astype(np.int64)
    return (values.astype(np.int64) * 255 // highest).astype(np.float64) * 256


def _small(grey: np.ndarray) -> np.ndarray:
    """uint8 [N, 16, 16]: sums of whole numbers below 2**53, which float64 holds exactly in any order."""
    rows, columns = _weights(grey.shape[1]), _weights(grey.shape[2])
    sums = (rows @ grey @ columns.T).astype(np.int64)  # to divide them: several times faster than as float64
    scale = (rows.sum(axis=1)[:, None] * columns.sum(axis=1)[None, :] * 256).astype(np.int64)
    found: np.ndarray = ((2 * sums + scale) // (2 * scale)).astype(np.uint8)
    return found


@cache
def _weights(side: int) -> np.ndarray:
    """float64 [16, side] of whole numbers: a triangle over each output pixel, as wide as antialiasing needs."""
    scale = side / SIDE
    support = max(scale, 1.0)
    centres = (np.arange(SIDE) + 0.5) * scale
    distance = np.abs(np.arange(side)[None, :] + 0.5 - centres[:, None])
    found: np.ndarray = np.rint(np.clip(1 - distance / support, 0, None) * _ONE)
    return found
