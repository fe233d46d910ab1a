"""Commands of the command line in forked children: everything is imported once, so that one costs milliseconds.

`Commands` is what tests use. Run as a program, this is the process that imports and forks; requests and answers are
JSON lines. With `--private` it first has mounts of its own, in which every user may enter the folders that this Python
and this project lie in, whatever their modes are outside: nothing of the machine is changed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 60.0  # seconds; what takes longer counts as hanging


@dataclass(frozen=True)
class User:
    """Who runs a command: numbers need no name on this machine."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    umask: int = 0o022


@dataclass(frozen=True)
class CommandOutput:
    """How a command ended: its exit code, minus the signal, or None where it hung and was killed."""

    code: int | None
    out_bytes: bytes
    err_bytes: bytes

    @property
    def out(self) -> str:
        return self.out_bytes.decode(errors="replace")

    @property
    def err(self) -> str:
        return self.err_bytes.decode(errors="replace")

    @property
    def text(self) -> str:
        return self.out + self.err


class Commands:
    """Runs commands, one after the other."""

    def __init__(self, *, private: bool = False, impatient: bool = False) -> None:
        """`impatient`: an engine that does not show itself is waited for an instant only."""
        prefix = ["unshare", "--mount"] if private else []
        options = ["--private"] * private + ["--impatient"] * impatient
        command = [*prefix, sys.executable, str(Path(__file__).resolve()), *options]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._ask({})

    def __call__(
        self,
        *arguments: str | Path,
        cwd: Path,
        user: User | None = None,
        environment: dict[str, str] | None = None,
        patience: float = PATIENCE,
    ) -> CommandOutput:
        """`medtui ARGUMENTS`, to its end."""
        return self.python(
            "medtui", *map(str, arguments), cwd=cwd, user=user, environment=environment, patience=patience
        )

    def python(
        self,
        *words: str,
        cwd: Path,
        user: User | None = None,
        environment: dict[str, str] | None = None,
        patience: float = PATIENCE,
    ) -> CommandOutput:
        """`medtui` with arguments, or `exec` with a text of Python that is run as that user."""
        request = {"words": words, "cwd": str(cwd), "user": vars(user) if user else None, "patience": patience}
        answer = self._ask({**request, "environment": environment or {}})
        return CommandOutput(answer["code"], *(answer[name].encode("latin-1") for name in ("out", "err")))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        if request:
            print(json.dumps(request), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, f"the process that forks commands ended: {self._process.wait(10)}"
        return dict(json.loads(line))


# ---- the process that imports and forks ------------------------------------------------------------------------------

MODULES = (
    "medtui.cli.app",
    "medtui.plain.attach",
    "medtui.client.escalation",
    "medtui.client.evaluate",
    "medtui.client.run_management",
)
MODULES += ("medtui.client.data_sets", "medtui.client.diagnose", "medtui.client.resume", "medtui.client.runs")
MODULES += (
    "medtui.machine.checks",
    "medtui.plain.headless",
    "medtui.plain.progress",
    "medtui.settings",
    "medtui.cli.compose",
)
MODULES += (
    "rich.console",
    "rich.table",
    "rich.progress",
    "engine.contract.recipe.identity",
    "engine.contract.machine.hardware",
)


def serve(request: dict[str, Any]) -> dict[str, Any]:
    """One command in a child, its output in files that nobody else sees."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                _become(request, out.fileno(), err.fileno())
                code = _life(request["words"])
                sys.stdout.flush()
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                with contextlib.suppress(Exception):
                    sys.stderr.flush()
                os._exit(code)
        code = _end_of(child, time.monotonic() + request["patience"])
        return {"code": code, "out": _text(out), "err": _text(err)}


def _life(words: list[str]) -> int:
    if words[0] == "exec":
        exec(words[1], {"__name__": "__child__"})
        return 0
    from medtui.cli.errors import ended
    from medtui.output import prepare_streams

    sys.argv = words
    prepare_streams()
    return ended(lambda: _command_line()(standalone_mode=False))


@cache
def _command_line() -> Any:
    """What `medtui` parses with; it takes its time to build."""
    from typer.main import get_command

    from medtui.cli.app import app

    command: Any = get_command(app)
    list(command.commands.values())
    return command


def _become(request: dict[str, Any], out: int, err: int) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()  # nobody's terminal
    for descriptor, place in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
        os.dup2(descriptor, place)
    # never closed with the object: other streams are put in their place
    own = [open(number, mode, closefd=False) for number, mode in ((0, "r"), (1, "w"), (2, "w"))]  # noqa: SIM115
    sys.stdin, sys.stdout, sys.stderr = own
    os.environ.update(request["environment"])
    if user := request["user"]:
        os.umask(user["umask"])
        os.setgroups(user["groups"])
        os.setresgid(user["gid"], user["gid"], user["gid"])
        os.setresuid(user["uid"], user["uid"], user["uid"])
    os.chdir(request["cwd"])


def _end_of(child: int, deadline: float) -> int | None:
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.002)


def _text(file: Any) -> str:
    """Bytes as JSON can carry them: a character for each."""
    file.seek(0)
    return file.read().decode("latin-1")


def be_impatient() -> None:
    import medtui.plain.attach
    from medtui.client.liveness import Heartbeat

    medtui.plain.attach.REPLACED = medtui.plain.attach.POLL = 0.02
    Heartbeat.__init__.__defaults__ = (0.05, *Heartbeat.__init__.__defaults__[1:])  # type: ignore[index,misc]


def open_to_all(needed: Sequence[Path]) -> None:
    """In private mounts: folders on the way to these that others may not enter become folders of the same name that
    they may, with what is needed mounted in its place."""
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    for path in needed:
        closed = next((one for one in (*reversed(path.parents), path) if not _may_be_entered(one)), None)
        if closed is None:
            continue
        aside = Path(tempfile.mkdtemp(prefix="aside-"))
        subprocess.run(["mount", "--bind", str(path), str(aside)], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(closed)], check=True)
        path.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--move", str(aside), str(path)], check=True)
        aside.rmdir()


def _may_be_entered(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IXOTH)


def needed_folders() -> list[Path]:
    """What an engine of another user must be able to read: the interpreter, its environment, this project."""
    found = [Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), ROOT]
    return [path for path in found if not any(path != other and path.is_relative_to(other) for other in found)]


def why_no_users() -> str | None:
    """The reason why this machine cannot run commands as other users; None where it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root on Linux, to run commands as other users"
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        return "needs unshare and mount, for mounts of its own"
    tried = subprocess.run(["unshare", "--mount", "mount", "--make-rprivate", "/"], capture_output=True, check=False)
    return "this machine allows no mounts of one's own" if tried.returncode else None


def _warm_up() -> None:
    """What is built at its first use is built before the first fork."""
    from engine.contract.recipe.reader import build_recipe
    from engine.contract.store.status import Status
    from engine.contract.wire.protocol import parse_event

    _command_line()
    build_recipe({})
    parse_event(b'{"event": "log", "time": 1, "seq": 1, "message": ""}')
    with contextlib.suppress(ValueError):
        Status.model_validate_json("{}")
    gc.freeze()


def main() -> None:
    if "--private" in sys.argv:
        open_to_all(needed_folders())
    sys.path.insert(0, str(ROOT))
    for module in MODULES:
        importlib.import_module(module)
    _warm_up()
    if "--impatient" in sys.argv:
        be_impatient()
    answers = os.fdopen(os.dup(1), "w")
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
