"""Images that are the same, exactly or nearly: re-encoded, resized, brighter, mirrored. Pure.

Three steps, in whole numbers that are held exactly, so that every machine finds the same: a perceptual hash of 64
values (the image at 8 × 8, grey, without its mean and contrast) finds candidates by their scalar product; the
correlation at 16 × 16 must be high, and must stay high without what all images of the set have in common. (Two eyes, or
two chests, correlate at 0.99 by being an eye and a chest.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engine.data.own.thumbs import SIDE

LENGTH = 2000  # of a hash as a vector: products stay below 2**24
CANDIDATE = 0.98  # cosine of two hashes, at least
SAME = 0.99  # correlation of two images at 16 × 16, at least
ALONE = 0.98  # their partial correlation given the mean of all images, at least
ENOUGH = 32  # images; the mean of fewer says too much of each
VERSION = 2  # of these rules
BLOCK, COLUMNS = 2048, 8192  # hashes that are compared with each other at once: 64 MB of products

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Duplicates:
    """Sets of images that are the same, by number; each has two or more."""

    digests: Sequence[str]  # of each image's pixels
    sets: list[list[int]]

    @property
    def exact(self) -> int:
        """Images with the same pixels as one before them."""
        return sum(len(members) - len({self.digests[number] for number in members}) for members in self.sets)

    @property
    def near(self) -> int:
        """Images that are nearly the same as one before them, and not exactly."""
        return sum(len(members) - 1 for members in self.sets) - self.exact

    def among(self, numbers: Sequence[int]) -> Duplicates:
        """Of these images alone, by their positions here."""
        position = {number: at for at, number in enumerate(numbers)}
        sets = [[position[number] for number in members if number in position] for members in self.sets]
        return Duplicates([self.digests[number] for number in numbers], [found for found in sets if len(found) > 1])


def find_duplicates(
    digests: Sequence[str], thumbs: np.ndarray, on_progress: OnProgress = lambda done, total: None
) -> Duplicates:
    """digests: of all pixels; thumbs: uint8 [N, 256], grey, of the same images."""
    first: dict[str, int] = {}
    original = [first.setdefault(digest, number) for number, digest in enumerate(digests)]
    parents = list(original)
    distinct = np.array([number for number, of in enumerate(original) if number == of], dtype=np.int64)
    for one, other in _near_pairs(distinct, thumbs, on_progress):
        roots = sorted((_root(parents, one), _root(parents, other)))
        if roots[0] != roots[1]:
            parents[roots[1]] = roots[0]
    members: dict[int, list[int]] = {}
    for number in range(len(digests)):
        members.setdefault(_root(parents, number), []).append(number)
    return Duplicates(digests, [found for found in members.values() if len(found) > 1])


def _root(parents: list[int], number: int) -> int:
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number


def hashes(thumbs: np.ndarray) -> np.ndarray:
    """float32 [N, 64] of whole numbers, of uint8 [N, 16, 16]: without mean, of equal length; zeros for one colour."""
    n, half = len(thumbs), SIDE // 2
    values = thumbs.astype(np.int64).reshape(n, half, 2, half, 2).sum(axis=(2, 4)).reshape(n, half * half)
    values = values * (half * half) - values.sum(axis=1, keepdims=True)
    lengths = np.sqrt((values**2).sum(axis=1, keepdims=True).astype(np.float64))
    found: np.ndarray = np.rint(values * (LENGTH / np.maximum(lengths, 1.0))).astype(np.float32)
    return found


def _near_pairs(numbers: np.ndarray, thumbs: np.ndarray, on_progress: OnProgress) -> Iterator[tuple[int, int]]:
    """Pairs of images that are nearly the same, also when one of them is mirrored."""
    plain = thumbs[numbers].reshape(len(numbers), SIDE, SIDE)
    own, mean = hashes(plain), _mean(plain)
    for axes in ((), (2,), (1,)):  # as it is, left and right swapped, upside down
        mirrored = np.flip(plain, axes)
        for left, right in _candidates(own, hashes(mirrored), lambda done: on_progress(done, len(numbers))):
            for first in range(0, len(left), BLOCK):
                pair = left[first : first + BLOCK], right[first : first + BLOCK]
                same = _same(_flat(plain[pair[0]]), _flat(mirrored[pair[1]]), mean)
                yield from zip(numbers[pair[0][same]].tolist(), numbers[pair[1][same]].tolist(), strict=True)


def _candidates(
    own: np.ndarray, other: np.ndarray, on_progress: Callable[[int], None]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of the first and later rows of the second whose hashes are alike, block by block."""
    for start in range(0, len(own), BLOCK):
        on_progress(start)
        for first in range(start, len(own), COLUMNS):
            alike = own[start : start + BLOCK] @ other[first : first + COLUMNS].T >= CANDIDATE * LENGTH**2
            some = np.flatnonzero(alike.any(axis=1))  # few rows: to look for places in all takes longer than products
            rows, columns = np.nonzero(alike[some])
            left, right = some[rows] + start, columns + first
            later = right > left
            yield left[later], right[later]


def _mean(thumbs: np.ndarray) -> np.ndarray | None:
    """int64 [256], by 16, of all images and of their mirror images; None where there are too few."""
    if len(thumbs) < ENOUGH:
        return None
    total = thumbs.sum(axis=0, dtype=np.int64)
    total = total + total[:, ::-1]
    found: np.ndarray = (total + total[::-1]).reshape(-1) * 16 // (4 * len(thumbs))
    return found


def _same(one: np.ndarray, other: np.ndarray, mean: np.ndarray | None) -> np.ndarray:
    """bool [N], of the rows of two int64 [N, 256]."""
    together = correlations(one, other)
    if mean is None:
        return together >= SAME
    common = np.broadcast_to(mean, one.shape)
    first, second = correlations(one, common), correlations(other, common)
    left = np.sqrt((1 - first**2) * (1 - second**2))
    return (together >= SAME) & (together - first * second >= ALONE * left)


def _flat(thumbs: np.ndarray) -> np.ndarray:
    return thumbs.reshape(len(thumbs), -1).astype(np.int64)


def correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pearson's, of the rows of two int64 [N, P]; 0 where a row is constant. The sums are exact."""
    n = one.shape[1]
    sums = one.sum(axis=1), other.sum(axis=1)
    covariance = n * (one * other).sum(axis=1) - sums[0] * sums[1]
    variances = [n * (values**2).sum(axis=1) - total**2 for values, total in zip((one, other), sums, strict=True)]
    scale = np.sqrt(variances[0].astype(np.float64)) * np.sqrt(variances[1].astype(np.float64))
    found: np.ndarray = np.where(scale > 0, covariance / np.maximum(scale, 1.0), 0.0)
    return found


def across(sets: Iterable[Sequence[int]], splits: Sequence[str]) -> list[Sequence[int]]:
    """The sets with images in more than one split."""
    return [members for members in sets if len({splits[number] for number in members}) > 1]
