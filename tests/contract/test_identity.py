"""A run's identity: the same recipe has the same hash, another recipe has another."""

from __future__ import annotations

import copy
import json
import random
import re
from datetime import date
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st
from pydantic import Field
from recipe_strategies import OWN_IMAGES, STRATEGIES, Values, agreeing_values, of_own_images, variant_values

from engine.contract.recipe.identity import VERSION_1, identity_json, newer_defaults, recipe_hash, run_name, short_hash
from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.schema import fields
from engine.contract.recipe.sections import TrainingSection
from engine.contract.recipe.setting import Section, setting
from engine.contract.sentences import Fields
from engine.contract.wire.errors import RecipeError

IDENTITY = [path for path, spec in fields().items() if spec.identity]
NOT_IDENTITY = [path for path, spec in fields().items() if not spec.identity]
NUMBERS = [path for path, spec in fields().items() if any(v.get("type") == "number" for v in spec.variants)]

# Every identity field, written out by hand: what a recipe's hash is made of.
KNOWN: Values = {
    "dataset": {"limit": None, "md5": None, "name": "breastmnist", "size": 64},
    "model": {"dropout": 0.25, "name": "resnet18_adapted", "pretrained": False},
    "training": {
        "amp": "auto",
        "batch_size": 32,
        "class_weights": "balanced",
        "clip_norm": 1.0,
        "compile": False,
        "ema_decay": None,
        "epochs": 7,
        "init_from": "Å/best",
        "label_smoothing": 0.1,
        "lr": 0.001,
        "min_lr": 1e-06,
        "mixup_alpha": 0.0,
        "mixup_until": None,
        "momentum": 0.9,
        "nesterov": True,
        "optimizer": "sgd",
        "patience": None,
        "plateau_factor": 0.5,
        "plateau_patience": 5,
        "schedule": "cosine",
        "seed": 4294967295,
        "warmup_epochs": 2,
        "weight_decay": 0.0005,
    },
    "augmentation": {
        "brightness": 0.2,
        "contrast": 0.2,
        "hflip": "auto",
        "rotation": 10.0,
        "saturation": 0.0,
        "scale": 0.0,
        "shift": 0.0,
        "vflip": 0.5,
    },
    "evaluation": {"tta": True},
    "runtime": {"device": "cpu", "reproducible": True},
}


def recipe_of(values: Values) -> Recipe:
    """The recipe, or a discarded example where fields contradict each other."""
    try:
        return build_recipe(values)
    except RecipeError:
        reject()


def with_field(values: Values, path: str, value: Any) -> Values:
    section, name = path.split(".")
    return {**values, section: {**values[section], name: value}}


def test_every_field_has_title_help_and_an_identity_flag() -> None:
    assert len(fields()) > 30
    for path, spec in fields().items():
        assert spec.title.strip(), path
        assert spec.help.strip(), path
        assert isinstance(spec.identity, bool), path


def test_exactly_these_fields_do_not_make_another_run() -> None:
    identity = {"runtime.reproducible", "runtime.device", "runtime.processes"}
    runtime = {path for path in fields() if path.startswith("runtime.")} - identity
    assert runtime, "no runtime fields"
    own = {"dataset.root", "dataset.max_unreadable"}
    assert set(NOT_IDENTITY) == {"dataset.archive", "dataset.cache"} | own | runtime


def test_a_field_of_an_unknown_kind_is_not_skipped() -> None:
    """The tests below sample from the schema: a kind that they cannot sample must fail them."""
    assert set(STRATEGIES) == set(fields())
    for unknown in ({"type": "array"}, {"type": "string", "format": "date"}, {"type": "integer", "multipleOf": 2}, {}):
        with pytest.raises(NotImplementedError):
            variant_values(unknown)


@settings(max_examples=60, deadline=None)
@given(values=agreeing_values())
def test_recipes_sampled_from_the_schema_are_valid(values: Values) -> None:
    """The JSON Schema promises no value that the recipe then refuses; the tests below stand on this."""
    recipe = build_recipe(values)
    assert {path: getattr(getattr(recipe, path.split(".")[0]), path.split(".")[1]) for path in fields()} == {
        f"{section}.{name}": value for section, entries in values.items() for name, value in entries.items()
    }


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data(), values=agreeing_values())
@pytest.mark.parametrize("path", IDENTITY)
def test_another_value_of_an_identity_field_is_another_hash(path: str, data: st.DataObject, values: Values) -> None:
    section, name = path.split(".")
    if path == "dataset.md5":
        values["dataset"] |= {"name": "breastmnist", "archive": "own.npz"}  # stands only with an archive
        values["training"]["batch_size"] = 2
    if path in OWN_IMAGES:
        values = of_own_images(values, path)
    before = recipe_of(values)
    other = data.draw(STRATEGIES[path])
    assume(other != values[section][name])
    after = recipe_of(with_field(values, path, other))
    assert recipe_hash(after) != recipe_hash(before)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data(), values=agreeing_values())
@pytest.mark.parametrize("path", NOT_IDENTITY)
def test_another_value_of_any_other_field_is_the_same_hash(path: str, data: st.DataObject, values: Values) -> None:
    section, name = path.split(".")
    if path in OWN_IMAGES:
        values = of_own_images(values, path)
    before = recipe_of(values)
    other = data.draw(STRATEGIES[path])
    assume(other != values[section][name])
    after = recipe_of(with_field(values, path, other))
    assert after != before
    assert recipe_hash(after) == recipe_hash(before)
    assert short_hash(after) == short_hash(before)


@settings(max_examples=60, deadline=None)
@given(values=agreeing_values(), generator=st.randoms(use_true_random=False))
def test_the_order_of_keys_is_not_part_of_the_identity(values: Values, generator: random.Random) -> None:
    def shuffled(mapping: dict[str, Any]) -> dict[str, Any]:
        return dict(generator.sample(list(mapping.items()), len(mapping)))

    turned = shuffled({section: shuffled(entries) for section, entries in values.items()})
    assert recipe_hash(recipe_of(turned)) == recipe_hash(recipe_of(values))


@settings(max_examples=60, deadline=None)
@given(values=agreeing_values(), chosen=st.sets(st.sampled_from(sorted(fields())), min_size=1))
def test_a_default_written_out_is_the_same_run_as_one_left_out(values: Values, chosen: set[str]) -> None:
    explicit, left_out = copy.deepcopy(values), copy.deepcopy(values)
    for path in chosen:
        section, name = path.split(".")
        explicit[section][name] = fields()[path].default
        del left_out[section][name]
    assert recipe_of(left_out) == recipe_of(explicit)
    assert recipe_hash(recipe_of(left_out)) == recipe_hash(recipe_of(explicit))


def test_an_empty_recipe_is_the_recipe_of_all_defaults() -> None:
    defaults: Values = {}
    for spec in fields().values():
        defaults.setdefault(spec.section, {})[spec.name] = spec.default
    assert recipe_hash(build_recipe({})) == recipe_hash(build_recipe(defaults))


def test_ten_and_ten_point_zero_are_one_value() -> None:
    def turned_by(degrees: float) -> Recipe:
        return build_recipe({"augmentation": {"rotation": degrees}})

    assert recipe_hash(turned_by(10)) == recipe_hash(turned_by(10.0))
    assert recipe_hash(turned_by(11)) != recipe_hash(turned_by(10.0))


@pytest.mark.parametrize(
    "path", [path for path in NUMBERS if any(v.get("minimum") == 0 for v in fields()[path].variants)]
)
def test_integer_negative_and_plain_zero_are_one_value(path: str) -> None:
    section, name = path.split(".")
    source = {"folder": "x"} if path in OWN_IMAGES else {}
    hashes = {recipe_hash(build_recipe({section: {name: zero, **source}})) for zero in (0, 0.0, -0.0)}
    assert len(hashes) == 1


def test_zero_and_false_are_not_mixed_up() -> None:
    """In Python 0 == False; in a recipe one is a number and the other is none."""
    with pytest.raises(RecipeError) as error:
        build_recipe({"training": {"weight_decay": False}})
    (found,) = error.value.problems
    assert (found.path, found.code) == (("training", "weight_decay"), Fields.INVALID.code)
    assert found.fields["found"] == "false"


def test_the_hash_is_blake2b_of_the_canonical_json() -> None:
    text = json.dumps(KNOWN, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    recipe = build_recipe(KNOWN)
    assert identity_json(recipe) == text
    assert short_hash(recipe) == blake2b(text, digest_size=16).hexdigest()[:6]
    assert recipe_hash(recipe) == blake2b(text, digest_size=16).hexdigest()
    assert re.fullmatch("[0-9a-f]{6}", short_hash(recipe))
    assert re.fullmatch("[0-9a-f]{32}", recipe_hash(recipe))


def test_the_hash_written_by_hand_covers_the_fields_of_version_1_and_no_newer_ones() -> None:
    assert {section: set(names) for section, names in VERSION_1.items()} == {
        section: set(entries) for section, entries in KNOWN.items()
    }
    assert {f"{section}.{name}" for section, entries in KNOWN.items() for name in entries} <= set(IDENTITY)


def test_the_hashes_of_existing_runs_do_not_change() -> None:
    """Of the defaults, as 217e719 hashed them: the reference for every later edition."""
    assert recipe_hash(build_recipe({})) == "d50e0572cd45bd9a51ccf770288654ae"


class GrownTracking(Section):
    label: str | None = setting(None, title="Label", help="Of a later edition.")


class GrownTraining(TrainingSection):
    """A later schema: a new identity field, whose default is the old behaviour."""

    sharpness: float = setting(0.0, title="Sharpness", help="Of a later edition.")


class GrownRecipe(Recipe):
    training: GrownTraining = Field(GrownTraining(), title="Training")
    tracking: GrownTracking = Field(GrownTracking(), title="Tracking")


def test_a_new_field_whose_default_is_the_old_behaviour_changes_no_hash() -> None:
    before = build_recipe(KNOWN)
    after = GrownRecipe.model_validate(KNOWN)
    assert "training.sharpness" in fields(GrownRecipe) and "tracking.label" in fields(GrownRecipe)
    assert recipe_hash(after) == recipe_hash(before)
    assert newer_defaults()["training.monitor"] == "auc"  # what a run did that was made before it was there
    grown = {"training.sharpness": "0.0", "tracking.label": "null"}
    assert newer_defaults(GrownRecipe) == newer_defaults() | grown


@pytest.mark.parametrize("new", [{"training": {"sharpness": 0.5}}, {"tracking": {"label": "x"}}])
def test_another_value_of_a_new_field_is_another_hash(new: Values) -> None:
    before = GrownRecipe.model_validate(KNOWN)
    after = GrownRecipe.model_validate(KNOWN | {section: KNOWN.get(section, {}) | new[section] for section in new})
    assert recipe_hash(after) != recipe_hash(before)


def test_a_run_is_named_after_day_data_model_and_hash() -> None:
    recipe = build_recipe({"dataset": {"name": "breastmnist"}})
    assert run_name(recipe, date(2026, 1, 2)) == f"20260102_breastmnist_resnet18-adapted_{short_hash(recipe)}"


def test_a_run_at_another_size_has_the_size_in_its_name() -> None:
    recipe = build_recipe({"dataset": {"name": "breastmnist", "size": 64}, "model": {"name": "mini_cnn"}})
    assert run_name(recipe, date(2026, 11, 22)) == f"20261122_breastmnist-64_mini-cnn_{short_hash(recipe)}"
