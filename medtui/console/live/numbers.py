"""The numbers that are always in sight while a run trains, as many per row as fit."""

from __future__ import annotations

import math

from rich.cells import cell_len
from rich.text import Text

from engine.contract.wire.monitor import Monitor
from medtui.client.view import RunView
from medtui.console.widgets.curves import recent_losses
from medtui.text import number

FALLS, RISES, LEVEL = "↘", "↗", "→"
SAME = 0.01  # relative change that counts as none
SCHEDULES = {"cosine": "╲", "one_cycle": "╱╲", "plateau": "▔▁", "constant": "─"}  # the shape of the learning rate
GAP = "  "


def trend(before: float, after: float) -> str:
    if not (math.isfinite(before) and math.isfinite(after)):
        return ""
    if abs(after - before) <= SAME * max(abs(before), abs(after)):
        return LEVEL
    return FALLS if after < before else RISES


def numbers(view: RunView) -> list[Text]:
    """Each number with its name, the most important first. Losses of training are smoothed."""
    started, epochs = view.state.started, view.state.epochs
    if started is None:
        return []
    found = []
    if losses := recent_losses(view):
        found.append(_named("loss", number(losses[-1], 3), trend(losses[len(losses) // 2], losses[-1])))
    if epochs:
        now, before = epochs[-1], epochs[-2] if len(epochs) > 1 else None
        if now.validation.loss is not None:
            past = before.validation.loss if before is not None and before.validation.loss is not None else math.nan
            note = trend(past, now.validation.loss)
            if view.state.summary.monitor == "loss" and now.best_epoch is not None:
                note += f" ★{now.best_epoch}"
            found.append(_named("val loss", number(now.validation.loss, 3), note))
        best = f"★{now.best_epoch}" if now.best_epoch is not None else ""
        stars: dict[Monitor, str] = {view.state.summary.monitor: best}
        found.append(_named("AUC", number(now.validation.auc), stars.get("auc", "")))
        found.append(_named("ACC", number(now.validation.acc, 3), stars.get("acc", "")))
        found.append(_named("F1", number(now.validation.f1, 3), stars.get("f1", "")))
    lr, rate = _pace(view)
    if lr is not None and math.isfinite(lr):
        found.append(_named("lr", f"{lr:.2g}", SCHEDULES.get(started.schedule or "", "")))
    if rate is not None and math.isfinite(rate):
        found.append(_named("", f"{rate:,.0f}", "img/s"))
    if (left := _early_stop(view)) is not None:
        found.append(_named("early stop", f"in {left}", "epoch" if left == 1 else "epochs"))
    return found


def _early_stop(view: RunView) -> int | None:
    """Epochs without improvement that end it early; None where its last epoch comes before, or is over."""
    started, epochs = view.state.started, view.state.epochs
    if started is None or started.patience is None or not epochs or not view.active:
        return None
    left = max(0, started.patience - epochs[-1].without_improvement)
    return left if view.phase in ("training", "paused") and left < started.epochs - epochs[-1].epoch else None


def _pace(view: RunView) -> tuple[float | None, float | None]:
    """Learning rate and images per second: of the newest step, also while none is done, as in validation; where none of
    this epoch or a later one is known, of the newest epoch."""
    last, step = view.state.epochs[-1] if view.state.epochs else None, view.trained
    if step is not None and last is not None and (step.epoch or 0) < last.epoch:
        step = None
    lr, rate = (step.lr, step.images_per_second) if step is not None else (None, None)
    if last is not None:
        lr, rate = last.lr if lr is None else lr, last.images_per_second if rate is None else rate
    return lr, rate


def _named(name: str, value: str, note: str = "") -> Text:
    text = Text(f"{name} " if name else "", style="dim")
    text.append(value, "bold not dim")
    if note:
        text.append(f" {note}", "not dim")
    return text


def numbers_text(view: RunView, width: int, rows: int) -> Text:
    """In at most so many rows; what does not fit is left out, the least important first."""
    lines: list[Text] = [Text(" ", no_wrap=True)]
    for one in numbers(view):
        needed = cell_len(one.plain)
        if cell_len(lines[-1].plain) > 1 and cell_len(lines[-1].plain) + len(GAP) + needed > width - 1:
            if len(lines) == rows:
                break
            lines.append(Text(" ", no_wrap=True))
        if cell_len(lines[-1].plain) > 1:
            lines[-1].append(GAP)
        lines[-1].append_text(one)
    return Text("\n").join(lines)
