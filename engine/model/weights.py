"""Weights to start from: published ones, in torchvision's own files, and files of the user's own."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.contract.data.archives import address
from engine.contract.files.paths import path_status
from engine.contract.models.spec import WeightsSpec
from engine.contract.store.checkpoint_file import DIGEST
from engine.contract.wire.errors import WeightsError
from engine.contract.wire.text import format_bytes
from engine.download import Download, DownloadFailed, OnProgress, download
from engine.model.plan import Weights
from engine.sentences import ModelWeights

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
    try:
        weights = _unpickled(path)
    except _Damaged as damage:
        raise WeightsError(ModelWeights.DAMAGED, path=path, reason=damage) from None
    if not _is_state_dict(weights):
        raise WeightsError(ModelWeights.NOT_TENSORS, path=path, found=type(weights).__name__)
    return weights


class _Damaged(Exception):
    """The text says in which way."""


def _unpickled(path: Path) -> Any:
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version < SAFE_TORCH:
        raise WeightsError(ModelWeights.TORCH_TOO_OLD, path=path, found=torch.__version__)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the unpickler raise whatever comes first
        raise _Damaged(_first_line(error)) from None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__


def _is_state_dict(held: Any) -> bool:
    return isinstance(held, dict) and all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in held.items()
    )


# ---- files of the user's own -----------------------------------------------------------------------------------------

HOLDERS = ("state_dict", "model_state_dict", "model", "model_ema", "teacher", "student", "net", "network", "weights")


@dataclass(frozen=True)
class WeightsFile:
    weights: Weights
    digest: str  # SHA-256
    is_ours: bool  # was it written by medtui?


def read_file(path: Path) -> WeightsFile:
    """A `.safetensors` file, else one that torch wrote: a state dict, or a checkpoint that holds one.

    Raises WeightsError.
    """
    if not (there := path_status(path)).is_file:
        raise WeightsError(ModelWeights.NO_FILE, path=path, why=there.why)
    digest = digest_of(path)
    if path.suffix == ".safetensors":
        weights, metadata = _read_safetensors(path)
        return WeightsFile(weights, digest, DIGEST in metadata)
    try:
        held = _unpickled(path)
    except _Damaged as damage:
        raise WeightsError(ModelWeights.FILE_DAMAGED, path=path, reason=damage) from None
    return WeightsFile(_state_dict_in(held, path), digest, False)


def _read_safetensors(path: Path) -> tuple[Weights, Mapping[str, str]]:
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except Exception as error:  # the library raises its own kind and whatever the system says
        raise WeightsError(ModelWeights.FILE_DAMAGED, path=path, reason=_first_line(error)) from None


def _state_dict_in(held: Any, path: Path) -> Weights:
    """Itself, or what a checkpoint keeps it as. Raises WeightsError."""
    if isinstance(held, dict):
        for found in (held, *(held.get(name) for name in HOLDERS)):
            if found and _is_state_dict(found):
                return dict(found)
    raise WeightsError(ModelWeights.FILE_NOT_TENSORS, path=path, found=type(held).__name__)


def renamed(weights: Weights, own: Mapping[str, torch.Tensor]) -> Weights:
    """The weights without what all names of the model begin with there: `module.`, `backbone.`, `student.encoder.`.

    Of several such beginnings the one that most names of `own` have; what does not begin so is left out.
    """
    beginnings: Counter[str] = Counter()
    for name in weights:
        parts = name.split(".")
        for count in range(len(parts)):
            if ".".join(parts[count:]) in own:
                beginnings[".".join([*parts[:count], ""]) if count else ""] += 1
    if not beginnings:
        return weights
    (beginning, _), *_ = beginnings.most_common(1)
    return {name.removeprefix(beginning): tensor for name, tensor in weights.items() if name.startswith(beginning)}
