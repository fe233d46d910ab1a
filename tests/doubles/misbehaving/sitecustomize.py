"""Makes a real engine misbehave: imported before it, where `MISBEHAVE` stands in its environment (warm_server.py).

`MISBEHAVE=where:how[+how]`. Where: `preparing` (as the run directory is made), `training` (after the first
checkpoint), `checkpoint` (inside the second one's write), `evaluating`, `reporting`, `finished` (as it exits).
How: `hang` (the main thread looks at nothing any more), `deaf` (SIGTERM never arrives), `stop` (SIGSTOP to itself),
`fork` (a child that ignores SIGTERM keeps the pipe and the lock, the engine goes on), `slow` (one pause of 6 seconds,
then all is well). `MISBEHAVE_MARK` is a file made when it begins.
"""

import atexit
import os
import pathlib
import signal
import sys
import threading
import time
from types import FrameType

_SOON = 0.01  # seconds
_where, _, _hows = os.environ.get("MISBEHAVE", "").partition(":")
_checkpoints = 0


def _misbehave(*_: object) -> None:
    global _where
    if not _where:
        return
    _where = ""
    pathlib.Path(os.environ["MISBEHAVE_MARK"]).touch()
    for how in _hows.split("+"):
        if how == "fork":
            _leave_a_child()
        elif how == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif how == "slow":
            time.sleep(6.0)
        elif how == "hang":
            while True:
                time.sleep(60)


def _misbehave_and_exit() -> None:
    """Without the seconds that torch may take for it on a busy machine."""
    _misbehave()
    os._exit(0)


def _misbehave_in_main_thread(_number: int, frame: FrameType | None) -> None:
    """Not while it holds the locks of the engine's events, where a busy machine may find it even a moment later."""
    held = frame
    while held is not None:
        if held.f_globals.get("__name__") in ("engine.events", "threading", "queue"):
            _interrupt_main_thread()
            return
        held = held.f_back
    _misbehave()


def _interrupt_main_thread() -> None:
    main = threading.main_thread().ident
    threading.Timer(_SOON, signal.pthread_kill, (main, signal.SIGALRM)).start()


def _leave_a_child() -> None:
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(60)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


_write, _mkdir, _rename = os.write, os.mkdir, os.rename
_SAID = {
    "training": b'"event":"checkpoint.saved"',
    "evaluating": b'"phase":"evaluating"',
    "reporting": b'"phase":"reporting"',
}


def write(descriptor: int, data: bytes) -> int:
    written = _write(descriptor, data)
    if _where in _SAID and _in_main_thread() and _SAID[_where] in bytes(data):
        _interrupt_main_thread()
    return written


def mkdir(path: str, *more: object, **named: object) -> None:
    if _where == "preparing" and "_cells_" in pathlib.Path(path).name:
        _misbehave()
    _mkdir(path, *more, **named)


def rename(source: str, target: str, **named: object) -> None:
    global _checkpoints
    if _where == "checkpoint" and pathlib.Path(target).name == "last.safetensors":
        _checkpoints += 1
        if _checkpoints == 2:
            _misbehave()
    _rename(source, target, **named)


if _where:
    os.write, os.mkdir, os.rename = write, mkdir, rename
    if _where == "finished" and "engine" in sys.orig_argv:  # and no process that the engine starts
        atexit.register(_misbehave_and_exit)
    signal.signal(signal.SIGALRM, _misbehave_in_main_thread)
    if "deaf" in _hows:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # every thread inherits it
