"""Where a recipe's images come from. The `dataset` section names it by one key: `name` is a data set that has one.

A kind of source is added here and in one module of the engine. Here: its fields in `DatasetSection`, what is known of
it before a byte is read (a `DataSource`), and its row in `KINDS`; there: the function that its source names, which
decodes it. Recipe, form, preflight, doctor, documents and engine know it then.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from engine.contract.data.archives import find_file, format_bytes, offline
from engine.contract.data.datasets import SPLITS, Archive, DatasetFacts, datasets
from engine.contract.data.sums import known_md5
from engine.contract.files.paths import expanded, is_file
from engine.contract.recipe.names import alternatives
from engine.contract.recipe.setting import Section, Text, setting
from engine.contract.sentences import Conflicts, DataSets, Fields, Recipes
from engine.contract.wire.errors import Problem, RecipeError, UsageError
from engine.contract.wire.text import shortened

# ---- the section of the recipe --------------------------------------------------------------------------------------


class DatasetSection(Section):
    name: Text | None = setting(
        "bloodmnist",
        title="Data set",
        help="One of the twelve 2D MedMNIST sets, or `cells`, a synthetic set that needs no file.",
        expected="the name of a data set",
    )
    size: Literal[28, 64, 128, 224] = setting(28, title="Image size", help="Side of the square images.", unit="pixels")
    limit: Annotated[int, Field(ge=2, le=100_000_000)] | None = setting(
        None,
        title="Limit",
        help="Use at most this many images of each split, for subset runs; null uses all.",
        unit="images",
    )
    archive: Text | None = setting(
        None,
        title="Archive",
        help=(
            "An .npz file in MedMNIST's layout to use in place of the official one, for example a corrected "
            "edition; `md5` must then identify the file. null uses the official file."
        ),
        identity=False,
    )
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = setting(
        None,
        title="MD5 of the archive",
        help="MD5 of `archive`, as `md5sum FILE` prints it; null without one.",
        expected="32 lower-case hex digits (in quotes if all are decimal) or null",
    )
    cache: Literal["auto", "device", "ram", "mapped"] = setting(
        "auto",
        title="Cache",
        help="Where the images are kept during training; `auto` decides by their size and the free memory.",
        identity=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _no_default_name_with_another_source(cls, values: Any) -> Any:
        """`name` has a default, which is not meant where another source is named."""
        if not isinstance(values, dict) or DEFAULT_KEY in values:
            return values
        others = any(values.get(key) is not None for key in KINDS if key != DEFAULT_KEY)
        return {**values, DEFAULT_KEY: None} if others else values


# ---- what is known of a source before a byte is read ----------------------------------------------------------------


@dataclass(frozen=True)
class SearchPaths:
    """Where files may be."""

    workspace: Path
    folders: Sequence[Path]  # where data set files are searched for, first to last
    here: Path = Path()  # what relative paths are below


@dataclass(frozen=True)
class Found:
    """What is known of a source's files before they are read."""

    description: str
    ok: bool = True


@dataclass(frozen=True)
class DataSource(ABC):
    """One place where images come from, at one size."""

    facts: DatasetFacts
    size: int  # pixels per side

    decoder: ClassVar[str]  # of the engine, "module:function"; called with the source and its `Access`

    @abstractmethod
    def status(self, search_paths: SearchPaths) -> Found:
        """Are its files there, and what they should be? Reads small files; never raises."""


@dataclass(frozen=True)
class OfficialSource(DataSource):
    """A published archive, which can be fetched."""

    decoder = "engine.data.archive_source:decoded_official"

    @property
    def archive(self) -> Archive:
        return self.facts.archives[self.size]

    def status(self, search_paths: SearchPaths) -> Found:
        path = find_file(self.archive, search_paths.folders)
        if path is None and offline():
            where = "put it into the workspace's dataset/, or pass --data"
            return Found(f"{self.archive.file_name} is missing and MEDTUI_OFFLINE is set: {where}", ok=False)
        if path is None:
            most = format_bytes(self.facts.largest(self.size))
            return Found(f"{self.archive.file_name} is missing: it will be fetched first (at most {most})")
        counts = "/".join(str(self.facts.splits[split]) for split in SPLITS)
        found = known_md5(path)
        if found is None:
            return Found(f"{path.name} found ({counts}), MD5 not verified yet")
        if found != self.archive.md5:
            return Found(f"{path} is not the official file: MD5 {found}, expected {self.archive.md5}", ok=False)
        return Found(f"{path.name} found, MD5 ok ({counts})")


@dataclass(frozen=True)
class ArchiveSource(DataSource):
    """The user's own archive in the place of the official one. How many images it holds is not known yet."""

    decoder = "engine.data.archive_source:decoded_own"

    written: str  # its path, perhaps with an anchor: ${workspace} or ${data}
    md5: str | None

    def path(self, search_paths: SearchPaths) -> Path:
        """Where it is; where it is in none of the places, the first that it could be in."""
        folders = search_paths.folders if "${data}" in self.written else [Path()]
        anchored = self.written.replace("${workspace}", str(search_paths.workspace))
        candidates = [search_paths.here / expanded(anchored.replace("${data}", str(folder))) for folder in folders]
        return next((candidate for candidate in candidates if is_file(candidate)), candidates[0])

    def status(self, search_paths: SearchPaths) -> Found:
        path = self.path(search_paths)
        if not is_file(path):
            return Found(f"archive {self.written} is missing", ok=False)
        if self.md5 is None:
            write = f"write its MD5 as `md5` (`md5sum {path.name}` prints it)"
            return Found(f"archive {path.name} found; {write}", ok=False)
        found = known_md5(path)
        if found is not None and found != self.md5:
            return Found(f"archive {path.name} has MD5 {found}, the recipe says {self.md5}", ok=False)
        return Found(f"archive {path.name} found" + (", MD5 ok" if found else ", MD5 not verified yet"))


@dataclass(frozen=True)
class ProgramSource(DataSource):
    """A synthetic data set, which is generated."""

    decoder = "engine.data.cells_source:decoded_cells"

    def status(self, search_paths: SearchPaths) -> Found:
        return Found(f"{self.facts.name} is generated, no file needed")


# ---- kinds ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """One way to name a source."""

    key: str  # the field of the section that names it
    source: Callable[[DatasetSection], DataSource]  # of a section that has the key. Raises RecipeError
    own: tuple[str, ...] = ()  # the fields that only it reads
    paths: tuple[str, ...] = ()  # those that are paths, which a run's own recipe anchors
    sets: Callable[[], Sequence[DatasetFacts]] = tuple  # the data sets that it provides by name


def _named(section: DatasetSection) -> DataSource:
    facts = datasets().get(section.name or "")
    if facts is None:
        raise _unknown(section.name or "")
    if section.archive is not None:
        return ArchiveSource(replace(facts, splits={}), section.size, section.archive, section.md5)
    return ProgramSource(facts, section.size) if facts.synthetic else OfficialSource(facts, section.size)


def _unknown(name: str) -> RecipeError:
    instead = alternatives("data set", name, list(datasets()))
    problem = Problem.of(("dataset", "name"), Fields.UNKNOWN_DATASET, found=shortened(name), alternatives=instead)
    return RecipeError(Recipes.PROBLEM, source="recipe", found=f"dataset.name {problem.message}", problems=[problem])


NAME = Kind("name", _named, ("archive", "md5"), ("archive",), lambda: list(datasets().values()))
KINDS = {kind.key: kind for kind in (NAME,)}
DEFAULT_KEY = NAME.key


# ---- looking one up -------------------------------------------------------------------------------------------------


def data_source(section: DatasetSection) -> DataSource:
    """What a section names. Raises RecipeError for what there is not."""
    return _kind_of(section).source(section)


def facts_of(section: DatasetSection) -> DatasetFacts:
    """What is known of a section's images before a byte is read. Raises RecipeError for what there is not."""
    return data_source(section).facts


def _kind_of(section: DatasetSection) -> Kind:
    return KINDS[next(iter(_keys(section)), DEFAULT_KEY)]


def _keys(section: DatasetSection) -> list[str]:
    return [key for key in KINDS if getattr(section, key) is not None]


def source_conflicts(section: DatasetSection) -> list[Problem]:
    """A section names exactly one source, and holds no field of another kind. Without looking at files."""
    keys = _keys(section)
    if not keys:
        return [Problem.of(("dataset", DEFAULT_KEY), Conflicts.NO_SOURCE)]
    found = [Problem.of(("dataset", key), Conflicts.SOURCES, source=keys[0]) for key in keys[1:]]
    misplaced = [(key, name) for key, kind in KINDS.items() if key not in keys for name in kind.own]
    return found + [
        Problem.of(("dataset", name), Conflicts.OF_OTHER_SOURCE, belongs_to=key, source=keys[0])
        for key, name in misplaced
        if getattr(section, name) != DatasetSection.model_fields[name].default
    ]


def source_values(section: DatasetSection) -> tuple[Any, ...]:
    """All that says which images they are."""
    kind = _kind_of(section)
    return (kind.key, *(getattr(section, name) for name in (kind.key, *kind.own)))


def with_paths(section: DatasetSection, change: Callable[[str], str]) -> DatasetSection:
    """The section with its paths changed."""
    paths = {name: getattr(section, name) for name in _kind_of(section).paths}
    return section.model_copy(update={name: change(path) for name, path in paths.items() if path is not None})


def known_sets() -> list[DatasetFacts]:
    """Every data set that is available by its name alone, of all kinds."""
    return [facts for kind in KINDS.values() for facts in kind.sets()]


def official_sets() -> list[DatasetFacts]:
    """Those with published archives."""
    return [facts for facts in known_sets() if facts.archives]


def official_source(name: str, size: int, sized: str = "{name} at {size} px") -> OfficialSource:
    """A published archive by its data set's name. `sized`: how a size is written there. Raises UsageError."""
    sets = {facts.name: facts for facts in official_sets()}
    if name not in sets:
        instead = alternatives("data set", name, list(sets), sized)
        raise UsageError(DataSets.UNKNOWN, found=shortened(name), alternatives=instead)
    facts = sets[name]
    if size not in facts.archives:
        sizes = ", ".join(map(str, facts.archives))
        raise UsageError(DataSets.SIZE, dataset=facts.title, expected=sizes, found=size)
    return OfficialSource(facts, size)
