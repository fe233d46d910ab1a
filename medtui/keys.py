"""Names of keys: as Textual has them, and as a person reads and writes them."""

from __future__ import annotations

import unicodedata

_NAMES = {
    "question_mark": "?",
    "slash": "/",
    "plus": "+",
    "minus": "-",
    "full_stop": ".",
    "comma": ",",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "escape": "esc",
    "up": "↑",
    "down": "↓",
    "less_than_sign": "<",
    "greater_than_sign": ">",
}


def key_name(key: str) -> str:
    key = key.strip()
    if key.startswith("ctrl+"):
        return "^" + _NAMES.get(key[5:], key[5:])
    if len(key) > 1 and key[0] == "f" and key[1:].isdigit():
        return key.upper()
    return _NAMES.get(key, key)


MODIFIERS = {"ctrl", "shift", "alt", "super", "hyper", "meta"}
NAMED_KEYS = {
    *("up", "down", "left", "right", "home", "end", "pageup", "pagedown", "insert", "delete", "backspace"),
    *("enter", "tab", "escape", "space", *(f"f{number}" for number in range(1, 25))),
}
_AS_SHOWN = {shown: name for name, shown in _NAMES.items() if len(shown) > 1 or not shown.isascii()}
_SHORTER = {
    "solidus": "slash",
    "reverse_solidus": "backslash",
    "commercial_at": "at",
    "hyphen_minus": "minus",
    "plus_sign": "plus",
    "low_line": "underscore",
}


def key_id(key: str) -> str | None:
    """A key by Textual's name: `?` is `question_mark`, `^s` of the footer `ctrl+s`. None for anything else."""
    if len(key) > 1 and (key[0] == "^" or key[1:].isdigit()):
        key = f"ctrl+{key[1:]}" if key[0] == "^" else key.lower()
    key = _AS_SHOWN.get(key, key)
    if len(key) == 1:
        if key.isalnum() or not key.isprintable():
            return key if key.isalnum() else None
        name = unicodedata.name(key, "").lower().replace("-", "_").replace(" ", "_")
        return _SHORTER.get(name, name) or None
    *modifiers, base = key.split("+")
    known = (len(base) == 1 and base.isalnum()) or base in NAMED_KEYS or base in CHARACTERS
    return key if known and set(modifiers) <= MODIFIERS else None


CHARACTERS = {key_id(chr(code)) for code in range(33, 127)}  # their names
