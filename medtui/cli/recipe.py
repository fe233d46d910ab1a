"""`medtui recipe`: write one to start from, check one, print the schema."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from medtui.cli.commands import COMMANDS
from medtui.cli.completion import recipes
from medtui.cli.options import JsonOption, path_named
from medtui.cli.unknown import Commands

app = typer.Typer(help=COMMANDS["recipe"].summary, no_args_is_help=True, cls=Commands, rich_markup_mode=None)


@app.command()
def init(
    path: Annotated[Path, typer.Argument(metavar="FILE", parser=path_named, help="The file to write.")] = Path(
        "recipe.yaml"
    ),
    base: Annotated[
        str, typer.Option("--from", help="A shipped recipe to start from.", autocompletion=recipes)
    ] = "quickstart",
) -> None:
    """Write a recipe file to edit; never overwrites a file."""
    from engine.contract.files.folders import file_at
    from engine.contract.files.paths import expanded
    from engine.contract.recipe.reader import find_recipe
    from engine.contract.wire.errors import OutputError, UsageError
    from medtui.client.output_file import check_named
    from medtui.output import print_line
    from medtui.sentences import RecipeFile

    path = expanded(path)
    check_named(path)
    text = find_recipe(base).read_text(encoding="utf-8")
    try:
        file_at(path).create(text.encode())  # all of it or nothing
    except FileExistsError:
        raise UsageError(RecipeFile.EXISTS, path=path) from None
    except OSError as error:
        raise OutputError(RecipeFile.UNWRITABLE, path=path, reason=error.strerror) from None
    print_line(f"Wrote {path}. Edit it, then: medtui run {quote(str(path))}")


@app.command()
def validate(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped one.", autocompletion=recipes)],
    json: JsonOption = False,
) -> None:
    """Validate a recipe and print its hash."""
    from engine.contract.recipe.identity import recipe_hash, short_hash
    from engine.contract.recipe.reader import build_recipe, find_recipe
    from engine.contract.recipe.sources import facts_of
    from engine.contract.recipe.yaml_reader import read_yaml_file
    from engine.contract.wire.text import counted
    from medtui.output import print_json, print_line

    text = read_yaml_file(find_recipe(recipe))
    checked = build_recipe(text.values, source=text.source, lines=text.lines)
    if json:
        values = {"recipe": text.source, "valid": True, "recipe_hash": recipe_hash(checked)}
        print_json(values | {"run_hash": short_hash(checked)})  # the suffix of its run names
    else:
        name = facts_of(checked.dataset).name
        what = f"{name} {checked.dataset.size} px, {checked.model.name}, {counted(checked.training.epochs, 'epoch')}"
        print_line(f"{text.source} is valid: {what}; its runs are named …_{short_hash(checked)}.")
        print_line(f"recipe hash {recipe_hash(checked)}")  # as `show` has it


@app.command()
def schema() -> None:
    """Print the JSON Schema of recipes."""
    from engine.contract.recipe.recipe import Recipe
    from medtui.output import print_json

    print_json(Recipe.model_json_schema())
