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
from engine.sentences import ModelWeights

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
            ModelWeights.NOT_FETCHED,
            file=path.name,
            source=source,
            reason=failed,
            url=weights.url,
            folder=path.parent,
        ) from None


def load_published(weights: WeightsSpec) -> tuple[Weights, str]:
    """The tensors of the file, and its SHA-256. Raises WeightsError that names file and folder.

    A file that is not the published one is refused: a damaged one may load, and would train to other numbers.
    """
    path = weights.path
    if not (there := path_status(path)).is_file:
        raise WeightsError(ModelWeights.MISSING, file=path.name, folder=path.parent, why=there.why, url=weights.url)
    digest = digest_of(path)
    if not digest.startswith(weights.sha256):
        raise WeightsError(ModelWeights.DIGEST, path=path, found=digest[:8], expected=weights.sha256)
    return read_pth(path), digest


def digest_of(path: Path) -> str:
    """SHA-256 of the file, 64 hex digits. Raises WeightsError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(ModelWeights.UNREADABLE, path=path, reason=error.strerror) from None


def read_pth(path: Path) -> Weights:
    """The tensors of a `.pth` file, nothing of it executed. Raises WeightsError."""
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version < SAFE_TORCH:
        raise WeightsError(ModelWeights.TORCH_TOO_OLD, path=path, found=torch.__version__)
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the unpickler raise whatever comes first
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise WeightsError(ModelWeights.DAMAGED, path=path, reason=reason) from None
    if not isinstance(weights, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in weights.values()):
        raise WeightsError(ModelWeights.NOT_TENSORS, path=path, found=type(weights).__name__)
    return weights
