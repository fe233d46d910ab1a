"""Entries of the queue, told apart: each got its label when it was added, whatever the others are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from engine.contract.recipe.yaml_reader import written
from medtui.suites.plan import IN_LABEL, SEED
from medtui.suites.work import Item

Fields = Mapping[str, str]  # of a recipe, as it writes them, by their path


def distinguished(entries: Iterable[Item]) -> list[Item]:
    """Labelled with what differs among those of the same data and model: `cells, mini_cnn, epochs 30, seed 1`.

    Pure. No recipe is checked: one of an older medtui is an entry too.
    """
    found = [(entry, _fields(entry)) for entry in entries]
    alike: dict[tuple[str | None, ...], list[Fields]] = defaultdict(list)
    for _, fields in found:
        alike[_kind(fields)].append(fields)
    differing = {kind: _differing(members) for kind, members in alike.items()}
    return [replace(entry, label=_label(entry.label, fields, differing[_kind(fields)])) for entry, fields in found]


def _fields(entry: Item) -> Fields:
    sections = {name: section for name, section in entry.recipe.items() if isinstance(section, dict)}
    return {f"{name}.{field}": written(value) for name, section in sections.items() for field, value in section.items()}


def _kind(fields: Fields) -> tuple[str | None, ...]:
    return tuple(fields.get(path) for path in IN_LABEL if path != SEED)


def _differing(members: Sequence[Fields]) -> list[str]:
    """A field that an older recipe has not is no difference."""
    values: dict[str, set[str]] = defaultdict(set)
    for fields in members:
        for path, value in fields.items():
            values[path].add(value)
    return [path for path, found in values.items() if len(found) > 1 and path not in IN_LABEL]


def _label(label: str, fields: Fields, differing: Iterable[str]) -> str:
    """What was named when it was added is there already. The seed stays last."""
    named, seed_word, seed = label.rpartition(", seed ")
    parts = (named or label).split(", ")
    for path in differing:
        name = path.partition(".")[2]
        if path in fields and not any(part.startswith(f"{name} ") for part in parts):
            parts.append(f"{name} {fields[path]}")
    return ", ".join(parts) + (f"{seed_word}{seed}" if named else "")
