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
from engine.contract.machine.limits import memory
from engine.contract.wire.errors import (
    DiskFull,
    FileFailed,
    InstallationError,
    MachineFailed,
    MedtuiError,
    OutOfMemory,
)

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
    found = f"Internal error: {type(error).__name__}: {text_of(error)}."
    if has_log:
        return MedtuiError(found, "run.log has the traceback; please report it.")
    return MedtuiError(found + f" It was raised in {_where(error)}.", "Please report it with this line.")


def as_import_failure(error: Exception) -> MedtuiError:
    """What kept a job's libraries from being imported. The traceback goes to standard error."""
    if (known := as_failure(error, has_log=False)).kind != MedtuiError.kind:
        return known
    found = f"The engine's libraries cannot be imported: {type(error).__name__}: {text_of(error)}."
    named = sorted(name for name in os.environ if name.startswith(("TORCH", "PYTORCH_", "CUDA_")))
    unset = f"Unset {', '.join(named[:6])}, or install" if named else "Install"
    return InstallationError(found, f"{unset} torch again: `{sys.executable} -m pip install --force-reinstall torch`.")


def reason_of(error: Exception) -> str:
    """What kept one part of a job from being done, as the end of a sentence."""
    known = error if isinstance(error, MedtuiError) else _machine_error(error, running=False)
    return known.message if known else f"{type(error).__name__}: {text_of(error)}."


def _machine_error(error: Exception, *, running: bool) -> MedtuiError | None:
    """The error where the machine, not this program, is at fault; `running`: in a run, which can be resumed."""
    text, again = text_of(error), "resume" if running else "try again"
    if _is_memory(error):
        limit = memory().limit
        found = f"Out of memory: this job is limited by {limit}." if limit else "The machine ran out of memory."
        return OutOfMemory(found, "Lower training.batch_size, or set dataset.cache: mapped.")
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return DiskFull(f"The disk is full: {error}.", f"Free some space and {again}.")
    if isinstance(error, OSError) and error.errno in _NOT_ALLOWED:
        return _not_allowed(error)
    if _raised_by(error, _COMPILER):
        hint = "Write training.compile: false, or see `medtui doctor` for what the compiler lacks."
        return MachineFailed(f"The compiler of training.compile failed: {text}.", hint)
    if isinstance(error, ImportError) or (isinstance(error, OSError) and _NO_LIBRARY.search(text)):
        found = f"A part of the installation cannot be loaded: {text}."
        return (MachineFailed if running else InstallationError)(found, f"Reinstall its package and {again}.")
    if isinstance(error, OSError):
        number = error.errno or 0
        remedy = _REMEDIES.get(number, "Fix that")
        return FileFailed(f"A file could not be read or written: {error}.", f"{remedy} and {again}.")
    if isinstance(error, RuntimeError) and _NO_THREAD.search(text):
        return MachineFailed(
            f"The machine cannot start more threads: {text}.", f"{_REMEDIES[errno.EAGAIN]} and {again}."
        )
    if isinstance(error, RuntimeError) and _DRIVER.search(text):
        return MachineFailed(f"The GPU or its driver failed: {text}.", f"Check it, and {again}.")
    if _raised_by(error, ("psutil",)):
        return MachineFailed(f"The system could not be queried: {text}.", f"Check /proc, and {again}.")
    return None


def _not_allowed(error: OSError) -> FileFailed:
    """Nothing is broken: another user's, or write-protected."""
    if not isinstance(error.filename, (str, os.PathLike)):
        return FileFailed(f"You may not read or write a file: {error}.", "Choose another --workspace.")
    owner = describe_owner(file_at(Path(error.filename)))
    hint = remedy_for_writing(error)
    return FileFailed(f"You may not read or write {error.filename}{owner}: {error.strerror}.", hint)


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
