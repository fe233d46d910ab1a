"""The recipe's fields as data: for error messages, forms, documents and tests.

Everything comes from the JSON Schema that pydantic makes, so a new field needs no new code here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel

from engine.contract.recipe.recipe import Recipe


@dataclass(frozen=True)
class FieldSpec:
    """One field of a recipe, as a form or a sentence needs it."""

    section: str
    name: str
    title: str
    help: str
    unit: str | None
    identity: bool
    advanced: bool  # rarely used: a form folds it away
    default: Any
    schema: dict[str, Any]  # JSON Schema of the field

    @property
    def path(self) -> str:
        return f"{self.section}.{self.name}"

    @property
    def variants(self) -> list[dict[str, Any]]:
        """The alternatives that a value may be: `auto`, null, a bounded number."""
        variants: list[dict[str, Any]] = self.schema.get("anyOf", [self.schema])
        return variants

    @property
    def choices(self) -> list[Any]:
        """The fixed values among the alternatives, null among them."""
        fixed: list[Any] = []
        for variant in self.variants:
            fixed += variant.get("enum", [variant["const"]] if "const" in variant else [])
            if variant.get("type") == "boolean":
                fixed += [True, False]
            if variant.get("type") == "null":
                fixed.append(None)
        return fixed

    @property
    def examples(self) -> list[str]:
        """Values to choose among, where others are allowed too."""
        examples: list[str] = self.schema.get("examples", [])
        return examples

    @property
    def is_closed(self) -> bool:
        """Are only fixed values allowed?"""
        fixed = {"enum", "const"}
        return all(fixed & set(variant) or variant.get("type") in ("boolean", "null") for variant in self.variants)

    @property
    def expected(self) -> str:
        """The allowed values, in words: `"auto" or a number from 0 to 1`."""
        *others, last = [words for variant in self.variants for words in _describe(variant)]
        return self.schema.get("expected") or (f"{', '.join(others)} or {last}" if others else last)


def _describe(variant: dict[str, Any]) -> list[str]:
    if "enum" in variant or "const" in variant:
        return [_written(value) for value in variant.get("enum", [variant.get("const")])]
    kind = variant.get("type")
    if kind in ("integer", "number"):
        return [("a whole number" if kind == "integer" else "a number") + _range(variant)]
    return {"boolean": ["true", "false"], "null": ["null"], "string": ["text"]}.get(str(kind), [str(kind)])


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _range(variant: dict[str, Any]) -> str:
    low, above = variant.get("minimum"), variant.get("exclusiveMinimum")
    high, below = variant.get("maximum"), variant.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {_plain(low)} to {_plain(high)}"
    lower = f" from {_plain(low)}" if low is not None else f" above {_plain(above)}" if above is not None else ""
    upper = f" up to {_plain(high)}" if high is not None else f" below {_plain(below)}" if below is not None else ""
    both = " to" if low is not None else " and"  # from 0 to below 1, above 0 and below 1
    return lower + (both if lower and upper else "") + upper


def fields(model: type[BaseModel] = Recipe) -> dict[str, FieldSpec]:
    """Every field of a recipe model by its dotted path, in order."""
    return _fields(model)


@cache  # by the model alone: `fields()` and `fields(Recipe)` would be two entries, each of 20 ms
def _fields(model: type[BaseModel]) -> dict[str, FieldSpec]:
    schema = model.model_json_schema()
    specs = {}
    for section, reference in schema["properties"].items():
        section_schema = schema["$defs"][reference["$ref"].rsplit("/", 1)[-1]]
        for name, field in section_schema["properties"].items():
            spec = FieldSpec(
                section=section,
                name=name,
                title=field["title"],
                help=field["description"],
                unit=field.get("unit"),
                identity=field["identity"],
                advanced=field.get("advanced", False),
                default=field["default"],
                schema=field,
            )
            specs[spec.path] = spec
    return specs


def section_titles(model: type[BaseModel] = Recipe) -> dict[str, str]:
    return {name: field.title or name for name, field in model.model_fields.items()}


def _plain(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else str(number)
