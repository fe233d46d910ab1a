"""The server of `warm_starts.py`: it talks over the socket that is its standard input, and forks what is asked for."""

from __future__ import annotations

import array
import contextlib
import ctypes
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).parent))
from warm_starts import ENGINE, MEDTUI, ROOT, WarmPopen, customizing, forkable

sys.path.pop(0)  # no child finds what lies here

MISBEHAVING = Path(__file__).with_name("doubles") / "misbehaving"
_SET_MM, _ARG_END = 35, 9  # of prctl
_COLLAPSE, _LARGE_PAGE = 25, 2 << 20  # of madvise; bytes
LONG, REST = 500, 0.03  # epochs; seconds
started_with: dict[str, str] = {}


def import_commands() -> None:
    """All that a command without an engine imports in its life."""
    _import_package("medtui", but=("medtui.console", "medtui.track.tools"))
    for name in ("rich.progress", "rich.table", "faulthandler"):
        importlib.import_module(name)
    build_what_is_built_once()
    gc.collect()
    gc.freeze()
    use_large_pages()


def use_large_pages() -> None:
    """A fork copies a table with an entry per page: in large pages it takes half the time. Older kernels refuse."""
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, access, _, _, inode, *name = line.split()
        if access == "rw-p" and inode == "0" and name in ([], ["[heap]"]):
            start, end = (int(part, 16) for part in place.split("-"))
            for at in range(-(-start // _LARGE_PAGE) * _LARGE_PAGE, end - _LARGE_PAGE + 1, _LARGE_PAGE):
                advise(at, _LARGE_PAGE, _COLLAPSE)


def _import_package(name: str, *, but: tuple[str, ...]) -> None:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, f"{name}."):
        if not module.name.startswith(but):
            importlib.import_module(module.name)


def import_everything() -> None:
    """All that an engine or a command imports in its life, the console's screens aside."""
    _import_package("engine", but=("engine.__main__",))
    from engine.run.needs import IMPORTS  # an engine skips these where they are known to work, and pays for them later

    others = ("matplotlib.backends.backend_agg", "matplotlib.style.core", "openpyxl.packaging.extended", "torchvision")
    for name in (*IMPORTS, *others):
        importlib.import_module(name)
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False  # torch takes its operators apart, one by one, in a process that ends anyway
    rest_in_long_runs()
    import_commands()


def rest_in_long_runs() -> None:
    """A run of so many epochs is there to be stopped: it rests before each batch, and leaves its core to others."""
    from engine.run.training import TrainingBatches

    made = TrainingBatches.__call__

    def after_a_rest(batches: TrainingBatches, epoch: int, step: int) -> Any:
        if batches._prepared.recipe.training.epochs >= LONG:
            time.sleep(REST)
        return made(batches, epoch, step)

    TrainingBatches.__call__ = after_a_rest  # type: ignore[method-assign]


def build_what_is_built_once() -> None:
    """What is built at its first use is built before the first fork."""
    import typer.main

    from engine.contract.recipe.reader import build_recipe
    from engine.contract.recipe.schema import fields
    from engine.contract.store.status import Status
    from engine.contract.wire.protocol import parse_command, parse_event
    from medtui.cli.app import app

    build_recipe({})
    fields()
    parse_event(b'{"event": "log", "time": 1, "seq": 1, "message": ""}')
    parse_command(b'{"command": "pause", "id": "1"}')
    with contextlib.suppress(ValueError):
        Status.model_validate_json("{}")
    typer.main.get_command = cache(typer.main.get_command)  # what parses a command line
    list(typer.main.get_command(app).commands.values())  # type: ignore[attr-defined]


def serve(channel: socket.socket) -> dict[str, Any] | None:
    """Forks a child for each request. Returns in the child, with what it is to be; None when nobody asks any more."""
    while True:
        message, ancillary, _, _ = channel.recvmsg(1 << 20, socket.CMSG_SPACE(3 * 4))
        if not message:
            return None
        streams = array.array("i", b"".join(data for _, kind, data in ancillary if kind == socket.SCM_RIGHTS))
        reading, writing = os.pipe()
        between = os.fork()
        if between == 0:
            if os.fork() == 0:
                request = dict(json.loads(message.decode("utf-8", "surrogateescape")))
                _begin_session(request)
                os.write(writing, str(os.getpid()).encode())
                _take_streams(streams)
                return request
            os._exit(0)
        for descriptor in (*streams, writing):
            os.close(descriptor)
        os.waitpid(between, 0)  # from here on the child is whose who asked
        channel.send(os.read(reading, 32))
        os.close(reading)


def _begin_session(request: dict[str, Any]) -> None:
    """Before anybody knows of the child: `Popen` returns when it has done so, and its group can be killed."""
    if request["session"]:
        os.setsid()


def _take_streams(streams: Sequence[int]) -> None:
    held = [os.dup2(descriptor, 100 + at) for at, descriptor in enumerate(streams)]
    for at, descriptor in enumerate(held):
        os.dup2(descriptor, at)
    os.closerange(3, 1024)


def become(request: dict[str, Any]) -> NoReturn:
    """In the child: live as the process that was asked for, and end."""
    os.umask(request["umask"])
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    tempfile.tempdir = None  # of the server's environment
    if not request["figures"] and "engine.report.figures" in sys.modules:  # a command without an engine draws none
        draw_no_figures()
    _reset_signals()
    _show_arguments(request["words"])
    _open_streams()
    words = request["words"]
    sys.orig_argv = list(words)
    for folder in customizing(request["environment"].get("PYTHONPATH", "")):
        _customize(folder)
    if words[: len(ENGINE)] == ENGINE:
        if os.environ.get("MISBEHAVE"):
            _customize(str(MISBEHAVING))
        _end_with(lambda: _run_engine(words[len(ENGINE) :]))
    _end_with(lambda: _run_command(words[len(MEDTUI) :], request["figures"], request["background"]))


def _customize(folder: str) -> None:
    """As where the folder stands in PYTHONPATH: its file is run before anything of the engine's or the command's."""
    sys.path.insert(0, folder)
    sys.modules.pop("sitecustomize", None)  # of this machine
    importlib.import_module("sitecustomize")
    sys.path.pop(0)


def _run_engine(arguments: list[str]) -> object:
    sys.argv = ["-m", *arguments]
    return runpy.run_module("engine", run_name="__main__", alter_sys=True)


def _run_command(arguments: list[str], figures: bool, background: dict[str, str]) -> object:
    """Its engines are forked from it; they are its children, as usual."""
    from medtui.cli import main

    WarmPopen.start_warm = partial(_fork_here, figures, background)
    subprocess.Popen = WarmPopen  # type: ignore[misc]
    sys.argv = ["-c", *arguments]
    return main()


def _fork_here(figures: bool, background: dict[str, str], request: dict[str, Any], streams: list[int]) -> int | None:
    if (
        not forkable(request["environment"], {**background, **started_with})
        or request["words"][: len(ENGINE)] != ENGINE
    ):
        return None
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)
        return pid
    try:
        _begin_session(request)
        os.write(writing, b".")
        _take_streams(streams)
        become({**request, "figures": figures, "background": background})
    except BaseException:
        import traceback

        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(70)


def draw_no_figures() -> None:
    """Figures are written as one grey dot: most of a short run's time is to compose them and to draw their pixels."""
    from PIL import Image

    from engine.contract.files.folders import file_at
    from engine.report.figures import FIGURES

    def write_dot(path: Any, report: object) -> None:
        with file_at(path).replacing() as file:
            Image.new("L", (1, 1), 128).save(file, "PNG")

    FIGURES.update(dict.fromkeys(FIGURES, write_dot))


def _reset_signals() -> None:
    """As after an exec: what was caught is not, what was ignored still is."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _show_arguments(words: list[str]) -> None:
    """Write them where the kernel reads a process's arguments from; the server's own are long enough."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start, arg_end: 48 and 49 of all
    shown = b"".join(os.fsencode(word) + b"\0" for word in words)[: end - start]
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, shown, len(shown))
    ctypes.CDLL(None).prctl(_SET_MM, _ARG_END, ctypes.c_ulong(start + len(shown)), 0, 0)  # refused to all but root


def _open_streams() -> None:
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    reading = open(0, "rb", closefd=False)  # noqa: SIM115
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(reading, encoding="utf-8")  # type: ignore[misc]
    for name, number, errors in (("stdout", 1, "strict"), ("stderr", 2, "backslashreplace")):
        binary = open(number, "wb", buffering=0 if unbuffered else -1, closefd=False)  # noqa: SIM115
        stream = io.TextIOWrapper(
            binary,
            encoding="utf-8",
            errors=errors,
            line_buffering=number == 2 or os.isatty(number),
            write_through=unbuffered,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _end_with(life: Callable[[], object]) -> NoReturn:
    """Live, and end as an interpreter does, but for taking everything apart."""
    code: object = 0
    try:
        life()
    except SystemExit as ended:
        code = ended.code
    except KeyboardInterrupt:
        code = -signal.SIGINT
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    number = code if isinstance(code, int) else int(code is not None)
    import atexit

    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            number = number or 120 * (stream is sys.stdout)
    if number < 0:
        signal.signal(-number, signal.SIG_DFL)
        os.kill(os.getpid(), -number)
    os._exit(number & 0xFF)


def main() -> None:
    channel = socket.socket(fileno=os.dup(0))
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    started_with.update(os.environ)
    sys.path.insert(0, str(ROOT))
    from engine.__main__ import settle_environment  # the engine's own, which is run again in each

    settle_environment()
    del sys.modules["engine.__main__"]
    import_commands() if sys.argv[1] == "light" else import_everything()
    channel.send(b"ready")
    request = serve(channel)
    if request is not None:
        become(request)


if __name__ == "__main__":
    main()
