"""The console without a terminal: what of the standard streams is none."""

from __future__ import annotations

import io
import sys

import pytest

from engine.contract.wire.errors import UsageError
from medtui.cli.console import open_console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["stderr"], "standard error is not."),
        (["stdin", "stdout"], "standard input and output are not."),
        (["stdin", "stdout", "stderr"], "standard input, output and error are not."),
    ],
)
def test_a_console_that_is_refused_says_which_stream_is_no_terminal(
    files: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with `medtui 2>file`, where the shell's prompt shows that there is a terminal."""
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.StringIO() if name in files else Terminal())
    with pytest.raises(UsageError) as refused:
        open_console(None, None, readonly=False)
    assert refused.value.message == f"The console needs a terminal, which {words}"
