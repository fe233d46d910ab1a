"""`resolved_hash`: equal for equal experiments, another for another, whatever a recipe left to the machine."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from recipe_strategies import STRATEGIES, Values, agreeing_values

from engine.contract.data.views import view_names
from engine.contract.recipe.identity import DECIDED_BY, DECIDED_IN_PLACE, identity, recipe_hash, resolved_hash
from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.recorded import resolved_hash_of, resolved_of
from engine.contract.recipe.schema import fields
from engine.contract.wire.errors import RecipeError
from engine.contract.wire.recorded import fingerprint, translated
from engine.contract.wire.resolved import Resolved, StartingWeights, describe_decisions, describe_values

HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
SCRATCH = StartingWeights(kind="scratch")
WEIGHTS = st.builds(StartingWeights, kind=st.just("scratch"), note=st.text(max_size=5)) | st.builds(
    StartingWeights,
    kind=st.sampled_from(["imagenet", "run"]),
    id=st.text(max_size=8),
    digest=HEX,
    adapted=st.sampled_from(["", "stem resized"]),
)
VIEWS = st.sampled_from([view_names(symmetry, tta) for symmetry in ("all", "mirror", "none") for tta in (True, False)])
RESOLVED = st.builds(
    Resolved,
    data=st.sampled_from(["cells-v1", "cells-v2", "0" * 32, "f" * 32]),
    device=st.sampled_from(["cpu", "cuda", "mps"]),
    device_name=st.sampled_from(["cpu", "NVIDIA A100", "Tesla V100"]),
    precision=st.sampled_from(["float32", "bfloat16", "float16"]),
    weights=WEIGHTS,
    hflip=st.floats(0, 1),
    views=VIEWS,
    storage=st.sampled_from(["device", "ram", "mapped"]),
    threads=st.integers(1, 64),
    batch_size=st.just(77),  # of recipes that have `auto`
)
# Values of the machine that change no result but, at most, its last bits.
FREE = {"device_name": "another", "storage": "mapped", "threads": 63}
ASKED = [path for path, spec in fields().items() if spec.identity and path not in DECIDED_BY]
SLOW = {"deadline": None, "suppress_health_check": [HealthCheck.filter_too_much, HealthCheck.too_slow]}


def with_field(values: Values, path: str, value: Any) -> Recipe:
    """The recipe, or a discarded example where the fields contradict each other."""
    section, name = path.split(".")
    try:
        return build_recipe({**values, section: {**values[section], name: value}})
    except RecipeError:
        assume(False)
        raise


@settings(max_examples=60, **SLOW)
@given(values=agreeing_values(), resolved=RESOLVED, data=st.data())
def test_however_a_recipe_requests_them_the_same_decisions_are_the_same_experiment(
    values: Values, resolved: Resolved, data: st.DataObject
) -> None:
    """`auto`, `true`, the MD5 that was found, the device by its name: what they became counts."""
    path = data.draw(st.sampled_from(sorted(DECIDED_BY)))
    one, other = build_recipe(values), with_field(values, path, data.draw(STRATEGIES[path]))
    assert resolved_hash(one, resolved) == resolved_hash(other, resolved)
    assert (recipe_hash(one) == recipe_hash(other)) == (one == other)


@settings(max_examples=60, **SLOW)
@given(values=agreeing_values(), resolved=RESOLVED, other=RESOLVED)
def test_another_decision_that_changes_results_is_another_experiment(
    values: Values, resolved: Resolved, other: Resolved
) -> None:
    recipe = build_recipe(values)
    deciding = ("data", "device", "precision", "hflip", "views")
    same = all(getattr(resolved, name) == getattr(other, name) for name in deciding)
    one, two = resolved.weights, other.weights
    assert one is not None and two is not None
    same = same and (one.kind, one.digest, one.adapted) == (two.kind, two.digest, two.adapted)
    assert (resolved_hash(recipe, resolved) == resolved_hash(recipe, other)) == same


@settings(max_examples=60, **SLOW)
@given(values=agreeing_values(), resolved=RESOLVED, data=st.data())
def test_another_requested_value_is_another_experiment(values: Values, resolved: Resolved, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(ASKED))
    one, other = build_recipe(values), with_field(values, path, data.draw(STRATEGIES[path]))
    assume(one != other)
    assert resolved_hash(one, resolved) != resolved_hash(other, resolved)


@settings(max_examples=20, **SLOW)
@given(values=agreeing_values(), resolved=RESOLVED)
@pytest.mark.parametrize("name", FREE)
def test_the_gpu_s_model_threads_and_storage_make_no_other_experiment(
    name: str, values: Values, resolved: Resolved
) -> None:
    recipe = build_recipe(values)
    assert resolved_hash(recipe, resolved) == resolved_hash(recipe, resolved.model_copy(update={name: FREE[name]}))


PLAIN = Resolved(
    data="cells-v1", device="cpu", precision="float32", weights=SCRATCH, hflip=0.5, views=("identity",), threads=1
)
IMAGENET = StartingWeights(kind="imagenet", id="resnet18-f37072fd.pth", digest="f37072fd" + "0" * 56)


@pytest.mark.parametrize(
    "other",
    [
        {"weights": IMAGENET},
        {"precision": "bfloat16"},
        {"data": "cells-v2"},
        {"views": ("identity", "hflip")},
        {"hflip": 0.0},
    ],
    ids=["pretrained", "mixed precision", "another edition of the data", "more views", "no flips"],
)
def test_one_hash_never_names_two_of_these(other: dict[str, Any]) -> None:
    recipe = build_recipe({"dataset": {"name": "cells"}})
    assert resolved_hash(recipe, PLAIN) != resolved_hash(recipe, PLAIN.model_copy(update=other))


@pytest.mark.parametrize(
    ("update", "written"),
    [
        ({}, {}),
        ({"hflip": -0.0}, {"hflip": 0.0}),
        ({"weights": IMAGENET}, {"weights": ["imagenet", IMAGENET.digest]}),
        (
            {"weights": IMAGENET.model_copy(update={"adapted": "stem resized"})},
            {"weights": ["imagenet", IMAGENET.digest, "stem resized"]},
        ),
        ({"best_by": "auc_then_loss"}, {"best_by": "auc_then_loss"}),
        ({"threads": 8, "storage": "ram", "device_name": "another"}, {}),
    ],
    ids=["plain", "minus zero", "pretrained", "adapted", "best by two", "what does not decide"],
)
def test_the_hash_is_blake2b_of_the_request_and_its_decisions_in_canonical_json(
    update: dict[str, Any], written: dict[str, Any]
) -> None:
    """By its definition, so that a run made before today is still found to be the same experiment."""
    decided = {"data": "cells-v1", "device": "cpu", "precision": "float32", "hflip": 0.5, "views": ["identity"]}
    decided |= {"weights": ["scratch", None]} | written
    recipe = build_recipe({"dataset": {"name": "cells"}})
    asked = {path: value for path, value in identity(recipe).items() if path not in DECIDED_BY}
    text = json.dumps({"recipe": asked, "resolved": decided}, sort_keys=True, separators=(",", ":")).encode()
    expected = blake2b(text, digest_size=16).hexdigest()
    assert resolved_hash(recipe, PLAIN.model_copy(update=update)) == expected


def test_with_an_unknown_decision_there_is_no_hash() -> None:
    recipe = build_recipe({})
    assert resolved_hash(recipe, PLAIN) is not None
    for name in ("data", "device", "precision", "weights", "hflip", "views"):
        assert resolved_hash(recipe, PLAIN.model_copy(update={name: None})) is None, name
    unknown = PLAIN.model_copy(update={"weights": IMAGENET.model_copy(update={"digest": None})})
    assert resolved_hash(recipe, unknown) is None


def test_every_identity_field_that_leaves_something_to_the_machine_is_decided() -> None:
    """A field whose value may be `auto` stands in the hash as what it became, or it is no part of a result."""
    automatic = {path for path, spec in fields().items() if spec.identity and "auto" in spec.choices}
    assert automatic and automatic <= set(DECIDED_BY) | set(DECIDED_IN_PLACE)
    assert {*DECIDED_BY.values(), *DECIDED_IN_PLACE.values()} <= set(Resolved.model_fields)


def test_the_descriptions_of_decisions_are_unchanged() -> None:
    gpu = PLAIN.model_copy(
        update={"device": "cuda", "device_name": "NVIDIA A100", "precision": "bfloat16", "storage": "device"}
    )
    assert describe_decisions(gpu, mixed=True) == {
        "device": "NVIDIA A100",
        "amp": "on, bfloat16 (NVIDIA A100)",
        "weights": "from scratch",
        "cache": "device",
        "hflip": "0.5",
        "threads": "1",
    }
    assert describe_decisions(PLAIN, mixed=False)["amp"] == "off (recipe)"
    slower = "off (this CPU has no bfloat16 units and would be slower)"
    assert describe_decisions(PLAIN, mixed=True)["amp"] == slower
    run = StartingWeights(kind="run", id="a_run", digest="aa", left=("fc.weight", "fc.bias"))
    assert run.description == "weights of a_run, but for fc.weight, fc.bias"
    assert IMAGENET.description == "ImageNet weights, resnet18-f37072fd.pth"


def test_another_way_to_choose_the_best_epoch_is_another_experiment_and_so_is_a_run_that_drifted() -> None:
    recipe = build_recipe({"dataset": {"name": "cells"}})
    values = {"data": "cells-v1", "device": "cpu", "precision": "float32", "hflip": 0.5, "views": ["identity"]}
    manifest = {"resolved": values | {"weights": {"kind": "scratch"}}}
    by_auc = resolved_hash_of(manifest, recipe)
    by_both = resolved_hash_of({"resolved": manifest["resolved"] | {"best_by": "auc_then_loss"}}, recipe)
    assert by_auc is not None and by_both is not None and by_auc != by_both
    assert resolved_hash_of(manifest | {"drift": ["training.lr 0.1 → 0.01"]}, recipe) is None


def test_values_are_described_and_unknown_ones_are_said_to_be() -> None:
    described = describe_values(PLAIN.model_copy(update={"weights": IMAGENET, "views": ("identity", "hflip")}))
    assert described == {
        "data": "cells-v1",
        "device": "cpu",
        "device_name": "unknown",
        "precision": "float32",
        "weights": "ImageNet weights, resnet18-f37072fd.pth (f37072fd)",
        "hflip": "0.5",
        "views": "identity hflip",
        "best_by": "unknown",
        "batch_size": "as in the recipe",
        "storage": "unknown",
        "threads": "1",
    }
    assert describe_values(PLAIN)["weights"] == "from scratch"
    assert set(describe_values(None).values()) == {"unknown"}
    assert set(describe_decisions(Resolved(), mixed=True).values()) == {"unknown"}


def test_starting_weights_are_the_same_by_content_else_by_name() -> None:
    named = StartingWeights(kind="run", id="a_run")
    known = named.model_copy(update={"digest": "aa"})
    assert known.same_as(known.model_copy(update={"id": "its_copy"}))
    assert not known.same_as(known.model_copy(update={"digest": "bb"}))
    assert known.same_as(named) and named.same_as(known)
    assert not named.same_as(named.model_copy(update={"id": "another_run"}))
    assert not known.same_as(known.model_copy(update={"adapted": "stem resized"}))
    assert not known.same_as(known.model_copy(update={"kind": "imagenet"}))


# What medtui 0.1.0 wrote: sentences, and of an attempt what must match
OLD = {
    "attempts": [
        {
            "must_match": {
                "device": "NVIDIA A100",
                "amp": "on, bfloat16 (NVIDIA A100)",
                "threads": "4",
                "data": "generated by medtui (cells-v1)",
                "weights": "from scratch",
            }
        },
        {"must_match": {"device": "cpu", "amp": "off (recipe)"}},
    ],
    "decisions": {"weights": "ImageNet weights, resnet18-f37072fd.pth", "cache": "ram", "hflip": "0.25"},
}


def test_the_decisions_of_a_run_of_0_1_0_are_read_from_its_sentences() -> None:
    """Its first attempt's; what that lacks, from `decisions` and the recipe."""
    recipe = build_recipe({"dataset": {"name": "organamnist"}, "evaluation": {"tta": True}})
    assert resolved_of(OLD, recipe) == Resolved(
        data="cells-v1",
        device="cuda",
        device_name="NVIDIA A100",
        precision="bfloat16",
        weights=SCRATCH,
        hflip=0.25,
        views=("identity", "left", "right", "up", "down"),
        storage="ram",
        threads=4,
    )
    assert resolved_of(OLD, build_recipe({"augmentation": {"hflip": 0.75}})).hflip == 0.75
    assert resolved_of(OLD, None).views is None


def test_starting_weights_that_no_attempt_recorded_are_those_of_the_decisions() -> None:
    by_decisions = {"decisions": OLD["decisions"]}
    expected = StartingWeights(kind="imagenet", id="resnet18-f37072fd.pth")
    assert resolved_of(by_decisions, None).weights == expected
    assert resolved_of({**by_decisions, "attempts": []}, None).weights == expected
    assert resolved_of({"decisions": {"weights": 5}}, None).weights is None
    assert resolved_of({"decisions": {"weights": "nothing that is known"}}, None).weights is None


@pytest.mark.parametrize("attempts", [None, [], [5], {}, "text", [{"must_match": 5}]], ids=str)
def test_an_old_manifest_that_is_damaged_leaves_decisions_unknown(attempts: Any) -> None:
    assert resolved_of({"attempts": attempts}, None) == Resolved()


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ({"device": "mps"}, {"device": "mps", "device_name": "mps"}),
        ({"device": "cpu", "device_name": "Xeon"}, {"device": "cpu", "device_name": "Xeon"}),
        ({"amp": "off (recipe)"}, {"precision": "float32"}),
        ({"amp": "on, float16 (Tesla V100)"}, {"precision": "float16"}),
        ({"amp": "on, bfloat16", "precision": "float16"}, {"precision": "float16"}),
        ({"amp": "who knows"}, {"precision": None}),
        ({"threads": "8"}, {"threads": 8}),
        ({"threads": "four"}, {"threads": "four"}),
        ({"data": "0" * 32}, {"data": "0" * 32}),
        (
            {"weights": "weights of a_run, but for fc.weight, fc.bias", "init_from": "a_run aa"},
            {"weights": {"kind": "run", "id": "a_run", "digest": "aa", "left": ("fc.weight", "fc.bias")}},
        ),
        ({"weights": "from scratch (no weights)"}, {"weights": {"kind": "scratch", "note": "no weights"}}),
        (
            {"weights": "ImageNet weights, r.pth, stem resized"},
            {"weights": {"kind": "imagenet", "id": "r.pth", "adapted": "stem resized"}},
        ),
        ({"weights": "unheard of"}, {"weights": None}),
    ],
    ids=str,
)
def test_a_sentence_of_0_1_0_is_read_as_the_value_that_it_was_made_of(
    words: dict[str, Any], values: dict[str, Any]
) -> None:
    found = translated(words)
    if isinstance(values.get("weights"), dict):
        assert StartingWeights.model_validate(found.pop("weights")) == StartingWeights(**values.pop("weights"))
    assert found == values


def test_data_are_known_by_their_md5_else_by_the_version_in_their_description() -> None:
    assert fingerprint("0" * 32, "generated by medtui (cells-v1)") == "0" * 32
    assert fingerprint(None, "generated by medtui (cells-v1)") == "cells-v1"
    assert fingerprint(None, "drawn by medtui (cells-v1)") == "cells-v1"
    assert fingerprint(None, "mine.npz") == "mine.npz"
