"""How an engine that did not report its end died, as a sentence and its fields, and what to do about it."""

from __future__ import annotations

import signal

from engine.contract.machine.limits import KERNEL_KILLS, Limit, gigabytes, memory_limits, oom_kills
from engine.contract.sentence import Sentence
from medtui.sentences import EngineDeath

NEAR = 0.95  # fraction of a limit that was used, above which it is named


class Death:
    """The end of an engine that reported nothing: which sentence of `EngineDeath` applies, with its fields."""

    def __init__(self, sentence: Sentence, output: str = "", **fields: object) -> None:
        """`output`: the end of its standard error."""
        self.code, self.fields, self.output = sentence.code, fields, output
        self.how, self.remedy = sentence.text(**fields)

    def __str__(self) -> str:
        last = f"Last output: {self.output.splitlines()[-1][-300:]}" if self.output else ""
        return " ".join(part for part in (self.how, self.remedy, last) if part)


def describe_death(returned: int | None, output: str = "", kills_before: dict[str, int] | None = None) -> Death:
    """`returned`: its return code, None while it runs; `kills_before`: `oom_kills` at its start."""
    if returned is None:
        return Death(EngineDeath.PIPE_CLOSED, output)
    if returned >= 0:
        return Death(EngineDeath.EXITED, output, code=returned)
    of_memory = _death_of_memory(output, kills_before or {}) if returned == -signal.SIGKILL else None
    return of_memory or Death(EngineDeath.KILLED, output, signal=-returned)


def _death_of_memory(output: str, before: dict[str, int]) -> Death | None:
    """Did the kernel kill for lack of memory, and by which limit? None where nothing indicates so."""
    risen = {name for name, count in oom_kills().items() if count > before.get(name, count)}
    limits = [limit for limit in memory_limits() if limit.folder is not None]
    near = [limit for limit in limits if limit.peak is not None and limit.peak >= NEAR * limit.bytes]
    tightest: Limit | None = min(near or limits, key=lambda limit: limit.bytes, default=None)
    number = signal.SIGKILL.value
    if risen - {KERNEL_KILLS} and tightest is not None:
        return Death(EngineDeath.MEMORY_LIMIT, output, signal=number, limit=tightest)
    if near and tightest is not None:
        peak = gigabytes(tightest.peak or 0)
        return Death(EngineDeath.NEAR_MEMORY_LIMIT, output, signal=number, limit=tightest, peak=peak)
    return Death(EngineDeath.MACHINE_MEMORY, output, signal=number) if risen else None
