"""The second start on a large data set, from the cache, compared with decoding the archive again.

As a script (`python -m benchmarks.second_start RECIPE WORKSPACE`, the recipe in JSON) it is one start: prints the
seconds from the imports' end to the first batch.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name

import numpy as np

from benchmarks.children import ask, environment
from benchmarks.rows import Effort, Row, alternating, at_most, seconds
from benchmarks.stand_in import ARCHIVE, MANY, Recipe, job_for, many_recipe, write_many

GOAL = 1.0  # seconds


def measure(effort: Effort) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        start = archive_starts(Path(folder))
        archive = Path(folder) / ARCHIVE
        ours, other = alternating(effort.at_most(5).pairs, start, lambda: seconds(lambda: decode_all(archive)))
    what = f"second start on {MANY:,} images: imports done to first batch"
    return [at_most(Row("second_start", what, "s", ours, "decoding the archive", other), GOAL)]


def archive_starts(folder: Path, compression: int = zipfile.ZIP_DEFLATED) -> Callable[[], float]:
    """A function that starts on a large archive that is already cached, and returns the seconds it took."""
    return starts_on(many_recipe(*write_many(folder, compression)), folder)


def starts_on(recipe: Recipe, workspace: Path) -> Callable[[], float]:
    """A function that starts a run whose data are already cached, and returns the seconds until its first batch."""

    def start() -> float:
        taken: float = ask("second_start", json.dumps(recipe), workspace, environment=environment())["seconds"]
        return taken

    start()  # the first start fills the cache
    return start


def decode_all(archive: Path) -> list[np.ndarray]:
    with np.load(archive) as arrays:
        return [arrays[name] for name in arrays]


def _first_batch(recipe: Recipe, workspace: Path) -> float:
    from engine.contract.recipe.reader import build_recipe
    from engine.contract.recipe.sources import data_source
    from engine.run.prepare import prepare
    from engine.run.training import TrainingBatches, new_state

    resolve_name(data_source(build_recipe(recipe).dataset).decoder)  # its modules are imports, too
    began = time.perf_counter()
    with job_for(recipe, workspace) as job:
        prepared = prepare(job, build_recipe(recipe))
        new_state(prepared)
        TrainingBatches(prepared)(0, 0)
        return time.perf_counter() - began


if __name__ == "__main__":
    print(json.dumps({"seconds": _first_batch(json.loads(sys.argv[1]), Path(sys.argv[2]))}))
