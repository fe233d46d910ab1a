"""The one way out for text: standard output and error.

Nothing printed contains anything that a terminal could interpret: callers need not think of it. A slow reader is
waited for, also where the descriptor is non-blocking, as ssh and node leave it. Tables and bars: `rich_output`.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from medtui.text import clean, json_text, visible

OUTPUT_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}  # of a file that standard output leads to
LINE = 4000  # characters; no line of a terminal is longer


class ReaderGone(Exception):
    """Nobody reads standard output any more. No OSError: typer would end with an exit code of its own."""


# ---- the streams ----------------------------------------------------------------------------------------------------


class BlockingFileIO(io.FileIO):
    """A descriptor whose writes wait until there is room, whether it blocks or not."""

    def write(self, data: Any, /) -> int:
        while (written := super().write(data)) is None:  # EAGAIN
            room = select.poll()
            room.register(self.fileno(), select.POLLOUT)
            room.poll()  # also ends when the reader goes: the next write then fails as it should
        return written


class CleanStream(io.TextIOWrapper):
    """Text as it is, line by line, without what a terminal could interpret; what the encoding lacks is escaped."""

    def write(self, text: str, /) -> int:
        return super().write(visible(text, but="\n\t"))

    def write_raw(self, text: str) -> int:
        """For the escapes that rich makes itself; its text is clean already."""
        return super().write(text)


class RawStream:
    """A stream as rich gets it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.write = stream.write_raw if isinstance(stream, CleanStream) else stream.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)  # isatty, fileno, encoding, flush


class NonFailingOutput:
    """A text stream whose writes never fail; after the first failure they go nowhere: the run continues."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._open = True

    def write(self, text: str) -> int:
        if self._open:
            try:
                self._stream.write(text)
            except (OSError, ValueError) as error:
                self._close(error)
        return len(text)

    def flush(self) -> None:
        if self._open:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._close(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)  # isatty, fileno, encoding

    def _close(self, error: OSError | ValueError) -> None:
        self._open = False
        if isinstance(error, OSError) and error.errno in OUTPUT_FULL and self._stream is sys.stdout:
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(f"Standard output takes no more: {error.strerror}. The run continues.\n")
        with contextlib.suppress(OSError, ValueError):
            _to_nothing(self._stream)


def prepare_streams() -> None:
    """Standard output and error of this process are clean ones from here on; closed ones go nowhere."""
    sys.stdout = _prepared(sys.stdout)
    sys.stderr = _prepared(sys.stderr)


def _prepared(stream: TextIO | None) -> TextIO:
    if stream is None:
        return open(os.devnull, "w")  # noqa: PTH123 - as long as the process
    if not isinstance(stream, io.TextIOWrapper) or isinstance(stream, CleanStream):
        return stream
    try:
        file = BlockingFileIO(stream.fileno(), "w", closefd=False)
    except (OSError, ValueError):  # a stand-in without a descriptor
        return stream
    return CleanStream(
        io.BufferedWriter(file),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def not_terminals() -> list[str]:
    """Which standard streams keep the console from being shown, on standard error, and typed to."""
    streams = {"input": sys.stdin, "output": sys.stdout, "error": sys.stderr}
    return [name for name, stream in streams.items() if stream is None or not stream.isatty()]


def on_a_terminal() -> bool:
    """Can the console be shown and typed to?"""
    return not not_terminals()


def is_plain() -> bool:
    """Is standard output a file or a pipe, where no variable asks for styles? Then rich need not be imported."""
    return not sys.stdout.isatty() and not {"FORCE_COLOR", "TTY_COMPATIBLE"} & os.environ.keys()


def encodings() -> list[str]:
    """Of standard output and error, as PYTHONIOENCODING may have it."""
    return [stream.encoding for stream in (sys.stdout, sys.stderr) if getattr(stream, "encoding", None)]


def discard_output() -> None:
    """Standard output goes nowhere from here on, so that the interpreter's own last flush does not fail."""
    _to_nothing(sys.stdout)


def _to_nothing(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


# ---- printing -------------------------------------------------------------------------------------------------------


def print_line(text: str = "") -> None:
    """One line on standard output."""
    _write(sys.stdout, clean(text, LINE))


def print_error(text: str) -> None:
    """One line on standard error. Never fails: there is nowhere else to report."""
    _write(NonFailingOutput(sys.stderr), clean(text, LINE))


def print_text(text: str) -> None:
    """The program's own text with several lines, such as the help of a command."""
    _write(sys.stdout, text if isinstance(sys.stdout, CleanStream) else visible(text, but="\n\t"))


def print_error_text(text: str) -> None:
    """The same on standard error, for tracebacks."""
    _write(NonFailingOutput(sys.stderr), visible(text, but="\n\t"))


def print_json(value: Any) -> None:
    """JSON for scripts."""
    _write(sys.stdout, json_text(value))


def print_json_line(line: str, *, never_fails: bool = False) -> None:
    """One line of JSON, made by `json_line` or checked by `checked_line`. `never_fails`: errors are ignored."""
    _write(NonFailingOutput(sys.stdout) if never_fails else sys.stdout, line)


def print_rows(blocks: Iterable[str]) -> None:
    """Lines for scripts, however many: each block ends where a line ends, or the next one continues it."""
    try:
        for block in blocks:
            sys.stdout.write(block)
        sys.stdout.flush()
    except BrokenPipeError:
        raise ReaderGone from None


def can_ask() -> bool:
    """Is there somebody to ask? Without a standard input, as of some schedulers, there is none."""
    return sys.stdin is not None and sys.stdin.isatty()


def ask_user(question: str) -> str:
    """What a person types."""
    import typer

    return str(typer.prompt(clean(question, LINE)))


def _write(stream: TextIO | NonFailingOutput, text: str) -> None:
    try:
        stream.write(text + "\n")
        stream.flush()
    except BrokenPipeError:
        raise ReaderGone from None
