"""The texts of the Results screen, as functions of values."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from engine.contract.data.datasets import label_of
from engine.contract.data.published import published, published_for, remarks, sources
from engine.contract.findings.rules import findings
from engine.contract.recipe.recipe import Recipe
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.starting_weights import describe_origin
from engine.contract.wire.protocol import Ci95, Metrics
from medtui.client.artifacts import artifacts_there
from medtui.client.evaluate import LaterEvaluation
from medtui.client.labels import Labels
from medtui.client.run_fields import format_lr
from medtui.client.run_row import RunRow
from medtui.client.state import RunState
from medtui.console.graphics.picture import Picture
from medtui.console.results.pictures import Sample
from medtui.console.shell.status_text import format_drift
from medtui.console.widgets.classes import class_rows, classes_text
from medtui.console.widgets.matrix import Confusion, confusion_text
from medtui.console.widgets.stored_pictures import TrainingBatch
from medtui.text import UNDEFINED, by_monitor, capitalised, clean, data_marks, duration, number, shortened

OURS = "this run"

Fact = tuple[str, str]  # words and their style


@dataclass(frozen=True)
class Detail:
    """All that is shown of one run."""

    run_row: RunRow
    state: RunState
    manifest: dict[str, Any]
    confusion: Confusion | None
    samples: list[Sample]
    recipe_text: str
    recipe: Recipe | None
    labels: Labels = field(default_factory=Labels)
    later: list[LaterEvaluation] = field(default_factory=list)
    batch: TrainingBatch | None = None
    confusion_figure: Picture | None = None  # where the terminal can show it

    @property
    def run(self) -> RunDirectory:
        return RunDirectory(self.run_row.run_dir)


def title(text: Text, words: str) -> None:
    text.append(f"\n{words}\n", "bold underline")


def describe_no_runs(*, archived: bool) -> str:
    return "All runs here are archived; `medtui runs --archived` lists them." if archived else "No runs here yet."


def header_text(detail: Detail, width: int) -> Text:
    """Outcome and numbers."""
    run_row, state = detail.run_row, detail.state
    text = Text()
    text.append(f"{clean(run_row.run)}  ", "bold")
    text.append(clean(run_row.state), "bold green" if run_row.state == "completed" else "bold yellow")
    text.append("\n")
    text.append_text(_facts(detail, width))
    if detail.labels.tags:
        text.append(f"tags {clean(' '.join(detail.labels.tags), 200)}\n", "cyan")
    if detail.labels.note:
        text.append(f"note {clean(detail.labels.note, 400)}\n", "italic")
    for what in run_row.damage:
        text.append(f"! {clean(what, 300)}\n", "bold yellow")
    for change in state.summary.drift:
        text.append(f"{format_drift(change)}\n", "bold yellow")
    finished = state.finished
    if finished is not None and finished.error is not None:
        text.append(clean(f"{finished.error.message} {finished.error.hint}", 600) + "\n", "bold red")
    if run_row.state == "killed":
        text.append("Its engine was killed on request.\n", "bold yellow")
    elif run_row.state == "crashed":
        text.append("The engine process disappeared without reporting; see run.log.\n", "bold red")
    for name, metrics in (("validation", state.summary.validation), ("test", state.summary.test)):
        if metrics is not None:
            text.append_text(_metrics(name, metrics, width))
    for finding in findings(state.history):
        text.append(f"stands out: {clean(str(finding), 1000)}\n", "yellow")
    for one in detail.later:
        views = f"{len(one.views)} view{'s' * (len(one.views) != 1)}"
        by = f" by {clean(one.method, 40)}" if one.method else ""
        text.append(f"test re-evaluated{by} AUC {number(one.auc)}{format_ci95(one.auc_ci95)}  ACC {number(one.acc)}")
        text.append(f"{format_ci95(one.acc_ci95)}  {views}, evaluations/{one.number}\n")
    return text


def _facts(detail: Detail, width: int) -> Text:
    """What was trained on what, and for how long."""
    run_row = detail.run_row
    facts: list[Fact] = [(clean(label_of(run_row.dataset or "?", run_row.size)), "")]
    marks = data_marks(run_row.synthetic, run_row.limit, run_row.input_size)
    facts += [(mark, "bold yellow") for mark in marks]
    facts.append((f"{clean(run_row.model or '?')} {clean(describe_origin(run_row.weights), 80)}", ""))
    facts.append((f"seed {number(run_row.seed, 0)}", ""))
    facts.append((f"lr {format_lr(run_row.lr)}", ""))
    facts.append((f"epochs {run_row.epochs}", ""))
    summary = detail.state.summary
    facts.append((f"best{by_monitor(summary.monitor)} {summary.best_epoch or UNDEFINED}", ""))
    if run_row.seconds is not None:
        facts.append((duration(run_row.seconds), ""))
    return listed(facts, width)


def listed(facts: list[Fact], width: int, indent: int = 0) -> Text:
    """Facts with commas between them, in lines that are broken between two facts only."""
    text, used = Text(" " * indent), indent
    for at, (words, style) in enumerate(facts):
        last = at == len(facts) - 1
        if used > indent and used + cell_len(words) + (not last) > width:
            text.append("\n" + " " * indent)
            used = indent
        text.append(words, style)
        text.append("\n" if last else ", ")
        used += cell_len(words) + 2
    return text


def _metrics(name: str, metrics: Metrics, width: int) -> Text:
    """One line, or where that is too long, one line per metric."""
    auc, acc = (format_ci95(metrics.auc_ci95), format_ci95(metrics.acc_ci95)) if name == "test" else ("", "")
    words = [f"AUC {number(metrics.auc)}{auc}", f"ACC {number(metrics.acc)}{acc}"]
    words.append(f"F1 {number(metrics.f1)}")
    line = f"{name:<11}{'  '.join(words)}"
    text = Text((line if len(line) <= width else f"{name:<11}" + ("\n" + " " * 11).join(words)) + "\n")
    for metric, reason in metrics.reasons.items():
        text.append(f"  {clean(metric, 40)}: {clean(reason, 200)}\n", "yellow")
    return text


def format_ci95(ci95: Ci95 | None, *, signed: bool = False) -> str:
    """` [0.835, 0.968]`; a dash where it is unknown."""
    if ci95 is None:
        return f" [{UNDEFINED}]"
    low, high = (f"{end:+.3f}" if signed else f"{end:.3f}" for end in ci95)
    return f" [{low}, {high}]"


def published_text(detail: Detail) -> Text:
    started = detail.state.started
    text = Text()
    if started is None:
        return text
    found = published_for(started.dataset, started.size)
    title(text, "published for this data set and size")
    if not found:
        text.append("none\n", "dim")
        return text
    test = detail.state.summary.test
    marks = data_marks(started.synthetic, started.limit)
    rows = [(one.method, one.auc, one.acc, ", ".join([one.source.name, *remarks(one, found)])) for one in found]
    if test is not None and not marks:
        rows.append((OURS, test.auc, test.acc, ""))
    for method, auc, acc, words in sorted(rows, key=lambda row: _rank(row[1])):
        text.append_text(_published_row(method, auc, acc, words))
    if test is not None and marks:
        text.append_text(_published_row(OURS, test.auc, test.acc, ""))
        text.append(f"  not comparable with these: {', '.join(marks)}\n", "bold yellow")
    for source in sources(found):
        text.append(f"  {source}\n", "dim")
    return text


def describe_published(key: str | None) -> str:
    """Of a row of the table that is no run."""
    one = next((one for one in published() if one.key == key), None)
    if one is None:
        return ""
    marks = remarks(one, published_for(one.dataset, one.size, one.protocol))
    marked = "".join(f" {capitalised(mark)}." for mark in marks)
    return f"Published result, not a run: {one.source.citation}: {one.source.conditions}.{marked}"


def _rank(auc: float | None) -> float:
    """Highest first, what is undefined or not reported last."""
    return -auc if auc is not None and not math.isnan(auc) else 1.0


def _published_row(method: str, auc: float | None, acc: float, words: str) -> Text:
    sign, style = ("▸", "bold") if method == OURS else (" ", "")
    line = Text(f"{sign} {method:<24} AUC {number(auc, 3)}  ACC {number(acc, 3)}", style)
    return line.append(f"  {words}\n" if words else "\n", "dim")


def titled(words: str) -> Text:
    text = Text()
    title(text, words)
    return text


def body_text(detail: Detail, width: int) -> Text:
    """What is between the curves and the pictures."""
    from medtui.client.view import RunView

    text = Text()
    split, rows = class_rows(RunView(state=_up_to_the_best(detail.state)))
    title(text, f"per class, {split}, worst recall first")
    text.append_text(classes_text(rows, width))
    text.append("\n")
    title(text, "confusion matrix, test")
    return text.append_text(confusion_text(detail.confusion, width))


def _up_to_the_best(state: RunState) -> RunState:
    """Of a run without a test: without the epochs after the best one, whose metrics are those of the run."""
    best = state.summary.best_epoch
    if best is None or state.summary.test is not None:
        return state
    return replace(state, epochs=state.epochs.first(bisect_right(state.epochs, best, key=lambda epoch: epoch.epoch)))


def end_text(detail: Detail) -> Text:
    """Everything below the pictures."""
    text = published_text(detail)
    title(text, "recipe")
    text.append(_lines(detail.recipe_text) + "\n")
    title(text, "provenance")
    text.append_text(provenance(detail.manifest))
    title(text, "artifacts")
    for name, path in artifacts_there(detail.run, detail.state.summary.artifacts).items():
        text.append(f"{clean(name, 40):<20} {clean(str(detail.run_row.run_dir / path), 400)}\n")
    return text


def _lines(text: str) -> str:
    return "\n".join(clean(line, 300) for line in text.splitlines()[:200])


def provenance(manifest: dict[str, Any]) -> Text:
    """The manifest's values, one per line."""
    text = Text()
    if not manifest:
        text.append("no readable manifest\n", "bold red")
    for name, value in list(manifest.items())[:60]:
        text.append(f"{clean(str(name), 40):<16} {clean(shortened(_as_json(value), 600), 600)}\n")
    return text


def _as_json(value: Any) -> str:
    """A str as it is. A value read near the interpreter's recursion limit may be too deep to write here."""
    try:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "nested too deeply to be shown"
