"""Processes whose reads or writes of some files never return, as on a frozen disk."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def hanging(folder: Path, *, read: str | None = None, write: str | None = None) -> dict[str, str]:
    """The environment of a process that hangs where it reads, or writes, files of these patterns."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler and a preloading linker")
    library, source = folder / "hanging.so", Path(__file__).parent / "doubles" / "hanging.c"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    patterns = {"HANGING_READ": read, "HANGING_WRITE": write}
    return {"LD_PRELOAD": str(library)} | {name: text for name, text in patterns.items() if text is not None}
