"""From a suite's file to its runs, and what is wrong with a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from driving import medtui

from engine.contract.recipe.identity import recipe_hash
from engine.contract.recipe.reader import build_recipe, recipe_from_values
from engine.contract.recipe.yaml_reader import read_yaml, read_yaml_file
from engine.contract.sentences import Yaml
from engine.contract.wire.errors import RecipeError, UsageError
from medtui.search.search_file import read_search
from medtui.suites.plan import Plan, plan_of, planned, suite_name
from medtui.suites.slots import Slots, choose_slots
from medtui.suites.suite_file import parse_seeds, read_suite, suite_from

MODELS = ("mini_cnn", "resnet18_adapted")


def plan(text: str, folder: Path = Path("/nowhere")) -> Plan:
    return plan_of(suite_from(read_yaml(text, "suite.yaml"), "suite", folder))


def problems(text: str) -> str:
    with pytest.raises(RecipeError) as refused:
        plan(text)
    return str(refused.value)


def test_every_combination_is_a_run_and_the_first_seed_of_all_comes_first() -> None:
    found = plan(
        "recipe: quickstart\ndataset: bloodmnist\nmodels: [mini_cnn, resnet18_adapted]\nsizes: [28, 64]\n"
        "seeds: 1-2\ntraining.epochs: 7\n"
    )
    chosen = [(one.training.seed, one.model.name, one.dataset.size) for one in found.recipes]
    combinations = [(seed, model, size) for seed in (1, 2) for model in MODELS for size in (28, 64)]
    assert chosen == combinations
    assert {one.training.epochs for one in found.recipes} == {7}
    assert [item.id for item in found.items] == [recipe_hash(recipe) for recipe in found.recipes]
    assert (
        found.items[0].label == "bloodmnist, mini_cnn, seed 1"
        and found.items[1].label == "bloodmnist-64, mini_cnn, seed 1"
    )
    assert recipe_from_values(found.items[3].recipe) == found.recipes[3]


def test_entries_exclude_by_all_their_fields_and_include_a_grid_of_their_own() -> None:
    found = plan(
        "recipes: quickstart\nmodels: [mini_cnn, resnet18_adapted]\nseeds: 1-3\ntraining.lr: [0.01, 0.02]\n"
        'exclude:\n  - {model: "ResNet-18 Adapted", training.lr: 0.02}\n  - {seed: 2}\n'
        "include:\n  - {model: resnet18_adapted, training.lr: [0.1, 0.2], seed: 9}\n"
    )
    chosen = {(one.model.name, one.training.lr, one.training.seed) for one in found.recipes}
    grid = {(model, lr, seed) for model in ("mini_cnn", "resnet18_adapted") for lr in (0.01, 0.02) for seed in (1, 3)}
    kept = {one for one in grid if one[:2] != ("resnet18_adapted", 0.02)}
    assert chosen == kept | {("resnet18_adapted", lr, 9) for lr in (0.1, 0.2)}
    assert found.excluded == 12 - len(kept)


def test_combinations_that_are_one_experiment_are_one_run() -> None:
    found = plan("recipe: quickstart\ntraining.lr: [0.02, 2e-2]\nruntime.checkpoint_minutes: [1, 2]\nseed: 1\n")
    assert (len(found.items), found.merged) == (1, 1)


def test_a_model_without_published_weights_overrides_a_recipe_that_asks_for_some(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("dataset: {name: cells}\nmodel: {pretrained: true}\n")
    found = plan("recipe: own.yaml\nmodels: [resnet18_adapted, mini_cnn]\n", tmp_path)
    assert [one.model.pretrained for one in found.recipes] == [True, False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seeds: 1-3", "suite.yaml: recipes must name at least one recipe"),
        (
            "recipe: quickstart\nseeds: 3-1",
            "line 2: seeds must be whole numbers or ranges, as `1-5` or `1-3, 7`, found",
        ),
        (
            "recipe: quickstart\ntraining.epoch: 3",
            "line 2: training.epoch is not a field of a suite or a recipe; did you",
        ),
        ("recipe: quickstart\nlr: 0.1", "line 2: lr is not a field of a suite or a recipe; did you mean training.lr?"),
        ("recipe: quickstart\nmodel: a\nmodels: b", "line 3: models is model.name, which `model` already gives"),
        ("recipe: quickstart\nseeds: []", "line 2: seeds must be a value or a list of values, found []"),
        ("recipe: quickstart\nexclude:\n  - 3", "line 3: exclude 1 must have fields, as `- model: mini_cnn`, found 3"),
        ("recipe: quickstart\nexclude:\n  - seed: 5", "line 3: exclude has an entry that no run matches"),
        ("recipe: quickstart\nseed: 1\nexclude:\n  - seed: 1", "exclude leaves no run"),
        ("recipe: quickstart\nseeds: 1-9999\ntraining.lr: [0.1, 0.2]", "must have at most 10,000 runs, found 19,998"),
        ("recipe: quickstart\nname:\n  x: 1", "line 2: name must be up to 60 letters"),
        (
            "recipe: quickstart\ntrainin:\n  lr: 1",
            "line 2: trainin is not a field of a suite or a recipe; known: recipes",
        ),
        ("recipe: a\nbudget: {runs: 3}\nspace: {lr: [1, 2]}", "line 3: space makes this the file of a search: start"),
        ("recipe: quickstart\nname: a/b", "line 2: name must be up to 60 letters, digits, _, . or -, found 'a/b'"),
    ],
)
def test_a_problem_is_named_with_its_line_and_what_to_write(text: str, expected: str) -> None:
    assert expected in problems(text)


def test_a_value_that_a_recipe_refuses_is_blamed_on_its_line_with_the_runs_that_have_it() -> None:
    found = problems("recipe: quickstart\nseeds: 1-2\nmodels: [mini_cnn, resnet18_adaptd]\ntraining:\n  lr: [0.1, x]\n")
    assert "line 3: model.name must be a known model, found 'resnet18_adaptd'; did you mean resnet18_adapted?" in found
    assert "line 5: training.lr must be a number above 0 and up to 10, found the text 'x' (in 4 of 8 runs" in found


def test_a_conflict_of_a_recipe_with_what_a_suite_varies_is_blamed_on_the_suite(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("dataset: {name: cells}\ntraining: {lr: 0.1, min_lr: 0.01}\n")
    with pytest.raises(RecipeError) as refused:
        plan("recipe: own.yaml\ntraining.lr: [0.1, 0.005]\n", tmp_path)
    assert str(refused.value).startswith("suite.yaml: line 2: training.min_lr must be below lr (0.005), found 0.01")


def test_what_a_suite_may_have_is_found_in_its_own_help_and_a_field_in_the_schema(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as wrong:
        plan("recipe: quickstart\nexlcude: []\n", tmp_path)
    assert "`medtui suite run --help`" in wrong.value.hint and "recipe schema" not in str(wrong.value)
    with pytest.raises(RecipeError) as of_field:
        plan("recipe: quickstart\ntraining.lr: [x]\n", tmp_path)
    assert "`medtui recipe schema`" in of_field.value.hint


def test_seeds_as_text() -> None:
    assert parse_seeds("1-3, 7,2") == (1, 2, 3, 7)
    assert parse_seeds("5") == (5,)
    assert [parse_seeds(text) for text in ("", "1-", "a", "2-1", "-1")] == [None] * 5


def test_too_many_seeds_says_how_many_there_may_be(tmp_path: Path) -> None:
    assert len(parse_seeds("1-10000") or ()) == 10_000
    for text, number in (("1-99999", "99,999"), ("1-9999,20000-20001", "10,001")):
        with pytest.raises(RecipeError, match=f"seeds must be at most 10,000 numbers, found {number}"):
            plan(f"recipe: quickstart\nseeds: {text}\n", tmp_path)
        done = medtui("run", "quickstart", "--seeds", text, cwd=tmp_path)
        sentence = f"Expected at most 10,000 seeds for --seeds, found {number}."
        assert (done.returncode, sentence in done.stderr) == (2, True), done.stderr


def test_a_recipe_with_several_seeds_is_named_the_same_whatever_the_seeds() -> None:
    one, other = (build_recipe({"dataset": {"name": "cells"}, "training": {"seed": seed}}) for seed in (1, 2))
    assert suite_name("my recipe.yaml", one) == suite_name("my recipe.yaml", other)
    assert len(planned("x", [one, other, one]).items) == 2


def test_slots() -> None:
    cpu, anywhere, second = (
        ("run", build_recipe({"dataset": {"name": "cells"}, "runtime": {"device": device}}))
        for device in ("cpu", "auto", "cuda:1")
    )
    assert choose_slots([cpu], None, 4, 8) == Slots(1)
    assert choose_slots([anywhere], 3, 0, 8) == Slots(3, threads=2)
    assert choose_slots([anywhere], None, 1, 8) == Slots(1)
    two = choose_slots([anywhere], None, 2, 8)
    assert (two.count, two.environment(2)["CUDA_VISIBLE_DEVICES"]) == (2, "1")
    for recipes, requested, gpus in (([anywhere], 9, 0), ([anywhere], 3, 2), ([cpu], 0, 0), ([second], 2, 2)):
        with pytest.raises(UsageError):
            choose_slots(recipes, requested, gpus, 8)


@pytest.mark.parametrize(
    ("read", "what", "command"),
    [
        (read_suite, "a suite", "suite run"),
        (read_search, "a search", "search run"),
        (read_yaml_file, "a recipe", "recipe init"),
    ],
)
def test_an_empty_file_and_a_list_are_told_by_what_the_file_was_to_be(
    tmp_path: Path, read: Callable[[Path], object], what: str, command: str
) -> None:
    for content, code in (("", Yaml.EMPTY.code), ("- a\n", Yaml.NOT_SECTIONS.code)):
        (tmp_path / "f.yaml").write_text(content)
        with pytest.raises(RecipeError) as error:
            read(tmp_path / "f.yaml")
        assert error.value.code == code and f"`medtui {command}" in error.value.hint
        assert error.value.fields.get("what", what) == what
