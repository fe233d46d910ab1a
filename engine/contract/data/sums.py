"""MD5 sums of data files that were computed once: the cache folder remembers them, for both sides of the process line.

A sum counts for a file that is the same by path, size, mtime, ctime, inode and device. The ctime cannot be set back,
so that a file which was rewritten in place, its mtime restored, is read again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from engine.contract.data.archives import open_data_file
from engine.contract.files.folders import Folder, file_at
from engine.contract.files.paths import expanded, has_no_home

HASH_AT_ONCE = 64 * 1024 * 1024  # bytes; a larger file is verified by the run, or by `data verify`
CLOCK_TICK = 0.02  # seconds; file systems stamp files with a clock that is this coarse


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """`$MEDTUI_CACHE`, else the platform's own place for caches; a place that cannot be, for a user without a home."""
    folder = environment.get("MEDTUI_CACHE") or _own_cache_folder()
    if has_no_home(folder):  # where nothing can be kept: no folder named `~` is made in the current one
        return Path(os.devnull) / "home of nobody" / "medtui"
    return expanded(folder)


def _own_cache_folder() -> str:
    import platformdirs  # slow, and only asked where no variable says it

    return platformdirs.user_cache_dir("medtui")


def checksum_file() -> Path:
    """The JSON file that remembers which file has which MD5."""
    return cache_folder() / "verified.json"


def known_checksum(path: Path, stat: os.stat_result, memory: Path) -> str | None:
    return _sums(memory).get(_key(path, stat))


def known_md5(path: Path) -> str | None:
    """The MD5 that the engine remembers of this very file; computed where the file is small; None else."""
    try:
        with open_data_file(path) as file:
            stat = os.fstat(file.fileno())
            remembered = known_checksum(path, stat, checksum_file())
            if remembered is not None or stat.st_size > HASH_AT_ONCE:
                return remembered
            digest, left = hashlib.md5(usedforsecurity=False), stat.st_size
            while left > 0 and (chunk := file.read(min(left, 1024 * 1024))):
                digest.update(chunk)
                left -= len(chunk)
            return digest.hexdigest()
    except (OSError, ValueError):
        return None


def remember_checksum(path: Path, stat: os.stat_result, md5: str, memory: Path) -> None:
    """So that this very file need not be read for its MD5 again. `stat`: as it was before it was read."""
    others = {name: sum_ for name, sum_ in _sums(memory).items() if not name.startswith(f"{_absolute(path)}|")}
    try:
        Folder(memory.parent).make()
        file_at(memory).write(json.dumps(others | {_key(path, stat): md5}), durable=False)
    except (OSError, ValueError):
        pass  # without a writable cache the sum is computed again next time


def settle(stat: os.stat_result) -> None:
    """Wait until a change of this file, from now on, must give it another ctime: at most a tick of its clock."""
    age = time.time() - stat.st_ctime
    if 0 <= age < CLOCK_TICK:
        time.sleep(CLOCK_TICK - age)


def _key(path: Path, stat: os.stat_result) -> str:
    numbers = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev)
    return "|".join(map(str, (_absolute(path), *numbers)))


def _absolute(path: Path) -> str:
    return os.path.realpath(path)


def _sums(memory: Path) -> dict[str, str]:
    try:
        sums = json.loads(file_at(memory).content())
        return {name: sum_ for name, sum_ in sums.items() if isinstance(sum_, str)}
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}
