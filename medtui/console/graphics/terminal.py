"""What the terminal can show, by its own answers: over SSH the environment does not tell.

Three questions are sent when the console begins, and nobody waits: the answers come with the keys, and are taken out of
them whenever they arrive. Until then, and where none comes, pictures are half blocks.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Protocol = Literal["kitty", "iterm", "sixel", "blocks", "off"]

CELL_QUERY = "\x1b[16t"  # pixels per cell
# Name and version (XTVERSION), and what every terminal answers: its attributes (DA1), the last
QUERIES = f"\x1b[>q{CELL_QUERY}\x1b[c"
# Of a terminal that takes one of these for text, or shows no pictures anyway
SILENT = ("", "dumb", "unknown", "linux", "emacs", "vt52", "vt100", "vt102", "vt220")
SIXEL = "4"  # the attribute
ASSUMED_CELL = (8, 16)  # pixels, where it is unknown; rather too small than over the edge

_ANSWER = re.compile(
    r"\x1b\[\?(?P<attributes>[\d;]*)c"
    r"|\x1bP>\|(?P<name>[^\x1b\x07]{0,200})(?:\x1b\\|\x07)"
    r"|\x1b\[6;(?P<height>\d{1,5});(?P<width>\d{1,5})t"
    r"|\x1b_G[^\x1b]{0,200}\x1b\\"  # about a picture that kitty could not take
)
_BEGUN = re.compile(
    r"\x1b(?:\[(?:\?[\d;]*|6(?:;\d*){0,2})?|P(?:>(?:\|[^\x1b\x07]{0,200}\x1b?)?)?|_(?:G[^\x1b]{0,200}\x1b?)?)?\Z"
)
_RARELY_KEY = re.compile(r"\x1b(?:\[\?|\[6;|P>|_G)")  # held back also when no answer is expected
_NO_KEY = re.compile(r"\x1b(?:\[\?|P>|_G)")  # no key sends what begins so

EXPECTED = 10.0  # seconds after the questions in which an answer may come in parts
KEY_PATIENCE = 0.1  # seconds that the beginning of an answer, which may be a key, waits for its rest
ANSWER_PATIENCE = 2.0  # seconds, where it is no key


@dataclass(frozen=True)
class Terminal:
    """What it has answered so far."""

    name: str = ""  # with its version, as `kitty(0.35.2)` or `tmux 3.4`
    attributes: frozenset[str] | None = None  # None as long as it has not answered
    cell: tuple[int, int] | None = None  # pixels, width and height

    @property
    def has_answered(self) -> bool:
        return self.attributes is not None

    @property
    def is_tmux(self) -> bool:
        return self.name.startswith("tmux")


class Answers:
    """Takes answers out of what is typed."""

    def __init__(self, *, expected: bool) -> None:
        self.terminal = Terminal()
        self._until = time.monotonic() + EXPECTED if expected else 0.0
        self._held, self._held_at = "", 0.0

    def without(self, data: str) -> str:
        """The data without answers; the beginning of one is held back for `released`."""
        text = _ANSWER.sub(self._take, self._held + data)
        self._held = ""
        begun = _BEGUN.search(text)
        if begun and (self._expects or _RARELY_KEY.match(begun.group())):
            self._held, self._held_at = begun.group(), time.monotonic()
            return text[: begun.start()]
        return text

    def released(self) -> str:
        """What was held back and is no answer after all: nothing came after it."""
        patience = ANSWER_PATIENCE if _NO_KEY.match(self._held) else KEY_PATIENCE
        if not self._held or time.monotonic() - self._held_at < patience:
            return ""
        text, self._held = self._held, ""
        return text

    @property
    def _expects(self) -> bool:
        return not self.terminal.has_answered and time.monotonic() < self._until

    def _take(self, found: re.Match[str]) -> str:
        if (attributes := found["attributes"]) is not None:
            self.terminal = replace(self.terminal, attributes=frozenset(attributes.split(";")))
        elif (name := found["name"]) is not None:
            self.terminal = replace(self.terminal, name=name)
        elif found["width"] is not None:
            cell = int(found["width"]), int(found["height"])
            self.terminal = replace(self.terminal, cell=cell if all(0 < side <= 200 for side in cell) else None)
        return ""


def queries_for(setting: str, environment: Mapping[str, str]) -> str:
    """What to send at the start; nothing where the answer would not matter, or do harm."""
    asks = setting not in ("blocks", "off") and environment.get("TERM", "") not in SILENT
    return QUERIES if asks and environment.get("TERM_PROGRAM") != "Apple_Terminal" else ""


@dataclass(frozen=True)
class TmuxClient:
    """The terminal that tmux is shown in, as tmux knows it."""

    name: str = ""
    features: frozenset[str] = frozenset()
    passes_through: bool = False  # what a program sends for the terminal


def decided(
    setting: str, terminal: Terminal, environment: Mapping[str, str], tmux: TmuxClient | None = None
) -> Protocol:
    """How pictures are shown. `tmux`: None where its terminal is unknown, as behind SSH in a window of tmux. Pure."""
    if setting in ("kitty", "iterm", "sixel", "blocks", "off"):
        return setting  # type: ignore[return-value]
    if environment.get("NO_COLOR"):
        return "blocks"
    if terminal.is_tmux or environment.get("TMUX"):
        return _in_tmux(terminal, tmux)
    if _has_placeholders(terminal.name):
        return "kitty"
    if terminal.name.startswith("iTerm2") or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm"
    return "sixel" if SIXEL in (terminal.attributes or ()) and terminal.cell else "blocks"


def _in_tmux(terminal: Terminal, tmux: TmuxClient | None) -> Protocol:
    """tmux draws sixel graphics as a frame of text where its terminal has none, and passes kitty's on when allowed."""
    if tmux is None:
        return "blocks"
    if _has_placeholders(tmux.name) and tmux.passes_through and "RGB" in tmux.features:
        return "kitty"
    can = SIXEL in (terminal.attributes or ()) and "sixel" in tmux.features and terminal.cell
    return "sixel" if can else "blocks"


def _has_placeholders(name: str) -> bool:
    """Can a picture be placed by text (Unicode placeholders)? Others that know the protocol cannot."""
    if found := re.match(r"kitty[( ](\d+)\.(\d+)", name):
        return (int(found[1]), int(found[2])) >= (0, 28)
    return name.startswith("ghostty")
