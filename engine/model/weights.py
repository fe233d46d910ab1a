"""Published weights to start from, in torchvision's own files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch

from engine.contract.data.archives import address, format_bytes
from engine.contract.files.paths import path_status
from engine.contract.models.catalogue import WeightsSpec
from engine.contract.wire.errors import WeightsError
from engine.download import Download, DownloadFailed, OnProgress, download

Weights = dict[str, torch.Tensor]
SAFE_TORCH = (2, 10)  # below it, `weights_only=True` can be talked into running code (CVE-2026-24747)


def fetch_published(weights: WeightsSpec, on_progress: OnProgress, log: Callable[[str], None]) -> None:
    """Put the file where torchvision looks for it, checked as torch.hub does: by the start of its SHA-256.

    Raises WeightsError, and what `on_progress` raises.
    """
    path = weights.path
    source = address(weights.url, path.name)
    log(f"Fetching {path.name} ({format_bytes(weights.bytes)}) from {source} into {path.parent}.")
    try:
        spec = Download(source.url, path, "sha256", weights.sha256, 2 * weights.bytes, source.authorization)
        download(spec, on_progress, log)
    except DownloadFailed as failed:
        raise WeightsError(
            f"{path.name} could not be fetched from {source}: {failed}.",
            f"Try again, put {weights.url} into {path.parent} by hand, or start from scratch with "
            "`model.pretrained=false`.",
        ) from None


def load_published(weights: WeightsSpec) -> tuple[Weights, str]:
    """The tensors of the file, and its SHA-256. Raises WeightsError that names file and folder.

    A file that is not the published one is refused: a damaged one may load, and would train to other numbers.
    """
    path = weights.path
    if not (there := path_status(path)).is_file:
        raise WeightsError(
            f"Pretrained weights need {path.name} in {path.parent}, found no such file{there.why}.",
            f"Start from scratch with `model.pretrained=false`, put {weights.url} there, or set TORCH_HOME.",
        )
    digest = digest_of(path)
    if not digest.startswith(weights.sha256):
        raise WeightsError(
            f"{path} is damaged or another file: its SHA-256 begins with {digest[:8]}, expected {weights.sha256}.",
            "Remove it; the next run fetches it again.",
        )
    return read_pth(path), digest


def digest_of(path: Path) -> str:
    """SHA-256 of the file, 64 hex digits. Raises WeightsError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.", "Make it readable.") from None


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
