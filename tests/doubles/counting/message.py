"""The job's class, as one more of `engine/contract/wire/jobs.py` would be."""

from __future__ import annotations

from typing import Literal

from engine.contract.wire.jobs import Start


class Count(Start):
    """Count, aloud, until it is stopped or done."""

    work = "counting.work:count"

    job: Literal["count"] = "count"
    up_to: int
    patiently: bool = False  # hold after the last number until it is stopped or aborted
