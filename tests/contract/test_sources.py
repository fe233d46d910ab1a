"""What a `dataset` section names: shape apart from world, the facts, and the engine's function that decodes it."""

from __future__ import annotations

import ast
import hashlib
import os
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, get_type_hints

import pytest

from engine.contract.data.datasets import datasets
from engine.contract.data.sums import HASH_AT_ONCE, checksum_file, remember_checksum
from engine.contract.recipe.data_source import ArchiveSource, Found, OfficialSource, ProgramSource, SearchPaths
from engine.contract.recipe.own_images import OwnImages
from engine.contract.recipe.reader import build_recipe, recipe_from_values, set_value
from engine.contract.recipe.setting import names_of
from engine.contract.recipe.sources import (
    DatasetSection,
    data_source,
    facts_of,
    known_sets,
    official_sets,
    official_source,
    with_paths,
)
from engine.contract.sentences import Conflicts, DataSets
from engine.contract.wire.errors import RecipeError, UsageError
from engine.contract.wire.jobs import JOBS

ROOT = Path(__file__).resolve().parents[2]
MD5 = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("name", datasets())
def test_a_name_stands_for_the_facts_of_its_data_set(name: str) -> None:
    section = DatasetSection(name=name)
    assert facts_of(section) is datasets()[name]
    assert isinstance(data_source(section), ProgramSource if name == "cells" else OfficialSource)


def test_a_section_that_names_nothing_is_bloodmnist() -> None:
    assert facts_of(DatasetSection()).name == "bloodmnist"


@pytest.mark.parametrize("field", ["class_names", "label_columns"])
@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("[kind]", ("kind",)),
        ("[a, b]", ("a", "b")),
        ("[a,b]", ("a", "b")),
        ("['cell type', \"b\"]", ("cell type", "b")),
        ("a, b", ("a", "b")),
    ],
)
def test_a_list_of_names_may_be_written_on_the_command_line(field: str, written: str, names: tuple[str, ...]) -> None:
    """As the same list in a recipe, and so with the same hash."""
    path, value = set_value(f"dataset.{field}={written}")
    assert path == ("dataset", field)
    section = DatasetSection.model_validate({"csv": "t.csv", field: value})
    assert section == DatasetSection.model_validate({"csv": "t.csv", field: list(names)})
    assert names_of(getattr(section, field)) == names


@pytest.mark.parametrize("written", ["[]", "[a,]", "[,]"])
def test_a_list_without_a_name_is_none(written: str) -> None:
    with pytest.raises(RecipeError, match="a list of them, or null, found"):
        build_recipe({"dataset": {"csv": "t.csv", "label_columns": written}})


def test_how_many_images_an_archive_of_the_users_holds_is_not_known_before_it_is_read() -> None:
    facts = facts_of(DatasetSection(name="pathmnist", archive="mine.npz", md5=MD5))
    assert (facts.name, facts.splits, facts.sizes) == ("pathmnist", {}, (28, 64, 128, 224))
    build_recipe({"dataset": {"name": "breastmnist", "archive": "mine.npz"}, "training": {"batch_size": 60_000}})
    with pytest.raises(RecipeError) as error:
        build_recipe({"dataset": {"name": "breastmnist"}, "training": {"batch_size": 60_000}})
    (found,) = error.value.problems
    assert (found.code, found.fields) == (Conflicts.BATCH_SIZE.code, {"images": 546, "found": 60_000})


@pytest.mark.parametrize(
    "values",
    [
        {"dataset": {"name": "my_hospital"}},
        {"dataset": {"name": "cells", "size": 224}, "model": {"name": "resnet18"}},
        {"dataset": {"name": "organamnist"}, "augmentation": {"hflip": 0.5}},
        {"dataset": {"name": "breastmnist"}, "training": {"batch_size": 60_000}},
        {"dataset": {"name": "cells", "archive": "mine.npz"}},
    ],
    ids=lambda values: str(values["dataset"]),
)
def test_a_nonexistent_source_is_refused_by_facts_but_is_a_valid_recipe_by_shape(values: dict[str, Any]) -> None:
    """So the recipe of a run whose data are not here can still be read, shown and compared."""
    assert recipe_from_values(values).dataset.name == values["dataset"]["name"]
    with pytest.raises(RecipeError):
        build_recipe(values)


@pytest.mark.parametrize(
    "values",
    [
        {"dataset": {"name": None}},
        {"dataset": {"md5": MD5}},
        {"dataset": {"size": 30}},
        {"training": {"warmup_epochs": 100}},
        {"dataset": {"size": 224}, "model": {"name": "resnet18_adapted"}},
    ],
    ids=str,
)
def test_conflicts_between_fields_are_refused_by_shape_alone(values: dict[str, Any]) -> None:
    for read in (recipe_from_values, build_recipe):
        with pytest.raises(RecipeError):
            read(values)


def test_every_problem_of_shape_and_facts_is_named_at_once_with_its_line() -> None:
    values = {"dataset": {"name": "organamnist"}, "training": {"nesterov": True, "optimizer": "adamw"}}
    values["augmentation"] = {"vflip": 0.5}
    lines = {("augmentation", "vflip"): 7, ("training", "nesterov"): 3}
    with pytest.raises(RecipeError) as error:
        build_recipe(values, lines=lines)
    assert [(problem.path, problem.line) for problem in error.value.problems] == [
        (("training", "nesterov"), 3),
        (("augmentation", "vflip"), 7),
    ]
    assert [problem.code for problem in error.value.problems] == [Conflicts.NESTEROV.code, Conflicts.FLIP.code]


def test_only_published_sets_can_be_fetched() -> None:
    assert {facts.name for facts in known_sets()} == set(datasets())
    assert {facts.name for facts in official_sets()} == set(datasets()) - {"cells"}
    assert official_source("pathmnist", 64).archive.file_name == "pathmnist_64.npz"
    for name, size, sentence in (
        ("cells", 28, DataSets.UNKNOWN),
        ("pathmnist", 30, DataSets.SIZE),
        ("nothing", 28, DataSets.UNKNOWN),
    ):
        with pytest.raises(UsageError) as error:
            official_source(name, size)
        assert error.value.code == sentence.code


def test_the_anchors_of_an_archive_stand_for_the_workspace_and_the_data_folders(tmp_path: Path) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    search_paths = SearchPaths(tmp_path / "study", folders, tmp_path / "here")
    for folder in (*folders, search_paths.workspace, search_paths.here):
        folder.mkdir()
    (folders[1] / "mine.npz").touch()

    def found(written: str) -> Path:
        source = data_source(DatasetSection(name="pathmnist", archive=written, md5=MD5))
        assert isinstance(source, ArchiveSource)
        return source.path(search_paths)

    assert found("${data}/mine.npz") == folders[1] / "mine.npz"
    assert found("${data}/missing.npz") == folders[0] / "missing.npz"
    assert found("${workspace}/mine.npz") == search_paths.workspace / "mine.npz"
    assert found("mine.npz") == search_paths.here / "mine.npz"
    assert found("/elsewhere/mine.npz") == Path("/elsewhere/mine.npz")


def test_a_name_that_is_none_is_refused_by_facts_too() -> None:
    with pytest.raises(RecipeError):
        facts_of(DatasetSection(name=None))


def test_an_archive_with_its_md5_is_no_conflict() -> None:
    assert recipe_from_values({"dataset": {"archive": "mine.npz", "md5": MD5}}).dataset.md5 == MD5


def test_the_status_of_a_published_archive_tells_whether_a_run_can_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing, missing and not to be fetched, another file; and one that is too large to be read for its MD5 now."""
    search_paths = SearchPaths(tmp_path, [tmp_path], tmp_path)
    source = official_source("breastmnist", 28)
    monkeypatch.setenv("MEDTUI_OFFLINE", "0")
    missing = source.status(search_paths)
    assert missing.ok and "breastmnist.npz is missing" in missing.description
    monkeypatch.setenv("MEDTUI_OFFLINE", "1")
    assert not source.status(search_paths).ok
    file = tmp_path / "breastmnist.npz"
    file.write_bytes(b"another file")
    another = source.status(search_paths)
    assert not another.ok
    assert hashlib.md5(b"another file").hexdigest() in another.description and source.archive.md5 in another.description
    os.truncate(file, HASH_AT_ONCE + 1)
    unread = source.status(search_paths)
    assert unread.ok and "546/78/156" in unread.description and "not verified" in unread.description
    remember_checksum(file, file.stat(), source.archive.md5, checksum_file())
    verified = source.status(search_paths)
    assert verified.ok and "MD5 ok" in verified.description


def test_the_status_of_an_archive_of_the_users_tells_whether_a_run_can_start(tmp_path: Path) -> None:
    search_paths = SearchPaths(tmp_path, [tmp_path], tmp_path)

    def status(md5: str | None) -> Found:
        return data_source(DatasetSection(name="pathmnist", archive="mine.npz", md5=md5)).status(search_paths)

    assert not status(MD5).ok
    (tmp_path / "mine.npz").write_bytes(b"mine")
    own = hashlib.md5(b"mine").hexdigest()
    assert status(own).ok and "MD5 ok" in status(own).description
    assert not status(MD5).ok and own in status(MD5).description and MD5 in status(MD5).description
    assert not status(None).ok, "a run needs the MD5 of what it trains on"
    os.truncate(tmp_path / "mine.npz", HASH_AT_ONCE + 1)
    assert status(own).ok and "not verified" in status(own).description


def test_generated_data_are_always_there(tmp_path: Path) -> None:
    assert data_source(DatasetSection(name="cells")).status(SearchPaths(tmp_path, [], tmp_path)).ok


def test_only_the_paths_of_a_section_are_anchored() -> None:
    section = DatasetSection(name="pathmnist", archive="mine.npz", md5=MD5)
    assert with_paths(section, str.upper) == DatasetSection(name="pathmnist", archive="MINE.NPZ", md5=MD5)
    assert with_paths(DatasetSection(), str.upper) == DatasetSection()


def test_every_source_and_job_names_a_function_of_the_engine_that_takes_it() -> None:
    """They are named by text, so that the console side knows them without the engine."""
    for source in (OfficialSource, ArchiveSource, ProgramSource, OwnImages):
        taken = get_type_hints(resolve_name(source.decoder))
        assert source in taken.values(), source
    assert JOBS
    for name, job in JOBS.items():
        taken = get_type_hints(resolve_name(job.work))
        assert taken["command"] is job, name


def test_nothing_but_the_kinds_asks_the_table_of_data_sets_what_a_section_means() -> None:
    """`datasets()[…]` and `datasets().get(…)`: a kind that is not in the table would be missed there."""
    allowed = {"engine/contract/recipe/sources.py", "engine/contract/recipe/names.py", "engine/evaluate/score_file.py"}
    allowed.add("engine/contract/recipe/reproduction.py")  # of published rows, which are of sets in the table alone
    files = [path for package in ("engine", "medtui") for path in sorted((ROOT / package).rglob("*.py"))]
    assert len(files) > 100
    asking = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            inner = node.value if isinstance(node, ast.Subscript | ast.Attribute) else None
            if isinstance(inner, ast.Call) and ast.unparse(inner.func) == "datasets":
                asking.add(os.fspath(path.relative_to(ROOT)))
    assert asking == allowed
