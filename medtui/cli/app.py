"""Every command, registered once."""

from __future__ import annotations

from typing import Annotated

import typer

from medtui.cli import recipe, results, run, score

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    # `--batch_size` and `--batch-size` are one
    "token_normalize_func": lambda token: token.replace("_", "-"),
}

app = typer.Typer(
    name="medtui",
    help="Train image classifiers on MedMNIST, over SSH, without fear of losing a run.",
    context_settings=CONTEXT,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.", is_eager=True)] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"medtui {installed('medtui')}")
        raise typer.Exit


app.command("run")(run.run)
app.command("runs")(results.runs)
app.command("show")(results.show)
app.command("score")(score.score)
app.add_typer(recipe.app, name="recipe")
