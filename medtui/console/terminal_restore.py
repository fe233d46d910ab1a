"""However the console ends, the terminal is as it was.

Textual restores it on quit and on its own crashes. SIGTERM and SIGHUP need more: with a stalled link the event loop
waits for the writer's queue and never sees them, so a handler of the plain kind starts a watchdog, which ends the
process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
import threading
from types import FrameType
from typing import Any

from engine.contract.wire.errors import INTERNAL
from medtui.console.app import ConsoleApp

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
PATIENCE = 1.5  # seconds for the app to end by itself
# What may be sent twice: mouse reporting, bracketed paste, focus and size reports off, cursor shown, plain text
REPORTS_OFF = (
    b"\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1016l\x1b[?2004l\x1b[?1004l\x1b[?2048l"
    b"\x1b[?25h\x1b[0m"
)
LEAVE = b"\x1b[<u\x1b[?1049l"  # kitty keys off, main screen: each is an undo of one step, which must come once


def run_and_restore(app: ConsoleApp) -> int:
    """Run the app to its end. Returns the exit code."""
    saved = _terminal_state()
    made_blocking = _made_blocking()
    ended, left = threading.Event(), threading.Event()
    received: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if received:
            return
        received.append(number)
        threading.Thread(target=_watchdog, args=(ended, left, saved, number), daemon=True).start()
        with contextlib.suppress(RuntimeError):  # the loop may be gone already
            app.call_from_signal()

    before: dict[int, Any] = {number: signal.signal(number, on_signal) for number in ENDING}
    try:
        code = app.run()
    finally:
        left.set()
        if not received:  # else the watchdog stays: a thread that reads the terminal may outlive an app that just began
            ended.set()
        _restore(saved, REPORTS_OFF)
        for descriptor in made_blocking:
            with contextlib.suppress(OSError):
                os.set_blocking(descriptor, False)
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        return 128 + received[0]
    return code if isinstance(code, int) else (app.return_code or INTERNAL)


def _made_blocking() -> list[int]:
    """Standard streams that ssh, node and others left non-blocking: Textual's writer takes a full one for broken."""
    found = []
    for descriptor in (0, 1, 2):
        with contextlib.suppress(OSError):
            if not os.get_blocking(descriptor):
                os.set_blocking(descriptor, True)
                found.append(descriptor)
    return found


def _terminal_state() -> list[Any] | None:
    try:
        return termios.tcgetattr(sys.__stdin__.fileno())  # type: ignore[union-attr]
    except (termios.error, OSError, ValueError, AttributeError):
        return None


def _watchdog(ended: threading.Event, left: threading.Event, saved: list[Any] | None, number: int) -> None:
    if not ended.wait(PATIENCE):
        _restore(saved, REPORTS_OFF if left.is_set() else REPORTS_OFF + LEAVE)
        os._exit(128 + number)


def _restore(saved: list[Any] | None, sequences: bytes) -> None:
    """Put line discipline and screen back; never waits for a terminal that does not read."""
    with contextlib.suppress(termios.error, OSError, ValueError, AttributeError):
        stdin = sys.__stdin__.fileno()  # type: ignore[union-attr]
        if saved is not None:
            termios.tcsetattr(stdin, termios.TCSANOW, saved)
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if os.isatty(descriptor) and _sent_at_once(descriptor, sequences):
                return


def _sent_at_once(descriptor: int, sequences: bytes) -> bool:
    """Blocking or not is a state of the terminal that the shell shares, so it is put back."""
    before = os.get_blocking(descriptor)
    os.set_blocking(descriptor, False)
    try:
        return os.write(descriptor, sequences) == len(sequences)
    except BlockingIOError:
        return False
    finally:
        os.set_blocking(descriptor, before)
