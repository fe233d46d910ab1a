"""Libraries in C to load before others: they answer for the system, where variables of their own say so."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
HANGING = HERE / "doubles" / "hanging.c"  # reads and writes that never return
LIMITED = HERE / "faults" / "limited.c"  # file systems that cannot do what a disk's can
SHIM = HERE / "faults" / "shim.c"  # one operation on a file that fails, or is the last
READ_WHEN_CALLED = (HANGING, LIMITED)  # these read their variables at each call, so a forked process can have them too


@cache
def library(source: Path) -> Path | None:
    """The compiled library, which lasts as long as this process; None without a C compiler or a preloading linker."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        return None
    compiled = _folder() / f"{source.stem}.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(compiled), str(source), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return compiled


def libraries() -> str:
    """The value of LD_PRELOAD that loads all that a forked process may be asked to have; "" if there are none."""
    return ":".join(str(compiled) for source in READ_WHEN_CALLED if (compiled := library(source)))


@cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="preloaded")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
