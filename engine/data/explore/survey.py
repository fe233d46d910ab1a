"""One pass over all images of a source: a few numbers of each, whatever its size. Images are read in batches."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from engine.contract.data.card import DataCard, read_card, readable
from engine.contract.data.datasets import SPLITS, DatasetFacts
from engine.data.archive_file import OnRead
from engine.data.cache import Decoded
from engine.data.own.source import CARD, FILES, OwnDecoded
from engine.data.own.thumbs import SIDE, inner_of, thumbs_of

BATCH = 8 * 1024 * 1024  # bytes of images that are in memory at once
LIST_LIMIT = 8 * 1024**3  # bytes of the list of a user's own images

Place = tuple[str, int]  # a split, and the number of an image in it


@dataclass(frozen=True)
class Survey:
    """N images, the splits one after the other."""

    facts: DatasetFacts
    size: int  # pixels per side, as they are trained with
    places: list[Place]
    names: list[str]  # files, or `train/12` of an archive
    labels: np.ndarray  # int64 [N] of classes, or [N, K] of zeros and ones
    groups: list[str] | None  # "" for an image without one; None: no groups are known
    sides: np.ndarray  # int64 [N, 2]: width and height before resizing, in pixels
    sums: np.ndarray  # int64 [N, C]: of an image's pixels, by channel
    squares: np.ndarray  # int64 [N, C]
    constant: np.ndarray  # bool [N]: all pixels have one colour
    digests: list[str]  # of all pixels
    thumbs: np.ndarray  # uint8 [N, 256], by which duplicates are found
    card: DataCard | None  # of a user's own images

    def __len__(self) -> int:
        return len(self.places)

    @property
    def splits(self) -> np.ndarray:
        return np.array([split for split, _ in self.places])

    @property
    def hot(self) -> np.ndarray:
        """int64 [N, K]: which classes each image has."""
        if self.labels.ndim == 2:
            return self.labels
        found: np.ndarray = np.eye(self.facts.classes, dtype=np.int64)[self.labels]
        return found

    def label(self, number: int) -> str:
        """In words."""
        if self.labels.ndim == 2:
            names = [name for name, has in zip(self.facts.class_names, self.labels[number], strict=True) if has]
            return ", ".join(names) or "none"
        return self.facts.class_names[int(self.labels[number])]


@dataclass(frozen=True)
class _Listed:
    """What is known of a split's images besides their pixels."""

    names: list[str]
    groups: list[str] | None
    sides: np.ndarray  # int64 [N, 2]
    digests: list[str] | None = None
    thumbs: np.ndarray | None = None


def survey(data: Decoded, on_read: OnRead) -> Survey:
    """Raises DataError, and what `on_read` raises."""
    listed = {split: _listed(data, split) for split in SPLITS}
    measured = {split: _measured(data, split, listed[split], on_read) for split in SPLITS}
    sums, squares, constant, digests, thumbs = zip(*measured.values(), strict=True)
    groups = [listed[split].groups for split in SPLITS]
    return Survey(
        facts=data.facts,
        size=data.images("train").shape[1],
        places=[(split, number) for split in SPLITS for number in range(len(listed[split].names))],
        names=[name for split in SPLITS for name in listed[split].names],
        labels=np.concatenate([data.labels(split) for split in SPLITS]),
        groups=[group for found in groups for group in found or []] if groups[0] is not None else None,
        sides=np.concatenate([listed[split].sides for split in SPLITS]),
        sums=np.concatenate(sums),
        squares=np.concatenate(squares),
        constant=np.concatenate(constant),
        digests=[digest for found in digests for digest in found],
        thumbs=np.concatenate(thumbs),
        card=read_card(data.folder / CARD) if isinstance(data, OwnDecoded) else None,
    )


def batches(images: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Parts of an array that fit in memory, each with the number of its first image."""
    step = max(1, BATCH // max(1, images.nbytes // max(1, len(images))))
    for start in range(0, len(images), step):
        yield start, np.asarray(images[start : start + step])


# ---- pixels ----------------------------------------------------------------------------------------------------------


def _measured(
    data: Decoded, split: str, listed: _Listed, on_read: OnRead
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str], np.ndarray]:
    """Sums, squares, which are constant, digests and thumbs of a split's images."""
    images = data.images(split)
    channels = 3 if images.ndim == 4 else 1
    n, side = len(images), images.shape[1]
    sums, squares = np.zeros((n, channels), np.int64), np.zeros((n, channels), np.int64)
    constant, digests = np.zeros(n, bool), list(listed.digests or [])
    thumbs = np.zeros((n, SIDE * SIDE), np.uint8) if listed.thumbs is None else listed.thumbs
    inner, arrays = _inner(listed.sides, side, _is_padded(data)), _is_of_arrays(data)
    for start, part in batches(images):
        rows = slice(start, start + len(part))
        pixels = part.reshape(len(part), -1, channels).astype(np.int32)
        sums[rows], squares[rows] = pixels.sum(axis=1), (pixels * pixels).sum(axis=1, dtype=np.int64)
        if arrays:  # squares that may have been padded before they were packed
            inner[rows] = np.minimum(inner[rows], inner_of(part))
        constant[rows] = _constant(part, inner[rows])
        if listed.digests is None:
            digests += [blake2b(image.tobytes(), digest_size=16).hexdigest() for image in part]
        if listed.thumbs is None:
            thumbs[rows] = thumbs_of(list(part), [(height, width) for height, width in inner[rows].tolist()])
        size = images.nbytes // max(1, n)
        on_read(f"measuring the {split} images", (start + len(part)) * size, images.nbytes)
    return sums, squares, constant, digests, thumbs


def _is_of_arrays(data: Decoded) -> bool:
    card = read_card(data.folder / CARD) if isinstance(data, OwnDecoded) else None
    return card is not None and card.kind == "npz"


def _is_padded(data: Decoded) -> bool:
    card = read_card(data.folder / CARD) if isinstance(data, OwnDecoded) else None
    return card is not None and card.fit == "pad"


def _inner(sides: np.ndarray, size: int, padded: bool) -> np.ndarray:
    """int64 [N, 2]: height and width of each square without its padding, as `pictures.resized` has them."""
    if not padded:
        return np.full((len(sides), 2), size, np.int64)
    longer = sides.max(axis=1, initial=1)
    found = [
        [max(1, round(int(side) * size / int(most))) for side in pair] for pair, most in zip(sides, longer, strict=True)
    ]
    return np.array(found, np.int64).reshape(-1, 2)[:, ::-1]


def _constant(images: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """bool [N], of squares and the height and width of what is in them."""
    side = images.shape[1]
    axes = (1, 2)
    found: np.ndarray = (images.min(axis=axes) == images.max(axis=axes)).reshape(len(images), -1).all(axis=1)
    for row in np.nonzero(~found & (inner.min(axis=1) < side))[0]:
        height, width = inner[row]
        top, left = (side - height) // 2, (side - width) // 2
        part = images[row, top : top + height, left : left + width]
        found[row] = bool((part == part[:1, :1]).all())
    return found


# ---- lists -----------------------------------------------------------------------------------------------------------


def _listed(data: Decoded, split: str) -> _Listed:
    if isinstance(data, OwnDecoded):
        return _own_listed(data, split)
    images = data.images(split)
    side = images.shape[1]
    return _Listed([f"{split}/{n}" for n in range(len(images))], None, np.full((len(images), 2), side, np.int64))


def _own_listed(data: OwnDecoded, split: str) -> _Listed:
    pool, rows = data.converted, data.rows(split)
    records: dict[int, dict[str, Any]] = {record["row"]: record for record in pool.records() if "reason" not in record}
    found = [records[row] for row in rows.tolist()]
    groups = _groups(data)
    names = [readable(record["name"]) for record in found]
    return _Listed(
        names=names,
        groups=[groups.get(name, "") for name in names] if any(groups.values()) else None,
        sides=np.array([(record["width"], record["height"]) for record in found], np.int64).reshape(-1, 2),
        digests=[record["pixels"] for record in found],
        thumbs=np.asarray(pool.thumbs()[rows]),
    )


def _groups(data: OwnDecoded) -> dict[str, str]:
    """The group of each image, by its name; "" for none."""
    text = (data.folder / FILES).content(LIST_LIMIT).decode()
    return {row["file"]: row["group"] for row in csv.DictReader(io.StringIO(text, newline=""))}
