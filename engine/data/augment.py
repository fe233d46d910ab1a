"""Augmentation as batched tensor work, with separate parameters for every image.

One resampling does crop, flip, rotation, shift and scale together; then brightness, contrast and saturation, the
operation of TrivialAugment, erasing. (Per-sample torchvision transforms are more than an order slower, and its batched
ones sample once per batch.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from engine.data.colour import adjusted_brightness, adjusted_contrast, adjusted_saturation
from engine.data.trivial_augment import DRAWS, SampledOperations, apply_operations, matrices, sample_operations
from engine.device import constant, to_device

CROP_ASPECT = (3 / 4, 4 / 3)
ERASED_AREA, ERASED_ASPECT = (0.02, 0.33), (0.3, 3.3)  # fraction of the image; height to width
DRAWN = 9  # numbers per image: flips, rotation, scale, shift, colours
MORE_DRAWS = 4 + DRAWS + 5  # and: crop, TrivialAugment, erasing


@dataclass(frozen=True)
class Augmentation:
    """How far each image may be changed. The default is the identity."""

    hflip: float = 0.0  # probability
    vflip: float = 0.0  # probability
    rotation: float = 0.0  # degrees either way
    shift: float = 0.0  # fraction of the side, either way
    scale: float = 0.0  # factor 1 ± this
    brightness: float = 0.0  # factor 1 ± this
    contrast: float = 0.0  # factor 1 ± this
    saturation: float = 0.0  # factor 1 ± this
    crop_area: float = 1.0  # the smallest, as a fraction of the image's
    trivial_augment: float = 0.0  # fraction of the widest ranges
    erasing: float = 0.0  # probability
    fill: tuple[float, ...] = ()  # what erased pixels become, by channel: the mean of the training images

    @property
    def resamples(self) -> bool:
        return bool(self.rotation or self.shift or self.scale or self.crop_area < 1 or self.trivial_augment)

    @property
    def draws_more(self) -> bool:
        return bool(self.crop_area < 1 or self.trivial_augment or self.erasing)


Values = np.ndarray | torch.Tensor


@dataclass(frozen=True)
class SampledAugmentation:
    """The parameters of some images, one row per image: of a batch, or of many."""

    flips: Values  # bool [B, 2]: left-right, up-down
    affine: Values  # float32 [B, 2, 3]: from output to input positions, both from -1 to 1
    colour: Values  # float32 [B, 3]: factors of brightness, contrast, saturation
    operations: SampledOperations | None = None  # of TrivialAugment
    erased: np.ndarray | None = None  # float64 [B, 4]: height, width (0 is nothing), and where it begins, in 0 … 1

    def chosen(self, rows: np.ndarray | slice) -> SampledAugmentation:
        """Those of some of the images; a slice where they are on a device."""
        return SampledAugmentation(
            self.flips[rows],
            self.affine[rows],
            self.colour[rows],
            self.operations.chosen(rows) if self.operations is not None else None,
            self.erased[rows] if self.erased is not None else None,
        )

    def on(self, device: torch.device) -> SampledAugmentation:
        """On the device, but for operations and erased: which of them an image has decides what is computed."""
        moved = [to_device(values, device) for values in (self.flips, self.affine, self.colour)]
        return replace(self, flips=moved[0], affine=moved[1], colour=moved[2])


def sample(augmentation: Augmentation, batch: int, generator: np.random.Generator) -> SampledAugmentation:
    """Sample the parameters of a batch."""
    return parameters_of(augmentation, draw(augmentation, batch, generator))


def draw(augmentation: Augmentation, batch: int, generator: np.random.Generator) -> np.ndarray:
    """The random numbers of a batch, float64 [B, DRAWN or more] in 0 … 1.

    Always as many of one kind, so that no setting shifts another's; those of crop, operation and erasing come last.
    """
    uniform = generator.random((batch, DRAWN), dtype=np.float64)
    if not augmentation.draws_more:
        return uniform
    return np.hstack([uniform, generator.random((batch, MORE_DRAWS), dtype=np.float64)])


def parameters_of(augmentation: Augmentation, uniform: np.ndarray) -> SampledAugmentation:
    """What the numbers of each image, as `draw` returns them, make of it; each image's by themselves."""
    signed = 2 * uniform - 1
    flips = uniform[:, :2] < (augmentation.hflip, augmentation.vflip)
    angle = np.radians(signed[:, 2] * augmentation.rotation)
    zoom = 1 / (1 + signed[:, 3] * augmentation.scale)
    mirror = 1 - 2 * flips.astype(np.float64)
    affine = np.empty((len(uniform), 2, 3), dtype=np.float32)
    affine[:, 0, 0] = np.cos(angle) * zoom * mirror[:, 0]
    affine[:, 0, 1] = -np.sin(angle) * zoom * mirror[:, 1]
    affine[:, 1, 0] = np.sin(angle) * zoom * mirror[:, 0]
    affine[:, 1, 1] = np.cos(angle) * zoom * mirror[:, 1]
    affine[:, :, 2] = signed[:, 4:6] * augmentation.shift * 2  # the side is 2 long
    strengths = (augmentation.brightness, augmentation.contrast, augmentation.saturation)
    colour = 1 + signed[:, 6:9] * strengths
    sampled = SampledAugmentation(flips, affine, colour.astype(np.float32))
    if not augmentation.draws_more:
        return sampled
    return _with_more(sampled, affine.astype(np.float64), augmentation, uniform[:, DRAWN:])


def _with_more(
    sampled: SampledAugmentation, affine: np.ndarray, augmentation: Augmentation, uniform: np.ndarray
) -> SampledAugmentation:
    """With crop, operation and rectangle. affine: float64 [B, 2, 3], of the rest; uniform: [B, MORE_DRAWS]."""
    crop, operation, erasing = np.split(uniform, [4, 4 + DRAWS], axis=1)
    operations, erased = None, None
    if augmentation.crop_area < 1:
        affine = _composed(_crops(augmentation.crop_area, crop), affine)
    if augmentation.trivial_augment:
        operations = sample_operations(augmentation.trivial_augment, operation)
        affine = _composed(affine, matrices(operations))
    if augmentation.erasing:
        erased = _rectangles(augmentation.erasing, erasing)
    return replace(sampled, affine=affine.astype(np.float32), operations=operations, erased=erased)


def _crops(smallest: float, uniform: np.ndarray) -> np.ndarray:
    """From positions in a crop to those in the image, both from -1 to 1: float64 [B, 2, 3].

    Area and aspect as in torchvision's `RandomResizedCrop`; a side that is longer than the image's becomes it.
    """
    area = smallest + (1 - smallest) * uniform[:, 0]
    aspect = _log_uniform(CROP_ASPECT, uniform[:, 1])
    sides = np.minimum(1, np.sqrt(np.stack([area * aspect, area / aspect], axis=1)))  # width, height
    found = np.zeros((len(uniform), 2, 3))
    found[:, 0, 0], found[:, 1, 1] = sides.T
    found[:, :, 2] = (2 * uniform[:, 2:4] - 1) * (1 - sides)
    return found


def _rectangles(probability: float, uniform: np.ndarray) -> np.ndarray:
    """Area and aspect as in torchvision's `RandomErasing`; a side that is longer than the image's becomes it."""
    least, most = ERASED_AREA
    area = least + (most - least) * uniform[:, 1]
    aspect = _log_uniform(ERASED_ASPECT, uniform[:, 2])
    sides = np.minimum(1, np.sqrt(np.stack([area * aspect, area / aspect], axis=1)))  # height, width
    return np.hstack([np.where(uniform[:, :1] < probability, sides, 0.0), uniform[:, 3:5]])


def _log_uniform(bounds: tuple[float, float], uniform: np.ndarray) -> np.ndarray:
    low, high = np.log(bounds)
    found: np.ndarray = np.exp(low + (high - low) * uniform)
    return found


def _composed(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """`inner` first, then `outer`: both [B, 2, 3]."""
    found: np.ndarray = outer[:, :, :2] @ inner
    found[:, :, 2] += outer[:, :, 2]
    return found


def augment(images: torch.Tensor, augmentation: Augmentation, sampled: SampledAugmentation) -> torch.Tensor:
    """Images float [B, C, H, W] in 0 … 1, changed as `sampled`; the same shape, type and range."""
    given = images
    if augmentation.resamples:
        grid = _grid(to_device(sampled.affine, images.device), images.shape[-2], images.shape[-1])
        images = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    else:
        images = _flip(images, augmentation, to_device(sampled.flips, images.device))
    if augmentation.brightness or augmentation.contrast or augmentation.saturation:
        own = images if images is not given else images.clone()
        images = _colour(own, augmentation, to_device(sampled.colour, images.device))
    if sampled.operations is not None:
        images = apply_operations(images, sampled.operations)
    if sampled.erased is not None:
        images = erase(images, sampled.erased, augmentation.fill or (0.0,) * images.shape[1])
    return images


def _grid(affine: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Where every output pixel is taken from: [B, H, W, 2], as `F.affine_grid`, which takes ten times as long."""
    across, down = (
        torch.arange(1 - side, side, 2, dtype=affine.dtype, device=affine.device).div_(side) for side in (width, height)
    )
    by_column = affine[:, :, None, 0:1] * across  # [B, 2, 1, W]
    by_row = affine[:, :, 1:2] * down + affine[:, :, 2:3]  # [B, 2, H]
    return (by_column + by_row[..., None]).permute(0, 2, 3, 1)


def _flip(images: torch.Tensor, augmentation: Augmentation, flips: torch.Tensor) -> torch.Tensor:
    """Exact flips, without resampling."""
    for column, dimension, probability in ((0, -1, augmentation.hflip), (1, -2, augmentation.vflip)):
        if probability:
            images = torch.where(flips[:, column, None, None, None], images.flip(dimension), images)
    return images


def _colour(images: torch.Tensor, augmentation: Augmentation, factors: torch.Tensor) -> torch.Tensor:
    """In place."""
    brightness, contrast, saturation = factors[:, :, None, None, None].unbind(1)
    if augmentation.brightness:
        adjusted_brightness(images, brightness)
    if augmentation.contrast:
        adjusted_contrast(images, contrast)
    if augmentation.saturation:
        adjusted_saturation(images, saturation)
    return images


def erase(images: torch.Tensor, erased: np.ndarray, fill: tuple[float, ...]) -> torch.Tensor:
    """Rectangles of the images filled with a value per channel: new images, as given where nothing is erased."""
    height, width = images.shape[-2:]
    inside = [
        _within(erased[:, axis], erased[:, axis + 2], side, images.device) for axis, side in ((0, height), (1, width))
    ]
    mask = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return torch.where(mask, constant(fill, images.device)[:, None, None], images)


def _within(length: np.ndarray, start: np.ndarray, side: int, device: torch.device) -> torch.Tensor:
    """Which of `side` pixels are inside: bool [B, side]. length: as a fraction of it; start: of where it may begin."""
    pixels = np.rint(length * side)[:, None]
    first = np.floor(start[:, None] * (side - pixels + 1))
    found = (np.arange(side) >= first) & (np.arange(side) < first + pixels)
    return to_device(found, device)


def unit_range(images: torch.Tensor) -> torch.Tensor:
    """uint8 to float in 0 … 1."""
    return images.float().div_(255)
