"""What the terminal is, and whether the console can run in it: the same text from `doctor` and at the start."""

from __future__ import annotations

import locale
import os
import shutil

from medtui.output import encodings


def describe_terminal(size: os.terminal_size | None = None) -> str:
    """TERM, colours, size, multiplexer, encoding, as text."""
    environment, size = os.environ, size or shutil.get_terminal_size()
    colours = "NO_COLOR" if environment.get("NO_COLOR") else environment.get("COLORTERM") or "256 or fewer colours"
    inside = " in tmux" if environment.get("TMUX") else " in screen" if environment.get("STY") else ""
    term = environment.get("TERM") or "no TERM"
    return f"{term}, {colours}, {size.columns} × {size.lines}{inside}, {encoding()}"


def supports_escapes() -> bool:
    return os.environ.get("TERM", "").strip() not in ("", "dumb", "unknown", "emacs")


def encoding() -> str:
    """The first encoding that is no UTF-8: of the locale, or of a stream that PYTHONIOENCODING has given another."""
    found = [(name or "?").lower() for name in (locale.getpreferredencoding(False), *encodings())]
    return next((name for name in found if not is_utf8(name)), found[0])


def is_utf8(name: str) -> bool:
    return "utf" in name.lower()


def remedy() -> str | None:
    """What to do before the console can run; None where it can."""
    if not supports_escapes():
        return "Set TERM, for example xterm-256color."
    if not is_utf8(encoding()):
        return "Set LANG to a UTF-8 locale, for example C.UTF-8."
    return None
