"""Processes whose reads or writes of some files never return, as on a frozen disk."""

from __future__ import annotations

import pytest
from preloading import HANGING, library


def hanging(*, read: str | None = None, write: str | None = None) -> dict[str, str]:
    """The environment of a process that hangs where it reads, or writes, files of these patterns."""
    compiled = library(HANGING)
    if compiled is None:
        pytest.skip("needs a C compiler and a preloading linker")
    patterns = {"HANGING_READ": read, "HANGING_WRITE": write}
    return {"LD_PRELOAD": str(compiled)} | {name: text for name, text in patterns.items() if text is not None}
