"""Any exception as an error with a kind, a sentence and an exit code."""

from __future__ import annotations

import contextlib
import errno
import re
import sys
import traceback

from engine.contract.errors import DiskFull, FileFailed, MedtuiError, OutOfMemory

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
# torch's allocators on the CPU raise a plain RuntimeError
_NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory", re.IGNORECASE)


def as_failure(error: Exception) -> MedtuiError:
    """What ended a job, for people. The traceback of what was not foreseen goes to run.log."""
    if isinstance(error, MedtuiError):
        return error
    with contextlib.suppress(OSError):  # run.log may lie on the disk that is full
        traceback.print_exc(file=sys.stderr)
    if _is_memory(error):
        return OutOfMemory("The machine ran out of memory.", "Lower training.batch_size, or set dataset.cache: mapped.")
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return DiskFull(f"The disk is full: {error}.", "Free some space and resume.")
    if isinstance(error, OSError):
        return FileFailed(f"A file could not be read or written: {error}.", "Mend it and resume.")
    return MedtuiError(f"Internal error: {type(error).__name__}: {str(error)[:500]}.", "run.log has the traceback.")


def _is_memory(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    told = isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error))
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or bool(told)
