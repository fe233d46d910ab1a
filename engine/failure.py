"""Any exception as an error with a kind, a sentence, an exit code, and a remedy that can be followed."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import traceback
from pathlib import Path

from engine.contract.files.file_system import NO_ROOM, remedy_for_writing
from engine.contract.files.folders import file_at
from engine.contract.files.inspection import describe_owner
from engine.contract.machine.limits import Limit, address_space, memory
from engine.contract.wire.errors import (
    DiskFull,
    FileFailed,
    InstallationError,
    MachineFailed,
    MedtuiError,
    OutOfMemory,
)
from engine.sentences import Failure, Libraries

_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
# What to do about the other ways in which a file or the system itself refuses.
_REMEDIES = {
    errno.EMFILE: "Raise the open-file limit (`ulimit -n`)",
    errno.ENFILE: "Close other programs: the machine's open-file limit is reached",
    errno.ENOENT: "Restore it",
    errno.EIO: "Check the disk",
    errno.ESTALE: "Mount the file system again",
    errno.ENOTCONN: "Mount the file system again",
    errno.EFBIG: "Raise the file-size limit (`ulimit -f`)",
    errno.EAGAIN: "Raise the process limit (`ulimit -u`, or pids.max of the cgroup)",
}
# torch's allocators on the CPU raise a plain RuntimeError
_OUT_OF_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory|bad_alloc", re.IGNORECASE)
_NO_THREAD = re.compile(r"can't start new thread|resource temporarily unavailable", re.IGNORECASE)
_NO_LIBRARY = re.compile(r"cannot open shared object file|failed to map segment|cannot load native module")
_NOT_MAPPED = re.compile(r"failed to map segment|cannot allocate memory", re.IGNORECASE)
LIBRARIES = 8 * 1024**3  # bytes of address space that torch's with CUDA may need; where more is left, that is no cause
_COMPILER = ("torch._inductor", "torch._dynamo", "triton")
_DRIVER = re.compile(r"CUDA error|CUDA driver|cuDNN|cuBLAS|NCCL|HIP error", re.IGNORECASE)


def as_failure(error: Exception, *, has_log: bool = True) -> MedtuiError:
    """What ended a job, for people. The traceback of what was not foreseen goes to standard error.

    `has_log`: that is run.log, which the reader can open, and the job can be resumed.
    """
    if isinstance(error, MedtuiError):
        return error
    with contextlib.suppress(OSError):  # run.log may lie on the disk that is full
        traceback.print_exc(file=sys.stderr)
    if (known := _machine_error(error, running=has_log)) is not None:
        return known
    name, reason = type(error).__name__, text_of(error)
    if has_log:
        return MedtuiError(Failure.INTERNAL, error=name, reason=reason)
    return MedtuiError(Failure.INTERNAL_WITHOUT_LOG, error=name, reason=reason, where=_where(error))


def as_import_failure(error: Exception) -> MedtuiError:
    """What kept a job's libraries from being imported. The traceback goes to standard error."""
    if (known := as_failure(error, has_log=False)).kind != MedtuiError.kind:
        return known
    name, reason, python = type(error).__name__, text_of(error), sys.executable
    named = sorted(name for name in os.environ if name.startswith(("TORCH", "PYTORCH_", "CUDA_")))
    if not named:
        return InstallationError(Libraries.ENGINE, error=name, reason=reason, python=python)
    variables = ", ".join(named[:6])
    return InstallationError(
        Libraries.ENGINE_WITH_VARIABLES, error=name, reason=reason, variables=variables, python=python
    )


def reason_of(error: Exception) -> str:
    """What kept one part of a job from being done, as the end of a sentence."""
    known = error if isinstance(error, MedtuiError) else _machine_error(error, running=False)
    return known.message if known else f"{type(error).__name__}: {text_of(error)}."


def _machine_error(error: Exception, *, running: bool) -> MedtuiError | None:
    """The error where the machine, not this program, is at fault; `running`: in a run, which can be resumed."""
    text, again = text_of(error), "resume" if running else "try again"
    if _is_memory(error):
        limit = memory().limit
        return OutOfMemory(Failure.MEMORY_LIMIT, limit=limit) if limit else OutOfMemory(Failure.MEMORY)
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return DiskFull(Failure.DISK_FULL, reason=error, again=again)
    if isinstance(error, OSError) and error.errno in _NOT_ALLOWED:
        return _not_allowed(error)
    if _raised_by(error, _COMPILER):
        return MachineFailed(Failure.COMPILER, reason=text)
    if isinstance(error, ImportError) or (isinstance(error, OSError) and _NO_LIBRARY.search(text)):
        kind = MachineFailed if running else InstallationError
        if (limit := missing_address_space(error)) is not None:
            return kind(Libraries.NO_ADDRESS_SPACE, limit=limit, reason=text, again=again)
        return kind(Libraries.NOT_LOADED, reason=text, again=again)
    if isinstance(error, OSError):
        remedy = _REMEDIES.get(error.errno or 0, "Fix that")
        return FileFailed(Failure.FILE, reason=error, remedy=remedy, again=again)
    if isinstance(error, RuntimeError) and _NO_THREAD.search(text):
        return MachineFailed(Failure.THREADS, reason=text, remedy=_REMEDIES[errno.EAGAIN], again=again)
    if isinstance(error, RuntimeError) and _DRIVER.search(text):
        return MachineFailed(Failure.GPU, reason=text, again=again)
    if _raised_by(error, ("psutil",)):
        return MachineFailed(Failure.SYSTEM, reason=text, again=again)
    return None


def missing_address_space(error: Exception) -> Limit | None:
    """The limit that may have kept a library from being mapped: nothing is wrong with its file then."""
    limit = address_space() if _NOT_MAPPED.search(text_of(error)) else None
    return limit if limit is not None and limit.left < LIBRARIES else None


def _not_allowed(error: OSError) -> FileFailed:
    """Nothing is broken: another user's, or write-protected."""
    if not isinstance(error.filename, (str, os.PathLike)):
        return FileFailed(Failure.NOT_ALLOWED, reason=error)
    owner, remedy = describe_owner(file_at(Path(error.filename))), remedy_for_writing(error)
    return FileFailed(Failure.NOT_ALLOWED_AT, path=error.filename, owner=owner, reason=error.strerror, remedy=remedy)


def _is_memory(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    matches = isinstance(error, RuntimeError | ImportError) and _OUT_OF_MEMORY.search(str(error))
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or bool(matches)


def _raised_by(error: Exception, modules: tuple[str, ...]) -> bool:
    """Is its class, or one that it comes from, of one of these packages?"""
    return any(base.__module__.startswith(modules) for base in type(error).__mro__)


def text_of(error: Exception) -> str:
    """What it says, on one line and without advice for those who develop the library that raised it."""
    lines = [line.strip() for line in str(error).splitlines()]
    kept = [line for line in lines if line and not line.startswith(("Set TORCH", "You can suppress", "import torch"))]
    return " ".join(kept)[:500].rstrip(".") or "no reason given"


def _where(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].name} ({frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno})" if frames else "a call"
