"""The stem of published weights made smaller: 7×7 for images of 224 px, 3×3 for those of 28.

ImageNet's own kernels are smooth: Gabor functions, derivatives of Gaussians, blobs (Krizhevsky et al. 2012, figure 3).
Such ones are drawn here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from engine.model.stem import resized_kernel

ANGLES = torch.arange(8) * math.pi / 8
MARGIN = 4  # pixels at the edge, where an enlarged image and a padded one differ
Resize = Callable[[torch.Tensor], torch.Tensor]

OTHERS: dict[str, Resize] = {
    "bicubic, corners aligned": lambda kernels: F.interpolate(kernels, size=3, mode="bicubic", align_corners=True),
    "decimation": lambda kernels: kernels[..., ::3, ::3],
    "centre crop": lambda kernels: kernels[..., 2:5, 2:5],
    "antialiased, mean kept": lambda kernels: F.interpolate(kernels, size=3, mode="bicubic", antialias=True),
}


def ours(kernels: torch.Tensor) -> torch.Tensor:
    return resized_kernel(kernels, 3)


def smooth_kernels() -> torch.Tensor:
    """float64 [N, 1, 7, 7], of norm 1."""
    rows, columns = torch.meshgrid(*[torch.arange(7, dtype=torch.float64) - 3] * 2, indexing="ij")
    kernels = []
    for angle in ANGLES.tolist():
        along = columns * math.cos(angle) + rows * math.sin(angle)
        for width in (1.5, 2.2):
            blob = torch.exp(-(rows**2 + columns**2) / (2 * width**2))
            kernels += [blob * torch.cos(2 * math.pi * along / period) for period in (7, 10, 14)]
            kernels += [blob * torch.sin(2 * math.pi * along / period) for period in (7, 10, 14)]
            kernels += [-along / width**2 * blob, (along**2 / width**4 - width**-2) * blob, blob]
    found = torch.stack(kernels)[:, None]
    return found / found.square().sum((1, 2, 3), keepdim=True).sqrt()


def scenes(kind: str) -> torch.Tensor:
    """float64 [N, 1, 28, 28]: gradients or soft edges in every direction, or textures with a 1/f spectrum."""
    y, x = torch.meshgrid(*[torch.arange(28, dtype=torch.float64) - 13.5] * 2, indexing="ij")
    along = torch.stack([x * math.cos(angle) + y * math.sin(angle) for angle in ANGLES.tolist()])[:, None]
    if kind == "gradients":
        return along / 27
    if kind == "edges":
        return torch.cat([torch.erf((along - place) / soft) for place in (0.0, 0.3, -3.0) for soft in (0.7, 1.4)])
    frequencies = torch.fft.fftfreq(28, dtype=torch.float64)
    radius = (frequencies[:, None] ** 2 + frequencies**2).sqrt() + 1 / 28
    noise = torch.randn(40, 1, 28, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    return torch.fft.ifft2(torch.fft.fft2(noise) / radius).real


def responses(kernels: torch.Tensor, small: torch.Tensor, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[N, K, h, w] twice, at the same places: 7×7, stride 2, to the images at twice their size; 3×3, stride 1, to them.

    Of 55 pixels, corners aligned, every second one is a pixel of the image.
    """
    enlarged = F.interpolate(images, size=55, mode="bicubic", align_corners=True)
    inner = slice(MARGIN, -MARGIN)
    of_large = F.conv2d(enlarged, kernels, stride=2, padding=3)[..., inner, inner]
    return of_large, F.conv2d(images, small, padding=1)[..., inner, inner]


def error(resize: Resize, kind: str) -> float:
    """How far the small kernels' responses are from the large ones', as a fraction of these."""
    kernels = smooth_kernels()
    of_large, of_small = responses(kernels, resize(kernels), scenes(kind))
    return float((of_large - of_small).norm() / of_large.norm())


def test_the_small_kernel_responds_to_a_patch_like_the_large_one_to_the_patch_upsampled() -> None:
    """For any kernel and any patch: the definition."""
    torch.manual_seed(1)
    kernels = torch.randn(64, 3, 7, 7, dtype=torch.float64)
    patches = torch.randn(50, 3, 3, 3, dtype=torch.float64)
    enlarged = F.interpolate(patches, size=7, mode="bicubic", align_corners=False)
    expected = torch.einsum("kcij,ncij->nk", kernels, enlarged)
    torch.testing.assert_close(torch.einsum("kcij,ncij->nk", ours(kernels), patches), expected)


def test_the_response_to_a_uniform_area_is_preserved() -> None:
    torch.manual_seed(2)
    kernels = torch.randn(64, 3, 7, 7, dtype=torch.float64)
    torch.testing.assert_close(ours(kernels).sum((-1, -2)), kernels.sum((-1, -2)))


def test_every_weight_of_the_large_kernel_counts() -> None:
    """Antialiased: none is skipped, as decimation skips 40 of 49."""
    for row in range(7):
        for column in range(7):
            kernel = torch.zeros(1, 1, 7, 7)
            kernel[..., row, column] = 1
            torch.testing.assert_close(ours(kernel).sum(), torch.tensor(1.0))
            assert ours(kernel).abs().max() > 0.2


def test_the_energy_of_smooth_kernels_is_preserved_within_bounds() -> None:
    """As functions on the plane: a pixel is 7/3 as wide for the small kernel, so its (3/7)² ∑w² compares with ∑w².

    Decimation loses nearly all of it.
    """
    kernels = smooth_kernels()
    energies = ours(kernels).square().sum((1, 2, 3)) * (3 / 7) ** 2  # of 1
    assert float(energies.min()) > 0.3
    assert float(energies.max()) < 1.0
    assert float(OTHERS["decimation"](kernels).square().sum((1, 2, 3)).max()) * (3 / 7) ** 2 < 0.1


@pytest.mark.parametrize(("kind", "bound"), [("gradients", 0.05), ("edges", 0.06), ("textures", 0.15)])
def test_the_stem_responds_to_small_images_like_the_published_one_to_them_upsampled(kind: str, bound: float) -> None:
    """In strength and in form, with no factor in between; better than by any other way to make the kernel smaller."""
    found = error(ours, kind)
    assert found < bound
    for name, other in OTHERS.items():
        assert found < error(other, kind) / 3, name


@pytest.mark.parametrize("kind", ["gradients", "edges", "textures"])
def test_the_scale_of_the_responses_is_preserved(kind: str) -> None:
    kernels = smooth_kernels()
    of_large, of_small = responses(kernels, ours(kernels), scenes(kind))
    assert float(of_small.norm() / of_large.norm()) == pytest.approx(1, abs=0.03)
