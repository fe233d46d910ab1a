"""Checkpoints: safetensors with JSON metadata; no pickle is read or written.

`last` holds the complete TrainingState and is written first; then, when this epoch is the best so far, `best`. A kill
between the two is harmless: `last` says which epoch is best, and when it is its own newest one, it holds the weights.
Of each the generation before stays: a `last` that is damaged gives way to `previous`, for which the best may be the
one before `best`. `engine/train/restore.py` reads them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import BinaryIO

import torch
from pydantic import NonNegativeInt, PositiveInt

from engine.contract.files.folders import FileOrPath, file_at
from engine.contract.store.checkpoint_file import DIGEST, ContentDigest, Header, opened_checkpoint
from engine.contract.wire.message import Message
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


def save_last(path: FileOrPath, previous: FileOrPath, state: TrainingState) -> str:
    """Write the complete state; the file that was there becomes `previous`. Returns the digest."""
    tensors = state_tensors(state)
    metadata = {"format": FORMAT, "state": saved_values(state).model_dump_json()}
    return _save(path, tensors, metadata, previous=previous)


def save_best(path: FileOrPath, previous: FileOrPath, state: TrainingState) -> str:
    """Write the evaluated weights, plainly: a state dict of the model and nothing else; the file that was there
    becomes `previous`. Returns the digest."""
    return _save(path, dict(state.evaluated.state_dict()), best_metadata(state), previous=previous)


def save_tensors(path: FileOrPath, tensors: Tensors, metadata: dict[str, str]) -> str:
    """Write tensors in the format of a checkpoint, in place of what was there. Returns the digest."""
    return _save(path, tensors, metadata, previous=None)


def best_metadata(state: TrainingState) -> dict[str, str]:
    """Which weights a `best` holds."""
    return {"format": "pt", "epoch": str(state.best_epoch), "val_auc": repr(state.best_auc)}


def state_tensors(state: TrainingState) -> Tensors:
    tensors = {f"model/{name}": tensor for name, tensor in state.model.state_dict().items()}
    if state.average:
        tensors |= {f"average/{name}": tensor for name, tensor in state.average.model.state_dict().items()}
    if state.swa:
        tensors |= {f"swa/{name}": tensor for name, tensor in state.swa.model.state_dict().items()}
    for index, slots in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{slot}": value for slot, value in slots.items() if torch.is_tensor(value)}
    tensors["epoch/losses"] = state.losses[: state.step]
    tensors["epoch/right"] = state.n_correct[: state.step]
    return tensors


class SavedValues(Message):
    """Everything of a TrainingState that is no tensor. Non-finite numbers are text, as in the protocol."""

    epoch: NonNegativeInt
    step: NonNegativeInt
    average_updates: NonNegativeInt | None
    swa_epochs: NonNegativeInt | None = None
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
        swa_epochs=state.swa.epochs if state.swa else None,
        scaler=state.scaler.state_dict() if state.scaler else None,
        plateau=state.plateau,
        best_epoch=state.best_epoch,
        best_auc=state.best_auc,
        without_improvement=state.without_improvement,
        history=state.history,
    )


def _save(
    path: FileOrPath, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str], previous: FileOrPath | None
) -> str:
    plain = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    digest = _content_digest(plain, metadata)
    target = file_at(path)
    with target.replacing() as file:
        _write_safetensors(file, plain, {**metadata, DIGEST: digest})
        file.flush()
        if previous is not None and target.is_there:
            target.move(file_at(previous))
    return digest


def _write_safetensors(file: BinaryIO, tensors: Tensors, metadata: dict[str, str]) -> None:
    """The format of the safetensors library, which itself writes to a path only: through whatever lies there.

    Equal contents give equal bytes: the metadata are sorted, and so are the tensors, the widest types first, so that
    each is aligned.
    """
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    at = 0
    for name in names:
        tensor = tensors[name]
        end = at + tensor.nbytes
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in names:
        file.write(_bytes_of(tensors[name]))


def read_tensors(file: BinaryIO, header: Header) -> Tensors:
    """Every tensor of an open checkpoint, by name. Raises OSError or EOFError."""
    dtypes = {word: dtype for dtype, word in _DTYPES.items()}
    tensors = {}
    for entry in header.entries:
        tensor = torch.empty(entry.shape, dtype=dtypes[entry.dtype])
        if tensor.numel():
            file.seek(entry.start)
            if file.readinto(_bytes_of(tensor)) != tensor.nbytes:  # type: ignore[attr-defined]
                raise EOFError(f"{entry.name} breaks off")
        tensors[entry.name] = tensor
    return tensors


def _bytes_of(tensor: torch.Tensor) -> memoryview:
    """The memory of a contiguous tensor."""
    return tensor.reshape(-1).view(torch.uint8).numpy().data


def _content_digest(tensors: Tensors, metadata: dict[str, str]) -> str:
    digest = ContentDigest()
    for name, tensor in tensors.items():
        digest.tensor(name, _DTYPES[tensor.dtype], tensor.shape)
        digest.data(_bytes_of(tensor))
    digest.metadata(metadata)
    return digest.hex()


def load_weights(path: FileOrPath) -> Tensors:
    """The weights of a `best.safetensors`. Raises CheckpointError when it is damaged or missing."""
    with opened_checkpoint(path) as (file, header):
        return read_tensors(file, header)
