"""Who gives a command, as its answer names them."""

from __future__ import annotations

import getpass
import os
import socket


def current_user() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"[:200]
