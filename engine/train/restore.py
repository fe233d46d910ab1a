"""Reading checkpoints back: the whole state of `last`, and which weights a `best` holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from engine.contract.checkpoint_file import DIGEST, read_header, verified_digest
from engine.contract.errors import CheckpointError
from engine.train.checkpoint import FORMAT, SavedValues, Tensors, best_metadata
from engine.train.state import TrainingState


def restore(path: Path, state: TrainingState) -> None:
    """Put what a `last` or `previous` holds into a state that was made by the same recipe.

    Raises CheckpointError when the file is damaged, no such checkpoint, or of another model; the state is then of no
    use until another one is restored into it.
    """
    verified_digest(path)
    metadata = read_header(path).metadata
    if metadata.get("format") != FORMAT:
        raise _unfit(path, f"the format {metadata.get('format', 'none')[:40]!r} where {FORMAT!r} is expected")
    try:
        values = SavedValues.model_validate_json(metadata["state"])
        tensors = load_file(path)
        _restore_values(state, values)
        _restore_tensors(state, tensors)
    except (ValidationError, SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise _unfit(path, " ".join(str(error).split())[:200]) from None


def holds_best(path: Path, state: TrainingState) -> bool:
    """Is this a whole file with the weights of the state's best epoch?"""
    try:
        verified_digest(path)
        metadata = read_header(path).metadata
    except CheckpointError:
        return False
    return {key: value for key, value in metadata.items() if key != DIGEST} == best_metadata(state)


def _restore_values(state: TrainingState, values: SavedValues) -> None:
    if values.step > len(state.losses) or values.epoch != len(values.history):
        raise ValueError(f"epoch {values.epoch}, step {values.step} of {len(values.history)} epochs")
    state.epoch, state.step, state.history = values.epoch, values.step, list(values.history)
    state.best_epoch, state.best_auc = values.best_epoch, values.best_auc
    state.without_improvement = values.without_improvement
    if state.plateau is not None and values.plateau is not None:
        state.plateau = values.plateau
    if state.average is not None and values.average_updates is not None:
        state.average.updates = values.average_updates
    if state.scaler is not None and values.scaler is not None:
        state.scaler.load_state_dict(values.scaler)


def _restore_tensors(state: TrainingState, tensors: Tensors) -> None:
    _load(state.model, _part(tensors, "model/"))
    if state.average is not None:
        _load(state.average.model, _part(tensors, "average/"))
    _restore_optimizer(state.optimizer, _part(tensors, "optimizer/"))
    for name, target in (("epoch/losses", state.losses), ("epoch/right", state.right)):
        if tensors[name].shape != (state.step,):
            raise ValueError(f"{tuple(tensors[name].shape)} {name} at step {state.step}")
        target[: state.step] = tensors[name]


def _part(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


@torch.no_grad()
def _load(model: nn.Module, weights: Tensors) -> None:
    """In place, so that memory layout and whoever shares the tensors stay as they are."""
    model.load_state_dict(weights, strict=True)


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Its slots (`0/momentum_buffer`) by the number of their parameter; those like the parameter in its layout."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    slots: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        number, _, slot = name.partition("/")
        parameter = parameters[int(number)]
        if tensor.shape == parameter.shape and tensor.dim() > 0:
            tensor = torch.empty_like(parameter, dtype=tensor.dtype, requires_grad=False).copy_(tensor)
        elif tensor.dim() > 0:
            raise ValueError(f"{name} of shape {tuple(tensor.shape)} for a parameter of {tuple(parameter.shape)}")
        slots.setdefault(int(number), {})[slot] = tensor
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})


def _unfit(path: Path, found: str) -> CheckpointError:
    return CheckpointError(f"{path} does not fit this run: found {found}.", "Use an earlier one.")
