"""What a field can be set to: the choices of its schema, with what this machine has of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.contract.data.archives import data_folders, find_file
from engine.contract.data.datasets import DatasetFacts
from engine.contract.models.catalogue import models
from engine.contract.recipe.schema import FieldSpec, fields
from engine.contract.recipe.sources import KINDS, known_sets
from engine.contract.recipe.yaml_reader import written
from engine.contract.store.workspace import Workspace
from engine.contract.wire.text import format_bytes


@dataclass(frozen=True)
class Choice:
    label: str
    note: str = ""
    value: str | None = None  # YAML text; None: it is typed
    field: str = ""  # into this field of the section


@dataclass(frozen=True)
class Available:
    """What there is on this machine to choose among."""

    archives: frozenset[str]  # names of the official data set files that were found
    gpus: tuple[str, ...]  # their names, in order


def read_available(workspace: Workspace, data: Sequence[str]) -> Available:
    """Asks for files and GPUs, so never on the UI thread."""
    from medtui.machine.gpu import read_gpus

    folders = data_folders(data, workspace.root)
    archives = [archive for facts in known_sets() for archive in facts.archives.values()]
    found = frozenset(archive.file_name for archive in archives if find_file(archive, folders) is not None)
    return Available(found, tuple(gpu.name for gpu in read_gpus().devices))


def is_choice(spec: FieldSpec) -> bool:
    """Is a value chosen, rather than typed?"""
    return spec.is_closed or bool(spec.examples) or any("enum" in variant for variant in spec.variants)


def choices_of(
    spec: FieldSpec, section: Mapping[str, Any] | None = None, available: Available | None = None
) -> list[Choice]:
    """`section`: the other values of its section, as far as they are written; `available`: None is not known yet."""
    if spec.path in _SPECIAL:
        return _SPECIAL[spec.path](spec, section or {}, available)
    found = [Choice(text, value=text) for text in map(written, spec.examples or spec.choices)]
    return found if spec.is_closed else [*found, _other(spec)]


def _other(spec: FieldSpec) -> Choice:
    return Choice("another …", f"{spec.expected}", field=spec.name)


def _data_sets(spec: FieldSpec, section: Mapping[str, Any], available: Available | None) -> list[Choice]:
    """Those whose images are here first; then the ways to name images of one's own."""
    sets = {facts.name: facts for facts in known_sets()}
    size = section.get("size")
    size = size if isinstance(size, int) else fields()["dataset.size"].default
    missing_last = sorted(spec.examples, key=lambda name: not _is_here(sets[name], size, available))  # stable
    named = [Choice(name, _state(sets[name], size, available), name) for name in missing_last]
    sources = [fields()[f"dataset.{key}"] for key in KINDS if key != spec.name and f"dataset.{key}" in fields()]
    return [*named, *(Choice(f"{one.title} …", one.help.partition(":")[0], field=one.name) for one in sources)]


def _is_here(facts: DatasetFacts, size: int, available: Available | None) -> bool:
    archive = facts.archives.get(size)
    return facts.synthetic or (
        archive is not None and available is not None and archive.file_name in available.archives
    )


def _state(facts: DatasetFacts, size: int, available: Available | None) -> str:
    if facts.synthetic:
        return "synthetic, generated"
    if size not in facts.archives or available is None:
        return "official"
    if _is_here(facts, size, available):
        return "official, found"
    return f"official, not here (≤ {format_bytes(facts.largest(size))})"


def _models(spec: FieldSpec, section: Mapping[str, Any], available: Available | None) -> list[Choice]:
    named = [Choice(name, models()[name].summary if name in models() else "", name) for name in spec.choices]
    return named if spec.is_closed else [*named, _other(spec)]


def _devices(spec: FieldSpec, section: Mapping[str, Any], available: Available | None) -> list[Choice]:
    """Each GPU by its number, where there are several."""
    gpus = available.gpus if available is not None else ()
    notes = {"auto": "the first GPU, else the CPU", "cuda": gpus[0] if gpus else "no GPU found" if available else ""}
    found = [Choice(value, notes.get(value, ""), value) for value in spec.examples]
    numbered = [f"cuda:{number}" for number in range(len(gpus))] if len(gpus) > 1 else []
    found += [Choice(value, gpu, written(value)) for value, gpu in zip(numbered, gpus, strict=False)]
    return [*found, _other(spec)]


# Those of which more is known than the schema has; every other field has its choices from there.
_SPECIAL: dict[str, Callable[[FieldSpec, Mapping[str, Any], Available | None], list[Choice]]] = {
    "dataset.name": _data_sets,
    "model.name": _models,
    "runtime.device": _devices,
}
