"""Entries that somebody else may put in place of a file, and a guarded tree that must not be touched through them."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

SOMEBODY = 23001  # a user id that is not ours
LONG_AGO = 1_600_000_000  # Unix seconds; sweepers of abandoned files look at the age
# what the folders of runs, caches and workspaces hold, and what their sweepers remove
TEMPTING = [
    *("last.safetensors", "previous.safetensors", "best.safetensors", "history.csv", "report.xlsx", "curves.png"),
    *("status.json", "events.jsonl", "labels.json", "verified.json", ".writable"),
    *(".last.abcdefgh.safetensors", ".tmpA1b2C3", ".history.abcdefgh.csv"),
]


def make_guarded(at: Path, run: Path) -> Path:
    """Somebody's home, with a shell startup file, a folder of tempting names, and a run of another workspace."""
    (at / "folder/.ssh").mkdir(parents=True)
    (at / "folder/1").mkdir()
    shutil.copytree(run, at / "workspace/outputs" / run.name)
    for file in (at / ".bashrc", at / "folder/.ssh/key", *(at / "folder" / name for name in TEMPTING)):
        file.write_text(f"{file.name}, never to be touched\n")
    for path in [at, *at.rglob("*")]:
        os.utime(path, (LONG_AGO, LONG_AGO))
    return at


def digest(tree: Path) -> dict[str, tuple[str, int, int, int]]:
    """Content, mode, size and mtime by name, of everything in a tree; nothing is followed."""
    found = {}
    for path in [tree, *tree.rglob("*")]:
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) else ""
        size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        found[str(path.relative_to(tree))] = (content, status.st_mode, size, status.st_mtime_ns)
    return found


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _device(path: Path, guarded: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # that of /dev/zero
    except PermissionError:
        path.symlink_to("/dev/zero")


def _hard_link(path: Path, guarded: Path) -> None:
    path.hardlink_to(guarded / ".bashrc")


def _of_another(path: Path, guarded: Path) -> None:
    path.write_text("{}\n")
    path.chmod(0o666)
    os.chown(path, SOMEBODY, SOMEBODY)


KINDS: dict[str, Callable[[Path, Path], None]] = {
    "a link to a file": lambda path, guarded: path.symlink_to(guarded / ".bashrc"),
    "a link to a folder": lambda path, guarded: path.symlink_to(guarded / "folder"),
    "a link to nothing": lambda path, guarded: path.symlink_to(guarded / "folder/made.txt"),
    "a pipe": lambda path, guarded: os.mkfifo(path),
    "a socket": lambda path, guarded: os.mknod(path, stat.S_IFSOCK | 0o666),
    "a device": _device,
    "a folder": lambda path, guarded: path.mkdir(),
    "a hard link": _hard_link,
    "another's file": _of_another,
}
if os.geteuid() != 0:
    del KINDS["another's file"]  # only root can give a file away
UNEXPECTED = tuple(kind for kind in KINDS if kind != "a folder")  # a folder is ours, be it in the wrong place


def plant(path: Path, kind: str, guarded: Path) -> None:
    remove(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    KINDS[kind](path, guarded)
