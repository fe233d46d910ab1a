"""The source of images that a word on the command line means, as a recipe's `dataset` section."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from medtui.cli.completion import official_data_sets

SMALL_BATCH = "training.batch_size=2"  # nothing is trained: no `limit` of the source may be too small for it
SourceArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOURCE [FIELD=VALUE...]",
        help="A data set's name, a folder, table or .npz file of your own images, or a recipe; then any field of its "
        "section, such as dataset.group=patient.",
        autocompletion=official_data_sets,
    ),
]
KeptSizeOption = Annotated[
    int | None,
    typer.Option(
        "--size",
        help="Image size in pixels: 28, 64, 128 or 224. [default: an .npz file's own; other images of your own: 64]",
    ),
]
SizeOption = Annotated[
    int | None, typer.Option("--size", help="Image size in pixels: 28, 64, 128 or 224. [default: 28; your own: 64]")
]


def section_at_own_size(words: list[str], size: int | None) -> dict[str, Any] | None:
    """As `section_of`, but for an .npz file at the size that its images have, unless another one is asked for."""
    from pathlib import Path

    from medtui.client.archive_size import closest_size, image_sides
    from medtui.output import print_error

    section = section_of(words, size)
    asked = size is not None or any(word.startswith("dataset.size=") for word in words)
    if section is None or asked or not section.get("npz"):
        return section
    sides = image_sides(Path(section["npz"]))
    if sides is None:
        return section  # the engine says what is wrong with it
    fitting = closest_size(sides)
    if sides != (fitting, fitting):
        print_error(f"Its images have {sides[1]} × {sides[0]} px: resized to {fitting} px (--size).")
    return {**section, "size": fitting}


def section_of(words: list[str], size: int | None) -> dict[str, Any] | None:
    """The section; None where no source is named. Raises UsageError or RecipeError."""
    from engine.contract.files.paths import is_there
    from engine.contract.recipe.reader import ASSIGNMENT
    from engine.contract.wire.errors import UsageError
    from medtui.cli.compose import compose
    from medtui.client.named_source import means_a_set
    from medtui.sentences import CommandLine

    assignments = [word for word in words if ASSIGNMENT.match(word) and not is_there(word)]
    names = [word for word in words if word not in assignments]
    if len(names) > 1:
        raise UsageError(CommandLine.SEVERAL_SOURCES, number=len(names), sources=", ".join(names)[:200])
    if not names:
        return None
    if size is not None:
        assignments.append(f"dataset.size={size}")
    name = names[0]
    if means_a_set(name):
        assignments.insert(0, f"dataset.name={name}")
        name = "bloodmnist"  # only its section's defaults are used
    recipe, _ = compose(name, {}, [SMALL_BATCH, *assignments])
    return recipe.dataset.model_dump(mode="json")
