"""Commands of everybody else: `control.jsonl`, polled.

Each command names the engine it means; others, repeats and garbage are ignored. Reading starts at the size found at
the start, so a resumed run is not stopped by yesterday's stop. Access is by file permission.
"""

from __future__ import annotations

import os
from pathlib import Path

from engine.contract.errors import ProtocolError
from engine.contract.protocol import AnyCommand, Start, parse_command

LINE_LIMIT = 4096  # bytes; one append of this size is atomic under the writer's flock


class ControlFile:
    def __init__(self, path: Path, engine: str) -> None:
        self.path, self.engine = path, engine
        self._offset = path.stat().st_size
        self._seen: set[str] = set()

    def poll(self) -> list[AnyCommand]:
        """The new commands that mean this engine. A half line waits for its other half."""
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_uid != os.geteuid():
                    return []
                file.seek(self._offset)
                fresh = file.read()
        except OSError:
            return []
        whole, _, _ = fresh.rpartition(b"\n")
        if not whole:
            return []
        self._offset += len(whole) + 1
        return [command for line in whole.split(b"\n") if (command := self._meant(line)) is not None]

    def _meant(self, line: bytes) -> AnyCommand | None:
        if len(line) > LINE_LIMIT:
            return None
        try:
            command = parse_command(line)
        except ProtocolError:
            return None
        if command.engine != self.engine or command.id in self._seen or isinstance(command, Start):
            return None
        self._seen.add(command.id)
        return command
