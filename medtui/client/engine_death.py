"""How an engine that did not report its end died, as a sentence, and what to do about it."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from engine.contract.machine.limits import KERNEL_KILLS, Limit, gigabytes, memory_limits, oom_kills

NEAR = 0.95  # fraction of a limit that was used, above which it is named
NO_REPORT = "The engine process disappeared without reporting."
LOWER_MEMORY_HINT = "Lower training.batch_size, set dataset.cache: mapped, or request more memory."


@dataclass(frozen=True)
class Death:
    """The end of an engine that reported nothing."""

    how: str  # a sentence
    remedy: str = ""
    output: str = ""  # the end of its standard error

    def __str__(self) -> str:
        last = f"Last output: {self.output.splitlines()[-1][-300:]}" if self.output else ""
        return " ".join(part for part in (self.how, self.remedy, last) if part)


def describe_death(returned: int | None, output: str = "", kills_before: dict[str, int] | None = None) -> Death:
    """`returned`: its return code, None while it runs; `kills_before`: `oom_kills` at its start."""
    if returned is None:
        return Death("The engine closed its pipe but is still running.", "", output)
    how = f"signal {-returned}" if returned < 0 else f"exit code {returned}"
    if returned == -signal.SIGKILL and (cause := _of_memory(kills_before or {})):
        return Death(f"The engine died ({how}): {cause}", LOWER_MEMORY_HINT, output)
    return Death(f"The engine died ({how}).", "", output)


def _of_memory(before: dict[str, int]) -> str:
    """Did the kernel kill for lack of memory, and by which limit? Empty where nothing indicates so."""
    risen = {name for name, count in oom_kills().items() if count > before.get(name, count)}
    limits = [limit for limit in memory_limits() if limit.folder is not None]
    near = [limit for limit in limits if limit.peak is not None and limit.peak >= NEAR * limit.bytes]
    tightest: Limit | None = min(near or limits, key=lambda limit: limit.bytes, default=None)
    if risen - {KERNEL_KILLS} and tightest is not None:
        return f"the kernel killed it at its memory limit, {tightest}."
    if near and tightest is not None:
        return f"its memory limit, {tightest}, was nearly reached ({gigabytes(tightest.peak or 0)})."
    return "the machine ran out of memory, and the kernel killed it." if risen else ""
