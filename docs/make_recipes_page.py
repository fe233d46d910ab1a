"""`python docs/make_recipes_page.py`: regenerate parts of recipes.md from the schema and the recipes.

They are between `<!-- begin NAME -->` and `<!-- end NAME -->`; all else on the page is written by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.contract.data.datasets import SIZES
from engine.contract.models.catalogue import models
from engine.contract.models.spec import SMALL, ModelSpec, WeightsSpec
from engine.contract.recipe.schema import FieldSpec, fields, section_titles
from engine.contract.recipe.shipped import shipped_recipes
from engine.contract.recipe.yaml_reader import written

PAGE = Path(__file__).parent / "recipes.md"


def field_tables() -> str:
    """One table per section, one row per field."""
    lines: list[str] = []
    for section in section_titles():
        lines += [f"### `{section}`", ""]
        lines += ["| field | default | allowed values | unit | identity | what it does |", "| --- " * 6 + "|"]
        lines += [_row(spec) for spec in fields().values() if spec.section == section]
        lines.append("")
    return "\n".join(lines)


def _row(spec: FieldSpec) -> str:
    identity = "yes" if spec.identity else "no"
    cells = (f"`{spec.name}`", f"`{written(spec.default)}`", spec.expected, spec.unit or "", identity, spec.help)
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def recipe_list() -> str:
    """The shipped recipes, each with the first paragraph of its comment."""
    lines = ["| recipe | what it is |", "| --- | --- |"]
    for name, path in shipped_recipes().items():
        comment = path.read_text(encoding="utf-8").split("\n#\n")[0].split("\n\n")[0]
        words = " ".join(line.lstrip("# ") for line in comment.splitlines())
        lines.append(f"| `{name}` | {words} |")
    return "\n".join(lines) + "\n"


def model_table() -> str:
    """The catalogue, one row per model."""
    lines = ["| model | what it is | images | parameters | published weights | classifier |", "| --- " * 6 + "|"]
    return "\n".join([*lines, *map(_model_row, models().values())]) + "\n"


def _model_row(spec: ModelSpec) -> str:
    largest = f"up to {spec.largest} px" if spec.largest else "any size" if spec.smallest == 1 else ""
    images = " ".join(filter(None, (f"from {spec.smallest} px" if spec.smallest > 1 else "", largest)))
    assert spec.parameters is not None, "only of timm's it is not known"
    weights = _weights_cell(spec.weights) if spec.weights else "none"
    keys = ", ".join(f"`{key}`" for key in spec.classifier)
    millions = spec.parameters / 1e6
    parameters = f"{millions:.2g} million" if millions < 100 else f"{millions:.0f} million"
    return f"| `{spec.name}` | {spec.title}: {spec.summary} | {images} | {parameters} | {weights} | {keys} |"


def adaptation_table() -> str:
    """How each model is adapted, and the side of the map that each of its stages ends with, by image size."""
    heads = ["model", f"adapted up to {SMALL} px", "made of the published weights", *(f"{size} px" for size in SIZES)]
    lines = ["| " + " | ".join([*heads, "head"]) + " |", "| --- " * (len(heads) + 1) + "|"]
    for spec in models().values():
        maps = (" ".join(map(str, spec.maps_at(size) or ())) or "–" for size in SIZES)
        head = ", ".join(f"`{key.rpartition('.')[0]}`" for key in spec.classifier[:1])
        cells = (f"`{spec.name}`", spec.adapted or "as it is", spec.fitted or "–", *maps, head)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _weights_cell(weights: WeightsSpec) -> str:
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (weights.mean, weights.std))
    return f"{weights.trained_on}, `{weights.file_name}`; trained on images with mean {mean}, standard deviation {std}"


PARTS: dict[str, Callable[[], str]] = {
    "recipes": recipe_list,
    "models": model_table,
    "adaptations": adaptation_table,
    "fields": field_tables,
}


def renewed(page: str) -> str:
    """The page with its generated parts up to date. Raises ValueError when a part's markers are missing."""
    for name, make in PARTS.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise ValueError(f"{PAGE.name}: expected {begin.strip()} and {end} once each.")
        before, rest = page.split(begin)
        page = f"{before}{begin}\n{make()}\n{end}{rest.split(end)[1]}"
    return page


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"Wrote {PAGE}.")
