"""An epoch by two processes of one thread each, compared with one process of two threads."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.epochs import MANY_EPOCHS, QuietCallbacks, one_epoch
from benchmarks.rows import Effort, Row, alternating
from benchmarks.stand_in import Recipe, job_for, tiny_recipe
from engine.contract.recipe.reader import build_recipe
from engine.run.prepare import prepare
from engine.run.ranks.launcher import launched
from engine.run.train_job import open_run
from engine.run.training import new_state


@dataclass(frozen=True)
class Case:
    model: str
    steps: int  # an epoch
    batch: int = 64  # images


CASES = (Case("resnet18_adapted", 2), Case("mini_cnn", 20))


def measure(effort: Effort) -> list[Row]:
    return [_row(case, effort.at_most(5)) for case in CASES]


def _row(case: Case, effort: Effort) -> Row:
    recipe = tiny_recipe(
        dataset={"limit": case.steps * case.batch},
        model={"name": case.model, "pretrained": False},
        training={"batch_size": case.batch, "epochs": MANY_EPOCHS, "amp": False},
        runtime={"processes": 2, "threads": 1},
    )
    with tempfile.TemporaryDirectory() as folder, job_for(recipe, Path(folder)) as job:
        prepared, alone = (prepare(job, build_recipe(one)) for one in (recipe, _of_one_process(recipe)))
        run, _ = open_run(job, prepared)
        callbacks = QuietCallbacks(job, run, MANY_EPOCHS)
        state, own = new_state(prepared), new_state(alone)
        with launched(job, prepared, state) as ranks:
            job.enter("training")

            def two() -> float:
                torch.set_num_threads(1)
                return one_epoch(prepared, state, callbacks, ranks.take_step)

            def one() -> float:
                torch.set_num_threads(2)
                return one_epoch(alone, own, callbacks)

            two(), one()
            ours, other = alternating(effort.pairs, two, one)
    what = f"epoch of {case.model}, {case.steps} x {case.batch}, 2 processes of 1 thread"
    return Row("processes", what, "s", ours, "1 process of 2 threads", other, faster=True)


def _of_one_process(recipe: Recipe) -> Recipe:
    return {**recipe, "runtime": {"processes": 1, "threads": 2}}
