"""Reading checkpoints back: the complete state of `last`, and which weights a `best` holds."""

from __future__ import annotations

import math
import re
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from engine.contract.files.folders import FileOrPath
from engine.contract.store.checkpoint_file import DIGEST, opened_checkpoint
from engine.contract.wire.errors import CheckpointError
from engine.sentences import Checkpoints
from engine.train.checkpoint import FORMAT, SavedValues, Tensors, best_metadata, read_tensors
from engine.train.schedule import Plateau
from engine.train.state import EpochRecord, TrainingState

TRAINED = ("model/", "optimizer/")  # beginnings of names


def restore(path: FileOrPath, state: TrainingState) -> None:
    """Put what a `last` or `previous` holds into a state that was made by the same recipe.

    Raises CheckpointError when the file is damaged, no such checkpoint, or of another model; the state is then of no
    use until another one is restored into it.
    """
    with opened_checkpoint(path) as (file, header):
        metadata, tensors = header.metadata, read_tensors(file, header)
    if metadata.get("format") != FORMAT:
        found = metadata.get("format", "none")[:40]
        raise CheckpointError(Checkpoints.FORMAT, path=path, found=found, expected=FORMAT)
    try:
        values = SavedValues.model_validate_json(metadata["state"])
        _restore_values(state, values)
        _restore_tensors(state, tensors)
    except (
        ValidationError,
        ValueError,
        LookupError,
        TypeError,
        ArithmeticError,
        AttributeError,
        RuntimeError,
    ) as error:
        found = " ".join(str(error).split())[:200]
        raise CheckpointError(Checkpoints.UNFIT, path=path, found=found) from None


def holds_best(path: FileOrPath, state: TrainingState) -> bool:
    """Is this a complete file with the weights of the state's best epoch?"""
    try:
        with opened_checkpoint(path) as (_, header):
            metadata = header.metadata
    except CheckpointError:
        return False
    return {key: value for key, value in metadata.items() if key != DIGEST} == best_metadata(state)


def _restore_values(state: TrainingState, values: SavedValues) -> None:
    _check_position(state, values)
    state.epoch, state.step, state.history = values.epoch, values.step, list(values.history)
    state.best_epoch, state.best_auc = values.best_epoch, values.best_auc
    state.without_improvement = values.without_improvement
    if state.plateau is not None and values.plateau is not None:
        _check_plateau(values.plateau, values.epoch)
        state.plateau = values.plateau
    if state.average is not None and values.average_updates is not None:
        if values.average_updates > values.epoch * len(state.losses) + values.step:
            raise ValueError(f"more updates of the average than steps: {values.average_updates}")
        state.average.updates = values.average_updates
    if state.swa is not None:
        if values.swa_epochs is None or values.swa_epochs > values.epoch + 1:
            raise ValueError(f"a mean of the weights of {values.swa_epochs} of {values.epoch} epochs")
        state.swa.epochs = values.swa_epochs
    if state.scaler is not None and values.scaler is not None:
        _check_scaler(values.scaler, state.scaler.state_dict())
        state.scaler.load_state_dict(values.scaler)


def _check_position(state: TrainingState, values: SavedValues) -> None:
    """Raises ValueError for what no training can have come to."""
    epochs = len(values.history)
    if values.step > len(state.losses) or values.epoch != epochs:
        raise ValueError(f"epoch {values.epoch}, step {values.step} of {epochs} epochs of {len(state.losses)} steps")
    if [record.epoch for record in values.history] != list(range(1, epochs + 1)):
        raise ValueError("a history whose epochs are not 1, 2, 3 …")
    if not all(0 <= record.lr < math.inf for record in values.history):
        raise ValueError("a history with an invalid learning rate")
    if values.without_improvement > epochs:
        raise ValueError(f"{values.without_improvement} epochs without improvement of {epochs}")
    if values.best_epoch is None:
        if values.best_auc != -math.inf:
            raise ValueError(f"a best AUC of {values.best_auc} of no epoch")
    elif values.best_epoch > epochs or not _is_auc_of(values.best_auc, values.history[values.best_epoch - 1]):
        raise ValueError(f"a best AUC of {values.best_auc} of epoch {values.best_epoch} of {epochs}")


def _is_auc_of(auc: float, record: EpochRecord) -> bool:
    """Is it in range, or undefined as that of the epoch is?"""
    return 0 <= auc <= 1 or (math.isnan(auc) and math.isnan(record.val_auc))


def _check_plateau(plateau: Plateau, epochs: int) -> None:
    """Raises ValueError."""
    in_range = 0 <= plateau.scale <= 1 and 0 <= plateau.waited <= epochs and 0 < plateau.factor < 1
    if not in_range or plateau.patience < 1 or not plateau.best <= 1:
        raise ValueError(f"a plateau of scale {plateau.scale:g} after {plateau.waited} epochs, best {plateau.best:g}")


def _check_scaler(found: dict[str, int | float], own: dict[str, Any]) -> None:
    """Raises ValueError."""
    if set(found) != set(own) or not all(0 <= value < 2.0**127 for value in found.values()):
        raise ValueError(f"a gradient scaler of {', '.join(map(str, found))[:80]} out of range")


def restore_trained(state: TrainingState, tensors: Tensors) -> None:
    """What a step changes, of `state_tensors`: the weights and what the optimizer keeps. Raises ValueError."""
    _load(state.model, _part(tensors, TRAINED[0]))
    _restore_optimizer(state.optimizer, _part(tensors, TRAINED[1]))


def _restore_tensors(state: TrainingState, tensors: Tensors) -> None:
    restore_trained(state, tensors)
    if state.average is not None:
        _load(state.average.model, _part(tensors, "average/"))
    if state.swa is not None:
        _load(state.swa.model, _part(tensors, "swa/"))
    for name, target in (("epoch/losses", state.losses), ("epoch/right", state.n_correct)):
        if tensors[name].shape != (state.step,):
            raise ValueError(f"{tuple(tensors[name].shape)} {name} at step {state.step}")
        target[: state.step] = tensors[name]


def _part(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


@torch.no_grad()
def _load(model: nn.Module, weights: Tensors) -> None:
    """In place, so that memory layout and shared tensors are preserved."""
    own = model.state_dict()
    for name, tensor in weights.items():
        if name in own and own[name].dtype != tensor.dtype:
            raise ValueError(f"{name} as {tensor.dtype}, expected {own[name].dtype}")
    model.load_state_dict(weights, strict=True)


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Its slots (`0/momentum_buffer`) by the number of their parameter; those like the parameter in its layout."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    slots: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        number, _, slot = name.partition("/")
        if not _INDEX.fullmatch(number) or int(number) >= len(parameters):
            raise ValueError(f"the optimizer's {name[:60]!r} of {len(parameters)} parameters")
        slots.setdefault(int(number), {})[slot] = _as_slot(name, tensor, parameters[int(number)])
    expected = _slots_of(optimizer)
    mismatched = next((number for number, found in slots.items() if set(found) != expected), None)
    if mismatched is not None or (slots and len(slots) != len(parameters)):
        raise ValueError(f"an optimizer's state of {len(slots)} of {len(parameters)} parameters, or of another kind")
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
    for index, found in slots.items():  # torch moves all but `step` to the device of the parameter
        optimizer.state[parameters[index]].update({slot: found[slot] for slot in SCALARS & set(found)})


SCALARS = {"step", "mu_product"}  # of Adam and NAdam, one for each parameter, on the CPU
_INDEX = re.compile(r"0|[1-9][0-9]{0,5}", re.ASCII)


def _as_slot(name: str, tensor: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """One slot as the optimizer expects it. Raises ValueError."""
    is_scalar = name.partition("/")[2] in SCALARS
    shape, dtype = (torch.Size(), torch.float32) if is_scalar else (parameter.shape, parameter.dtype)
    if tensor.shape != shape or tensor.dtype != dtype:
        found = f"{tensor.dtype} of shape {tuple(tensor.shape)}"
        raise ValueError(f"{name[:60]} as {found}, expected {dtype} of shape {tuple(shape)}")
    if is_scalar:
        if not 0 <= float(tensor) < 2**53:  # NaN too
            raise ValueError(f"{name[:60]} of {float(tensor)}")
        return tensor
    return torch.empty_like(parameter, requires_grad=False).copy_(tensor)


def _slots_of(optimizer: torch.optim.Optimizer) -> set[str]:
    """What the optimizer keeps for each parameter once it has made a step."""
    if "betas" in optimizer.defaults:
        products = {"mu_product"} if "momentum_decay" in optimizer.defaults else set()
        return {"step", "exp_avg", "exp_avg_sq"} | products
    return {"momentum_buffer"} if optimizer.defaults["momentum"] else set()
