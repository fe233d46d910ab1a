"""Models: torchvision's names and weights, the adapted stem, and weight files that are not what they should be."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from serving import Mirror
from torch import nn
from torchvision.models import ResNet18_Weights, resnet18

from engine.contract.models.catalogue import RESNET18_IMAGENET, models
from engine.contract.models.spec import ModelSpec
from engine.contract.wire.errors import WeightsError
from engine.model.build import Built, build, count_parameters, load_matching, start_from_published
from engine.model.plan import ModelPlan
from engine.model.weights import fetch_published, read_pth
from engine.sentences import Downloads, ModelWeights

NAME = "resnet18-f37072fd.pth"  # torchvision's own, ResNet18_Weights.IMAGENET1K_V1


@dataclass(frozen=True)
class Started:
    built: Built
    start: str
    pretrained: bool

    @property
    def model(self) -> nn.Module:
        return self.built.module


def build_model(
    model: str | ModelSpec,
    classes: int,
    dropout: float,
    pretrained: bool | str,
    fetch: Callable[[], None] | None = None,
    *,
    stand_in: bool = True,
    size: int = 28,
) -> Started:
    """As in preparation: built, then initialised as the recipe requests.

    `stand_in`: a file in the place of the published one counts as that, whatever its SHA-256.
    """
    spec = models()[model] if isinstance(model, str) else model
    if stand_in and spec.weights is not None and spec.weights.path.is_file():
        digest = hashlib.sha256(spec.weights.path.read_bytes()).hexdigest()
        spec = replace(spec, weights=replace(spec.weights, sha256=digest[:8]))
    built = build(spec, ModelPlan(classes, size, dropout), ([0.5] * 3, [0.25] * 3))
    start = start_from_published(built, pretrained, fetch)
    return Started(built, start.description, start.kind == "imagenet")


@pytest.fixture
def weights_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torchvision's file would lie; the folder is there, the file is not."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / NAME
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture(scope="module")
def imagenet() -> dict[str, torch.Tensor]:
    """A state dict in torchvision's layout, every tensor random, batch statistics too."""
    torch.manual_seed(3)
    weights = resnet18(weights=None).state_dict()
    return OrderedDict(
        (name, torch.rand_like(tensor) + 0.1 if tensor.is_floating_point() else tensor.clone() + 77)
        for name, tensor in weights.items()
    )


def test_the_file_is_searched_where_torchvision_keeps_it(weights_file: Path) -> None:
    assert RESNET18_IMAGENET.path == weights_file == Path(torch.hub.get_dir()) / "checkpoints" / NAME
    published = ResNet18_Weights.IMAGENET1K_V1
    assert published.url == RESNET18_IMAGENET.url
    assert published.url.endswith(f"/{NAME}")
    transforms = published.transforms()
    assert (tuple(transforms.mean), tuple(transforms.std)) == (RESNET18_IMAGENET.mean, RESNET18_IMAGENET.std)


def test_the_adapted_stem_responds_to_a_patch_like_torchvisions_to_it_upsampled_and_the_run_records_it(
    weights_file: Path, imagenet: dict[str, torch.Tensor]
) -> None:
    torch.save(imagenet, weights_file)
    built = build_model("resnet18_adapted", 5, 0.0, pretrained=True)
    patches = torch.rand(20, 3, 3, 3)
    enlarged = F.interpolate(patches, size=(7, 7), mode="bicubic", align_corners=False)
    expected = F.conv2d(enlarged, imagenet["conv1.weight"])
    torch.testing.assert_close(F.conv2d(patches, built.model.state_dict()["conv1.weight"]), expected)
    assert built.start == f"ImageNet weights, {NAME}, its stem resized with the scale kept"
    assert build_model("resnet18", 5, 0.0, pretrained=True).start == f"ImageNet weights, {NAME}", "nothing is resized"


@pytest.mark.parametrize("name", ["resnet18_adapted", "resnet18"])
def test_every_other_weight_is_torchvisions_and_the_classifier_is_new(
    name: str, weights_file: Path, imagenet: dict[str, torch.Tensor]
) -> None:
    torch.save(imagenet, weights_file)
    built = build_model(name, 5, 0.3, pretrained="auto").model.state_dict()
    own = {"fc.weight", "fc.bias"} | ({"conv1.weight"} if name == "resnet18_adapted" else set())
    shared = [key for key in imagenet if key not in own]
    assert len(shared) >= 119
    for key in shared:
        assert torch.equal(built[key], imagenet[key]), key
    assert built["fc.weight"].shape == (5, 512)


def test_a_file_without_batch_counters_loads_as_in_torchvision(
    weights_file: Path, imagenet: dict[str, torch.Tensor]
) -> None:
    """Files of torch 0.3 have no `num_batches_tracked`; `load_state_dict(strict=True)` accepts them."""
    old = OrderedDict(
        (name, nn.Parameter(tensor) if "running" not in name else tensor)
        for name, tensor in imagenet.items()
        if not name.endswith("num_batches_tracked")
    )
    assert len(old) == 102
    resnet18(weights=None).load_state_dict(old, strict=True)
    torch.save(old, weights_file)
    built = build_model("resnet18", 5, 0.0, pretrained=True)
    assert torch.equal(built.model.state_dict()["layer4.1.bn2.running_var"], imagenet["layer4.1.bn2.running_var"])


@pytest.mark.parametrize("name", ["resnet18_adapted", "resnet18"])
def test_missing_required_weights_are_refused_naming_file_and_folder(name: str, weights_file: Path) -> None:
    with pytest.raises(WeightsError) as refusal:
        build_model(name, 2, 0.0, pretrained=True)
    assert refusal.value.exit_code == 4
    assert refusal.value.code == ModelWeights.MISSING.code
    assert (refusal.value.fields["file"], refusal.value.fields["folder"]) == (NAME, weights_file.parent)
    assert refusal.value.fields["url"] == ResNet18_Weights.IMAGENET1K_V1.url


@pytest.mark.parametrize("name", ["resnet18_adapted", "resnet18"])
def test_auto_starts_from_scratch_and_logs_the_reason(name: str, weights_file: Path) -> None:
    built = build_model(name, 2, 0.0, pretrained="auto")
    assert not built.pretrained
    assert "from scratch" in built.start
    assert NAME in built.start
    assert str(weights_file.parent) in built.start


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """Where weights are fetched from; it has none yet."""
    with Mirror({}) as mirror:
        for name, value in mirror.environment.items():
            monkeypatch.setenv(name, value)
        yield mirror


def nothing(done: int, total: int | None) -> None:
    pass


def test_missing_weights_are_fetched_and_known_by_the_sha_256_in_their_name(
    tmp_path: Path,
    weights_file: Path,
    mirror: Mirror,
    imagenet: dict[str, torch.Tensor],
) -> None:
    torch.save(imagenet, tmp_path / "weights.pth")
    content = (tmp_path / "weights.pth").read_bytes()
    name = f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"  # as torchvision names its own
    url = f"https://download.pytorch.org/models/{name}"
    weights = replace(RESNET18_IMAGENET, file_name=name, url=url, sha256=name[9:17])
    spec = replace(models()["resnet18"], weights=weights)
    mirror.files[name] = content
    said: list[str] = []
    built = build_model(spec, 2, 0.0, True, partial(fetch_published, weights, nothing, said.append))
    assert built.pretrained
    assert torch.equal(built.model.state_dict()["layer1.0.conv1.weight"], imagenet["layer1.0.conv1.weight"])
    assert [path.name for path in weights_file.parent.iterdir()] == [name]
    assert f"{mirror.address}/{name}" in said[0]
    build_model(spec, 2, 0.0, True, partial(fetch_published, weights, nothing, said.append))
    assert len(mirror.asked) == 1, "what is there is not fetched again"


@pytest.mark.parametrize("content", [None, b"something else"], ids=["not there", "of another sum"])
def test_weights_that_cannot_be_fetched_are_an_error_or_with_auto_a_warning(
    weights_file: Path, mirror: Mirror, content: bytes | None
) -> None:
    if content is not None:
        mirror.files[NAME] = content
    why = Downloads.ANSWERED if content is None else Downloads.DIGEST
    fetch = partial(fetch_published, RESNET18_IMAGENET, nothing, print)
    with pytest.raises(WeightsError) as error:
        build_model("resnet18_adapted", 2, 0.0, True, fetch)
    assert error.value.exit_code == 4
    assert (error.value.code, error.value.fields["folder"]) == (ModelWeights.NOT_FETCHED.code, weights_file.parent)
    assert error.value.fields["reason"].code == why.code
    built = build_model("resnet18_adapted", 2, 0.0, "auto", fetch)
    assert not built.pretrained
    assert built.start.startswith("from scratch (") and error.value.message in built.start
    assert list(weights_file.parent.iterdir()) == []


def test_mini_cnn_has_no_imagenet_weights_and_reports_it() -> None:
    built = build_model("mini_cnn", 2, 0.0, pretrained="auto")
    assert not built.pretrained
    assert "from scratch" in built.start
    with pytest.raises(WeightsError) as refusal:
        build_model("mini_cnn", 2, 0.0, pretrained=True)
    assert (refusal.value.code, refusal.value.fields["model"]) == (ModelWeights.NONE_PUBLISHED.code, "mini_cnn")


def test_weights_that_were_not_requested_are_not_read(weights_file: Path) -> None:
    weights_file.write_bytes(b"damaged")
    built = build_model("resnet18_adapted", 2, 0.0, pretrained=False)
    assert (built.start, built.pretrained) == ("from scratch", False)


class Trap:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


def test_a_pickle_with_code_in_it_is_refused_and_not_executed(
    weights_file: Path, tmp_path: Path, imagenet: dict[str, torch.Tensor]
) -> None:
    marker = tmp_path / "executed"
    for zip_format in (True, False):
        torch.save({**imagenet, "trap": Trap(marker)}, weights_file, _use_new_zipfile_serialization=zip_format)
        with pytest.raises(WeightsError) as refusal:
            build_model("resnet18_adapted", 2, 0.0, pretrained=True)
        assert refusal.value.exit_code == 4
        assert (refusal.value.code, refusal.value.fields["path"]) == (ModelWeights.DAMAGED.code, weights_file)
        assert not marker.exists()
    torch.load(weights_file, weights_only=False)  # the trap does work
    assert marker.exists()


def whole_file(tmp_path: Path) -> bytes:
    torch.save({"conv1.weight": torch.rand(64, 3, 7, 7)}, tmp_path / "whole.pth")
    return (tmp_path / "whole.pth").read_bytes()


@pytest.mark.parametrize("content", ["empty", "text", "half", "zeros", "one byte"])
def test_a_damaged_weight_file_is_refused_in_one_sentence(content: str, weights_file: Path, tmp_path: Path) -> None:
    whole = whole_file(tmp_path)
    damaged = {"empty": b"", "text": b"<html>404</html>", "half": whole[: len(whole) // 2], "zeros": bytes(5000)}
    weights_file.write_bytes(damaged.get(content, b"\x80"))
    with pytest.raises(WeightsError) as refusal:
        build_model("resnet18", 2, 0.0, pretrained=True)
    assert (refusal.value.code, refusal.value.fields["path"]) == (ModelWeights.DAMAGED.code, weights_file)


def test_weights_that_are_not_the_published_file_are_refused_though_they_can_be_read(
    weights_file: Path, imagenet: dict[str, torch.Tensor]
) -> None:
    """A flipped bit may lie in a number: torch reads the file, and the run would end elsewhere."""
    torch.save(imagenet, weights_file)
    found = hashlib.sha256(weights_file.read_bytes()).hexdigest()[:8]
    with pytest.raises(WeightsError) as refusal:
        build_model("resnet18", 2, 0.0, pretrained=True, stand_in=False)
    assert refusal.value.code == ModelWeights.DIGEST.code
    assert refusal.value.fields == {"path": weights_file, "found": found, "expected": "f37072fd"}
    built = build_model("resnet18", 2, 0.0, "auto", stand_in=False)
    assert not built.pretrained and found in built.start


@pytest.mark.parametrize("zip_format", [True, False], ids=["zip", "before torch 1.6"])
def test_a_weight_file_that_was_cut_off_is_refused_wherever_it_was(zip_format: bool, weights_file: Path) -> None:
    whole = {"conv1.weight": torch.rand(8), "bn1.num_batches_tracked": torch.tensor(3)}
    torch.save(whole, weights_file, _use_new_zipfile_serialization=zip_format)
    content = weights_file.read_bytes()
    assert len(content) > 300
    escaped = {}
    for kept in range(0, len(content) - 1, 5):
        weights_file.write_bytes(content[:kept])
        try:
            with pytest.raises(WeightsError):
                read_pth(weights_file)
        except Exception as error:
            escaped[kept] = error
    assert not escaped


@pytest.mark.parametrize("held", [[torch.rand(3)], torch.rand(3), {"conv1.weight": "text"}, {"epoch": 3}, {}, 5])
def test_a_file_without_named_tensors_is_refused_in_one_sentence(held: object, weights_file: Path) -> None:
    torch.save(held, weights_file)
    with pytest.raises(WeightsError) as refusal:
        build_model("resnet18", 2, 0.0, pretrained=True)
    assert refusal.value.code in (ModelWeights.NOT_TENSORS.code, ModelWeights.UNFIT.code)  # {} holds no other thing
    assert str(refusal.value.fields["path"]) == str(weights_file)


def test_weights_of_another_network_are_refused_naming_what_differs(
    weights_file: Path, imagenet: dict[str, torch.Tensor]
) -> None:
    torch.save(imagenet | {"layer3.0.conv1.weight": torch.rand(1, 1, 3, 3)}, weights_file)
    with pytest.raises(WeightsError) as refusal:
        build_model("resnet18_adapted", 2, 0.0, pretrained=True)
    assert refusal.value.code == ModelWeights.UNFIT.code
    assert refusal.value.fields["names"] == "layer3.0.conv1.weight"
    torch.save(imagenet | {"layer9.weight": torch.rand(1)}, weights_file)
    with pytest.raises(WeightsError) as refusal:
        build_model("resnet18_adapted", 2, 0.0, pretrained=True)
    assert refusal.value.fields["names"] == "layer9.weight"


def test_weights_of_another_run_with_another_number_of_classes_leave_only_the_classifier_unchanged() -> None:
    earlier = build_model("mini_cnn", 7, 0.0, pretrained=False).model.state_dict()
    built = build_model("mini_cnn", 3, 0.2, pretrained=False).built
    model = built.module
    head = model.state_dict()["fc.weight"].clone()
    assert sorted(load_matching(built, earlier, "an earlier run")) == ["fc.bias", "fc.weight"]
    now = model.state_dict()
    assert torch.equal(now["fc.weight"], head)
    assert torch.equal(now["stage3b.0.weight"], earlier["stage3b.0.weight"])


def test_a_refused_load_changes_no_weight() -> None:
    built = build_model("mini_cnn", 3, 0.0, pretrained=False).built
    model = built.module
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    other = build_model("resnet18", 3, 0.0, pretrained=False).model.state_dict()
    with pytest.raises(WeightsError):
        load_matching(built, other, "another network")
    assert before
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("classes", [2, 14])
def test_mini_cnn_has_about_a_hundred_thousand_parameters(classes: int) -> None:
    model = build_model("mini_cnn", classes, 0.5, pretrained=False).model
    counted = sum(int(np.prod(parameter.shape)) for parameter in model.parameters())
    assert 80_000 <= counted <= 140_000
    assert count_parameters(model) == counted


@pytest.mark.parametrize("name", ["resnet18_adapted", "resnet18", "mini_cnn"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_each_model_returns_one_logit_per_class_at_its_sizes(name: str, dropout: float) -> None:
    """The others: `test_adaptation.py`."""
    model = build_model(name, 9, dropout, pretrained=False).model.eval()
    sides = [side for side in (28, 64, 128) if models()[name].fits(side)]
    assert sides
    for side in sides:
        with torch.inference_mode():
            assert model(torch.rand(2, 3, side, side)).shape == (2, 9)


def test_stage_one_of_the_adapted_model_still_sees_all_28_pixels() -> None:
    model = build_model("resnet18_adapted", 2, 0.0, pretrained=False).model.eval()
    seen: dict[str, torch.Size] = {}
    for name in ("layer1", "layer2", "layer4"):
        model.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: seen.update({name: output.shape})
        )
    with torch.inference_mode():
        model(torch.rand(1, 3, 28, 28))
    assert seen["layer1"] == (1, 64, 28, 28)
    assert seen["layer2"] == (1, 128, 14, 14)
    assert seen["layer4"] == (1, 512, 4, 4)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_adapted_weights_load_strictly_into_a_plain_resnet18_with_the_same_logits(dropout: float) -> None:
    torch.manual_seed(0)
    ours = build_model("resnet18_adapted", 6, dropout, pretrained=False).model
    ours(torch.rand(4, 3, 28, 28))  # moves the batch statistics
    plain = resnet18(weights=None)
    plain.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    plain.maxpool = nn.Identity()
    plain.fc = nn.Linear(512, 6)
    plain.load_state_dict(ours.state_dict(), strict=True)
    images = torch.rand(2, 3, 28, 28)
    with torch.inference_mode():
        assert torch.equal(ours.eval()(images), plain.eval()(images))


RARELY = ("resnet34", "resnet50", "vgg16_bn", "efficientnet_v2_s", "vit_b_16")  # torchvision's own, or as another


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.exhaustive] if n in RARELY else []) for n in models()]
)
def test_dropout_drops_while_training_and_not_in_evaluation(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, 4, 0.5, pretrained=False).model.eval()
    images = torch.rand(1, 3, 28, 28)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith("heads."):  # of a vision transformer, which begin as zero
                parameter.normal_()
    with torch.inference_mode():
        assert torch.equal(model(images), model(images))
        for module in model.modules():
            if isinstance(module, nn.Dropout | nn.Dropout2d):
                module.train()
        assert not torch.equal(model(images), model(images))


def test_the_same_seed_starts_from_the_same_weights() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        state = build_model("resnet18_adapted", 3, 0.0, pretrained=False).model.state_dict()
        return torch.cat([state["conv1.weight"].flatten(), state["fc.weight"].flatten()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
