"""The cost of letting an engine's idle threads sleep early, compared with OpenMP's default of spinning for long.

Not part of `make bench`: which wins depends on who else is on the cores. As a script
(`python -m benchmarks.waiting MODEL`) it prints the seconds of an epoch.
"""

from __future__ import annotations

import json
import statistics
import sys

from benchmarks.children import ask, environment
from benchmarks.rows import Effort, Row, alternating
from medtui.client.engine_process import ENVIRONMENT

MODELS = ("mini_cnn", "resnet18_adapted")
EPOCHS = 3
SETTINGS = {name: ENVIRONMENT[name] for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}


def measure(effort: Effort) -> list[Row]:
    return [_row(model, effort.at_most(5).pairs) for model in MODELS]


def _row(model: str, pairs: int) -> Row:
    asleep, spinning = alternating(pairs, lambda: _epoch(model, SETTINGS), lambda: _epoch(model, {}))
    return Row("waiting", f"epoch of {model}, idle threads sleep early", "s", asleep, "idle threads spin", spinning)


def _epoch(model: str, settings: dict[str, str]) -> float:
    own = {name: value for name, value in environment().items() if name not in SETTINGS}
    taken: float = ask("waiting", model, environment=own | settings)["seconds"]
    return taken


def _median_epoch(model: str) -> float:
    from benchmarks.epochs import CASES, alternatives, recipe_of

    with alternatives(recipe_of(next(case for case in CASES if case.model == model))) as (ours, _):
        ours()
        return statistics.median(ours() for _ in range(EPOCHS))


if __name__ == "__main__":
    print(json.dumps({"seconds": _median_epoch(sys.argv[1])}))
