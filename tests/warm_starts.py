"""Engines and commands that start in milliseconds: forked from a process that has imported everything.

`subprocess.Popen` stays the way to start one. `install` puts a subclass in its place that knows two command lines,
`python -P -m engine …` and the `medtui` of driving.py: these are forked by a server instead of executed, and are a
child of the caller's all the same, in its session or one of their own, with the arguments that the process table would
show, standard streams, folder and environment as asked. Everything else is started as ever, and so is what a fork
cannot do: an environment that is read while the interpreter or a library is loaded, a program for before the start
(`preexec_fn`), a test marked `cold`. A folder of PYTHONPATH that holds a `sitecustomize.py` and nothing else can be had
by a fork: it imports that file before anything else it does. What a start from nothing promises is tested by tests
with that mark. The server is `warm_server.py`.
"""

from __future__ import annotations

import array
import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from preloading import libraries

ROOT = Path(__file__).resolve().parents[1]
ENGINE = [sys.executable, "-P", "-m", "engine"]
MEDTUI = [sys.executable, "-c", "from medtui.cli import main; main()"]
SERVER = Path(__file__).with_name("warm_server.py")
ROOM = 16 * 1024  # bytes for the arguments that a forked process shows
# Commands that never start an engine: forked from a server without torch, whose fork takes a tenth of the time
LIGHT = {"attach", "pause", "resume", "stop", "abort", "kill", "show", "runs", "recipe", "track"}
LIGHT |= {"--version", "--help", "-h"}
COMMANDS = LIGHT | {"run", "train", "evaluate", "predict", "export", "report", "score", "doctor", "smoke", "data"}
# Variables that are read before a line of ours runs, by the interpreter, the linker or a library that is loaded
AT_LOADING = ("PYTHON", "LD_", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "ATEN_", "ONEDNN_", "DNNL_", "MALLOC_")
AT_LOADING += ("CUDA_", "CUBLAS_", "TORCH", "PYTORCH_", "MPL", "LC_", "LANG", "MEDTUI_PYTHONPATH")
AFTER_ALL = ("PYTHONUNBUFFERED", "TORCH_HOME")  # the server honours the first; the second is read when it is needed
# What `Popen._execute_child` is given after its first three arguments (CPython 3.11 to 3.14)
_PARAMETERS = ("close_fds", "pass_fds", "cwd", "env", "startupinfo", "creationflags", "shell", "p2cread", "p2cwrite")
_PARAMETERS += ("c2pread", "c2pwrite", "errread", "errwrite", "restore_signals", "gid", "gids", "uid", "umask")
_PARAMETERS += ("start_new_session", "process_group")
_SUBREAPER = 36  # of prctl
_SITE = "sitecustomize.py"  # the interpreter imports it at its start


def forkable(environment: dict[str, str], own: dict[str, str]) -> bool:
    """Would a fork of a process with the environment `own` be as one that was started with this environment?"""
    return all(
        _loaded(value) <= _loaded(own.get(name, "")) if name == "LD_PRELOAD" else value in ("", own.get(name))
        for name, given in environment.items()
        if name.startswith(AT_LOADING) and name not in AFTER_ALL
        for value in (_others(name, given),)
    )


def customizing(path: str) -> list[str]:
    """The folders of a PYTHONPATH that hold nothing but what the interpreter imports at its start."""
    return [folder for folder in path.split(os.pathsep) if _only_customizes(Path(folder))]


def _only_customizes(folder: Path) -> bool:
    try:
        return folder.is_absolute() and {path.name for path in folder.iterdir()} - {"__pycache__"} == {_SITE}
    except OSError:  # no folder, or one that may not be read
        return False


def _others(name: str, value: str) -> str:
    """The value without these folders; an engine is told of them by a variable, and finds nothing else there."""
    if name not in ("PYTHONPATH", "MEDTUI_PYTHONPATH"):
        return value
    known = customizing(value)
    return os.pathsep.join(folder for folder in value.split(os.pathsep) if folder not in known)


def _loaded(value: str) -> set[str]:
    return set(value.split(":"))


class WarmPopen(subprocess.Popen):  # type: ignore[type-arg]
    """Popen that has its engines and commands forked."""

    start_warm: Callable[[dict[str, Any], list[int]], int | None] | None = None

    def _execute_child(self, args: Any, executable: Any, preexec_fn: Any, *rest: Any) -> None:
        given = dict(zip(_PARAMETERS, rest, strict=True))
        words = _known(args)
        plain = not (executable or preexec_fn or given["pass_fds"] or given["shell"]) and given["close_fds"]
        unchanged = ("gid", "gids", "uid", "umask", "process_group")
        if words and plain and type(self).start_warm and all(given[name] in (None, -1) for name in unchanged):
            request = {
                "words": words,
                "cwd": os.fspath(given["cwd"] or Path.cwd()),
                "environment": dict(given["env"] if given["env"] is not None else os.environ),
                "session": bool(given["start_new_session"]),
                "umask": _umask(),
            }
            streams = [given["p2cread"], given["c2pwrite"], given["errwrite"]]
            pid = type(self).start_warm(request, [at if one == -1 else one for at, one in enumerate(streams)])
            if pid is not None:
                self.pid = pid
                self._child_created = True
                pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
                self._close_pipe_fds(*(given[name] for name in pipes))  # type: ignore[attr-defined]
                return
        super()._execute_child(args, executable, preexec_fn, *rest)  # type: ignore[misc]


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _known(args: Any) -> list[str] | None:
    """The words of a command line that can be forked."""
    if isinstance(args, str | bytes | os.PathLike) or not all(isinstance(word, str | os.PathLike) for word in args):
        return None
    words = [os.fspath(word) for word in args]
    if not all(isinstance(word, str) for word in words) or len("".join(words)) > ROOM // 4:
        return None
    return words if words[: len(ENGINE)] == ENGINE or words[: len(MEDTUI)] == MEDTUI else None


def is_light(words: Sequence[str]) -> bool:
    """Is this a command that starts no engine? Options may stand before its name."""
    command = next((word for word in words[len(MEDTUI) :] if word in COMMANDS), "")
    return list(words[: len(MEDTUI)]) == MEDTUI and command in LIGHT


class WarmStarts:
    """The caller's side: the server, and the starts requested of it."""

    def __init__(self) -> None:
        from medtui.client.engine_process import ENVIRONMENT
        from medtui.isolation import engine_environment

        self._lock = threading.Lock()
        self._environment = {**ENVIRONMENT, **engine_environment()}
        self._servers: dict[bool, Server] = {}  # by whether it is the light one; started on first use
        self.background: dict[str, str] = {}  # before the test: what libraries that the tests import have set
        self.cold = False
        self.figures = False

    def install(self) -> None:
        WarmPopen.start_warm = self.start
        subprocess.Popen = WarmPopen  # type: ignore[misc]

    def start(self, request: dict[str, Any], streams: Sequence[int]) -> int | None:
        """The process id of a new child of ours; None where it must be started from nothing."""
        own = {**self.background, **self._environment, "LD_PRELOAD": libraries()}
        if self.cold or not forkable(request["environment"], own) or not Path(request["cwd"]).is_dir():
            return None
        message = json.dumps({**request, "figures": self.figures, "background": self.background}).encode(
            "utf-8", "surrogateescape"
        )
        if len(message) > 128 * 1024:
            return None
        with self._lock:
            light = is_light(request["words"])
            if light not in self._servers:
                self._servers[light] = Server({**self._environment, "LD_PRELOAD": libraries()}, light=light)
            return self._servers[light].fork(message, streams)

    def close(self) -> None:
        subprocess.Popen = WarmPopen.__base__  # type: ignore[misc]
        for server in self._servers.values():
            server.close()


class Server:
    """A process that has imported everything and forks children for us."""

    def __init__(self, environment: dict[str, str], *, light: bool) -> None:
        """`light`: imports what commands without an engine import, no torch."""
        self._socket, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for one in (self._socket, its):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        command = [sys.executable, "-P", str(SERVER), "light" if light else "all", "-" * ROOM]
        self._process = subprocess.Popen(command, stdin=its, cwd="/", env=environment)
        its.close()
        assert self._socket.recv(16) == b"ready", "the server of warm starts did not come up"

    def fork(self, message: bytes, streams: Sequence[int]) -> int:
        """The process id of a child of ours that becomes what the message says."""
        _adopt_orphans(True)
        try:
            fds = array.array("i", streams)
            self._socket.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
            answer = self._socket.recv(4096)
        finally:
            _adopt_orphans(False)
        assert answer, f"the server of warm starts ended: {self._process.poll()}"
        return int(answer)

    def close(self) -> None:
        self._socket.close()
        self._process.wait(60)


def _adopt_orphans(wanted: bool) -> None:
    """While it is on, a process below us whose parent ends becomes ours instead of the first process's."""
    ctypes.CDLL(None).prctl(_SUBREAPER, int(wanted), 0, 0, 0)
