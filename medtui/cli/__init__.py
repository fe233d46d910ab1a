"""The command line. Modules of commands import what is heavy inside the command."""

from __future__ import annotations

import gc
import os
import sys

COMPLETING = "_MEDTUI_COMPLETE"  # set by a shell that asks what may follow; the question itself is in other variables


def main() -> None:
    """The console script `medtui`."""
    from medtui.isolation import isolate

    isolate()
    from medtui.cli.errors import ended
    from medtui.output import prepare_streams

    prepare_streams()
    alone = len(sys.argv) == 1 and COMPLETING not in os.environ
    code = ended(_console if alone else _command_line)
    gc.freeze()  # the interpreter's last collection would look through all that is about to go
    sys.exit(code)


def _console() -> int:
    """`medtui` alone: nothing to parse, so the console is there without the parser, which takes its time to import."""
    from medtui.cli.console import open_console

    return open_console(None, None, readonly=False)


def _command_line() -> object:
    from medtui.cli.app import app

    return app(prog_name="medtui", standalone_mode=False)
