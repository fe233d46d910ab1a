"""Text that was written by others (class names, paths, versions), made fit for a file format or a drawing."""

from __future__ import annotations

import math
import re
import unicodedata

UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"

# C0 but for tab and line feed, DEL, C1, lone surrogates, and the two code points that XML 1.0 forbids.
_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def writable(text: str) -> str:
    """The text with what UTF-8 or XML cannot hold, or a terminal would interpret, replaced by U+FFFD."""
    return _UNWRITABLE.sub(UNPRINTABLE, text)


def shortened(text: str, length: int = 24) -> str:
    """One line of at most `length` characters to draw or to head a column; accents stay on their letters.

    Marks beyond two on a letter are dropped, and so are invisible format characters (bidirectional overrides), which
    would reorder the text next to them.
    """
    letters: list[str] = []
    for character in writable(text[: 40 * length]):
        if unicodedata.combining(character):
            if letters and len(letters[-1]) < 3:
                letters[-1] += character
        elif unicodedata.category(character) != "Cf":
            letters.append(" " if character.isspace() else character)
        if len(letters) > length:
            return "".join(letters[: length - 1]).rstrip() + "…"
    return "".join(letters)


def number(value: object, digits: int = 3) -> str:
    """`0.913`, `undefined`, `∞`; "none" for what is not known."""
    if value is None:
        return "none"
    plain = float(value)  # type: ignore[arg-type]
    if math.isnan(plain):
        return "undefined"
    if math.isinf(plain):
        return "∞" if plain > 0 else "-∞"
    return f"{plain:.{digits}f}"
