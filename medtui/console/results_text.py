"""The texts of the Results screen, as functions of values."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from rich.text import Text

from engine.contract.datasets import label_of
from engine.contract.protocol import Metrics
from engine.contract.recipe import Recipe
from engine.contract.run_directory import RunDirectory
from medtui.client.evaluate import Later
from medtui.client.intervals import Interval, intervals_of
from medtui.client.keeping import Labels
from medtui.client.runs import Head
from medtui.client.state import RunState
from medtui.console.live_text import class_rows, classes_text, drift_words
from medtui.console.matrix import Confusion, confusion_text
from medtui.console.pictures import Sample, grid_text
from medtui.console.published import SOURCE, published_for
from medtui.text import clean, data_marks, duration, number, shortened


@dataclass(frozen=True)
class Detail:
    """All that is shown of one run."""

    head: Head
    state: RunState
    manifest: dict[str, Any]
    confusion: Confusion | None
    samples: list[Sample]
    recipe_text: str
    recipe: Recipe | None
    labels: Labels = field(default_factory=Labels)
    later: list[Later] = field(default_factory=list)

    @property
    def run(self) -> RunDirectory:
        return RunDirectory(self.head.run_dir)


def title(text: Text, words: str) -> None:
    text.append(f"\n{words}\n", "bold underline")


def head_text(detail: Detail, width: int) -> Text:
    """Outcome and numbers."""
    head, state = detail.head, detail.state
    text = Text()
    text.append(f"{clean(head.run)}  ", "bold")
    text.append(clean(head.state), "bold green" if head.state == "completed" else "bold yellow")
    best = state.summary.best_epoch or "–"
    text.append(f"\n{clean(label_of(head.dataset or '?', head.size))}")
    for mark in data_marks(head.synthetic, head.limit):
        text.append(f", {mark}", "bold yellow")
    text.append(f", {clean((head.model or '?').replace('_', '-'))}, epochs {head.epochs}, best {best}")
    text.append(f", {duration(head.seconds)}\n" if head.seconds is not None else "\n")
    if detail.labels.tags:
        text.append(f"tags {clean(' '.join(detail.labels.tags), 200)}\n", "cyan")
    if detail.labels.note:
        text.append(f"note {clean(detail.labels.note, 400)}\n", "italic")
    for change in state.summary.drift:
        text.append(f"{drift_words(change)}\n", "bold yellow")
    finished = state.finished
    if finished is not None and finished.error is not None:
        text.append(clean(f"{finished.error.message} {finished.error.hint}", 600) + "\n", "bold red")
    if head.state == "crashed":
        text.append("The engine ended without a last word; run.log has what it wrote.\n", "bold red")
    for name, metrics in (("validation", state.summary.validation), ("test", state.summary.test)):
        if metrics is not None:
            text.append_text(_metrics(name, metrics, detail, width))
    for one in detail.later:
        views = f"{len(one.views)} view{'s' * (len(one.views) != 1)}"
        text.append(f"test again AUC {number(one.auc)}  ACC {number(one.acc)}  {views}, evaluations/{one.number}\n")
    return text


def _metrics(name: str, metrics: Metrics, detail: Detail, width: int) -> Text:
    """A line, or where it would be broken in two a line a metric."""
    auc = acc = None
    if name == "test":
        auc, acc = intervals_of(detail.state.summary)
    words = [f"AUC {number(metrics.auc)}{between_words(auc)}", f"ACC {number(metrics.acc)}{between_words(acc)}"]
    words.append(f"F1 {number(metrics.f1)}")
    line = f"{name:<11}{'  '.join(words)}"
    text = Text((line if len(line) <= width else f"{name:<11}" + ("\n" + " " * 11).join(words)) + "\n")
    for metric, reason in metrics.reasons.items():
        text.append(f"  {clean(metric, 40)}: {clean(reason, 200)}\n", "yellow")
    return text


def between_words(interval: Interval | None, *, signed: bool = False) -> str:
    """` [0.835, 0.968]`; nothing where there is none."""
    if interval is None:
        return ""
    low, high = (f"{end:+.3f}" if signed else f"{end:.3f}" for end in interval)
    return f" [{low}, {high}]"


def published_text(detail: Detail) -> Text:
    started = detail.state.started
    text = Text()
    if started is None:
        return text
    found = published_for(started.dataset, started.size)
    title(text, "published for this data set and size")
    if not found:
        text.append("nothing is published for it\n", "dim")
        return text
    test = detail.state.summary.test
    marks = data_marks(started.synthetic, started.limit)
    rows = [(one.method, one.auc, one.acc, False) for one in found]
    if test is not None and not marks:
        rows.append(("this run", test.auc, test.acc, True))
    for method, auc, acc, ours in sorted(rows, key=lambda row: -row[1] if row[1] == row[1] else 1.0):
        text.append_text(_published_row(method, auc, acc, ours=ours))
    if test is not None and marks:
        text.append_text(_published_row("this run", test.auc, test.acc, ours=True))
        text.append(f"  not to be compared with them: {', '.join(marks)}\n", "bold yellow")
    text.append(f"  {SOURCE}\n", "dim")
    return text


def _published_row(method: str, auc: float, acc: float, *, ours: bool) -> Text:
    sign, style = ("▸", "bold") if ours else (" ", "")
    return Text(f"{sign} {method:<24} AUC {number(auc, 3)}  ACC {number(acc, 3)}\n", style)


def body_text(detail: Detail, width: int) -> Text:
    """Everything below the curves."""
    from medtui.client.view import RunView

    text = Text()
    split, rows = class_rows(RunView(state=detail.state))
    title(text, f"per class, {split}, worst recall first")
    text.append_text(classes_text(rows, width))
    text.append("\n")
    title(text, "confusion matrix, test")
    text.append_text(confusion_text(detail.confusion, width))
    text.append("\n")
    title(text, "sample predictions")
    text.append_text(grid_text(detail.samples, width))
    text.append("\n")
    text.append_text(published_text(detail))
    title(text, "recipe")
    text.append(_lines(detail.recipe_text) + "\n")
    title(text, "provenance")
    text.append_text(provenance(detail.manifest))
    title(text, "artifacts")
    for name, path in detail.state.summary.artifacts.items():
        text.append(f"{clean(name, 40):<20} {clean(str(detail.head.run_dir / path), 400)}\n")
    return text


def _lines(text: str) -> str:
    return "\n".join(clean(line, 300) for line in text.splitlines()[:200])


def provenance(manifest: dict[str, Any]) -> Text:
    """The manifest's plain values, a line each."""
    text = Text()
    if not manifest:
        text.append("no manifest that can be read\n", "bold red")
    for name, value in list(manifest.items())[:60]:
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        text.append(f"{clean(str(name), 40):<16} {clean(shortened(str(shown), 600), 600)}\n")
    return text
