"""The catalogue of models, and the word for what a run started from; torch-free."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.contract.models import catalogue
from engine.contract.models.catalogue import model_aliases, models
from engine.contract.recipe.identity import identity_values
from engine.contract.recipe.names import alternatives
from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.schema import fields
from engine.contract.sentences import Conflicts
from engine.contract.store.starting_weights import describe_origin, starting_weights
from engine.contract.wire.errors import RecipeError


@pytest.mark.parametrize("name", ["resnet18_adapted", "resnet18", "mini_cnn"])
def test_a_model_enters_a_runs_identity_by_its_original_name(name: str) -> None:
    assert identity_values(build_recipe({"model": {"name": name}}))["model.name"] == name


def test_the_recipe_offers_every_model_of_the_catalogue_with_a_description() -> None:
    field = fields()["model.name"]
    assert field.choices == list(models())
    assert field.default in models()
    for spec in models().values():
        assert f"`{spec.name}`: {spec.summary}" in field.help


def test_synonyms_lead_to_existing_models_and_are_stored_normalised() -> None:
    assert model_aliases()
    for word, names in model_aliases().items():
        assert set(names) <= set(models())
        assert word == word.lower() and word.isalnum()


@pytest.mark.parametrize("name", models())
def test_a_model_is_refused_only_for_unsupported_image_sizes_and_an_alternative_is_named(name: str) -> None:
    for size in (28, 64, 128, 224):
        values = {"dataset": {"name": "bloodmnist", "size": size}, "model": {"name": name}}
        if models()[name].fits(size):
            assert build_recipe(values).model.name == name
            continue
        with pytest.raises(RecipeError) as refusal:
            build_recipe(values)
        (found,) = refusal.value.problems
        assert (found.code, found.fields["found"]) == (Conflicts.MODEL_SIZE_INSTEAD.code, size)
        assert build_recipe(values | {"model": {"name": found.fields["instead"]}})


def test_a_family_with_a_model_in_the_catalogue_is_not_reported_as_unsupported() -> None:
    assert "timm/NAME" in alternatives("model", "mobilenet_v3_smal", list(models()))
    known = [*models(), replace(models()["resnet18"], name="mobilenet_v3_small").name]
    assert "did you mean mobilenet_v3_small?" in alternatives("model", "mobilenet_v3_smal", known)
    assert "timm/NAME" in alternatives("model", "densenet201", known)


def test_published_weights_are_known_by_the_start_of_a_sha_256() -> None:
    weights = catalogue.published_weights()
    assert weights
    for name, spec in weights.items():
        assert name == spec.file_name and spec.url.endswith(f"/{name}")
        assert len(spec.sha256) >= 8 and set(spec.sha256) <= set("0123456789abcdef")


WORDS = {  # as every edition of medtui wrote them into a manifest
    "from scratch": "from scratch",
    "from scratch (there are no ImageNet weights for mini_cnn)": "from scratch",
    "from scratch (Pretrained weights need resnet18-f37072fd.pth in /x, found no such file.)": "from scratch",
    "ImageNet weights, resnet18-f37072fd.pth": "ImageNet",
    "ImageNet weights, resnet18-f37072fd.pth, its stem resized with the scale kept": "ImageNet",
    "weights of 20261122_cells_mini-cnn_abcdef": "run 20261122_cells_mini-cnn_abcdef",
    "weights of 20261122_cells_mini-cnn_abcdef, but for fc.weight, fc.bias": "run 20261122_cells_mini-cnn_abcdef",
    "unknown": None,
    "": None,
}


@pytest.mark.parametrize("recorded", WORDS)
def test_starting_weights_have_one_description_for_runs_of_every_version(recorded: str) -> None:
    assert starting_weights({"weights": recorded}) == WORDS[recorded]


@pytest.mark.parametrize("damaged", [None, [], "text", {}, {"weights": 5}, {"weights": None}])
def test_a_damaged_manifest_gives_no_starting_weights_and_does_no_harm(damaged: object) -> None:
    assert starting_weights(damaged) is None
    assert describe_origin(None) == "from unknown weights"


def test_after_a_model_name_it_reads_as_a_sentence() -> None:
    assert [describe_origin(word) for word in ("ImageNet", "from scratch", "run x")] == [
        "from ImageNet",
        "from scratch",
        "from run x",
    ]
