"""Untrusted text made safe for a terminal. The one sanitiser: whatever a person reads as plain text goes through it."""

from __future__ import annotations

from collections.abc import Callable

# A spreadsheet runs a cell that begins like this as a formula, quoted or not (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

# Not printable to Python, but only blanks: of every width (Zs)
_BLANKS = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"


def clean(text: str, limit: int = 2000) -> str:
    """One line without anything a terminal could obey: controls, escapes, bidi marks become visible dots."""
    shown = visible(text[:limit])
    return shown if len(text) <= limit else shown + "…"


def shortened(text: str, limit: int = 60) -> str:
    """For a sentence that quotes what was found."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def without_formula(text: str) -> str:
    """A cell of a CSV: what a spreadsheet would run gets an apostrophe before it, which makes it text again."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def visible(text: str, but: str = "") -> str:
    """Dots for what a terminal could obey, save the characters in `but`: controls (C0, C1, DEL), format and bidi marks,
    surrogates, separators of lines, and what no Unicode that Python knows assigns."""
    return text if text.isprintable() else replaced(text, lambda _: "·", but)


def replaced(text: str, instead: Callable[[str], str], but: str = "") -> str:
    """What a terminal could obey, character by character made something else."""
    shown, rest = but + _BLANKS, text
    for one in shown:  # one search each, which is much quicker than looking at each character of the text
        rest = rest.replace(one, "")
        if rest.isprintable():  # as nearly every text is without its line feeds
            return text
    return "".join(one if one.isprintable() or one in shown else instead(one) for one in text)


def counted_duplicates(exact: int, near: int) -> str:
    """Everywhere the same: `0 exact and 15 near duplicates`."""
    return f"{exact:,} exact and {counted(near, 'near duplicate')}"


def counted(count: int, noun: str, several: str = "") -> str:
    """`1 epoch`, `2 epochs`. `several`: where that is more than an s."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {several or f'{noun}s'}"


def format_bytes(size: float) -> str:
    """`0 bytes`, `560 kB`, `1.4 MB`, `252 MB`, `12.6 GB`: small ones in small units, so that none is shown as 0.0."""
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    if size < 1e3:
        return f"{size:.0f} byte{'s' * (size != 1)}"
    if size < 999_500:  # from there on it would be 1000 kB
        return f"{size / 1e3:.0f} kB"
    return f"{size / 1e6:.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB"
