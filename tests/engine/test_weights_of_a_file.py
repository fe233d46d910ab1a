"""`model.weights: FILE`: what of a file of the user's own fits a model, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.contract.models.catalogue import models
from engine.contract.wire.errors import WeightsError
from engine.contract.wire.resolved import StartingWeights
from engine.model.build import Built, build, start_from_file
from engine.model.plan import ModelPlan
from engine.model.stem import resized_kernel
from engine.sentences import ModelWeights
from engine.train.checkpoint import save_tensors

Weights = dict[str, torch.Tensor]


def model(name: str = "mini_cnn", classes: int = 3, seed: int = 1, size: int = 28) -> Built:
    torch.manual_seed(seed)
    return build(models()[name], ModelPlan(classes, size, 0.0), ([0.5] * 3, [0.25] * 3))


def weights_of(name: str = "mini_cnn", classes: int = 3) -> Weights:
    return {key: tensor.clone() for key, tensor in model(name, classes, seed=9).module.state_dict().items()}


def start(built: Built, held: Any, path: Path) -> StartingWeights:
    if path.suffix == ".safetensors":
        save_file(held, path)
    else:
        torch.save(held, path)
    return start_from_file(built, path)


WRITTEN: dict[str, Callable[[Weights], Any]] = {
    "as it is": lambda weights: weights,
    "DataParallel": lambda weights: {f"module.{name}": tensor for name, tensor in weights.items()},
    "a backbone": lambda weights: {"state_dict": {f"backbone.{name}": tensor for name, tensor in weights.items()}},
    "Lightning": lambda weights: {
        "epoch": 3,
        "state_dict": {f"model.net.{name}": tensor for name, tensor in weights.items()},
    },
    "compiled": lambda weights: {"model": {f"_orig_mod.module.{name}": tensor for name, tensor in weights.items()}},
}


@pytest.mark.parametrize("form", WRITTEN)
def test_the_usual_ways_to_save_weights_are_understood(form: str, tmp_path: Path) -> None:
    weights, built = weights_of(), model()
    found = start(built, WRITTEN[form](weights), tmp_path / "weights.pth")
    assert found.left == () and found.unused == 0
    own = built.module.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in weights.items())
    assert found.description == f"weights of the file weights.pth, {found.loaded} of {found.loaded} fit"


def test_a_safetensors_file_is_read_too_and_recorded_by_its_digest(tmp_path: Path) -> None:
    one = start(model(), weights_of(), tmp_path / "a.safetensors")
    same = start(model(), weights_of(), tmp_path / "b.safetensors")
    assert (one.kind, one.id, one.digest) == ("file", "a.safetensors", same.digest)
    assert one.digest is not None and len(one.digest) == 64
    assert one.same_as(same)


def test_of_two_networks_in_one_file_the_one_that_fits_more_is_meant(tmp_path: Path) -> None:
    student, weights = weights_of(), weights_of()
    held = {f"student.{name}": tensor for name, tensor in student.items()}
    held |= {f"teacher.{name}": tensor + 1 for name, tensor in weights.items() if "stage1" in name}
    built = model()
    found = start(built, held, tmp_path / "weights.pth")
    assert found.left == ()
    assert torch.equal(built.module.state_dict()["stage1a.0.weight"], student["stage1a.0.weight"])


def test_what_does_not_fit_is_counted_and_named_and_stays_as_it_was(tmp_path: Path) -> None:
    weights = weights_of(classes=7)
    del weights["stage2b.0.weight"]
    weights["projector.weight"] = torch.rand(3, 3)
    built = model()
    before = built.module.state_dict()["stage2b.0.weight"].clone()
    found = start(built, weights, tmp_path / "weights.pth")
    assert set(found.left) == {"stage2b.0.weight", "fc.weight", "fc.bias"}
    assert (found.loaded, found.unused) == (29, 3)
    assert torch.equal(built.module.state_dict()["stage2b.0.weight"], before)
    assert found.description == (
        "weights of the file weights.pth, 29 of 32 fit (not stage2b.0.weight, fc.weight, fc.bias), "
        "3 of the file are not used"
    )


def test_weights_as_they_are_published_are_fitted_to_small_images(tmp_path: Path) -> None:
    from torchvision.models import resnet18

    torch.manual_seed(4)
    weights = resnet18().state_dict()
    built = model("resnet18_adapted")
    found = start(built, weights, tmp_path / "weights.pth")
    assert set(found.left) == {"fc.weight", "fc.bias"}
    assert found.adapted == "its stem resized with the scale kept" and found.adapted in found.description
    torch.testing.assert_close(built.module.state_dict()["conv1.weight"], resized_kernel(weights["conv1.weight"], 3))


@pytest.mark.parametrize("name", ["resnet18_adapted", "mobilenet_v3_large"])
def test_weights_that_medtui_wrote_are_taken_as_they_are(name: str, tmp_path: Path) -> None:
    """Also where the stem of the published ones has the same shape."""
    weights, built = weights_of(name), model(name)
    path = tmp_path / "best.safetensors"
    save_tensors(path, weights, {"format": "pt"})
    assert start_from_file(built, path).left == ()
    own = built.module.state_dict()
    assert all(torch.equal(own[key], tensor) for key, tensor in weights.items())


@pytest.mark.parametrize("held", [{"a.weight": torch.rand(3, 3)}, {"fc.bias": torch.rand(3)}, {"stage1a.1.bias": 0}])
def test_a_file_of_which_nothing_fits_is_an_error(held: Any, tmp_path: Path) -> None:
    if held.get("stage1a.1.bias") == 0:
        held = {"stage1a.1.bias": torch.rand(24)}  # one vector of the right length is no network
    with pytest.raises(WeightsError) as refusal:
        start(model(), held, tmp_path / "weights.pth")
    assert refusal.value.code == ModelWeights.NOTHING_FITS.code
    assert refusal.value.exit_code == 4
    assert refusal.value.fields["found"] == next(iter(held))


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_missing_or_damaged_file_is_an_error_in_one_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as refusal:
        start_from_file(model(), tmp_path / name)
    assert refusal.value.code == ModelWeights.NO_FILE.code
    (tmp_path / name).write_bytes(b"<html>404</html>")
    with pytest.raises(WeightsError) as refusal:
        start_from_file(model(), tmp_path / name)
    assert refusal.value.code == ModelWeights.FILE_DAMAGED.code
    assert "etch" not in refusal.value.hint, "it was not fetched"
    assert "\n" not in refusal.value.message
