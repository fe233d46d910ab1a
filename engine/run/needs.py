"""What a run will need besides its data, tried while it is prepared: what is first touched at the end fails at the end.

The imports of the report take as long as all else that comes before the first batch. They are done in a
thread while the data are read, and once for an installation: the cache folder remembers which packages worked.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import platform
import sys
import threading
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import torch

from engine.contract.data.sums import cache_folder
from engine.contract.files.folders import Folder, file_at
from engine.contract.store.run_directory import read_object
from engine.contract.wire.errors import DeviceError, InstallationError
from engine.failure import text_of
from engine.sentences import Compiler, Libraries

PACKAGES = ("matplotlib", "PIL", "openpyxl")
IMPORTS = {"engine.report.figures": "matplotlib", "engine.report.workbook": "openpyxl"}


class Needs:
    """Imports in the background, from when it is made until `check`."""

    def __init__(self, imports: Callable[[str], object] = import_module) -> None:
        self._import = imports
        self._failed: tuple[str, Exception] | None = None
        self._thread = threading.Thread(target=self._try, name="imports", daemon=True)
        self._thread.start()

    def _try(self) -> None:
        found = _installed()
        if found is not None and read_object(_memory()) == found:
            return
        for module, package in IMPORTS.items():
            try:
                self._import(module)
            except Exception as error:  # a broken package may raise anything
                self._failed = package, error
                return
        if found is not None:
            with contextlib.suppress(OSError):  # without a cache they are tried again next time
                Folder(_memory().parent).make()
                file_at(_memory()).write(json.dumps(found), durable=False)

    def check(self, give_up: Callable[[], None] = lambda: None) -> None:
        """Wait for the imports; `give_up` is called meanwhile and may raise. Raises InstallationError."""
        while self._thread.is_alive():
            give_up()
            self._thread.join(0.1)
        if self._failed is not None:
            package, error = self._failed
            _note(error)
            found = text_of(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {text_of(error)}"
            raise InstallationError(Libraries.REPORT, package=package, reason=found, python=sys.executable)


def _memory() -> Path:
    return cache_folder() / "imports.json"


def _installed() -> dict[str, list[str]] | None:
    """Which files the packages would be imported from, and what of these tells one installation from another.

    None where one is missing: then its import says so.
    """
    found = {"python": [sys.executable, sys.version], "machine": [platform.platform(), platform.machine()]}
    found["linker"] = [os.environ.get(name, "") for name in ("LD_LIBRARY_PATH", "LD_PRELOAD")]
    try:
        for package in PACKAGES:
            spec = importlib.util.find_spec(package)
            if spec is None or spec.origin is None:
                return None
            file = os.stat(spec.origin)  # noqa: PTH116
            libraries = _libraries(os.path.dirname(spec.origin))  # noqa: PTH120
            found[package] = [spec.origin, libraries, *map(str, (file.st_size, file.st_mtime_ns, file.st_ino))]
    except (ImportError, OSError, ValueError):
        return None
    return found


def _libraries(folder: str) -> str:
    """The shared libraries below a folder, each by size and time, as one digest: one may be cut off by a full disk."""
    digest = hashlib.blake2b(digest_size=8)
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in ("tests", "__pycache__"))
        for name in sorted(name for name in names if ".so" in name or name.endswith((".dylib", ".pyd"))):
            file = os.stat(os.path.join(path, name))  # noqa: PTH116, PTH118
            digest.update(f"{name} {file.st_size} {file.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def check_compiler(device: torch.device) -> None:
    """Compile, load and run a line, as training.compile will do with the complete model. Raises DeviceError."""
    try:
        torch.compile(_line)(torch.ones(1024, device=device))
    except Exception as error:
        _note(error)
        raise compiler_error(error) from None
    finally:
        torch.compiler.reset()  # it counts for no limit of recompilations


def compiler_error(error: Exception) -> DeviceError:
    """What keeps the compiler from working."""
    text, reason = str(error), text_of(error)[:300]
    if "failed to map segment" in text or "Permission denied" in text:
        return DeviceError(Compiler.CANNOT_LOAD, reason=reason)
    if "No space left" in text or "Read-only" in text:
        return DeviceError(Compiler.NO_SPACE, reason=reason)
    return DeviceError(Compiler.MISSING, reason=reason)


def _line(values: torch.Tensor) -> torch.Tensor:
    return torch.sin(values) * 2 + 1


def _note(error: Exception) -> None:
    with contextlib.suppress(OSError):
        traceback.print_exception(error, file=sys.stderr)
