"""Models of timm, by the extra `medtui[timm]`: built and named by timm, trained and bundled like any other."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from engine.contract.models.catalogue import model_spec
from engine.contract.recipe.identity import recipe_hash
from engine.contract.recipe.reader import build_recipe
from engine.contract.wire.errors import RecipeError, WeightsError
from engine.model.build import ALL_STAGES, Built, GroupRules, build, start_from_published
from engine.model.plan import ModelPlan
from engine.sentences import ModelWeights

pytest.importorskip("timm", reason="needs the extra medtui[timm]")


def built(name: str, size: int = 64, rules: GroupRules = GroupRules()) -> Built:  # noqa: B008
    spec = model_spec(name)
    assert spec is not None
    torch.manual_seed(0)
    return build(spec, ModelPlan(5, size, 0.0), ([0.5] * 3, [0.25] * 3), rules)


def test_a_recipe_may_name_any_of_timms_models_and_each_is_another_run() -> None:
    names = ["timm/resnet10t", "timm/resnet18", "timm/vit_small_patch16_224.augreg_in1k", "resnet18"]
    recipes = [build_recipe({"model": {"name": name}}) for name in names]
    assert [recipe.model.name for recipe in recipes] == names
    assert len({recipe_hash(recipe) for recipe in recipes}) == 4


@pytest.mark.parametrize("name", ["timm/", "timm/../x", "timm/A B", "timm", "timm/x/y", "timm/a.b.c"])
def test_what_cannot_be_a_name_of_timm_is_refused(name: str) -> None:
    with pytest.raises(RecipeError):
        build_recipe({"model": {"name": name}})


@pytest.mark.parametrize(("name", "meant"), [("timm/resnet10tt", "resnet10t"), ("timm/resnet18.no_such_tag", "")])
def test_a_model_that_timm_does_not_have_is_refused_with_one_that_it_has(name: str, meant: str) -> None:
    with pytest.raises(RecipeError) as refusal:
        built(name)
    (problem,) = refusal.value.problems
    assert problem.path == ("model", "name")
    assert meant in str(problem.fields["alternatives"])


def test_its_scores_are_those_of_timms_model_with_the_same_weights() -> None:
    import timm

    ours = built("timm/resnet10t")
    plain = timm.create_model("resnet10t", num_classes=5)
    plain.load_state_dict(ours.module.state_dict(), strict=True)
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(ours.module.eval()(images), plain.eval()(images))
    assert ours.spec.classifier == ("fc.weight", "fc.bias")


def test_a_vision_transformer_of_timm_is_built_for_the_size_of_the_images() -> None:
    """28 px as 14 × 14 patches of 2 × 2, as in the catalogue's own."""
    ours = built("timm/vit_tiny_patch16_224", 28)
    assert ours.module.state_dict()["pos_embed"].shape[1] == 14 * 14 + 1
    with torch.inference_mode():
        assert ours.module.eval()(torch.rand(2, 3, 28, 28)).shape == (2, 5)


def test_its_layers_are_the_stages_and_its_head_can_be_trained_alone() -> None:
    ours = built("timm/vit_tiny_patch16_224", 28, GroupRules(layer_decay=0.5))
    rates = {name: group.rate for group in ours.groups for name in group.names}
    assert rates["head.weight"] == 1.0
    blocks = [rates[f"blocks.{number}.mlp.fc1.weight"] for number in range(12)]
    assert all(later == pytest.approx(2 * earlier) for earlier, later in pairwise(blocks))
    frozen = built("timm/vit_tiny_patch16_224", 28, GroupRules(freeze=ALL_STAGES))
    assert {name for group in frozen.groups for name in group.names} == {"head.weight", "head.bias"}


def test_weights_that_timm_cannot_have_are_an_error_or_with_auto_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    ours = built("timm/resnet10t")
    with pytest.raises(WeightsError) as refusal:
        start_from_published(ours, True)
    assert refusal.value.code == ModelWeights.TIMM.code
    assert start_from_published(ours, "auto").kind == "scratch"
