"""The command line. Modules of commands import what is heavy inside the command."""

from __future__ import annotations

import sys


def main() -> None:
    """The console script `medtui`."""
    from medtui.cli.errors import ended, mended_streams

    mended_streams()
    sys.exit(ended(_console if len(sys.argv) == 1 else _command_line))


def _console() -> int:
    """`medtui` alone: nothing to parse, so the console is there without the parser, which takes its time to import."""
    from medtui.cli.console import open_console

    return open_console(None, None, readonly=False)


def _command_line() -> object:
    from medtui.cli.app import app

    return app(standalone_mode=False)
