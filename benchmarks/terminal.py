"""A terminal of 120 × 40 characters that a measurement can type into, listen to, and leave unread."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import psutil

SIZE = (120, 40)  # columns, lines
PATIENCE = 120.0  # seconds; a loaded machine may be slow to import torch
CONSOLE = [sys.executable, "-P", "-c", "from medtui.cli import main; main()"]


class Terminal:
    """A pseudo-terminal with one program in it, its session's leader. Its bytes are kept as they come."""

    def __init__(
        self, program: Sequence[str], environment: dict[str, str], size: tuple[int, int] = SIZE, cwd: Path | None = None
    ) -> None:
        self.descriptor, inside = pty.openpty()
        self.resize(*size, notify=False)
        self.first_state = termios.tcgetattr(inside)
        kept = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.process = subprocess.Popen(
            program,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env={**kept, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"},
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_take_the_terminal,
        )
        self._inside = inside  # kept open: its settings can be read when the program is gone
        self.received = bytearray()
        self._arrived = threading.Condition()
        self._listening = threading.Event()
        self._listening.set()
        threading.Thread(target=self._listen, daemon=True).start()

    def resize(self, columns: int, lines: int, *, notify: bool = True) -> None:
        """The kernel notifies the program with SIGWINCH."""
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _listen(self) -> None:
        while True:
            self._listening.wait()
            try:
                fresh = os.read(self.descriptor, 65536)
            except OSError:
                return
            if not fresh:
                return
            with self._arrived:
                self.received += fresh
                self._arrived.notify_all()

    def state(self) -> list[object]:
        """The line discipline now, as returned by `termios.tcgetattr`."""
        return termios.tcgetattr(self._inside)

    def write(self, keys: bytes) -> None:
        os.write(self.descriptor, keys)

    def type(self, *keys: str) -> None:
        """One key after another, as a quick typist does."""
        for key in keys:
            self.write(key.encode())
            time.sleep(0.08)

    def wait_for(
        self,
        *words: str,
        after: int = 0,
        patience: float = PATIENCE,
        enough: Callable[[Iterable[bool]], bool] = all,
    ) -> float:
        """Until each of these words (or any, depending on `enough`) arrived, from byte number `after` on.

        Returns the time (`perf_counter`) at which they had. Raises TimeoutError.
        Words that a program draws in two colours, or cell by cell, do not come in one piece.
        """
        deadline = time.perf_counter() + patience
        expected = [word.encode() for word in words]
        with self._arrived:
            while not enough(self.received.find(word, after) >= 0 for word in expected):
                left = deadline - time.perf_counter()
                if left <= 0 or (not self._arrived.wait(min(left, 1.0)) and self.process.poll() is not None):
                    tail = bytes(self.received[-3000:]).decode(errors="replace")
                    raise TimeoutError(f"not within {patience:.0f} s: {words}; last received:\n{tail!r}")
            return time.perf_counter()

    @contextlib.contextmanager
    def unread(self) -> Iterator[None]:
        """Nobody reads the terminal meanwhile: a stalled connection."""
        self._listening.clear()
        try:
            yield
        finally:
            self._listening.set()

    def cpu(self) -> float:
        """CPU seconds of the program itself, without its children."""
        spent = psutil.Process(self.process.pid).cpu_times()
        return spent.user + spent.system

    def close(self) -> None:
        """End the program, if it has not, and the terminal."""
        self._listening.set()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._inside)
        with contextlib.suppress(OSError):
            os.close(self.descriptor)


def _take_the_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextlib.contextmanager
def console(
    workspace: Path, environment: dict[str, str], *, size: tuple[int, int] = SIZE, program: Sequence[str] = CONSOLE
) -> Iterator[Terminal]:
    """`medtui` in a terminal, with separate settings; it and the engines that it started are ended afterwards."""
    own = {**environment, "MEDTUI_SETTINGS": str(workspace / "settings.yaml")}
    terminal = Terminal([*program, "--workspace", str(workspace)], own, size)
    process = psutil.Process(terminal.process.pid)
    engines: list[psutil.Process] = []
    try:
        yield terminal
    finally:
        with contextlib.suppress(psutil.Error):
            engines = process.children(recursive=True)
        terminal.close()
        for engine in engines:
            with contextlib.suppress(psutil.Error):
                engine.kill()
