"""`cells`, the data set that needs no download: stained blood cells drawn by formula.

Eight kinds after BloodMNIST (Acevedo et al. 2020), clearly synthetic: a flat white cell with
nucleus and granules among red cells. Kinds differ in shape, texture and in colours relative to
each other; position, rotation, light and stain vary so much that no single pixel tells them apart.

The geometry keeps to + - * / and square roots, which IEEE 754 rounds alike everywhere: a sine, an
exponential or BLAS may differ in the last bit between machines, and so in a pixel.
Lengths are in pixels of the finished 28 px image, colours are RGB in [0, 1].
"""

from dataclasses import dataclass

import numpy as np

from engine.contract.datasets import CELLS

VERSION: int = 1  # part of the cache key: raise it whenever a pixel changes

_SPLIT_KEYS = {"train": 0xCE11_0001, "val": 0xCE11_0002, "test": 0xCE11_0003}  # Philox keys
_SIDE = 28  # pixels
_OVERSAMPLING = 2  # subpixels per pixel and axis
_BATCH = 250  # images drawn at once, for the cache; part of VERSION, as it orders the draws

_RED_CELLS = 5  # at most, around each cell

_RGB = tuple[float, float, float]
_Range = tuple[float, float]  # uniform between the two


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one class of cell looks; what it lacks keeps its default. Lobes sit along an arc."""

    name: str
    cell_radius: _Range
    cytoplasm: _RGB
    nucleus: _RGB = (0.0, 0.0, 0.0)
    lobes: tuple[int, int] = (0, 0)  # fewest and most
    lobe_radius: _Range = (0.0, 0.0)
    lobe_spread: _Range = (0.0, 0.0)  # radius of the arc
    lobe_step: _Range = (0.0, 0.0)  # tan(a / 4), a the angle between neighbours: 1 is half a turn
    nucleus_offset: float = 0.0  # largest distance from the cell's middle to the arc's
    clumps: float = 0.0  # contrast of the chromatin, 0 for a smooth nucleus
    granules: tuple[int, int] = (0, 0)  # fewest and most
    granule_radius: _Range = (0.0, 0.0)
    granule: _RGB = (0.0, 0.0, 0.0)
    granules_cover_nucleus: bool = False


# The order is that of the contract's facts (BloodMNIST's): the position in the table is the label.
_KINDS: tuple[_Kind, ...] = (
    _Kind(
        name="basophil",
        cell_radius=(6.4, 9.2),
        cytoplasm=(0.78, 0.66, 0.80),
        nucleus=(0.60, 0.44, 0.70),
        lobes=(2, 3),
        lobe_radius=(2.6, 3.4),
        lobe_spread=(1.8, 2.8),
        lobe_step=(0.45, 0.9),
        nucleus_offset=1.0,
        clumps=0.05,
        granules=(14, 20),
        granule_radius=(0.85, 1.15),
        granule=(0.24, 0.10, 0.40),
        granules_cover_nucleus=True,
    ),
    _Kind(
        name="eosinophil",
        cell_radius=(6.6, 9.4),
        cytoplasm=(0.86, 0.70, 0.68),
        nucleus=(0.40, 0.25, 0.54),
        lobes=(2, 2),
        lobe_radius=(2.7, 3.5),
        lobe_spread=(2.7, 3.5),
        lobe_step=(0.6, 1.0),
        nucleus_offset=1.0,
        clumps=0.08,
        granules=(18, 26),
        granule_radius=(0.7, 1.0),
        granule=(0.86, 0.42, 0.32),
    ),
    _Kind(
        name="erythroblast",
        cell_radius=(5.2, 8.2),
        cytoplasm=(0.72, 0.60, 0.72),
        nucleus=(0.27, 0.15, 0.38),
        lobes=(1, 1),
        lobe_radius=(2.6, 3.6),
        nucleus_offset=1.2,
        clumps=0.06,
    ),
    _Kind(
        name="immature granulocyte",
        cell_radius=(6.8, 9.6),
        cytoplasm=(0.74, 0.68, 0.84),
        nucleus=(0.50, 0.34, 0.64),
        lobes=(1, 1),
        lobe_radius=(4.4, 5.6),
        nucleus_offset=1.8,
        clumps=0.04,
        granules=(9, 16),
        granule_radius=(0.45, 0.65),
        granule=(0.62, 0.18, 0.46),
    ),
    _Kind(
        name="lymphocyte",
        cell_radius=(5.6, 8.4),
        cytoplasm=(0.64, 0.70, 0.88),
        nucleus=(0.38, 0.26, 0.58),
        lobes=(1, 1),
        lobe_radius=(4.5, 5.9),
        nucleus_offset=0.7,
        clumps=0.22,
    ),
    _Kind(
        name="monocyte",
        cell_radius=(6.8, 9.6),
        cytoplasm=(0.68, 0.70, 0.76),
        nucleus=(0.46, 0.34, 0.60),
        lobes=(4, 4),
        lobe_radius=(2.2, 2.8),
        lobe_spread=(3.0, 3.8),
        lobe_step=(0.20, 0.25),
        nucleus_offset=1.2,
        clumps=0.05,
        granules=(7, 12),
        granule_radius=(0.6, 0.95),
        granule=(0.94, 0.94, 0.97),
    ),
    _Kind(
        name="neutrophil",
        cell_radius=(6.6, 9.4),
        cytoplasm=(0.88, 0.74, 0.78),
        nucleus=(0.36, 0.22, 0.52),
        lobes=(3, 4),
        lobe_radius=(1.7, 2.3),
        lobe_spread=(3.3, 4.3),
        lobe_step=(0.34, 0.44),
        nucleus_offset=0.9,
        clumps=0.08,
        granules=(6, 14),
        granule_radius=(0.35, 0.5),
        granule=(0.74, 0.52, 0.66),
    ),
    _Kind(
        name="platelet",
        cell_radius=(2.4, 4.4),
        cytoplasm=(0.72, 0.60, 0.78),
        granules=(5, 10),
        granule_radius=(0.45, 0.75),
        granule=(0.48, 0.26, 0.58),
    ),
)


_MOST_LOBES = max(kind.lobes[1] for kind in _KINDS)
_MOST_GRANULES = max(kind.granules[1] for kind in _KINDS)

_BACKGROUND: _RGB = (0.93, 0.89, 0.87)
_RED_CELL: _RGB = (0.85, 0.62, 0.60)


def draw(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Draw a split: images uint8 [N, 28, 28, 3] (RGB) and labels uint8 [N, 1], always the same.

    Every eight images in a row hold each class once, so the first k are a fair sample.
    Raises ValueError for a split that is not in CELLS.splits.
    """
    if split not in CELLS.splits:
        raise ValueError(f"cells has the splits {', '.join(CELLS.splits)}; there is no {split!r}")
    rng = np.random.Generator(np.random.Philox(key=_SPLIT_KEYS[split]))
    rounds = CELLS.splits[split] // len(_KINDS)
    in_order = np.tile(np.arange(len(_KINDS), dtype=np.uint8), (rounds, 1))
    labels = rng.permuted(in_order, axis=1).reshape(-1)
    images = np.empty((len(labels), _SIDE, _SIDE, 3), np.uint8)
    for start in range(0, len(labels), _BATCH):
        batch = slice(start, start + _BATCH)
        images[batch] = _draw_batch(rng, labels[batch])
    return images, labels[:, None]


def _draw_batch(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """Labels uint8 [B] to images uint8 [B, 28, 28, 3]; layers from the back to the front."""
    n = len(labels)
    radius = _between(rng, labels, "cell_radius")
    # Anywhere as long as the field cuts off no more than about a seventh of the cell. A linear
    # model on pixels lives on where things are, so this is what defeats it most.
    centre = rng.uniform(-1, 1, (n, 2)) * (_SIDE / 2 - 0.72 * radius)[:, None]
    body = _average(_outline(rng, centre, radius))
    nucleus = _average(_nucleus(rng, labels, centre)) * body
    granules = _average(_granules(rng, labels, centre, radius)) * body
    covering = _column("granules_cover_nucleus")[labels][:, None, None]
    granules = np.where(covering, granules, granules * (1 - nucleus))
    chromatin = 1 + _column("clumps")[labels][:, None, None] * _mottle(rng, n)

    image = np.broadcast_to(_stain(rng, n, _BACKGROUND, 0.04), (n, 3, _SIDE, _SIDE))
    image = _paint(image, _red_cells(rng, centre, radius), _stain(rng, n, _RED_CELL, 0.06))
    image = _paint(image, body, _stain(rng, n, _column("cytoplasm")[labels], 0.04))
    nucleus_colour = _stain(rng, n, _column("nucleus")[labels], 0.035) * chromatin[:, None]
    image = _paint(image, nucleus, nucleus_colour)
    image = _paint(image, granules, _stain(rng, n, _column("granule")[labels], 0.04))
    return _expose(rng, image)


# Parameters of the table, one value per image


def _column(field: str) -> np.ndarray:
    """One field of all kinds, float32 [8, ...]."""
    return np.array([getattr(kind, field) for kind in _KINDS], np.float32)


def _between(rng: np.random.Generator, labels: np.ndarray, field: str) -> np.ndarray:
    """A value per image, float32 [B], uniform in its kind's range."""
    low, high = _column(field)[labels].T
    return low + (high - low) * rng.random(len(labels), np.float32)


def _count(rng: np.random.Generator, labels: np.ndarray, field: str) -> np.ndarray:
    """A whole number per image, int64 [B], both ends of its kind's range included."""
    fewest, most = _column(field)[labels].T.astype(np.int64)
    return rng.integers(fewest, most, endpoint=True)


def _directions(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Unit vectors, float64 [*shape, 2], every direction alike."""
    vectors = rng.standard_normal((*shape, 2))
    return vectors / np.sqrt(vectors[..., :1] ** 2 + vectors[..., 1:] ** 2)


def _turn(vectors: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Vectors [..., 2] rotated by the direction of unit vectors [..., 2] (a complex product)."""
    x, y, c, s = vectors[..., 0], vectors[..., 1], by[..., 0], by[..., 1]
    return np.stack([x * c - y * s, x * s + y * c], axis=-1)


# Shapes: coverage float32 [B, 56, 56] in [0, 1]


def _offsets(centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each subpixel's x and y distance from centres [B, 2]: float32 [B, 1, 56] and [B, 56, 1]."""
    side = _SIDE * _OVERSAMPLING
    axis = ((np.arange(side) + 0.5) / _OVERSAMPLING - _SIDE / 2).astype(np.float32)
    centre = centre.astype(np.float32)
    return axis[None, None, :] - centre[:, 0, None, None], axis[None, :, None] - centre[:, 1, None, None]


def _outline(rng: np.random.Generator, centre: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """A round body, pulled a little out of shape in two and three directions."""
    x, y = _offsets(centre)
    distance = np.sqrt(x * x + y * y) + np.float32(1e-3)
    c, s = x / distance, y / distance
    oval = _directions(rng, (len(radius),)).astype(np.float32)[:, :, None, None]
    dents = _directions(rng, (len(radius),)).astype(np.float32)[:, :, None, None]
    c2, s2 = c * c - s * s, 2 * c * s  # cosine and sine of twice the angle
    c3, s3 = c2 * c - s2 * s, c2 * s + s2 * c
    shape = 1 + 0.09 * (c2 * oval[:, 0] + s2 * oval[:, 1]) + 0.05 * (c3 * dents[:, 0] + s3 * dents[:, 1])
    return _inside(shape * radius[:, None, None] - distance)


def _inside(depth: np.ndarray) -> np.ndarray:
    """Coverage from the depth below an edge that is one pixel wide."""
    return np.clip(depth + np.float32(0.5), 0, 1)


def _nucleus(rng: np.random.Generator, labels: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """The union of the lobes; a radius of -1 leaves one out."""
    n = len(labels)
    offset = _directions(rng, (n,)) * (_column("nucleus_offset")[labels] * rng.random(n))[:, None]
    lobes, spread = _count(rng, labels, "lobes"), _between(rng, labels, "lobe_spread")
    tangent = _between(rng, labels, "lobe_step").astype(np.float64)[:, None]
    half_step = np.hstack([1 - tangent**2, 2 * tangent]) / (1 + tangent**2)  # a unit vector
    step = _turn(half_step, half_step)
    arm = _directions(rng, (n,))
    coverage = np.zeros((n, _SIDE * _OVERSAMPLING, _SIDE * _OVERSAMPLING), np.float32)
    for lobe in range(_MOST_LOBES):
        size = np.where(lobe < lobes, _between(rng, labels, "lobe_radius"), -1)
        x, y = _offsets(centre + offset + arm * spread[:, None])
        depth = size[:, None, None] - np.sqrt(x * x + y * y)
        np.maximum(coverage, _inside(depth), out=coverage)
        arm = _turn(arm, step)
    return coverage


def _granules(rng: np.random.Generator, labels: np.ndarray, centre: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Small discs all over the body, each stamped into a window of 7 by 7 subpixels."""
    n, side = len(labels), _SIDE * _OVERSAMPLING
    shape = (n, _MOST_GRANULES)
    from_centre = np.sqrt(rng.random(shape)) * (0.92 * radius[:, None])
    middles = centre[:, None] + _directions(rng, shape) * from_centre[..., None]
    size = _between(rng, labels, "granule_radius")[:, None] * rng.uniform(0.85, 1.15, shape)
    exists = np.arange(_MOST_GRANULES) < _count(rng, labels, "granules")[:, None]

    image, _ = np.nonzero(exists)
    at = (middles[exists] + _SIDE / 2) * _OVERSAMPLING - 0.5  # in subpixels
    window = np.arange(-3, 4)
    columns, rows = (np.rint(at[:, axis, None]).astype(np.int64) + window for axis in (0, 1))
    dx, dy = columns - at[:, :1], rows - at[:, 1:]
    distance = np.sqrt(dx[:, None, :] ** 2 + dy[:, :, None] ** 2) / _OVERSAMPLING
    stamp = _inside(size[exists][:, None, None] - distance)
    # Stamps may hang over the border: they go onto a canvas with a margin, which is cut off.
    margin = side // 4
    canvas = np.zeros((n, side + 2 * margin, side + 2 * margin), np.float32)
    where = (image[:, None, None], rows[:, :, None] + margin, columns[:, None, :] + margin)
    np.maximum.at(canvas, where, stamp.astype(np.float32))
    return canvas[:, margin:-margin, margin:-margin]


def _red_cells(rng: np.random.Generator, centre: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Neighbours around the cell, paler in their middle: coverage float32 [B, 28, 28]."""
    n = len(radius)
    coverage = np.zeros((n, _SIDE * _OVERSAMPLING, _SIDE * _OVERSAMPLING), np.float32)
    crowd = rng.random(n)  # chance that a neighbour is there: fields are sparse or dense
    for _ in range(_RED_CELLS):
        full_size = rng.uniform(3.4, 5.6, n)
        size = np.where(rng.random(n) < crowd, full_size, -1).astype(np.float32)[:, None, None]
        away = (radius + rng.uniform(2.0, 9.0, n))[:, None]
        x, y = _offsets(centre + _directions(rng, (n,)) * away)
        distance = np.sqrt(x * x + y * y)
        pallor = np.clip(1 - distance / np.maximum(size, 1), 0, 1)
        np.maximum(coverage, _inside(size - distance) * (1 - 0.7 * pallor), out=coverage)
    return _average(coverage)


def _mottle(rng: np.random.Generator, n: int) -> np.ndarray:
    """Blobs about two pixels wide with mean 0 and deviation 1: float32 [n, 28, 28]."""
    grain = rng.standard_normal((n, _SIDE + 1, _SIDE + 1), np.float32)
    blobs = grain[:, 1:, 1:] + grain[:, :-1, 1:] + grain[:, 1:, :-1] + grain[:, :-1, :-1]
    return blobs / 2


def _average(coverage: np.ndarray) -> np.ndarray:
    """Subpixels [B, 56, 56] to pixels [B, 28, 28]."""
    rows = coverage[:, 0::2] + coverage[:, 1::2]
    return (rows[:, :, 0::2] + rows[:, :, 1::2]) / 4


# Colour: images float32 [B, 3, 28, 28]


def _stain(rng: np.random.Generator, n: int, colour: _RGB | np.ndarray, jitter: float) -> np.ndarray:
    """A colour per image, float32 [n, 3, 1, 1]: no two slides are dyed alike."""
    dyed = np.asarray(colour, np.float32) + jitter * rng.standard_normal((n, 3), np.float32)
    return dyed[:, :, None, None]


def _paint(image: np.ndarray, coverage: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Lay a colour [B, 3, 1 or 28, 1 or 28] over an image as far as coverage [B, 28, 28] says."""
    return image + coverage[:, None] * (colour - image)


def _expose(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """What microscope and camera add: uint8 [B, 28, 28, 3]."""
    n = len(image)
    brightness = rng.uniform(0.70, 1.08, (n, 1, 1, 1))
    white_balance = rng.uniform(0.94, 1.06, (n, 3, 1, 1))
    slope_x, slope_y = rng.uniform(-0.16, 0.16, (2, n, 1, 1, 1))
    axis = np.linspace(-1, 1, _SIDE)
    shade = 1 + slope_x * axis[None, None, None, :] + slope_y * axis[None, None, :, None]
    lit = _blur(rng, image) * (brightness * white_balance * shade).astype(np.float32)
    grain = rng.uniform(0.005, 0.03, (n, 1, 1, 1)).astype(np.float32)
    lit += grain * rng.standard_normal(image.shape, np.float32)
    levels = np.rint(np.clip(lit, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(levels.transpose(0, 2, 3, 1))


def _blur(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Mix each image with its 3 by 3 smoothing, from sharp to clearly out of focus."""
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    rows = (padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]) / 4
    smooth = (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 4
    defocus = 0.7 * rng.random((len(image), 1, 1, 1), np.float32)
    return image + defocus * (smooth - image)
