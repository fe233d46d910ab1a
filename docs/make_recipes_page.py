"""`python docs/make_recipes_page.py`: write the generated parts of recipes.md anew, from the schema and the recipes.

They stand between `<!-- begin NAME -->` and `<!-- end NAME -->`; all else on the page is written by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.contract.recipe_file import shipped_recipes
from engine.contract.recipe_schema import FieldSpec, fields, section_titles
from engine.contract.yaml_reader import written

PAGE = Path(__file__).parent / "recipes.md"


def field_tables() -> str:
    """A table a section, a row a field."""
    lines: list[str] = []
    for section in section_titles():
        lines += [f"### `{section}`", ""]
        lines += ["| field | default | what may stand there | unit | identity | what it does |", "| --- " * 6 + "|"]
        lines += [_row(spec) for spec in fields().values() if spec.section == section]
        lines.append("")
    return "\n".join(lines)


def _row(spec: FieldSpec) -> str:
    identity = "yes" if spec.identity else "no"
    cells = (f"`{spec.name}`", f"`{written(spec.default)}`", spec.expected, spec.unit or "", identity, spec.help)
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def recipe_list() -> str:
    """The shipped recipes, each with the first paragraph of its own comment."""
    lines = ["| recipe | what it is |", "| --- | --- |"]
    for name, path in shipped_recipes().items():
        comment = path.read_text(encoding="utf-8").split("\n#\n")[0].split("\n\n")[0]
        words = " ".join(line.lstrip("# ") for line in comment.splitlines())
        lines.append(f"| `{name}` | {words} |")
    return "\n".join(lines) + "\n"


PARTS: dict[str, Callable[[], str]] = {"recipes": recipe_list, "fields": field_tables}


def renewed(page: str) -> str:
    """The page with its generated parts as they should be. Raises ValueError when a part's marks are missing."""
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
