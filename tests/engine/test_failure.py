"""Every kind of fault of the machine: its kind, its exit code, and a remedy that can be followed where it is read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from engine import failure
from engine.contract.machine.limits import Limit
from engine.contract.sentence import Sentence
from engine.contract.wire.errors import DataError, MedtuiError
from engine.failure import as_failure, as_import_failure, reason_of


def os_error(number: int, path: str | None = "/data/run/last.safetensors") -> OSError:
    return OSError(number, os.strerror(number), path) if path else OSError(number, os.strerror(number))


def from_module(base: type[Exception], name: str, module: str, text: str) -> Exception:
    """As libraries raise them: a class of their own, which the engine must not import to know it."""
    return type(name, (base,), {"__module__": module})(text)


OUT_OF_MEMORY = (5, "out_of_memory", "training.batch_size")
FULL = (5, "disk_full", "Free some space")
# (error, exit code, kind, part of the remedy); each as the system, torch or the compiler raises it
MACHINE: dict[str, tuple[Exception, tuple[int, str, str]]] = {
    "MemoryError": (MemoryError(), OUT_OF_MEMORY),
    "ENOMEM": (os_error(errno.ENOMEM), OUT_OF_MEMORY),
    "CPU allocator": (
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to"),
        OUT_OF_MEMORY,
    ),
    "oneDNN": (RuntimeError("std::bad_alloc"), OUT_OF_MEMORY),
    "CUDA out of memory": (
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
        OUT_OF_MEMORY,
    ),
    "import without memory": (ImportError("libtorch_cpu.so: cannot allocate: not enough memory"), OUT_OF_MEMORY),
    "ENOSPC": (os_error(errno.ENOSPC), FULL),
    "EDQUOT": (os_error(errno.EDQUOT), FULL),
    "EACCES": (os_error(errno.EACCES), (5, "file", "writable")),
    "EPERM": (os_error(errno.EPERM), (5, "file", "writable")),
    "EROFS": (os_error(errno.EROFS), (5, "file", "--workspace")),
    "EACCES without a name": (os_error(errno.EACCES, None), (5, "file", "--workspace")),
    "EMFILE": (os_error(errno.EMFILE), (5, "file", "ulimit -n")),
    "ENFILE": (os_error(errno.ENFILE), (5, "file", "Close other programs")),
    "ENOENT": (os_error(errno.ENOENT), (5, "file", "Restore it")),
    "EIO": (os_error(errno.EIO), (5, "file", "Check the disk")),
    "ESTALE": (os_error(errno.ESTALE), (5, "file", "Mount the file system again")),
    "ENOTCONN": (os_error(errno.ENOTCONN), (5, "file", "Mount the file system again")),
    "EFBIG": (os_error(errno.EFBIG), (5, "file", "ulimit -f")),
    "EAGAIN": (os_error(errno.EAGAIN, None), (5, "file", "ulimit -u")),
    "another errno": (os_error(errno.EXDEV), (5, "file", "Fix that")),
    "no thread": (RuntimeError("can't start new thread"), (5, "machine", "ulimit -u")),
    "driver": (RuntimeError("CUDA error: an illegal memory access was encountered"), (5, "machine", "Check it")),
    "cuDNN": (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), (5, "machine", "Check it")),
    "cuBLAS": (RuntimeError("cuBLAS error: CUBLAS_STATUS_NOT_INITIALIZED"), (5, "machine", "Check it")),
    "inductor": (
        from_module(RuntimeError, "InductorError", "torch._inductor.exc", "CppCompileError: C++ compile error"),
        (5, "machine", "training.compile: false"),
    ),
    "dynamo": (
        from_module(RuntimeError, "BackendCompilerFailed", "torch._dynamo.exc", "backend='inductor' raised"),
        (5, "machine", "medtui doctor"),
    ),
    "triton": (
        from_module(Exception, "CompilationError", "triton.compiler.errors", "at 3:4"),
        (5, "machine", "training.compile: false"),
    ),
    "library": (ImportError("libgomp.so.1: cannot open shared object file: No such file"), (5, "machine", "Reinstall")),
    "mapped library": (OSError("libcuda.so: failed to map segment from shared object"), (5, "machine", "Reinstall")),
    "module": (ModuleNotFoundError("No module named 'openpyxl'"), (5, "machine", "Reinstall its package")),
    "psutil": (from_module(Exception, "AccessDenied", "psutil", "(pid=1)"), (5, "machine", "/proc")),
}


@pytest.mark.parametrize("name", MACHINE)
def test_every_fault_of_the_machine_has_its_kind_exit_code_and_remedy(name: str) -> None:
    error, (code, kind, remedy) = MACHINE[name]
    found = as_failure(error)
    assert (found.exit_code, found.kind) == (code, kind)
    assert remedy in found.hint
    assert "Internal error" not in found.message and "Traceback" not in found.message
    assert found.message.endswith(".") and found.hint.endswith(".")


@pytest.mark.parametrize("name", MACHINE)
def test_where_no_run_exists_no_remedy_speaks_of_one(name: str) -> None:
    """No run.log to look into, nothing to resume."""
    error, _ = MACHINE[name]
    found = as_failure(error, has_log=False)
    assert "run.log" not in str(found) and "resume" not in found.hint
    assert found.exit_code in (2, 5)  # 2: the installation is at fault, and nothing was begun


@pytest.mark.parametrize("name", ["library", "mapped library", "module"])
def test_a_broken_installation_is_refused_where_nothing_was_begun(name: str) -> None:
    for found in (as_failure(MACHINE[name][0], has_log=False), as_import_failure(MACHINE[name][0])):
        assert (found.exit_code, found.kind) == (2, "installation")


def test_a_file_that_another_user_owns_is_named_with_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "theirs"
    path.touch()
    found = as_failure(os_error(errno.EACCES, str(path)))
    assert str(path) in found.message and "Permission denied" in found.message


def test_what_no_one_foresaw_is_an_internal_error_that_says_where_to_look() -> None:
    try:
        raise KeyError("epoch")
    except KeyError as error:
        in_a_run, before = as_failure(error), as_failure(error, has_log=False)
    assert (in_a_run.exit_code, in_a_run.kind) == (before.exit_code, before.kind) == (70, "internal")
    assert "run.log has the traceback" in in_a_run.hint
    assert "test_failure.py:" in before.message and "run.log" not in str(before)


def test_an_error_that_says_what_to_do_stays_what_it_is() -> None:
    known = DataError(Sentence("breastmnist.npz is damaged.", "Fetch it again."))
    assert as_failure(known) is known
    assert reason_of(known) == "breastmnist.npz is damaged."


@pytest.mark.parametrize("name", MACHINE)
def test_the_reason_of_a_missing_part_is_one_sentence(name: str) -> None:
    words = reason_of(MACHINE[name][0])
    assert words.endswith(".") and "\n" not in words and isinstance(as_failure(MACHINE[name][0]), MedtuiError)


@pytest.mark.parametrize("left", [None, 100, 1024**4])
def test_a_library_that_a_memory_limit_kept_out_is_not_to_be_reinstalled(
    monkeypatch: pytest.MonkeyPatch, left: int | None
) -> None:
    """The limit is named; without one, or where there is room, it is no cause."""
    limit = None if left is None else Limit("ulimit -v", left + 1_500_000_000, 1_500_000_000)
    monkeypatch.setattr(failure, "address_space", lambda: limit)
    found = as_import_failure(ImportError("libtorch_cuda.so: failed to map segment from shared object"))
    is_cause = left == 100
    assert ("memory limit of this process (RLIMIT_AS)" in found.message) == is_cause
    assert ("ulimit -v, 1.5 GB" in found.message, "einstall" in found.hint) == (is_cause, not is_cause)
