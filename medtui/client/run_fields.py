"""What runs are listed, filtered and exported by: each field has one name, in every command and on the screen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any, Literal

from engine.contract.wire.text import without_formula
from medtui.client.run_row import RunRow
from medtui.text import UNDEFINED, clean, duration, interval, number, started_at

Kind = Literal["text", "number", "duration", "date", "yes_no", "words", "hash", "interval", "setting"]
CELL_LIMIT = 200  # characters
DAMAGED = "!"  # some of its files cannot be read or trusted


@dataclass(frozen=True)
class RunField:
    """One fact of a run. `value`: what is compared and exported; None is unknown. `cell`: the same, to be read."""

    name: str  # as `runs --json` has it
    title: str  # of its column
    kind: Kind
    value: Callable[[RunRow], Any]
    cell: Callable[[RunRow], str]
    short: str = ""  # another name, quicker to type

    @property
    def names(self) -> tuple[str, ...]:
        return (self.short, self.name) if self.short else (self.name,)

    @property
    def is_right_justified(self) -> bool:
        return self.kind in ("number", "duration")


def format_lr(value: float | None) -> str:
    """As short as it can be written: `0.008`, `1e-05`."""
    return UNDEFINED if value is None else f"{value:.6g}"


def describe_subset(run_row: RunRow) -> str:
    """In short, what makes its results incomparable with others: `synth. ≤ 256`; empty if there is nothing.

    And `→ 224 px` where the images were enlarged for the model.
    """
    return _subset(run_row.limit, run_row.synthetic, run_row.input_size)


@cache  # the same in most of thousands of rows
def _subset(limit: int | None, synthetic: bool, input_size: int | None) -> str:
    marks = [f"≤ {limit:,}"] if limit is not None else []
    if synthetic:
        marks.insert(0, "synth." if marks else "synthetic")
    if input_size is not None:
        marks.append(f"→ {input_size} px")
    return " ".join(marks)


def _state(run_row: RunRow) -> str:
    return f"{run_row.state} {DAMAGED}" if run_row.damage else run_row.state


def _text(name: str) -> Callable[[RunRow], str]:
    return lambda run_row: getattr(run_row, name) or UNDEFINED


def _number(name: str, digits: int) -> Callable[[RunRow], str]:
    value = attrgetter(name)
    return lambda run_row: number(value(run_row), digits)


_of = attrgetter
FIELDS: tuple[RunField, ...] = (
    RunField("run", "run", "text", _of("run"), _of("run"), "name"),
    RunField("state", "outcome", "text", _of("state"), _state, "outcome"),
    RunField("subset", "subset", "text", describe_subset, describe_subset),
    RunField("test_auc", "test AUC", "number", _of("test_auc"), _number("test_auc", 4), "auc"),
    RunField("seed", "seed", "number", _of("seed"), _number("seed", 0)),
    RunField("lr", "lr", "number", _of("lr"), lambda run_row: format_lr(run_row.lr)),
    RunField("epochs", "epochs", "number", _of("epochs_done"), _of("epochs")),
    RunField("test_acc", "test ACC", "number", _of("test_acc"), _number("test_acc", 4), "acc"),
    RunField("validation_auc", "val AUC", "number", _of("validation_auc"), _number("validation_auc", 4), "val_auc"),
    RunField("weights", "weights", "text", _of("weights"), _text("weights"), "from"),
    RunField("tags", "tags", "words", lambda r: r.labels.tags, lambda r: " ".join(r.labels.tags), "tag"),
    RunField("seconds", "took", "duration", _of("seconds"), lambda r: duration(r.seconds), "took"),
    RunField("damage", "damage", "text", lambda r: "; ".join(r.damage), lambda r: "; ".join(r.damage)),
    RunField("started", "started", "date", _of("started"), lambda r: started_at(r.started or "") or UNDEFINED, "date"),
    RunField("dataset", "data set", "text", _of("dataset"), _text("dataset")),
    RunField("size", "px", "number", _of("size"), _number("size", 0)),
    RunField("input_size", "input px", "number", _of("input_size"), _number("input_size", 0)),
    RunField("limit", "limit", "number", _of("limit"), _number("limit", 0)),
    RunField("synthetic", "synthetic", "yes_no", _of("synthetic"), lambda r: "yes" if r.synthetic else "no"),
    RunField("model", "model", "text", _of("model"), _text("model")),
    RunField("test_auc_ci95", "AUC, 95 %", "interval", _of("test_auc_ci95"), lambda r: interval(r.test_auc_ci95)),
    RunField("test_acc_ci95", "ACC, 95 %", "interval", _of("test_acc_ci95"), lambda r: interval(r.test_acc_ci95)),
    RunField("recipe_hash", "hash", "hash", lambda r: r.recipe_hash or "", _of("short_hash"), "hash"),
    RunField("workspace", "workspace", "text", lambda r: str(r.workspace), lambda r: str(r.workspace)),
    RunField("suite", "suite", "text", _of("suite"), lambda r: r.suite or ""),
    RunField("note", "note", "text", lambda r: r.labels.note, lambda r: r.labels.note),
)  # fmt: skip
LISTED = FIELDS[:13]  # without further options; the more important, the further left, and no AUC without its subset
FILTERED = tuple(one for one in FIELDS if one.kind != "interval")


def recipe_field(path: str) -> RunField:
    """A field of the recipe, such as `training.cutmix_alpha`, of rows that were given it."""

    from engine.contract.recipe.yaml_reader import written  # slow, and most tables name no field of a recipe

    def cell(run_row: RunRow) -> str:
        return written(run_row.settings[path]) if path in run_row.settings else UNDEFINED

    return RunField(path, path, "setting", lambda run_row: run_row.settings.get(path), cell)


def _settings() -> list[str]:
    """The fields of recipes, by their paths."""
    from engine.contract.recipe.schema import fields  # slow, and most tables name no field of a recipe

    return list(fields())


def field_named(name: str, fields: Iterable[RunField] = FIELDS) -> RunField | None:
    """Of these; with a dot, as `training.lr`, one of recipes. None where there is none."""
    if "." in name:
        return recipe_field(name) if name in _settings() else None
    known = {spelling: one for one in fields for spelling in one.names}
    return known.get(re.sub(r"[\s-]+", "_", name.strip().lower()))


def alternative_fields(name: str, fields: Iterable[RunField] = FIELDS) -> str:
    """What to write in place of a name that no field has."""
    from engine.contract.recipe.names import alternatives  # slow, and most names are right

    known = _settings() if "." in name else [spelling for one in fields for spelling in one.names[:1]]
    return alternatives("field", name, known)


def cell_of(one: RunField, run_row: RunRow) -> str:
    """What a table shows: one line of harmless text."""
    return clean(one.cell(run_row), CELL_LIMIT)


def exported(one: RunField, run_row: RunRow) -> list[str]:
    """The cells of a CSV: numbers in full, unknown ones empty, both ends of an interval."""
    value = one.value(run_row)
    if one.kind == "interval":
        return [repr(end) for end in value] if value is not None else ["", ""]
    if one.kind == "setting" and not isinstance(value, str):
        return [one.cell(run_row) if value is not None else ""]
    if one.kind == "words":
        return [without_formula(clean(" ".join(value), 4000))]
    if one.kind == "yes_no":
        return ["yes" if value else "no"]
    if isinstance(value, str):
        return [without_formula(clean(value, 4000))]
    return ["" if value is None else repr(value)]


def exported_titles(one: RunField) -> list[str]:
    return [f"{one.name}_low", f"{one.name}_high"] if one.kind == "interval" else [one.name]
