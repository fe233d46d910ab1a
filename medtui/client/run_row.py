"""A run in one line, as every front end lists it.

Without the reading of runs: a listing whose runs are all in the index needs no more than this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.contract.store.run_directory import ARCHIVE
from engine.contract.wire.resolved import Resolved
from medtui.client.labels import Labels
from medtui.text import UNDEFINED

if TYPE_CHECKING:
    from engine.contract.wire.protocol import Ci95

_SUFFIX = re.compile(r"_([0-9a-f]{6}(?:_\d+)?)$")  # of a run's name: its recipe's hash, and a number for a repetition


def name_suffix(run: str) -> str:
    """The end of its name: its recipe's hash, and a number for a repetition: `1a2b3c`, `1a2b3c_2`. Empty where somebody
    gave it another name."""
    found = _SUFFIX.search(run)
    return found[1] if found else ""


@dataclass(frozen=True)
class RunRow:
    """A run in one line. None is unknown."""

    run: str
    run_dir: Path
    started: str | None  # UTC, ISO 8601
    state: str
    dataset: str | None
    size: int | None  # pixels per side
    synthetic: bool
    limit: int | None  # images of each split that were used, of all when None
    model: str | None
    weights: str | None  # what it started from: `ImageNet`, `from scratch`, `run NAME`
    epochs_done: int | None
    epochs_planned: int | None
    validation_auc: float | None
    test_auc: float | None
    test_acc: float | None
    test_auc_ci95: Ci95 | None
    test_acc_ci95: Ci95 | None
    seconds: float | None  # that it worked: neither pauses nor the time between attempts count
    labels: Labels
    recipe_hash: str | None = None
    resolved_hash: str | None = None
    resolved: Resolved | None = None  # what every `auto` became
    damage: tuple[str, ...] = ()  # what of it cannot be read or trusted
    input_size: int | None = (
        None  # pixels per side that images were enlarged to for the model; None where they were not
    )
    seed: int | None = None
    lr: float | None = None
    suite: str | None = None  # that it is part of: its name, `search NAME`, or `queue`
    settings: Mapping[str, Any] = field(
        default_factory=dict
    )  # fields of its recipe that were asked for, by their paths

    if not TYPE_CHECKING:  # which would take any name for an attribute

        def __getattr__(self, name: str) -> Any:
            """`run_dir` of a row from the index, made when it is asked for: of thousands few are."""
            if name == "run_dir" and (outputs := self.__dict__.get("outputs")) is not None:
                return self.__dict__.setdefault(name, outputs / self.run)
            raise AttributeError(name=name, obj=self)

    @property
    def workspace(self) -> Path:
        above = self.run_dir.parent
        return above.parent.parent if above.name == ARCHIVE else above.parent

    @property
    def comparable(self) -> bool:
        """Is it on the complete, real data set, as published results are?"""
        return not self.synthetic and self.limit is None

    @property
    def over(self) -> bool:
        """Can nothing change any more by itself?"""
        return self.state in ("completed", "stopped", "aborted", "failed", "crashed", "killed")

    @property
    def epochs(self) -> str:
        return f"{self.epochs_done}/{self.epochs_planned}" if self.epochs_done is not None else "?"

    @property
    def short_hash(self) -> str:
        """As short as it can be to tell this run from others."""
        return name_suffix(self.run) or (self.recipe_hash[:6] if self.recipe_hash else UNDEFINED)

    def values(self) -> dict[str, Any]:
        """As `runs --json` prints it."""
        return {
            "run": self.run,
            "run_dir": str(self.run_dir),
            "workspace": str(self.workspace),
            "started": self.started,
            "state": self.state,
            "dataset": self.dataset,
            "size": self.size,
            "input_size": self.input_size,
            "synthetic": self.synthetic,
            "limit": self.limit,
            "model": self.model,
            "weights": self.weights,
            "recipe_hash": self.recipe_hash,
            "resolved_hash": self.resolved_hash,
            "resolved": self.resolved.model_dump(mode="json") if self.resolved else None,
            "seed": self.seed,
            "lr": self.lr,
            "suite": self.suite,
            "epochs": self.epochs,
            "validation_auc": self.validation_auc,
            "test_auc": self.test_auc,
            "test_acc": self.test_acc,
            "test_auc_ci95": self.test_auc_ci95,
            "test_acc_ci95": self.test_acc_ci95,
            "seconds": self.seconds,
            "damage": list(self.damage),
            **asdict(self.labels),
        }
