"""`medtui recipe`: write one to start from, check one, print the schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medtui.cli.options import JsonOption

app = typer.Typer(
    help="Recipes: write one, check one, print their schema.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("recipe.yaml"),
    base: Annotated[str, typer.Option("--from", help="A shipped recipe to start from.")] = "quickstart",
) -> None:
    """Write a recipe to edit; nothing is overwritten."""
    from engine.contract.errors import OutputError, UsageError
    from engine.contract.recipe_file import find_recipe

    text = find_recipe(base).read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists already.", "Name another file.") from None
    except OSError as error:
        raise OutputError(f"Cannot write {path}: {error.strerror}.", "Name a place that can be written.") from None
    typer.echo(f"Wrote {path}. Edit it, then: medtui run {path}")


@app.command()
def validate(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped one.")],
    json: JsonOption = False,
) -> None:
    """Check a recipe; print its identity."""
    from engine.contract.recipe_file import build_recipe, find_recipe
    from engine.contract.run_identity import recipe_hash, short_hash
    from engine.contract.yaml_reader import read_yaml_file
    from medtui.text import json_text

    text = read_yaml_file(find_recipe(recipe))
    checked = build_recipe(text.values, source=text.source, lines=text.lines)
    if json:
        values = {"recipe": text.source, "valid": True, "recipe_hash": recipe_hash(checked)}
        typer.echo(json_text(values | {"run_hash": short_hash(checked)}))  # what names of its runs end with
    else:
        what = (
            f"{checked.dataset.name} {checked.dataset.size} px, {checked.model.name}, {checked.training.epochs} epochs"
        )
        typer.echo(f"{text.source} is a good recipe: {what}; runs of it are named …_{short_hash(checked)}.")


@app.command()
def schema() -> None:
    """Print the JSON Schema of recipes."""
    from engine.contract.recipe import Recipe
    from medtui.text import json_text

    typer.echo(json_text(Recipe.model_json_schema()))
