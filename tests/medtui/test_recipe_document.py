"""Two recipes compared, and what a person types into a field."""

from __future__ import annotations

import pytest

from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.schema import fields
from medtui.client.recipe_document import check, differences, typed


def test_the_differences_of_two_recipes_are_their_fields_in_the_order_of_the_schema() -> None:
    before = build_recipe({"training": {"lr": 0.1, "epochs": 3}, "model": {"name": "mini_cnn"}})
    after = build_recipe({"training": {"lr": 0.2, "epochs": 3}, "model": {"name": "resnet18"}})
    assert differences(before, after) == [
        ("model.name", "mini_cnn", "resnet18"),
        ("training.lr", 0.1, 0.2),
    ]
    assert differences(after, before) == [
        ("model.name", "resnet18", "mini_cnn"),
        ("training.lr", 0.2, 0.1),
    ]
    assert differences(before, before) == []


def test_values_that_python_thinks_equal_may_differ() -> None:
    """`true` and `1.0` are two values of `hflip` or `pretrained`, whatever Python's `==` says."""
    recipe = build_recipe({"augmentation": {"hflip": 1.0}})
    other = recipe.model_copy(update={"augmentation": recipe.augmentation.model_copy(update={"hflip": True})})
    assert differences(recipe, other) == [("augmentation.hflip", 1.0, True)]


@pytest.mark.parametrize(
    ("path", "text", "written"),
    [
        ("training.lr", " 1e-3 ", "1e-3"),
        ("training.epochs", "10", "10"),
        ("training.init_from", "", "null"),
        ("training.init_from", "12", '"12"'),
        ("training.init_from", "null", "null"),
        ("training.init_from", "a_run", "a_run"),
        ("dataset.name", "true", '"true"'),
        ("model.pretrained", "true", "true"),
        ("model.pretrained", "auto", "auto"),
        ("augmentation.hflip", "0.5", "0.5"),
    ],
)
def test_what_is_typed_becomes_the_value_that_was_meant(path: str, text: str, written: str) -> None:
    assert typed(text, fields()[path]).replace("'", '"') == written


def test_a_text_that_is_checked_has_its_recipe_or_every_problem_with_its_line() -> None:
    good = check("training:\n  lr: 1e-3\n")
    assert good.recipe is not None and good.recipe.training.lr == 1e-3
    assert good.texts == {("training", "lr"): "1e-3"} and good.problems == ()
    lr, epochs = fields()["training.lr"], fields()["training.epochs"]
    assert good.is_written(lr) and not good.is_written(epochs)
    assert (good.value(lr), good.value(epochs)) == (1e-3, epochs.default)
    bad = check("training:\n  lr: fast\n  epochs: 0\n")
    assert bad.recipe is None
    assert [(problem.path, problem.line) for problem in bad.problems] == [
        (("training", "lr"), 2),
        (("training", "epochs"), 3),
    ]
    assert bad.problem(("training", "epochs")) == bad.problems[1] and bad.problem(("training", "seed")) is None
    (torn,) = check("training:\n  lr: 1\n  lr: 2\n").problems
    assert (torn.path, torn.line) == ((), 3) and not torn.message.startswith("line")
    (section,) = check("training: [1]\n").problems
    assert section.path == ("training",)
    assert not any(check(text).is_written(lr) for text in ("training: [1]\n", "training: lr\n", "model: {}\n"))
