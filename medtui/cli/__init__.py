"""The command line. Modules of commands import what is heavy inside the command."""

from __future__ import annotations

import sys


def main() -> None:
    """The console script `medtui`."""
    from medtui.cli.app import app
    from medtui.cli.errors import ended

    sys.exit(ended(app))
