"""What the terminal can show: braille, blocks, or ASCII only."""

from __future__ import annotations

import locale
import os
from functools import cache


@cache
def marks() -> str:
    """`braille`, `block` or `ascii`; `$MEDTUI_MARKS` decides where this guess is wrong."""
    given = os.environ.get("MEDTUI_MARKS", "")
    if given in ("braille", "block", "ascii"):
        return given
    encoding = (locale.getpreferredencoding(False) or "").lower().replace("-", "")
    if "utf8" not in encoding:
        return "ascii"
    return "block" if os.environ.get("TERM") in ("linux", "vt100", "vt220") else "braille"
