"""Checkpoints: safetensors with JSON metadata; no pickle is read or written.

`last` holds the whole TrainingState and is written first; then, when this epoch is the best so far, `best`. A kill
between the two is harmless: `last` says which epoch is best, and when it is its own newest one, it holds the weights.
Of each the generation before stays: a `last` that is damaged gives way to `previous`, for which the best may be the
one before `best`. `engine/train/restore.py` reads them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import NonNegativeInt, PositiveInt
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from engine.contract.checkpoint_file import DIGEST, ContentDigest, verified_digest
from engine.contract.files import written_whole
from engine.contract.protocol import Message
from engine.train.schedule import Plateau
from engine.train.state import EpochRecord, TrainingState

FORMAT = "medtui-checkpoint-1"
_DTYPES = {
    torch.float64: "F64",
    torch.int64: "I64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
Tensors = dict[str, torch.Tensor]


def save_last(path: Path, previous: Path, state: TrainingState) -> str:
    """Write the whole state; what stood there becomes `previous`. Returns the digest."""
    tensors = state_tensors(state)
    metadata = {"format": FORMAT, "state": saved_values(state).model_dump_json()}
    return _save(path, tensors, metadata, previous=previous)


def save_best(path: Path, previous: Path, state: TrainingState) -> str:
    """Write the evaluated weights, plainly: a state dict of the model and nothing else; what stood there becomes
    `previous`. Returns the digest."""
    return _save(path, dict(state.evaluated.state_dict()), best_metadata(state), previous=previous)


def best_metadata(state: TrainingState) -> dict[str, str]:
    """Which weights a `best` holds."""
    return {"format": "pt", "epoch": str(state.best_epoch), "val_auc": repr(state.best_auc)}


def state_tensors(state: TrainingState) -> Tensors:
    tensors = {f"model/{name}": tensor for name, tensor in state.model.state_dict().items()}
    if state.average:
        tensors |= {f"average/{name}": tensor for name, tensor in state.average.model.state_dict().items()}
    for index, slots in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{slot}": value for slot, value in slots.items() if torch.is_tensor(value)}
    tensors["epoch/losses"] = state.losses[: state.step]
    tensors["epoch/right"] = state.right[: state.step]
    return tensors


class SavedValues(Message):
    """Everything of a TrainingState that is no tensor. Non-finite numbers are text, as in the protocol."""

    epoch: NonNegativeInt
    step: NonNegativeInt
    average_updates: NonNegativeInt | None
    scaler: dict[str, int | float] | None
    plateau: Plateau | None
    best_epoch: PositiveInt | None
    best_auc: float
    without_improvement: NonNegativeInt
    history: list[EpochRecord]


def saved_values(state: TrainingState) -> SavedValues:
    return SavedValues(
        epoch=state.epoch,
        step=state.step,
        average_updates=state.average.updates if state.average else None,
        scaler=state.scaler.state_dict() if state.scaler else None,
        plateau=state.plateau,
        best_epoch=state.best_epoch,
        best_auc=state.best_auc,
        without_improvement=state.without_improvement,
        history=state.history,
    )


def _save(path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str], previous: Path) -> str:
    # safetensors refuses channels-last tensors
    plain = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    digest = _content_digest(plain, metadata)
    with written_whole(path) as temporary:
        try:
            save_file(plain, temporary, {**metadata, DIGEST: digest})
        except SafetensorError as error:
            raise _as_os_error(error) from None
        if path.exists():
            path.replace(previous)
    return digest


def _as_os_error(error: SafetensorError) -> Exception:
    """What the system said, which the library tells as text: `… No space left on device (os error 28)`."""
    number = re.search(r"os error (\d+)", str(error))
    return OSError(int(number[1]), os.strerror(int(number[1]))) if number else error


def _content_digest(tensors: Tensors, metadata: dict[str, str]) -> str:
    digest = ContentDigest()
    for name, tensor in tensors.items():
        digest.tensor(name, _DTYPES[tensor.dtype], tensor.shape)
        digest.data(tensor.reshape(-1).view(torch.uint8).numpy())
    digest.metadata(metadata)
    return digest.hex()


def load_weights(path: Path) -> Tensors:
    """The weights of a `best.safetensors`. Raises CheckpointError when it is damaged or missing."""
    verified_digest(path)
    return load_file(path)
