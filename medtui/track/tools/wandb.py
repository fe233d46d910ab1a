"""Weights & Biases: offline unless WANDB_MODE says otherwise.

Rows have the journal's numbers as W&B's steps. A run that is kept online says which step is its newest, and the rest
is added. A folder of an offline run cannot be continued, so it is written anew: its only content is the journal's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# Nothing is sent to W&B's makers, and little printed; the user's own choice wins.
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
os.environ.setdefault("WANDB_SILENT", "true")

import wandb

from engine.contract.files.folders import File, Folder
from engine.contract.store.run_directory import WANDB
from medtui.track.records import End, Record, Row, RunFacts
from medtui.track.tracker import Source

PROJECT = "medtui"  # unless WANDB_PROJECT names another


AXES = {"epoch": ("train/*", "val/*", "test/*", "final_val/*", "time/*", "lr"), "step": ("step/*",)}


class WandB:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._mode: Any = os.environ.get("WANDB_MODE") or "offline"
        self._parent = Path(os.environ.get("WANDB_DIR") or source.outputs)
        self._next = 0  # the step that is missing first
        self._run: Any = None

    @property
    def where(self) -> str:
        return str(self._parent / WANDB)

    def begin(self, facts: RunFacts) -> None:
        is_offline = self._mode in ("offline", "dryrun")
        for folder in self._folders(facts.key) if is_offline else ():
            folder.delete_tree()
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            id=facts.key,
            name=facts.name,
            config={**facts.recipe, "run": facts.tags},
            dir=str(self._parent),
            mode=self._mode,
            resume=None if is_offline else "allow",
            settings=wandb.Settings(
                console="off",
                silent=True,
                disable_code=True,
                disable_git=True,
                x_disable_meta=True,  # it would be of this process, not of the engine
                x_disable_stats=True,
            ),
        )
        self._next = 0 if is_offline else self._run.starting_step
        for axis, names in AXES.items():
            self._run.define_metric(axis, hidden=True)
            for name in names:
                self._run.define_metric(name, step_metric=axis)

    def write(self, records: Sequence[Record]) -> None:
        for record in records:
            if isinstance(record, Row) and record.number >= self._next:
                values = {**record.values, record.axis: record.at, "_timestamp": record.time}
                self._run.log(values, step=record.number, commit=True)
        for file in self._source.files(records):
            self._run.save(str(file.path), base_path=str(self._source.run.root), policy="now", glob=False)

    def close(self, end: End | None) -> None:
        if end is not None:
            self._run.summary.update({"outcome": end.outcome, "error": end.error})
        self._run.finish(exit_code=0 if end is None or end.outcome in ("completed", "stopped") else 1)
        wandb.teardown()  # waits for W&B's own process, which writes the file

    def _folders(self, key: str) -> Iterator[File]:
        """Those that hold this run, as W&B names them."""
        parent = Folder(self._parent / WANDB)
        for name in parent.itself.names():
            if name.startswith("offline-run-") and name.endswith(f"-{key}") and parent.file(name).is_folder:
                yield parent.file(name)
