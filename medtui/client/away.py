"""Notifies somebody who does not look at the screen, as the settings say: a command is run, an address is sent JSON.

From a thread of its own, with a time limit: neither training nor a screen waits for it. What could not be delivered is
a warning, once. Several clients of one user that follow the same run notify once: the first that claims an occurrence.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.contract.files.folders import Folder
from medtui.client.facts import Facts, facts_of
from medtui.client.occurrences import Occurrence
from medtui.settings import Away

if TYPE_CHECKING:
    from medtui.client.view import RunView

LIMIT = 10.0  # seconds for a command, and for an answer
SETTLE = 1.0  # seconds that an alarm is held back: what ends a run raises one first, and both are one notification
WAITING = 20  # notifications at most; a stream of alarms is not worth more
KEPT = 30 * 86400.0  # seconds that a claim is kept

Send = Callable[[Away, Facts, float], list[str]]  # with a limit in seconds; what went wrong, as warnings


@dataclass(frozen=True)
class _Message:
    occurrence: Occurrence
    facts: Facts


class Notifier:
    """Made once by each client. Nothing happens, and no thread starts, where the settings ask for nothing."""

    def __init__(
        self, away: Away, warn: Callable[[str], None], *, send: Send | None = None, claims: Path | None = None
    ) -> None:
        """`warn` is called from another thread. `send` and `claims`, the folder of claims, are for tests."""
        self._away, self._warn = away, warn
        self._send, self._claims = send, claims
        self._queue: deque[_Message] = deque()
        self._changed = threading.Condition()
        self._closing = self._busy = False
        self._warned: set[str] = set()
        self._thread: threading.Thread | None = None

    def notify(self, occurrence: Occurrence, view: RunView) -> None:
        """Never waits."""
        if self._is_asked_for(occurrence):
            self._add(_Message(occurrence, facts_of(occurrence, view)))

    def notify_facts(self, occurrence: Occurrence, facts: Facts) -> None:
        """Of what is no run, with facts of its own. Never waits."""
        if self._is_asked_for(occurrence):
            self._add(_Message(occurrence, facts))

    def _is_asked_for(self, occurrence: Occurrence) -> bool:
        return bool(self._away) and occurrence.is_new and occurrence.kind in self._away.on

    def _add(self, message: _Message) -> None:
        with self._changed:
            if len(self._queue) >= WAITING:
                return
            self._queue.append(message)
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="notifier", daemon=True)
            self._thread.start()

    def close(self, patience: float) -> None:
        """Wait until all is delivered, at most `patience` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify()
            self._changed.wait_for(lambda: not (self._queue or self._busy), patience)

    def _work(self) -> None:
        from medtui.client.delivery import deliver

        send = self._send or deliver
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._queue))
                if self._queue[0].occurrence.kind == "alarm":
                    self._changed.wait_for(lambda: self._closing or len(self._queue) > 1, SETTLE)
                message = self._queue.popleft()
                self._busy = not self._is_said_again(message)
            if self._busy:
                self._deliver(message, send)
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _is_said_again(self, message: _Message) -> bool:
        """By the failure that comes after it."""
        return message.occurrence.kind == "alarm" and any(
            other.occurrence.kind == "failure" and other.occurrence.text == message.occurrence.text
            for other in self._queue
        )

    def _deliver(self, message: _Message, send: Send) -> None:
        if not claim(f"{message.facts['run_dir']} {message.occurrence.key}", self._claims):
            return
        for warning in send(self._away, message.facts, LIMIT):
            if warning not in self._warned:
                self._warned.add(warning)
                self._warn(warning)


def claim(key: str, folder: Path | None = None) -> bool:
    """Is this process the first of this user's to notify of it? Where that cannot be known, it is: better twice than
    never."""
    claims = Folder(folder or _claims_folder())
    name = hashlib.sha256(key.encode(errors="replace")).hexdigest()[:32]
    try:
        claims.make()
        _forget_old(claims)
        os.close(claims.file(name).descriptor(os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    except OSError:
        return True
    return True


def _claims_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_state_dir("medtui")) / "notified"


def _forget_old(claims: Folder) -> None:
    oldest = time.time() - KEPT
    for name in claims.itself.names():
        info = claims.file(name).info()
        if info is not None and info.st_mtime < oldest:
            claims.file(name).delete()
