"""Untrusted text made safe to show, and numbers made text. Class names, paths and log lines all pass through here."""

from __future__ import annotations

import json
import math
import unicodedata
from typing import Any

UNDEFINED = "–"
_UNSHOWABLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # controls, format and bidi marks, surrogates, separators


def clean(text: str, limit: int = 2000) -> str:
    """One line without anything a terminal could obey: controls, escapes, bidi marks become visible dots."""
    shown = "".join(character if _is_showable(character) else "·" for character in text[:limit])
    return shown if len(text) <= limit else shown + "…"


def _is_showable(character: str) -> bool:
    return unicodedata.category(character) not in _UNSHOWABLE


def shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def number(value: float | None, digits: int = 4) -> str:
    """`0.9130`; a dash where there is none or it is undefined."""
    if value is None or math.isnan(value):
        return UNDEFINED
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:.{digits}f}"


def duration(seconds: float | None) -> str:
    """`45 s`, `4 min 10 s`, `2 h 05 min`."""
    if seconds is None or not math.isfinite(seconds):
        return UNDEFINED
    whole = round(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def data_marks(synthetic: bool, limit: int | None) -> list[str]:
    """What must be said beside a result that is not one of the whole, real data set."""
    return ["synthetic data"] * synthetic + ([f"at most {limit:,} images a split"] if limit is not None else [])


def json_text(value: Any) -> str:
    """JSON for scripts; NaN and infinities as the strings of the protocol."""
    return json.dumps(_strict(value), indent=2, ensure_ascii=False, allow_nan=False)


def _strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    return [_strict(item) for item in value] if isinstance(value, list | tuple) else value
