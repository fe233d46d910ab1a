from engine.contract.recipe_file import build_recipe, recipe_yaml
from engine.contract.yaml_reader import read_yaml


def test_a_written_recipe_loads_back_to_an_equal_one() -> None:
    recipe = build_recipe({})
    assert build_recipe(read_yaml(recipe_yaml(recipe)).values) == recipe
