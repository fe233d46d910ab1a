"""Untrusted text made safe to show, and numbers made text. Class names, paths and log lines all pass through here."""

from __future__ import annotations

import json
import math
from typing import Any

from engine.contract.wire.monitor import NAMES, Measured, Monitor, value_of
from engine.contract.wire.text import clean as clean
from engine.contract.wire.text import replaced as replaced
from engine.contract.wire.text import visible as visible

UNDEFINED = "–"


def shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def capitalised(text: str) -> str:
    """As a sentence begins; the rest stays."""
    return text[:1].upper() + text[1:]


def number(value: float | None, digits: int = 4) -> str:
    """`0.9130`; a dash where there is none or it is undefined."""
    if value is not None and math.isfinite(value):
        return f"{value:.{digits}f}"
    if value is None or math.isnan(value):
        return UNDEFINED
    return "∞" if value > 0 else "-∞"


def monitored(metrics: Measured, monitor: Monitor) -> str:
    """By what an epoch is the best, and its value: `AUC 0.9130`, `loss 0.3021`."""
    return f"{NAMES[monitor]} {number(value_of(metrics, monitor))}"


def by_monitor(monitor: Monitor) -> str:
    """After "best": ` by loss`; nothing where it is the usual monitor."""
    return "" if monitor == "auc" else f" by {NAMES[monitor]}"


def interval(ci95: tuple[float, float] | None) -> str:
    """`0.871–0.949`; a dash where none is known."""
    return f"{ci95[0]:.3f}–{ci95[1]:.3f}" if ci95 else UNDEFINED


def duration(seconds: float | None) -> str:
    """`45 s`, `4 min 10 s`, `2 h 05 min`."""
    if seconds is None or not math.isfinite(seconds):
        return UNDEFINED
    total = round(max(0.0, seconds))
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    return f"{total // 3600} h {total % 3600 // 60:02d} min"


def clock(seconds: float) -> str:
    """`0:58`, `12:05`, `3:04:05`: for what counts up or down."""
    total = round(max(0.0, seconds))
    hours, minutes = divmod(total // 60, 60)
    return f"{hours}:{minutes:02d}:{total % 60:02d}" if hours else f"{minutes}:{total % 60:02d}"


def data_marks(synthetic: bool, limit: int | None, input_size: int | None = None) -> list[str]:
    """What to note next to a result that is not on the complete, real data set, or of images that were enlarged."""
    enlarged = [f"enlarged to {input_size} px"] if input_size is not None else []
    limited = [f"at most {limit:,} images per split"] if limit is not None else []
    return ["synthetic data"] * synthetic + limited + enlarged


def json_text(value: Any) -> str:
    """JSON for scripts; NaN and infinities as the strings of the protocol."""
    return _escaped(json.dumps(_strict(value), indent=2, ensure_ascii=False, allow_nan=False))


def json_line(value: Any) -> str:
    """The same in one line."""
    return _escaped(json.dumps(_strict(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def checked_line(line: bytes) -> str | None:
    """A line of JSON with the same value that no terminal could interpret; None for what is no JSON object in UTF-8."""
    try:
        text = line.decode().strip(" \t\r\n")
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    # JSON has controls between its tokens only, as blanks; anything else that is not plain stands in a string
    return _escaped(text.replace("\t", " ").replace("\r", " ")) if isinstance(value, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _escaped(text: str) -> str:
    return text if text.isprintable() else replaced(text, _escape, but="\n")


def _escape(character: str) -> str:
    r"""`\u009b`; beyond the first plane a pair of surrogates, as JSON has them."""
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    return [_strict(item) for item in value] if isinstance(value, list | tuple) else value


def started_at(text: str) -> str:
    """A manifest's UTC time, local and short."""
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError):  # no time, or one at the ends of the calendar
        return clean(text, 20)
