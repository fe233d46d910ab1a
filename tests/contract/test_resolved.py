"""`resolved_hash`: equal for equal experiments, another for another, whatever a recipe left to the machine."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from recipe_strategies import STRATEGIES, Values, agreeing_values

from engine.contract.data.views import view_names
from engine.contract.recipe.identity import DECIDED_BY, recipe_hash, resolved_hash
from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.recorded import resolved_hash_of
from engine.contract.recipe.schema import fields
from engine.contract.wire.errors import RecipeError
from engine.contract.wire.resolved import Resolved, StartingWeights, describe_decisions

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
    assert automatic and automatic <= set(DECIDED_BY)
    assert set(DECIDED_BY.values()) <= set(Resolved.model_fields)


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
