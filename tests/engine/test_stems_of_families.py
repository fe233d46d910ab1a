"""First layers made for small images, against the published ones on the same images enlarged: which way is nearest.

The kernels are as ImageNet's own: smooth ones, Gabor functions, derivatives of Gaussians and blobs (see
`test_stem.py`), of each family's size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from test_stem import ANGLES, scenes

from engine.model.stem import resampled_kernel, resized_kernel

MARGIN = 4  # pixels of the image at its edge, where an enlarged image and a padded one differ
Resize = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Stem:
    """The published first layer of a family, and the one for small images."""

    side: int  # of the published kernel
    stride: int
    small: int  # side of the kernel for small images
    small_stride: int
    ours: Resize

    @property
    def factor(self) -> int:
        """How much larger the images are that the published one sees."""
        return self.stride // self.small_stride


STEMS = {
    "7x7, stride 2 to 3x3, stride 1": Stem(7, 2, 3, 1, lambda kernels: resized_kernel(kernels, 3)),
    "3x3, stride 2 to 3x3, stride 1": Stem(3, 2, 3, 1, lambda kernels: resampled_kernel(kernels, 3, 2)),
    "4x4 patches to 3x3, stride 1": Stem(4, 4, 3, 1, lambda kernels: resampled_kernel(kernels, 3, 4)),
    "16x16 patches to 2x2 patches": Stem(16, 16, 2, 2, lambda kernels: resized_kernel(kernels, 2)),
}


def kernels_of(side: int) -> torch.Tensor:
    """float64 [N, 1, side, side], of norm 1."""
    rows, columns = torch.meshgrid(*[torch.arange(side, dtype=torch.float64) - (side - 1) / 2] * 2, indexing="ij")
    kernels = []
    for angle in ANGLES.tolist():
        along = columns * math.cos(angle) + rows * math.sin(angle)
        for width in (0.21 * side, 0.31 * side):
            blob = torch.exp(-(rows**2 + columns**2) / (2 * width**2))
            kernels += [blob * torch.cos(2 * math.pi * along / (side * period)) for period in (1, 1.4, 2)]
            kernels += [blob * torch.sin(2 * math.pi * along / (side * period)) for period in (1, 1.4, 2)]
            kernels += [-along / width**2 * blob, (along**2 / width**4 - width**-2) * blob, blob]
    found = torch.stack(kernels)[:, None]
    return found / found.square().sum((1, 2, 3), keepdim=True).sqrt()


def others(stem: Stem) -> dict[str, Resize]:
    first = (stem.side - stem.small) // 2

    def shrunk(**how: bool | str) -> Resize:
        return lambda kernels: F.interpolate(kernels, size=stem.small, **how)  # type: ignore[arg-type]

    found: dict[str, Resize] = {
        "random": lambda kernels: torch.randn(
            len(kernels), 1, stem.small, stem.small, dtype=torch.float64, generator=torch.Generator().manual_seed(7)
        )
    }
    if stem.side != stem.small:
        found["decimation"] = shrunk(mode="nearest")
        found["centre crop"] = lambda kernels: kernels[..., first : first + stem.small, first : first + stem.small]
        found["pseudo-inverse"] = lambda kernels: pseudo_inverse(kernels, stem.small)
    else:
        found["unchanged"] = lambda kernels: kernels
    return found


def pseudo_inverse(kernels: torch.Tensor, small: int) -> torch.Tensor:
    """FlexiViT's resize: with A the bicubic, antialiased shrinking of a patch, (Aᵀ)⁺ applied to the kernel."""
    side = kernels.shape[-1]
    pixels = torch.eye(side * side, dtype=torch.float64).view(-1, 1, side, side)
    shrinking = F.interpolate(pixels, size=small, mode="bicubic", antialias=True).flatten(1).T  # [small², side²]
    return (kernels.flatten(-2) @ torch.linalg.pinv(shrinking)).unflatten(-1, (small, small))


def responses(stem: Stem, small: torch.Tensor, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[N, K, h, w] twice, at the same places: of the published stem to enlarged images, of the small one to them."""
    kernels, padding = kernels_of(stem.side), (stem.side - 1) // 2 if stem.side % 2 else 0
    # of an odd kernel the middle is a pixel: every second one of 55, corners aligned, is a pixel of the image
    size = 2 * images.shape[-1] - 1 if stem.side % 2 else stem.factor * images.shape[-1]
    enlarged = F.interpolate(images, size=size, mode="bicubic", align_corners=bool(stem.side % 2))
    inner = slice(MARGIN // stem.small_stride, -MARGIN // stem.small_stride)
    of_large = F.conv2d(enlarged, kernels, stride=stem.stride, padding=padding)[..., inner, inner]
    of_small = F.conv2d(images, small, stride=stem.small_stride, padding=stem.small % 2)[..., inner, inner]
    return of_large, of_small


def compare(stem: Stem, resize: Resize, kind: str) -> tuple[float, float]:
    """The mean correlation of the responses over the kernels, and the norm of the difference over the norm."""
    of_large, of_small = responses(stem, resize(kernels_of(stem.side)), scenes(kind))
    one, other = (found.transpose(0, 1).flatten(1) for found in (of_large, of_small))
    centred = [values - values.mean(1, keepdim=True) for values in (one, other)]
    norms = [values.norm(dim=1) for values in centred]
    kept = norms[0] > 1e-3 * norms[0].max()  # a kernel that sees nothing in these images correlates with nothing
    products = (centred[0] * centred[1]).sum(1) / (norms[0] * norms[1]).clamp_min(1e-12)
    return float(products[kept].mean()), float((one - other).norm() / one.norm())


KINDS = ("gradients", "edges", "textures")


@pytest.mark.parametrize("name", STEMS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_adapted_stem_responds_like_the_published_one_to_the_images_enlarged(name: str, kind: str) -> None:
    """In form and in strength, and better than by decimation, by cropping, unchanged, or at random."""
    stem = STEMS[name]
    correlation, error = compare(stem, stem.ours, kind)
    assert correlation > 0.9, correlation
    for other, resize in others(stem).items():
        found = compare(stem, resize, kind)
        if other == "pseudo-inverse":
            assert found[1] > error - 0.02, other
            continue
        assert found[0] <= correlation + 1e-9, (other, found[0], correlation)
        assert found[1] > 1.5 * error, (other, found[1], error)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_two_ways_to_resample_agree_where_both_can(size: int) -> None:
    """A kernel that is made smaller by its own enlargement."""
    kernels = torch.randn(4, 3, 7, 7, dtype=torch.float64)
    torch.testing.assert_close(resampled_kernel(kernels, size, 7 / size), resized_kernel(kernels, size))


@pytest.mark.parametrize(("side", "factor"), [(3, 2), (4, 4)])
def test_a_uniform_area_keeps_its_response(side: int, factor: int) -> None:
    kernels = torch.randn(8, 3, side, side, dtype=torch.float64)
    torch.testing.assert_close(resampled_kernel(kernels, 3, factor).sum((-1, -2)), kernels.sum((-1, -2)))


def main() -> None:
    """The table of docs/recipes.md."""
    for name, stem in STEMS.items():
        for way, resize in {"ours": stem.ours, **others(stem)}.items():
            cells = [f"{c:.2f} ({e:.2f})" for c, e in (compare(stem, resize, kind) for kind in KINDS)]
            print(f"| {name} | {way} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
