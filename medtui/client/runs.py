"""Runs, as every front end lists and shows them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine.contract.data.published import Published, published_for, remarks
from engine.contract.files.folders import File, Folder
from engine.contract.findings.history import history_from
from engine.contract.findings.rules import findings
from engine.contract.store.journal import damaged_lines
from engine.contract.store.run_directory import ARCHIVE, RunDirectory, attempts_of
from engine.contract.store.run_record import RunRecord, own_recipe, read_run, resolved_of_run
from engine.contract.wire.protocol import Ci95
from engine.contract.wire.resolved import Resolved
from medtui.client.run_management import Labels, read_labels
from medtui.text import UNDEFINED

_SUFFIX = re.compile(r"_([0-9a-f]{6}(?:_\d+)?)$")  # of a run's name: its recipe's hash, and a number for a repetition


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
    settings: Mapping[str, Any] = field(
        default_factory=dict
    )  # fields of its recipe that were asked for, by their paths

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
        """The end of its name: its recipe's hash, and a number for a repetition: `1a2b3c`, `1a2b3c_2`."""
        if found := _SUFFIX.search(self.run):
            return found[1]
        return self.recipe_hash[:6] if self.recipe_hash else UNDEFINED

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


def read_run_row(run: RunDirectory, manifest: dict[str, Any] | None = None) -> RunRow:
    """From whatever of its files can be read; what cannot be read is None, and listed in `damage`.

    `manifest`: where it was read just now.
    """
    return row_of(read_run(run, "links", manifest))


def row_of(record: RunRecord) -> RunRow:
    """`record`: read with a look for links."""
    run, found, manifest = record.run, record.summary, record.manifest or {}
    started = manifest.get("started")
    validation, test = found.validation, found.test
    resolved, resolved_hash = resolved_of_run(record)
    seed, lr = _seed_and_lr(record)
    return RunRow(
        run=run.name,
        run_dir=run.root,
        started=started if isinstance(started, str) else None,
        state=record.state,
        dataset=found.dataset,
        size=found.size,
        input_size=found.input_size,
        synthetic=found.synthetic,
        limit=found.limit,
        model=found.model,
        weights=record.weights,
        epochs_done=found.epochs_done if found.run else None,
        epochs_planned=found.epochs_planned,
        validation_auc=validation.auc if validation else None,
        test_auc=test.auc if test else None,
        test_acc=test.acc if test else None,
        test_auc_ci95=test.auc_ci95 if test else None,
        test_acc_ci95=test.acc_ci95 if test else None,
        seconds=found.worked,
        labels=read_labels(run),
        recipe_hash=found.recipe_hash,
        resolved_hash=resolved_hash,
        resolved=resolved,
        damage=record.damage,
        seed=seed,
        lr=lr,
    )


def _seed_and_lr(record: RunRecord) -> tuple[int | None, float | None]:
    """From what its newest attempt recorded; else from the run's own recipe, which takes longer."""
    if (recorded := recorded_seed_and_lr(record)) is not None:
        return recorded
    recipe = own_recipe(record.run)
    return (recipe.training.seed, recipe.training.lr) if recipe is not None else (None, None)


def recorded_seed_and_lr(record: RunRecord) -> tuple[int, float | None] | None:
    """As the newest attempt recorded them in the manifest; None where it did not."""
    attempts = attempts_of(record.manifest or {})
    recorded = attempts[-1].get("must_match") if attempts else None
    if not isinstance(recorded, dict):
        return None
    try:
        seed, lr = int(recorded["training.seed"]), float(recorded["training.lr"])
    except (KeyError, TypeError, ValueError, OverflowError):  # a damaged or untrusted manifest
        return None
    return seed, lr if math.isfinite(lr) else None


Stamps = dict[str, tuple[int, int]]  # by folder: mtimes of heartbeat and labels, in ns


def stamps(outputs: Path) -> Stamps:
    """What changes when a run begins, goes on, ends, or is tagged. Cheap: for looking again and again."""
    try:
        names = Folder(outputs).itself.names()
    except OSError:
        return {}
    runs = (RunDirectory(outputs / name) for name in names if name[0] != ".")
    return {run.name: (_mtime(run.status), _mtime(run.labels)) for run in runs}


def _mtime(file: File) -> int:
    found = file.info()
    return found.st_mtime_ns if found is not None else 0


def summary(run: RunDirectory) -> dict[str, Any]:
    """The object that `show --json` prints; paths absolute, for the place where the run lies now."""
    record = read_run(run, "untrusted")
    found, damage = record.summary, [*record.damage, *_damage_of_journal(record)]
    shown = found.model_dump()
    shown |= {"run": run.name, "run_dir": str(run.root), "state": record.state, **asdict(read_labels(run))}
    resolved, resolved_hash = resolved_of_run(record)
    shown |= {"resolved": resolved.model_dump(mode="json") if resolved else None, "resolved_hash": resolved_hash}
    shown |= {"outcome": record.outcome, "weights": record.weights, "damage": damage}
    comparable = not (found.synthetic or found.limit is not None)
    published = published_for(found.dataset or "", found.size or 0) if comparable else []
    shown["published"] = [_published_values(one, published) for one in published]
    shown["findings"] = _findings(run)
    shown["artifacts"] = {name: str(run.root / path) for name, path in found.artifacts.items()}
    shown["checkpoints"] = _checkpoints(run)
    shown["job_logs"] = _job_logs(record)
    return shown


def _checkpoints(run: RunDirectory) -> list[str]:
    """The files of its checkpoints that are there now; none where they cannot be listed."""
    try:
        return sorted(name for name in run.checkpoints.names() if name.endswith(".safetensors") and name[0] != ".")
    except OSError:
        return []


def _job_logs(record: RunRecord) -> list[str]:
    """The files with the output of the scheduler's jobs that did it, oldest first."""
    logs = (attempt.get("job_log") for attempt in attempts_of(record.manifest or {}))
    return list(dict.fromkeys(log for log in logs if isinstance(log, str)))


def _findings(run: RunDirectory) -> list[dict[str, Any]]:
    """What stands out; nothing where the journal cannot be read, which is reported as damage."""
    try:
        return [finding.values() for finding in findings(history_from(run.journal))]
    except OSError:
        return []


def _published_values(one: Published, among: list[Published]) -> dict[str, Any]:
    values = {name: getattr(one, name) for name in ("method", "size", "protocol", "auc", "auc_sd", "acc", "acc_sd")}
    return values | {"source": one.source.citation, "remarks": remarks(one, among)}


def _damage_of_journal(record: RunRecord) -> list[str]:
    """Of a run whose engine may be writing the last line just now: nothing."""
    journal = record.run.journal
    try:
        damaged = damaged_lines(journal) if not record.alive else 0
    except OSError:  # reported by the record
        return []
    return [f"{journal.name} has {damaged} damaged line{'s' * (damaged != 1)}"] if damaged else []
