"""The texts of the Suites screen, as functions of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from medtui.actions import Action
from medtui.console.shell.status_text import GLYPHS
from medtui.console.suites.reader import ShownSuite, SuiteLine, SuitesState
from medtui.suites.formats import DIGITS, mean_and_sd
from medtui.suites.grid import Row, distinct_first
from medtui.suites.statistics import summarise
from medtui.suites.status import ItemStatus, counts_text, word_of
from medtui.text import clean, number, shortened

STATE_GLYPHS = GLYPHS | {"pending": "·", "claimed": "◌", "running": "●", "interrupted": "↻", "killed": "†"}
STATE_GLYPHS |= {"submitted": "◇"}  # to a cluster
STYLES = {"completed": "green", "failed": "bold red", "killed": "yellow", "stopped": "yellow", "aborted": "yellow"}
STYLES |= {"training": "bold", "paused": "bold yellow", "pending": "dim", "submitted": "dim", "interrupted": "yellow"}
UNSEEN = "?"  # a run whose engine cannot be seen from here


def glyph_of(status: ItemStatus) -> str:
    return STATE_GLYPHS.get(status.shown, UNSEEN)


def cell_text(status: ItemStatus | None, *, named: bool = False) -> Text:
    """Its state, how far it is, its AUC: `✓ 0.9130`, `● 12/30 0.913`, `· waiting`. While it trains, of its best epoch.

    `named`: it says which AUC that is: `✓ test AUC 0.9130`, `● 12/30 best val 0.913`.
    """
    if status is None:
        return Text("")
    if status.test_auc is not None:
        words = "test AUC " * named + number(status.test_auc)
    elif status.shown == "failed" or not status.epochs:
        words = word_of(status.shown)
    else:
        best = f"{'best val ' * named}{number(status.validation_auc, 3)}" if status.validation_auc is not None else ""
        words = f"{status.epochs} {best}".rstrip()
    return Text(f"{glyph_of(status)} {clean(words, 32)}", STYLES.get(status.shown, ""))


def mean_text(row: Row, runs: Mapping[str, ItemStatus], digits: int = DIGITS) -> Text:
    """Of the test AUC of its completed runs, and of how many: `0.9130 ± 0.0041 (3)`."""
    done = [runs[id_] for id_ in row.items.values() if id_ in runs and runs[id_].item.state == "completed"]
    values = [one.test_auc for one in done if one.test_auc is not None and one.test_auc == one.test_auc]
    if not values:
        return Text("")
    return Text(f"{mean_and_sd(summarise(values), digits)} ({len(values)})")


def title_of(shown: ShownSuite) -> str:
    """`study · 12 runs: 11 completed, 1 failed · bloodmnist`."""
    interrupted = sum(one.item.state == "pending" and one.shown == "interrupted" for one in shown.runs.values())
    counts = counts_text(shown.line.counts, interrupted)
    runs = f"{shown.line.n} run{'s' * (shown.line.n != 1)}: {counts}" if shown.line.n else "no runs"
    parts = [shown.line.name, runs, shown.grid.common]
    return " · ".join(filter(None, parts))


def runner_text(shown: ShownSuite, actions: Mapping[str, Action]) -> str:
    """Who works on it; or the key that continues it."""
    if shown.runner is not None:
        return f"its runner is working; {actions['suites.end'].key} stops it"
    if shown.line.counts.get("submitted"):
        return f"on {shown.scheduler}; {actions['suites.end'].key} stops it"
    if not shown.line.n:
        return "its plan cannot be read"
    if shown.line.is_complete:
        return f"complete: `medtui suite table {shown.line.name}`"
    return f"no runner; {actions['suites.run'].key} continues it"


def line_text(line: SuiteLine, width: int) -> Text:
    """A suite in the list: what it does, its name, how many of its runs are completed."""
    failed = line.counts.get("failed", 0)
    glyph, style = "○", ""
    if line.works:
        glyph, style = "●", "bold"
    elif line.counts.get("submitted"):
        glyph = STATE_GLYPHS["submitted"]
    elif line.is_complete:
        glyph, style = "✓", "green"
    elif failed:
        glyph, style = "✗", "red"
    count = f"{line.completed}/{line.n}" + (f", {failed} failed" if failed else "") + " !" * line.damaged
    name = shortened(clean(line.name), max(4, width - len(count) - 4))
    return Text(f"{glyph} {name}  {count}", style)


def queue_texts(entries: Sequence[ItemStatus], room: int) -> dict[str, tuple[Text, Text, Text]]:
    """By the id of an entry of the queue: its number, how far it is, what it is. `room`: columns, of the whole row."""
    states = [cell_text(one, named=True) for one in entries]
    widest = max((state.cell_len for state in states), default=0)
    width = max(8, room - widest - 10)
    labels = distinct_first([clean(one.item.label, 200) for one in entries], width)
    return {
        one.item.id: (
            Text(one.item.id, justify="right"),
            state,
            Text(shortened(label, width), STYLES.get(one.shown, "")),
        )
        for one, state, label in zip(entries, states, labels, strict=True)
    }


def selected_text(status: ItemStatus | None, actions: Mapping[str, Action]) -> Text:
    """All of the selected run: what it is, how far, how good, why it ended so, and what can be done."""
    if status is None:
        return Text("")
    item = status.item
    text = Text.assemble((clean(item.label, 200), "bold"), f"  {glyph_of(status)} {word_of(status.shown)}")
    facts = [item.run or "", f"epoch {status.epochs}" * bool(status.epochs)]
    facts += [f"{name} {number(value)}" for name, value in scores_of(status) if value is not None]
    if any(facts):
        text.append("\n" + clean(" · ".join(filter(None, facts)), 300))
    if item.detail:
        text.append("\n" + clean(item.detail, 600), "red" if item.state == "failed" else "")
    keys = []
    if item.run is not None:
        keys.append(f"{actions['suites.open'].key} opens it")
    if item.can_be_retried:
        keys.append(f"{actions['suites.retry'].key} retries it")
    return text.append("\n" + "; ".join(keys), "dim") if keys else text


def scores_of(status: ItemStatus) -> Sequence[tuple[str, float | None]]:
    if status.test_auc is not None:
        return [("test AUC", status.test_auc), ("ACC", status.test_acc)]
    return [("best validation AUC", status.validation_auc)]


def empty_text(state: SuitesState, actions: Mapping[str, Action]) -> str:
    """Instead of the grid."""
    if state.problem:
        return state.problem
    words = "No suites in this workspace yet: a suite is many runs from one file."
    key = actions["suites.new"].key
    return f"{words}\n{key} chooses a suite file and starts it; docs/suites.md describes the file."


def empty_queue_text(actions: Mapping[str, Action]) -> str:
    recipes, add = actions["go.recipes"].key, actions["recipes.queue"].key
    return f"The queue is empty. {recipes} shows the recipes; {add} there adds one."


def queue_title(state: SuitesState) -> str:
    pending = [one for one in state.queue if one.item.state == "pending"]
    counts = counts_text({"pending": len(pending)}, sum(one.shown == "interrupted" for one in pending))
    return f"queue · {counts or '0 waiting'}" + (" · its runner is working" if state.queue_runner else "")
