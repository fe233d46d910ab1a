"""What tmux knows of the terminal that it is shown in."""

from __future__ import annotations

import os
import subprocess

from medtui.console.graphics.terminal import TmuxClient

FORMAT = "#{client_termtype}\t#{client_termfeatures}\t#{allow-passthrough}"
PATIENCE = 2.0  # seconds


def tmux_client() -> TmuxClient | None:
    """By `tmux display-message`; None outside tmux, or where it does not answer. Takes some 10 ms."""
    if not os.environ.get("TMUX"):
        return None
    pane = os.environ.get("TMUX_PANE", "")
    command = ["tmux", "display-message", "-p", *(["-t", pane] if pane else []), FORMAT]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return None
    name, features, passes_through, *_ = [*done.stdout.decode(errors="replace").rstrip("\n").split("\t"), "", "", ""]
    return TmuxClient(name, frozenset(features.split(",")), passes_through in ("on", "all", "1"))
