"""Weights to start from: ImageNet's, in torchvision's own file, or those of an earlier run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

import torch

from engine.contract.data_files import address, bytes_words
from engine.contract.errors import WeightsError
from engine.download import Between, Download, DownloadFailed, download

Weights = dict[str, torch.Tensor]
IMAGENET_BYTES = 47_000_000  # about
SAFE_TORCH = (2, 10)  # below it, `weights_only=True` can be talked into running code (CVE-2026-24747)


def imagenet_url() -> str:
    """torchvision's own address of its ResNet-18 weights."""
    from torchvision.models import ResNet18_Weights  # a slow import, which the small net does not need

    return str(ResNet18_Weights.IMAGENET1K_V1.url)


def imagenet_file() -> Path:
    """Where torchvision keeps its ResNet-18 weights: `$TORCH_HOME/hub/checkpoints/resnet18-f37072fd.pth`."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(imagenet_url()).path).name


def fetch_imagenet(between: Between, say: Callable[[str], None]) -> None:
    """Put torchvision's file where torchvision looks for it, checked as torch.hub does: by the start of its SHA-256,
    which is in its name. Raises WeightsError, and what `between` raises."""
    path = imagenet_file()
    url = address(imagenet_url(), path.name)
    say(f"Fetching {path.name} ({bytes_words(IMAGENET_BYTES)}) from {url} into {path.parent}.")
    try:
        download(Download(url, path, "sha256", path.stem.rpartition("-")[2], 2 * IMAGENET_BYTES), between, say)
    except DownloadFailed as failed:
        raise WeightsError(
            f"{path.name} could not be fetched from {url}: {failed}.",
            f"Try again, put {imagenet_url()} into {path.parent} by hand, or write `pretrained: false`.",
        ) from None


def load_imagenet() -> Weights:
    """torchvision's ResNet-18 weights. Raises WeightsError that names file and folder."""
    path = imagenet_file()
    if not path.is_file():
        raise WeightsError(
            f"Pretrained weights need {path.name} in {path.parent}, found no such file.",
            f"Put {imagenet_url()} there, set TORCH_HOME, or write `pretrained: auto`.",
        )
    weights = read_pth(path)
    if "conv1.weight" not in weights or tuple(weights["conv1.weight"].shape) != (64, 3, 7, 7):
        raise WeightsError(f"{path} is no torchvision ResNet-18: expected conv1.weight of 64×3×7×7.", "Fetch it again.")
    return weights


def read_pth(path: Path) -> Weights:
    """The tensors of a `.pth` file, nothing of it executed. Raises WeightsError."""
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version < SAFE_TORCH:
        raise WeightsError(
            f"Reading {path} safely needs torch 2.10 or newer, found {torch.__version__}.",
            "Upgrade torch, or write `pretrained: false`.",
        )
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the unpickler raise whatever comes first
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise WeightsError(f"{path} is damaged or holds more than tensors: {reason}.", "Fetch it again.") from None
    if not isinstance(weights, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in weights.values()):
        raise WeightsError(f"Expected named tensors in {path}, found {type(weights).__name__}.", "Fetch it again.")
    return weights
