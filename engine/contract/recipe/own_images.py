"""A user's own images as a source: a folder, a table with files, or an .npz file with arrays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from engine.contract.data.card import NOT_STATED, last_card
from engine.contract.data.datasets import SIZES, SPLITS, DatasetFacts, datasets
from engine.contract.files.paths import path_status
from engine.contract.recipe.data_source import DataSource, Found, SearchPaths, located
from engine.contract.recipe.setting import names_of
from engine.contract.sentences import OwnData
from engine.contract.wire.errors import Problem

NAME_LIMIT = 40  # characters of the name in run directories
WHAT = {"folder": "folder", "csv": "table", "npz": ".npz file"}


@dataclass(frozen=True)
class OwnImages(DataSource):
    """How many images it holds, and in general of which classes, is known once they were read."""

    decoder = "engine.data.own.source:decoded_own_images"

    kind: str  # the key of the section: folder, csv or npz
    written: str  # its path, perhaps with an anchor: ${workspace} or ${data}
    options: Mapping[str, Any] = field(hash=False)  # the fields of the section that are about own images

    @property
    def what(self) -> str:
        return WHAT[self.kind]

    def path(self, search_paths: SearchPaths) -> Path:
        """Where it is; where it is in none of the places, the first that it could be in."""
        return located(self.written, search_paths, self._fits)

    def reads(self, search_paths: SearchPaths) -> list[Path]:
        return [self.path(search_paths)]

    def root(self, search_paths: SearchPaths) -> Path:
        """The folder that names of files are relative to."""
        given = self.options["root"]
        if given is not None:
            return located(given, search_paths, lambda path: path_status(path).is_folder)
        path = self.path(search_paths)
        return path if self.kind == "folder" else path.parent

    def _fits(self, path: Path) -> bool:
        there = path_status(path)
        return there.is_folder if self.kind == "folder" else there.is_file

    def status(self, search_paths: SearchPaths) -> Found:
        path = self.path(search_paths)
        if not self._fits(path):
            there = path_status(path)
            wrong = f"is no {self.what}" if there.is_there else f"is missing{there.why}"
            return Found(f"{self.what} {self.written} {wrong}", ok=False)
        card = last_card(self.kind, path)
        if card is None:
            return Found(f"{self.what} {path.name} found; its images are read at the start of the run")
        counts = "/".join(f"{card.images[split]:,}" for split in SPLITS)
        return Found(
            f"{self.what} {path.name} found; when last read: {counts} images of {len(card.class_names)} classes"
        )

    def known_facts(self, search_paths: SearchPaths) -> DatasetFacts:
        card = last_card(self.kind, self.path(search_paths))
        return self.facts if card is None else card.facts(self.facts)


def last_part(path: str | None) -> str | None:
    """The name of what a path leads to, wherever it lies."""
    return None if path is None else PurePosixPath(path.rstrip("/")).name or path


def own_facts(written: str, options: Mapping[str, Any]) -> DatasetFacts:
    """What a section says of own images before they are read. Channels and task are then known."""
    title = last_part(written) or written
    stem = PurePosixPath(title).stem if title.lower().endswith((".csv", ".tsv", ".txt", ".npz")) else title
    task = options["task"]
    return DatasetFacts(
        name=short_name(stem),
        title=stem,
        description="Images of the user's own.",
        task=task or "multi_class",
        channels=3,
        splits={},
        class_names=names_of(options["class_names"]),
        licence=NOT_STATED,
        symmetry=options["symmetry"],
        archives={},
        sizes=SIZES,
    )


def short_name(title: str) -> str:
    """As run directories and tables name it: `blood-cells`. Never the name of a set that is published."""
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:NAME_LIMIT].strip("-") or "own-images"
    official = re.fullmatch(r"[a-z0-9]*mnist|cells", name)
    return f"own-{name}" if official or name in datasets() else name


def own_conflicts(section: Mapping[str, Any]) -> list[Problem]:
    """What fields about own images say against each other. `section`: its values by field."""
    found, folds, fold = [], section["folds"], section["fold"]
    total = section["val_fraction"] + section["test_fraction"]
    if folds is None and total >= 1:
        found.append(Problem.of(("dataset", "test_fraction"), OwnData.NO_TRAINING_IMAGES, total=f"{total:g}"))
    if folds is None and fold != 1:
        found.append(Problem.of(("dataset", "fold"), OwnData.FOLD_WITHOUT_FOLDS, fold=fold))
    if folds is not None and fold > folds:
        found.append(Problem.of(("dataset", "fold"), OwnData.NO_SUCH_FOLD, folds=folds, fold=fold))
    delimiter, names = section["delimiter"], names_of(section["class_names"])
    if delimiter is not None and len(delimiter) != 1:
        found.append(Problem.of(("dataset", "delimiter"), OwnData.LONG_DELIMITER, delimiter=delimiter[:20]))
    if section["class_names"] is not None and len(names) < 2:
        found.append(Problem.of(("dataset", "class_names"), OwnData.FEW_CLASSES, found=len(names)))
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        found.append(Problem.of(("dataset", "class_names"), OwnData.CLASS_TWICE, name=twice[:60]))
    if section["group"] is not None and section["folder"] is not None:
        found += _pattern_problems(section["group"])
    return found


def _pattern_problems(pattern: str) -> list[Problem]:
    try:
        groups = re.compile(pattern).groups
    except (re.error, RecursionError, OverflowError) as error:
        return [Problem.of(("dataset", "group"), OwnData.BAD_PATTERN, pattern=pattern[:60], reason=error)]
    return [] if groups else [Problem.of(("dataset", "group"), OwnData.PATTERN_WITHOUT_GROUP, pattern=pattern[:60])]
