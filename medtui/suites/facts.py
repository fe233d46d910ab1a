"""What a notification says of a suite or the queue that has ended."""

from __future__ import annotations

from engine.contract.wire.errors import ABORTED, COMPLETED, STOPPED, RunFailed
from medtui.client.facts import Facts
from medtui.client.occurrences import Occurrence
from medtui.suites.status import describe_counts
from medtui.suites.store import Store
from medtui.suites.work import Work
from medtui.text import capitalised

OUTCOMES = {COMPLETED: "completed", RunFailed.exit_code: "failed", STOPPED: "stopped", ABORTED: "aborted"}


def facts_of_end(store: Store, work: Work, runner: str, exit_code: int, host: str) -> tuple[Occurrence, Facts]:
    """By the same names as of a run; what only a run has is unknown. `runner`: its id."""
    outcome = OUTCOMES.get(exit_code, "ended")
    text = f"{capitalised(store.owner)}: {describe_counts(work, store.workspace)}"
    occurrence = Occurrence("failure" if outcome == "failed" else "end", f"{runner} end", text)
    unknown: Facts = dict.fromkeys(("run", "dataset", "model", "epoch", "epochs", "seconds"))
    unknown |= dict.fromkeys(("validation_auc", "test_auc", "test_acc"))
    given: Facts = {"event": occurrence.kind, "title": f"medtui: {store.owner} {outcome}", "text": text}
    given |= {"run_dir": str(store.folder), "outcome": outcome, "exit_code": exit_code, "host": host}
    return occurrence, given | unknown
