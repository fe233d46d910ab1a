"""A suite's file: which fields take which values. Read as a recipe is; every problem is named with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.contract.files.folders import file_at
from engine.contract.recipe.names import alternatives
from engine.contract.recipe.reader import has_key, names_recipes, recipe_error
from engine.contract.recipe.schema import fields, section_titles
from engine.contract.recipe.yaml_reader import FileKind, KeyPath, YamlText, read_yaml_file
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import Problem
from engine.contract.wire.text import shortened
from medtui.sentences import SuiteFields
from medtui.suites.job_template import SECTION, JobTemplate, template_from

RECIPE = "recipe"  # the path of the axis that is no field
FIELD_OF = {"recipe": RECIPE, "dataset": "dataset.name", "size": "dataset.size", "model": "model.name"}
FIELD_OF |= {"seed": "training.seed"}
FIELD_OF |= {f"{name}s": path for name, path in FIELD_OF.items()}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
_SEEDS = re.compile(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?")
MOST_SEEDS = 10_000


@dataclass(frozen=True)
class Axis:
    """The values of one field, in order."""

    path: str  # dotted field, or RECIPE
    key: str  # as the file has it
    values: tuple[Any, ...]
    line: int | None = None

    @property
    def keys(self) -> KeyPath:
        section, _, name = self.path.partition(".")
        return section, name


Axes = dict[str, Axis]  # by path


@dataclass(frozen=True)
class Entry:
    """One of `include`, a grid of its own, or of `exclude`, a condition."""

    axes: Axes
    line: int | None


@dataclass(frozen=True)
class SuiteFile:
    name: str
    source: str  # for messages
    folder: Path  # that recipes are looked for in first
    axes: Axes
    include: tuple[Entry, ...] = ()
    exclude: tuple[Entry, ...] = ()
    template: JobTemplate = field(default_factory=JobTemplate)


SUITE = FileKind("a suite", "recipes", "`medtui suite run --help` tells what it may hold.")


def read_suite(path: Path) -> SuiteFile:
    """Raises RecipeError, with every problem found."""
    text = read_yaml_file(path, SUITE)
    return suite_from(text, path.stem, path.parent)


def suite_files(workspace: Workspace) -> list[Path]:
    """Files of the workspace that name recipes as a suite does. Never raises: what cannot be read is none."""
    found = []
    for folder in (workspace.root, workspace.root / "recipes"):
        try:
            paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".yaml", ".yml"))
        except OSError:
            continue
        visible = [path for path in paths if path.name[0] != "."]
        files = {path: file_at(path) for path in visible}
        found += [path for path, file in files.items() if names_recipes(file) and not has_key(file, "space")]
    return found  # a search has a space


def suite_from(text: YamlText, name: str, folder: Path) -> SuiteFile:
    """`name`: where the text gives none. Raises RecipeError."""
    reader = AxesReader(text.lines)
    values = dict(text.values)
    if "space" in values:  # what else it has would be reported field by field
        reader.add(("space",), SuiteFields.A_SEARCH)
        raise recipe_error(text.source, reader.problems, "suite")
    name = reader.name(values.pop("name", name))
    include = reader.entries("include", values.pop("include", None))
    exclude = reader.entries("exclude", values.pop("exclude", None))
    section = values.pop(SECTION, None)
    template = JobTemplate() if section is None else template_from(section, (SECTION,), reader.add)
    axes = reader.axes(values, ())
    if RECIPE not in axes and not reader.problems:
        reader.add(("recipes",), SuiteFields.NO_RECIPE)
    if reader.problems:
        raise recipe_error(text.source, reader.problems, "suite")
    return SuiteFile(name, text.source, folder, axes, include, exclude, template)


class TooManySeeds(Exception):
    """The text says how many."""


def parse_seeds(text: str) -> tuple[int, ...] | None:
    """`1-3, 7` as (1, 2, 3, 7); None for what is no such list. Raises TooManySeeds."""
    found: list[int] = []
    for part in text.split(","):
        match = _SEEDS.fullmatch(part)
        if match is None:
            return None
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            return None
        if (count := len(found) + last + 1 - first) > MOST_SEEDS:
            raise TooManySeeds(f"{count:,}")
        found += range(first, last + 1)
    return tuple(dict.fromkeys(found))


class AxesReader:
    """Reads the fields of a suite or a search, and notes what is wrong with them."""

    def __init__(
        self,
        lines: Mapping[KeyPath, int],
        what: str = "suite",
        keys: tuple[str, ...] = ("name", "include", "exclude", SECTION),
    ) -> None:
        """`keys`: of the file, besides fields of recipes."""
        self._lines, self._what, self._keys = lines, what, keys
        self.problems: list[Problem] = []

    def line(self, *path: str) -> int | None:
        return self._lines.get(path)

    def add(self, path: KeyPath, sentence: Any, **found: object) -> None:
        """`path`: of keys and numbers of items."""
        name = " ".join(str(int(part) + 1) if part.isdecimal() else part for part in path)
        line = self._lines.get(path) or self._lines.get(path[:-1])
        self.problems.append(Problem.of((name,), sentence, line, **found))

    def name(self, value: Any) -> str:
        if not isinstance(value, str) or NAME.fullmatch(value) is None:
            self.add(("name",), SuiteFields.NAME, found=shortened(repr(value)))
            return ""
        return value

    def entries(self, key: str, value: Any) -> tuple[Entry, ...]:
        if value is None:
            return ()
        if not isinstance(value, list):
            self.add((key,), SuiteFields.NOT_A_LIST, found=shortened(repr(value)))
            return ()
        return tuple(self._entries(key, value))

    def _entries(self, key: str, items: list[Any]) -> Iterator[Entry]:
        for number, item in enumerate(items):
            path = (key, str(number))
            if not isinstance(item, dict) or not item:
                self.add(path, SuiteFields.NOT_FIELDS, found=shortened(repr(item)))
                continue
            yield Entry(self.axes(item, path), self._lines.get(path))

    def axes(self, values: Mapping[str, Any], above: KeyPath) -> Axes:
        found: Axes = {}
        for key, value in _dotted(values):
            path = field_path(key)
            where = (*above, key) if (*above, key) in self._lines else (*above, *key.split("."))
            if path != RECIPE and path not in fields():
                self.unknown(where, key, nested=bool(above))
            elif path in found:
                self.add(where, SuiteFields.TWICE, field=path, other=found[path].key)
            elif values_of := self._values(where, path, value):
                found[path] = Axis(path, key, values_of, self._lines.get(where))
        return found

    def unknown(self, where: KeyPath, key: str, *, nested: bool) -> None:
        """Not a field; `nested`: and not where a key of the file could be."""
        instead = _known(key, () if nested else self._keys)
        self.add(where, SuiteFields.UNKNOWN, what=self._what, alternatives=instead)

    def _values(self, where: KeyPath, path: str, value: Any) -> tuple[Any, ...]:
        if path == "training.seed" and isinstance(value, str):
            try:
                seeds = parse_seeds(value)
            except TooManySeeds as number:
                self.add(where, SuiteFields.TOO_MANY_SEEDS, limit=MOST_SEEDS, found=number)
                return ()
            if seeds is None:
                self.add(where, SuiteFields.SEEDS, found=shortened(repr(value)))
            return seeds or ()
        values = value if isinstance(value, list) else [value]
        if not values or any(isinstance(one, dict | list) for one in values):
            self.add(where, SuiteFields.NO_VALUES, found=shortened(repr(value)))
            return ()
        if path == RECIPE and not all(isinstance(one, str) for one in values):
            self.add(where, SuiteFields.NO_RECIPE)
            return ()
        return tuple(dict.fromkeys(values)) if path == RECIPE else tuple(distinct(values))


def _dotted(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """`training: {lr: 0.1}` is `training.lr: 0.1`."""
    for key, value in values.items():
        if isinstance(value, dict) and key in section_titles():
            yield from ((f"{key}.{name}", one) for name, one in value.items())
        else:
            yield key, value


def distinct(values: list[Any]) -> list[Any]:
    """1 and true are two values, and 1 and 1.0 one."""
    kept: list[Any] = []
    for one in values:
        if not any(one == other and isinstance(one, bool) == isinstance(other, bool) for other in kept):
            kept.append(one)
    return kept


def field_path(key: str) -> str:
    """The dotted field that a key of the file means."""
    return FIELD_OF.get(key.replace("-", "_"), key.replace("-", "_"))


def _known(key: str, keys: Sequence[str]) -> str:
    known = [*(name for name in FIELD_OF if name.endswith("s")), *keys]
    same_name = [path for path in fields() if path.partition(".")[2] == key]
    if same_name:
        return f"did you mean {' or '.join(same_name)}?"
    return alternatives("field", key, [*known, *fields()] if "." in key else known)
