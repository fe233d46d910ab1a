"""What a notification says of a run."""

from __future__ import annotations

from engine.contract.findings.rules import findings
from medtui.client.occurrences import Occurrence
from medtui.client.view import RunView

Facts = dict[str, str | int | float | None]


def facts_of(occurrence: Occurrence, view: RunView) -> Facts:
    """What is said of a run: by name, as the JSON object has it, and in capitals after MEDTUI_ the environment."""
    state, summary = view.state, view.state.summary
    found, finished = findings(state.history), state.finished
    run = view.run or summary.run
    return {
        "event": occurrence.kind,
        "title": f"medtui: {run or 'run'} {_what_happens(occurrence, view)}",
        "text": " ".join([occurrence.text, *(one.message for one in found if occurrence.kind in ("end", "failure"))]),
        "run": run,
        "run_dir": summary.run_dir,
        "outcome": view.outcome,
        "exit_code": finished.exit_code if finished is not None else None,
        "dataset": summary.dataset,
        "model": summary.model,
        "epoch": view.epoch,
        "epochs": summary.epochs_planned,
        "validation_auc": summary.validation.auc if summary.validation is not None else None,
        "test_auc": summary.test.auc if summary.test is not None else None,
        "test_acc": summary.test.acc if summary.test is not None else None,
        "seconds": summary.worked,
        "host": state.hello.host if state.hello is not None else None,
    }


def _what_happens(occurrence: Occurrence, view: RunView) -> str:
    if view.outcome is not None and occurrence.kind in ("end", "failure"):
        return view.outcome
    return {"alarm": "raised an alarm", "stall": "stalls"}.get(occurrence.kind, "ended")
