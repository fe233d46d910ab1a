"""Run by the peer's interpreter, without our code: `orchard run RECIPE`, its training epochs timed.

Prints one line of JSON at the end, on the real stdout; everything the peer prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any


def main(recipe: str) -> None:
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import orchard.trainer._loop as training  # type: ignore[import-not-found]
    from orchard.cli_app import app  # type: ignore[import-not-found]

    epochs: list[float] = []  # seconds
    train_one_epoch = training.train_one_epoch

    def timed(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return train_one_epoch(*arguments, **named)
        finally:
            epochs.append(time.perf_counter() - began)

    training.train_one_epoch = timed
    try:
        app(["run", recipe])
    except SystemExit as ended:
        if ended.code:
            raise
    answer.write(json.dumps({"epochs": epochs}) + "\n")
    answer.flush()


if __name__ == "__main__":
    main(sys.argv[1])
