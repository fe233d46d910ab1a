"""Where a recipe's images come from. The `dataset` section names it by one key: `name` is a data set that has one.

A kind of source is added here and in one module of the engine. Here: its fields in `DatasetSection`, what is known of
it before a byte is read (a `DataSource`), and its row in `KINDS`; there: the function that its source names, which
decodes it. Recipe, form, preflight, doctor, documents and engine know it then. `data_source` and `own_images` have the
sources that there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from engine.contract.data.datasets import DatasetFacts, Symmetry, datasets
from engine.contract.recipe.data_source import ArchiveSource, DataSource, OfficialSource, ProgramSource
from engine.contract.recipe.names import alternatives
from engine.contract.recipe.own_images import OwnImages, own_conflicts, own_facts
from engine.contract.recipe.setting import Names, Section, Text, setting
from engine.contract.sentences import Conflicts, DataSets, Fields, Recipes
from engine.contract.wire.errors import Problem, RecipeError, UsageError
from engine.contract.wire.text import shortened

# ---- the section of the recipe --------------------------------------------------------------------------------------


def _plain_task(name: Any) -> Any:
    """One spelling for MedMNIST's `ordinal-regression`, `multi-label, binary-class` and ours."""
    plain = {
        "binary-class": "binary",
        "multi-class": "multi_class",
        "ordinal-regression": "ordinal",
        "multi-label": "multi_label",
        "multi-label, binary-class": "multi_label",
    }
    return plain.get(name, name) if isinstance(name, str) else name


class DatasetSection(Section):
    name: Text | None = setting(
        "bloodmnist",
        title="Data set",
        help="One of the twelve 2D MedMNIST sets, or `cells`, a synthetic set that needs no file.",
        expected="the name of a data set",
        examples=lambda: [facts.name for facts in known_sets()],
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
        advanced=True,
    )
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = setting(
        None,
        title="MD5 of the archive",
        help="MD5 of `archive`, as `md5sum FILE` prints it; null without one.",
        expected="32 lower-case hex digits (in quotes if all are decimal) or null",
        advanced=True,
    )
    cache: Literal["auto", "device", "ram", "mapped"] = setting(
        "auto",
        title="Cache",
        help="Where the images are kept during training; `auto` decides by the memory that the model leaves.",
        identity=False,
        advanced=True,
    )
    folder: Text | None = setting(
        None,
        title="Folder",
        help="Your own images as a folder: train|val|test/CLASS/…, train|test/CLASS/… or CLASS/….",
        expected="the path of a folder or null",
        path=True,
        advanced=True,
    )
    csv: Text | None = setting(
        None,
        title="Table",
        help=(
            "Your own images as a table with one row per image: its file, its label (or several columns of 0 and 1), "
            "optionally its split and its group."
        ),
        expected="the path of a table or null",
        path=True,
        advanced=True,
    )
    npz: Text | None = setting(
        None,
        title="Arrays",
        help=(
            "Your own images as an .npz file of `train_images`, `train_labels` and so on, as in MedMNIST but with "
            "any classes and sizes, or of `images` and `labels`."
        ),
        expected="the path of an .npz file or null",
        path=True,
        advanced=True,
    )
    root: Text | None = setting(
        None,
        title="Root folder",
        help="The folder that the table's paths are relative to; null is the table's own.",
        expected="the path of a folder or null",
        identity=False,
        advanced=True,
    )
    path_column: Text | None = setting(
        None,
        title="File column",
        help="Column of the table with the file of each image; null finds it by name.",
        advanced=True,
    )
    label_columns: Names | None = setting(
        None,
        title="Label columns",
        help="Column of the table with the label, or several of 0 and 1 for multi-label; null finds it by name.",
        expected="the name of a column, a list of them, or null",
    )
    split_column: Text | None = setting(
        None,
        title="Split column",
        help="Column of the table that says train, val or test; null finds it by name, if there is one.",
        advanced=True,
    )
    delimiter: Text | None = setting(
        None,
        title="Delimiter",
        help="What separates the table's columns; null detects it.",
        expected="one character or null",
        advanced=True,
    )
    task: Annotated[Literal["binary", "multi_class", "ordinal", "multi_label"] | None, BeforeValidator(_plain_task)] = (
        setting(
            None,
            title="Task",
            help=(
                "What the labels of your own images are; null is multi_label for several columns, binary for two "
                "classes, else multi_class. MedMNIST's names (`ordinal-regression`) are understood too."
            ),
            advanced=True,
        )
    )
    class_names: Names | None = setting(
        None,
        title="Class names",
        help=(
            "The classes in their order, or names for the labels 0, 1, 2 …; null takes the names of folders or "
            "labels, sorted, with numbers by their value."
        ),
        expected="a list of names, or null",
    )
    symmetry: Symmetry = setting(
        "mirror",
        title="Symmetry",
        help=(
            "Which mirror images of your own images are of the same class: all (no canonical orientation), mirror "
            "(left and right are alike) or none. It decides automatic flips and the views of test-time augmentation."
        ),
        advanced=True,
    )
    fit: Literal["pad", "crop", "stretch"] = setting(
        "pad",
        title="Fit",
        help="How an oblong image becomes square: padded with black, cropped to its centre, or stretched.",
    )
    max_unreadable: Annotated[float, Field(ge=0.0, le=1.0)] = setting(
        0.05,
        title="Maximum unreadable",
        help="Fraction of your own images that may be unusable (damaged, missing, unlabelled); more refuses the run.",
        identity=False,
        advanced=True,
    )
    group: Text | None = setting(
        None,
        title="Group",
        help=(
            "What keeps images of one patient in one split: a column of the table, or a pattern for file names such "
            r"as `patient(\d+)`. null uses a column named patient, subject, case or group, if there is one."
        ),
    )
    val_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = setting(
        0.15, title="Validation fraction", help="Fraction of your own images for validation, where no split is given."
    )
    test_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = setting(
        0.15, title="Test fraction", help="Fraction of your own images for the test, where no split is given."
    )
    split_seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = setting(
        0,
        title="Split seed",
        help="Decides which images are in which split, independently of training.seed.",
        advanced=True,
    )
    folds: Annotated[int, Field(ge=2, le=1000)] | None = setting(
        None,
        title="Folds",
        help=(
            "Cross-validation: this many parts, of which `fold` is the test split (or the validation split, where a "
            "test split is given); null uses the fractions."
        ),
        advanced=True,
    )
    fold: Annotated[int, Field(ge=1, le=1000)] = setting(
        1, title="Fold", help="Which of the folds, counted from 1.", advanced=True
    )
    duplicates: Literal["keep", "drop", "refuse"] = setting(
        "keep",
        title="Duplicates",
        help=(
            "Images that are in two splits, exactly or nearly: keep and report them, drop them from training (and "
            "from validation what is in the test), or refuse the run."
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _no_default_name_with_another_source(cls, values: Any) -> Any:
        """`name` has a default, which is not meant where another source is named."""
        if not isinstance(values, dict) or DEFAULT_KEY in values:
            return values
        others = any(values.get(key) is not None for key in KINDS if key != DEFAULT_KEY)
        return {**values, DEFAULT_KEY: None} if others else values


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


def _own(key: str) -> Callable[[DatasetSection], DataSource]:
    def source(section: DatasetSection) -> DataSource:
        own = {name: getattr(section, name) for name in DatasetSection.model_fields if name in (*TABLE, *OWN)}
        written = str(getattr(section, key))
        return OwnImages(own_facts(written, own), section.size, key, written, own)

    return source


OWN: tuple[str, ...] = ("task", "class_names", "symmetry", "fit", "max_unreadable")
OWN += ("val_fraction", "test_fraction", "split_seed", "folds", "fold", "duplicates")
TABLE = ("root", "path_column", "label_columns", "split_column", "delimiter", "group")

NAME = Kind("name", _named, ("archive", "md5"), ("archive",), lambda: list(datasets().values()))
FOLDER = Kind("folder", _own("folder"), ("group", *OWN), ("folder",))
TABLES = Kind("csv", _own("csv"), (*TABLE, *OWN), ("csv", "root"))
ARRAYS = Kind("npz", _own("npz"), OWN, ("npz",))
KINDS = {kind.key: kind for kind in (NAME, FOLDER, TABLES, ARRAYS)}
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
    owners = {
        name: [key for key, kind in KINDS.items() if name in kind.own] for kind in KINDS.values() for name in kind.own
    }
    found += [
        Problem.of(("dataset", name), Conflicts.OF_OTHER_SOURCE, belongs_to=_either(of), source=keys[0])
        for name, of in owners.items()
        if not set(of) & set(keys) and getattr(section, name) != DatasetSection.model_fields[name].default
    ]
    return found + (own_conflicts(section.model_dump()) if keys[0] in (FOLDER.key, TABLES.key, ARRAYS.key) else [])


def _either(keys: Sequence[str]) -> str:
    return " or ".join(f"`{key}`" for key in keys)


def unread_fields(values: Mapping[str, Any]) -> set[str]:
    """The fields that only other sources read than the one that these values of a section name."""
    keys = [key for key in KINDS if values.get(key) is not None] or [DEFAULT_KEY]
    read = {name for key in keys for name in KINDS[key].own}
    return {name for kind in KINDS.values() for name in kind.own} - read


def other_sources(values: Mapping[str, Any], key: str) -> list[str]:
    """The fields by which these values of a section name another source than the one of this key."""
    return [other for other in KINDS if other != key and values.get(other) is not None] if key in KINDS else []


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
