"""A recipe as text that a person edits: its values, its problems, and replacing one value in place.

A value is changed by replacing the text of its scalar (PyYAML's marks), so comments and layout survive. Form and text
editor are two views of one document.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.schema import FieldSpec, fields
from engine.contract.recipe.sources import other_sources
from engine.contract.recipe.yaml_reader import KeyPath, read_yaml, scalar, written
from engine.contract.wire.errors import Problem, RecipeError
from medtui.sentences import RecipeText

_LINE = re.compile(r"line (\d+): ")


@dataclass(frozen=True)
class Checked:
    """What a text says."""

    text: str
    values: dict[str, Any]  # as written, {} when it is no YAML
    lines: dict[KeyPath, int]  # line of each key, from 1
    recipe: Recipe | None  # None while something is wrong
    problems: tuple[Problem, ...] = ()
    texts: dict[KeyPath, str] = field(default_factory=dict)  # the scalar of each field as it stands there

    @property
    def readable(self) -> bool:
        """Can anything be said of what is written?"""
        return bool(self.values) or self.recipe is not None

    def value(self, spec: FieldSpec) -> Any:
        """The value of a field: as written, else its default."""
        section = self.values.get(spec.section)
        if not isinstance(section, dict):
            return spec.default
        instead = None if spec.section == "dataset" and other_sources(section, spec.name) else spec.default
        return section.get(spec.name, instead)

    def is_written(self, spec: FieldSpec) -> bool:
        section = self.values.get(spec.section)
        return isinstance(section, dict) and spec.name in section

    def problem(self, path: KeyPath) -> Problem | None:
        return next((problem for problem in self.problems if problem.path == path), None)


def check(text: str, source: str = "recipe", model: type[Recipe] = Recipe) -> Checked:
    """What a text says, every problem with its field and line. Never raises."""
    try:
        read = read_yaml(text, source)
    except RecipeError as error:
        return Checked(text, {}, {}, None, (_text_problem(error, source),))
    try:
        recipe = build_recipe(read.values, source=source, lines=read.lines, model=model)
    except RecipeError as error:
        problems = tuple(error.problems) or (_text_problem(error, source),)
        return Checked(text, read.values, read.lines, None, problems, _texts(text))
    return Checked(text, read.values, read.lines, recipe, texts=_texts(text))


def _texts(text: str) -> dict[KeyPath, str]:
    """Nothing where the parser that knows positions refuses what the reader understands: a tab before a comment."""
    try:
        spans = _spans(text)
    except RecipeError:
        return {}
    return {path: text[span.start : span.end] for path, span in spans.items() if len(path) == 2}


def _text_problem(error: RecipeError, source: str) -> Problem:
    message = error.message.removeprefix(f"{source}: ")
    found = _LINE.match(message)
    hint = f" {error.hint}" if error.hint else ""
    line = int(found[1]) if found else None
    return Problem((), _LINE.sub("", message, count=1) + hint, line, error.code, error.fields)


def differences(before: Recipe, after: Recipe) -> list[tuple[str, Any, Any]]:
    """(dotted field, before, after) for every field that is not the same."""
    found = []
    for spec in fields(type(after)).values():
        old = getattr(getattr(before, spec.section), spec.name, None)
        new = getattr(getattr(after, spec.section), spec.name)
        if old != new or type(old) is not type(new):
            found.append((spec.path, old, new))
    return found


def typed(text: str, spec: FieldSpec) -> str:
    """What a person typed into a field, as YAML: numbers as they were typed, text quoted where it must be.

    Nothing is null where null may stand.
    """
    text = text.strip()
    value = scalar(text)
    kinds = {variant.get("type") for variant in spec.variants}
    if not text and "null" in kinds:
        return written(None)
    if isinstance(value, str) or (kinds <= {"string", "null"} and value is not None):
        return written(text)
    return text


def with_field(text: str, section: str, name: str, value: str) -> str:
    """`with_value`; where that names a source of images, the one that was named before is not any more.

    Raises RecipeError.
    """
    changed = with_value(text, section, name, value)
    values = _values(changed)[section]
    if section == "dataset" and values[name] is not None:
        for other in other_sources(values, name):
            changed = with_value(changed, section, other, written(None))
    return changed


# ---- one value replaced ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Span:
    """Where something stands in the text, in characters."""

    start: int
    end: int
    flow: bool = False  # written as {…}
    indent: int = 0  # of the keys in it
    block_scalar: bool = False
    empty: bool = False


def with_value(text: str, section: str, name: str, value: str) -> str:
    """The text with the scalar of one field replaced, or the field added; nothing else in it changes.

    Raises RecipeError for a text that is not read, or whose layout does not let one value be replaced.
    """
    before = _values(text)
    changed = _with_value(text, section, name, value)
    expected = {**before, section: {**(before.get(section) or {}), name: read_yaml(f"x: {value}\n").values["x"]}}
    try:
        reads_as_expected = _values(changed) == expected
    except RecipeError:
        reads_as_expected = False
    if not reads_as_expected:
        raise RecipeError(RecipeText.LAYOUT, field=f"{section}.{name}")
    return changed


def _values(text: str) -> dict[str, Any]:
    """What a text says, {} for one that says nothing. Raises RecipeError, for sections that are none too."""
    values = read_yaml(text).values if _compose(text) is not None else {}
    if not all(section is None or isinstance(section, dict) for section in values.values()):
        raise RecipeError(RecipeText.NO_SECTIONS)
    return values


def _with_value(text: str, section: str, name: str, value: str) -> str:
    spans = _spans(text)
    span = spans.get((section, name))
    if span is not None:
        return _replaced(text, span, value)
    inside = spans.get((section,))
    if inside is None:
        return _with_section(text, spans.get(()), f"{name}: {value}", section)
    if inside.flow:
        return _in_flow(text, inside, f"{name}: {value}")
    if inside.empty:  # `training:` with nothing below it
        return _insert_line(text, inside.start, f"  {name}: {value}")
    return _insert_line(text, inside.end, f"{' ' * inside.indent}{name}: {value}")


def _replaced(text: str, span: _Span, value: str) -> str:
    before, after = text[: span.start], text[span.end :]
    if before.endswith(":"):
        value = f" {value}"
        blank = len(after) - len(after.lstrip(" "))
        if after[blank : blank + 1] in ("", "\n"):  # where a value was deleted
            after = after[blank:]
    if span.block_scalar and not after.startswith("\n"):
        value += "\n"
    if after[:1] == "#":
        value += "  "
    return before + value + after


def _in_flow(text: str, span: _Span, entry: str) -> str:
    brace = span.end - 1  # the closing one
    inner = text[span.start + 1 : brace].strip()
    joined = entry if not inner else (f" {entry}" if inner.endswith(",") else f", {entry}")
    return text[:brace].rstrip(" ") + joined + text[brace:]


def _insert_line(text: str, at: int, line: str) -> str:
    """A new line after the one that holds position `at`."""
    end = text.find("\n", at)
    if end < 0:
        return f"{text}\n{line}\n"
    return f"{text[: end + 1]}{line}\n{text[end + 1 :]}"


def _with_section(text: str, root: _Span | None, entry: str, section: str) -> str:
    if root is not None and root.flow:
        return _in_flow(text, root, f"{section}: {{{entry}}}")
    gap = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{gap}\n{section}:\n  {entry}\n"


def _spans(text: str) -> dict[KeyPath, _Span]:
    """Where the recipe, its sections and the scalars of its fields stand."""
    node = _compose(text)
    spans: dict[KeyPath, _Span] = {}
    if not isinstance(node, yaml.MappingNode):
        return spans
    spans[()] = _mapping_span(node)
    for key, value in node.value:
        section = str(key.value)
        if isinstance(value, yaml.MappingNode):
            spans[section,] = _mapping_span(value)
            for name, scalar_node in value.value:
                if isinstance(scalar_node, yaml.ScalarNode):
                    spans[section, str(name.value)] = _scalar_span(scalar_node)
        elif isinstance(value, yaml.ScalarNode) and not value.value:
            spans[section,] = _Span(key.end_mark.index, key.end_mark.index, empty=True)
    return spans


def _compose(text: str) -> yaml.Node | None:
    """Raises RecipeError."""
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        first = (str(error).splitlines() or ["it cannot be read"])[0]
        raise RecipeError(RecipeText.NO_YAML, reason=first) from None
    return node


def _mapping_span(node: yaml.MappingNode) -> _Span:
    if node.flow_style or not node.value:
        return _Span(node.start_mark.index, node.end_mark.index, flow=True)
    last = node.value[-1][1]
    end = last.end_mark.index
    if isinstance(last, yaml.ScalarNode) and last.style in ("|", ">"):
        end -= 1
    elif isinstance(last, yaml.MappingNode) and not last.flow_style and last.value:
        end = _mapping_span(last).end
    return _Span(node.start_mark.index, end, indent=node.value[0][0].start_mark.column)


def _scalar_span(node: yaml.ScalarNode) -> _Span:
    return _Span(
        node.start_mark.index,
        node.end_mark.index,
        block_scalar=node.style in ("|", ">"),
        empty=node.start_mark.index == node.end_mark.index,
    )
