"""`medtui show`: one run in full."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medtui.cli.options import AllOption, JsonOption, RunArgument, WorkspacesOption

if TYPE_CHECKING:
    from rich.table import Table

    from engine.contract.wire.protocol import Metrics

NEAREST = 4  # published results that are shown unless all are asked for


def show(
    run: RunArgument = "last",
    workspace: WorkspacesOption = None,
    everywhere: AllOption = False,
    published: Annotated[bool, typer.Option("--published", help="Show every published result.")] = False,
    json: JsonOption = False,
) -> None:
    """Show a run: outcome, results, per-class metrics, paths."""
    from medtui.cli.workspaces import chosen_workspaces, find_in
    from medtui.client.run_summary import summary
    from medtui.client.timeout import run_with_timeout
    from medtui.output import print_json

    chosen = chosen_workspaces(workspace, everywhere=everywhere)
    shown = run_with_timeout(lambda alive: summary(find_in(chosen, run)), f"run {run}")
    if json:
        print_json(shown)
        return
    _print_summary(shown, every_published=published)


def _print_summary(shown: dict[str, Any], *, every_published: bool) -> None:
    from engine.contract.store.run_directory import RunDirectory
    from engine.contract.wire.protocol import ClassMetrics, Metrics
    from engine.contract.wire.text import counted
    from medtui.plain.progress import metrics_table, per_class_table
    from medtui.rich_output import print_wrapped, stdout_console
    from medtui.text import clean

    console = stdout_console()
    console.print(f"{shown['run']}: {shown['state']}", style="bold", soft_wrap=True)
    for sentence in _facts(shown):
        print_wrapped(console, sentence)
    validation, test = (Metrics(**shown[name]) if shown[name] else None for name in ("validation", "test"))
    if validation or test:
        console.print(metrics_table(validation, test, "results"))
        title = "test, worst first" if test else "validation, worst first"
        console.print(per_class_table([ClassMetrics(**row) for row in shown["per_class"]], title))
    if test and shown["published"]:
        rows = shown["published"] if every_published else nearest(shown["published"], shown["model"], test.auc)
        console.print(_published_table(rows, test))
        if more := len(shown["published"]) - len(rows):
            print_wrapped(console, f"{counted(more, 'more published result')}: --published shows all.", style="dim")
    for finding in shown["findings"]:
        print_wrapped(console, f"stands out: {clean(finding['message'], 600)} {clean(finding['hint'], 400)}")
    for what in shown["damage"]:
        print_wrapped(console, f"! {clean(what, 300)}")
    for change in shown["drift"]:
        print_wrapped(console, f"drift between attempts: {clean(change, 200)}")
    if shown["state"] in ("aborted", "crashed", "killed") and RunDirectory(Path(shown["run_dir"])).last.is_regular:
        print_wrapped(console, f"`medtui run --resume {quote(shown['run'])}` resumes it.")
    console.print(f"folder  {shown['run_dir']}", soft_wrap=True)
    for log in shown["job_logs"]:
        console.print(f"job's output  {clean(log, 4096)}", soft_wrap=True)
    files = _by_folder(shown["artifacts"], Path(shown["run_dir"]))
    if shown["checkpoints"]:  # those too that only a resume reads
        files["checkpoints"] = list(dict.fromkeys([*files.get("checkpoints", []), *shown["checkpoints"]]))
    for folder, names in files.items():
        print_wrapped(console, f"{clean(folder, 200)}: {', '.join(names)}")


def _published_table(rows: list[dict[str, Any]], test: Metrics) -> Table:
    """Published values of the same data set, image size and protocol, with the run's among them."""
    from rich.table import Table

    from medtui.text import number

    table = Table(title="published for this data set and size, test split", title_justify="left")
    for column in ("method", "AUC", "ACC", "source", "remarks"):
        table.add_column(column, justify="right" if column in ("AUC", "ACC") else "left")
    ours = {"method": "this run", "auc": test.auc, "acc": test.acc, "source": "", "remarks": []}
    for row in sorted([*rows, ours], key=lambda row: -row["auc"] if row["auc"] == row["auc"] else 1.0):
        values = (number(row["auc"], 3), number(row["acc"], 3))
        style = "bold" if row is ours else None
        table.add_row(row["method"], *values, row["source"], ", ".join(row["remarks"]), style=style)
    return table


def nearest(rows: list[dict[str, Any]], model: str | None, auc: float) -> list[dict[str, Any]]:
    """The published values that say most about a run: of its model, then those without a remark, then close ones."""

    def distance(row: dict[str, Any]) -> tuple[bool, bool, float]:
        gap = abs(row["auc"] - auc) if row["auc"] is not None else math.inf
        return not is_of_model(row["method"], model), bool(row["remarks"]), gap if gap == gap else math.inf

    return sorted(rows, key=distance)[:NEAREST]


def is_of_model(method: str, model: str | None) -> bool:
    """Is a published method, such as `ResNet-18 (224)`, the run's model, such as `resnet18_adapted`?"""
    plain = re.sub(r"[^a-z0-9]", "", re.sub(r"\(.*", "", method.lower()))
    return bool(plain) and re.sub(r"[^a-z0-9]", "", (model or "").lower().removesuffix("_adapted")) == plain


def _facts(shown: dict[str, Any]) -> Iterator[str]:
    """What was trained on what, for how long, and what identifies it."""
    from engine.contract.store.starting_weights import describe_origin
    from medtui.text import by_monitor, clean, data_marks, duration

    marks = "".join(f", {mark}" for mark in data_marks(shown["synthetic"], shown["limit"], shown["input_size"]))
    dataset, model, planned = (shown[name] or "?" for name in ("dataset", "model", "epochs_planned"))
    weights = clean(describe_origin(shown["weights"]), 200)
    what = f"{clean(str(dataset), 200)}{marks}, {clean(str(model), 200)} {weights}"
    best = f"best{by_monitor(shown['monitor'])} {shown['best_epoch'] or 'none yet'}"
    epochs = f"{shown['epochs_done']} of {planned} epochs, {best}"
    took = f", {duration(shown['worked'])}" if shown["worked"] is not None else ""
    yield f"{what}, {epochs}{took}"
    if shown["recipe_hash"]:
        yield f"recipe hash {clean(shown['recipe_hash'], 64)}"
    if shown["resolved_hash"]:
        yield f"resolved hash {clean(shown['resolved_hash'], 64)}"
    if shown["suite"]:
        yield f"suite: {clean(shown['suite'], 200)}"
    if shown["tags"]:
        yield f"tags: {' '.join(shown['tags'])}"
    if shown["note"]:
        yield f"note: {shown['note']}"


def _by_folder(artifacts: dict[str, str], run_dir: Path) -> dict[str, list[str]]:
    """The names of the artifacts' files by their folder within the run's: `reports: report.xlsx`."""
    from medtui.text import clean

    found: dict[str, list[str]] = {}
    for path in map(Path, artifacts.values()):
        inside = path.relative_to(run_dir) if path.is_relative_to(run_dir) else path
        found.setdefault(str(inside.parent), []).append(clean(inside.name, 200))
    return found
