"""Commands of everybody else: `control.jsonl`, polled.

Each command names the engine it means; others, repeats and garbage are ignored. Reading starts at the size found at
the start, so a resumed run is not stopped by yesterday's stop. Access is by file permission.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from engine.contract.errors import ProtocolError
from engine.contract.protocol import CONTROL_LIMIT, AnyCommand, Start, parse_command

READ_LIMIT = 1024 * 1024  # bytes a look


class ControlFile:
    def __init__(self, path: Path, engine: str) -> None:
        self.path, self.engine = path, engine
        self._offset = path.lstat().st_size  # a link is not followed
        self._seen: set[str] = set()
        self._remarks: dict[str, bool] = {}  # words, and whether they were said

    def poll(self) -> list[AnyCommand]:
        """The new commands that mean this engine. A half line waits for its other half."""
        fresh = self._fresh()
        whole, newline, half = fresh.rpartition(b"\n")
        if not newline:
            if len(half) == READ_LIMIT:  # no command is that long
                self._offset += READ_LIMIT
            return []
        self._offset += len(whole) + 1
        return [command for line in whole.split(b"\n") if (command := self._meant(line)) is not None]

    def remarks(self) -> list[str]:
        """What was ignored since the last time and why; each kind once, so that garbage cannot flood the journal."""
        new = [words for words, said in self._remarks.items() if not said]
        self._remarks.update(dict.fromkeys(new, True))
        return new

    def _fresh(self) -> bytes:
        """What was appended since the last look; never waits, whatever lies under the name."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
                self._remark("control.jsonl is not a file of the engine's own user: commands in it are ignored.")
                return b""
            if found.st_size < self._offset:  # cut; a command names its engine, so what is old stays without effect
                self._offset = 0
            return os.pread(descriptor, READ_LIMIT, self._offset)
        except OSError:
            return b""
        finally:
            os.close(descriptor)

    def _meant(self, line: bytes) -> AnyCommand | None:
        try:
            command = parse_command(line) if len(line) <= CONTROL_LIMIT else None
        except ProtocolError:
            command = None
        if command is None or isinstance(command, Start):
            if line.strip():
                self._remark("A line of control.jsonl is no command and was ignored.")
            return None
        if command.engine != self.engine:
            self._remark("A command in control.jsonl names another engine and was ignored.")
            return None
        if command.id in self._seen:
            self._remark("A command in control.jsonl has the id of an earlier one and was ignored.")
            return None
        self._seen.add(command.id)
        return command

    def _remark(self, words: str) -> None:
        self._remarks.setdefault(words, False)
