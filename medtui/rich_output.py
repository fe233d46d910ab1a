"""Tables, styles and bars on standard output and error. No other module makes a rich console."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TextIO, cast

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from medtui.output import LINE, NonFailingOutput, RawStream, ReaderGone
from medtui.text import clean, visible


class CleanConsole(Console):
    """A str is one line of plain text, wherever it is; nothing rendered contains what a terminal could interpret."""

    def __init__(self, stream: TextIO, *, never_fails: bool = False, **options: Any) -> None:
        """`never_fails`: writes never fail, as for a run that continues when nobody reads any more."""
        file = NonFailingOutput(cast(TextIO, RawStream(stream))) if never_fails else RawStream(stream)
        super().__init__(file=cast(TextIO, file), markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Prints, cells, titles: rich makes text of every str here."""
        plain = {"markup": False, "emoji": False, "highlight": False}
        return super().render_str(clean(text, LINE), **(options | plain))

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Rich's own control segments pass; every other segment is text."""
        return (
            segment if segment.control else segment._replace(text=visible(segment.text, but="\n"))
            for segment in super().render(renderable, options)
        )

    def on_broken_pipe(self) -> None:
        raise ReaderGone


def print_wrapped(console: Console, text: str, style: str | None = None) -> None:
    """A sentence: wrapped between words on a terminal, one line in a file. A longer word, as a path, is not cut."""
    for line in wrapped(clean(text, LINE), console.width) if console.is_terminal else [text]:
        console.print(line, style=style, soft_wrap=True)


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, broken at spaces only: a longer word has a line of its own."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and cell_len(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def stdout_console(**options: Any) -> CleanConsole:
    return CleanConsole(sys.stdout, **options)


def stderr_console(**options: Any) -> CleanConsole:
    return CleanConsole(sys.stderr, **options)
