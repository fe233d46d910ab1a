"""`python -m engine` with batches that come late from the seventh epoch on, as from a disk that others use."""

import sys
import time
from typing import Any

from engine.__main__ import main
from engine.data.batches import Batches

FAST = 6  # epochs
LATE = 0.5  # seconds a batch

fetch, fetched = Batches.fetch, 0


def slow_fetch(batches: Batches, epoch: int, step: int) -> Any:
    global fetched
    fetched += 1
    if fetched > FAST * batches.steps:
        time.sleep(LATE)
    return fetch(batches, epoch, step)


if __name__ == "__main__":
    Batches.fetch = slow_fetch  # type: ignore[method-assign]
    sys.exit(main())
