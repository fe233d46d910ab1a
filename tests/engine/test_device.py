"""What the machine provides, decided once and described in words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from driving import tiny
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from engine import device
from engine.contract.machine.hardware import refuse_impossible
from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.schema import fields
from engine.contract.sentences import Hardware
from engine.contract.wire.errors import DeviceError, UsageError
from engine.contract.wire.resolved import describe_precision
from engine.device import choose_device, choose_precision, resolved_machine, set_determinism, set_threads
from engine.model.mini_cnn import mini_cnn
from engine.model.plan import ModelPlan
from engine.run.ranks.address import Address, address_elsewhere
from engine.run.training import new_state
from engine.sentences import Devices
from engine.train.loss import Criterion
from engine.train.step import Precision, TrainingStep

CPU = torch.device("cpu")


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture(params=[True, False], ids=["bf16", "no bf16"])
def bfloat16(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(device, "cpu_has_bfloat16", lambda: request.param)
    return bool(request.param)


@pytest.mark.parametrize("wanted", ["cuda:7", "cuda", "cuda:0"])
@pytest.mark.usefixtures("no_cuda")
def test_a_missing_gpu_is_refused_with_exit_code_2_and_a_hint(wanted: str) -> None:
    with pytest.raises(DeviceError) as refusal:
        choose_device(wanted)
    assert refusal.value.exit_code == 2
    assert refusal.value.code == Devices.NOT_FOUND.code
    assert refusal.value.fields == {"expected": wanted, "found": "no CUDA device"}


def test_a_gpu_number_beyond_the_last_is_refused_with_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    assert choose_device("cuda") == torch.device("cuda", 0)
    with pytest.raises(DeviceError) as refusal:
        choose_device("cuda:2")
    assert refusal.value.fields == {"expected": "cuda:2", "found": "2 CUDA devices"}


def test_each_process_needs_a_gpu_and_its_part_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "cores", lambda: 5)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto", 2) == torch.device("cuda", 0)
    assert choose_device("cpu", 3) == torch.device("cpu")
    with pytest.raises(DeviceError) as refusal:
        choose_device("auto", 3)
    assert refusal.value.fields == {"expected": 3, "found": 2, "s": "s"}
    before = torch.get_num_threads()
    try:
        assert [set_threads(None, 2), set_threads(3, 2), set_threads(None, 9)] == [2, 3, 1]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("given", "found"), [("", None), ("node7:29500", Address("node7", 29500))])
def test_where_the_first_process_is_found(given: str, found: Address | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDTUI_RANKS", given)
    assert address_elsewhere() == found


@pytest.mark.parametrize("given", ["node7", ":29500", "node7:0", "node7:70000", "node7:port"])
def test_another_address_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDTUI_RANKS", given)
    with pytest.raises(UsageError) as refusal:
        address_elsewhere()
    assert (refusal.value.code, refusal.value.fields) == (Devices.RANKS_ADDRESS.code, {"found": given})


@pytest.mark.usefixtures("no_cuda")
def test_auto_takes_the_cpu_where_there_is_no_gpu() -> None:
    assert choose_device("auto") == CPU
    assert choose_device("cpu") == CPU


def test_missing_metal_is_refused() -> None:
    with pytest.raises(DeviceError) as refusal:
        refuse_impossible(build_recipe({"runtime": {"device": "mps"}}))
    assert refusal.value.code == Hardware.NO_FLOAT64.code


class NoFloat64(TorchDispatchMode):
    """A device of shapes only that refuses float64, in the words of Metal."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves(found) if isinstance(leaf, torch.Tensor)]
        if any(tensor.device.type == "meta" and tensor.dtype is torch.float64 for tensor in tensors):
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return found


def trains_without_float64() -> bool:
    """One step of the loop's own state and step, on a device without float64."""
    device, recipe = torch.device("meta"), build_recipe(tiny())
    model = mini_cnn(ModelPlan(8, 28, 0.0)).to(device)
    prepared = SimpleNamespace(
        recipe=recipe,
        training=recipe.training,
        model=model,
        built=SimpleNamespace(groups=None),
        device=device,
        precision=Precision("cpu", None),
        splits={"train": range(64)},
    )
    step = TrainingStep(Criterion("multi_class"), prepared.precision, None, model)
    images, labels = torch.zeros(4, 3, 28, 28, device=device), torch.zeros(4, dtype=torch.int64, device=device)
    try:
        with NoFloat64():
            step(new_state(prepared), images, labels, 0.1, None)
    except TypeError as refusal:
        assert "float64" in str(refusal)
        return False
    return True


def test_metal_is_offered_only_if_training_works_without_float64() -> None:
    """Neither refused for nothing, nor accepted to fail in the first step."""
    recipe = build_recipe({"runtime": {"device": "mps"}})  # read, as in a recipe from another machine
    try:
        refuse_impossible(recipe)
        offered = True
    except DeviceError:
        offered = False
    assert offered == trains_without_float64()
    if not offered:
        assert "mps" not in (fields()["runtime.device"].expected or "")


def test_requested_mixed_precision_is_used_or_refused(bfloat16: bool) -> None:
    if bfloat16:
        assert choose_precision(True, CPU) is torch.bfloat16
        return
    with pytest.raises(DeviceError) as refusal:
        choose_precision(True, CPU)
    assert refusal.value.exit_code == 2
    assert refusal.value.code == Devices.NOT_MIXED.code


def test_auto_precision_reports_what_it_decided_and_why(bfloat16: bool) -> None:
    dtype = choose_precision("auto", CPU)
    words = describe_precision(resolved_machine(CPU, dtype), mixed=True)
    assert dtype is (torch.bfloat16 if bfloat16 else None)
    assert words.startswith("on" if bfloat16 else "off")
    assert "bfloat16" in words


def test_precision_turned_off_stays_off_on_every_machine(bfloat16: bool) -> None:
    dtype = choose_precision(False, CPU)
    words = describe_precision(resolved_machine(CPU, dtype), mixed=False)
    assert dtype is None
    assert words.startswith("off")


@pytest.mark.parametrize(
    ("cpuinfo", "has"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 amx_tile\n", True),
        ("flags\t\t: fpu amx_bf16\n", True),
        ("processor: 0\nFeatures\t: fp asimd bf16\n", True),
        ("flags\t\t: fpu avx2 avx512f\n", False),
        ("model name: avx512_bf16 in a name is no flag\nflags : fpu\n", False),
        ("", False),
    ],
)
def test_bfloat16_units_are_known_by_the_kernel_s_flags(
    cpuinfo: str, has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: cpuinfo)
    assert device.cpu_has_bfloat16() is has


@pytest.fixture
def settings_restored() -> Iterator[None]:
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    benchmark, deterministic = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(strict)
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = benchmark, deterministic


@pytest.mark.usefixtures("settings_restored")
def test_threads_are_those_of_the_recipe_or_of_torch() -> None:
    assert set_threads(1) == torch.get_num_threads() == 1
    assert set_threads(None) == 1
    assert set_threads(2) == torch.get_num_threads() == 2


@pytest.mark.usefixtures("settings_restored")
def test_far_more_threads_than_cores_are_refused() -> None:
    cores = os.cpu_count() or 1
    refuse_impossible(build_recipe({"runtime": {"threads": 4 * cores}}))
    with pytest.raises(DeviceError) as refusal:
        refuse_impossible(build_recipe({"runtime": {"threads": 4 * cores + 1}}))
    assert (refusal.value.code, refusal.value.fields["threads"]) == (Hardware.THREADS.code, 4 * cores + 1)
    assert refusal.value.fields["per_core"] == 4


@pytest.mark.usefixtures("settings_restored")
def test_strict_mode_turns_deterministic_kernels_on_and_the_next_run_can_turn_it_off() -> None:
    set_determinism(True)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark
    set_determinism(False)
    assert not torch.are_deterministic_algorithms_enabled()
