"""Commands from other processes: `control.jsonl`, polled.

Each command names the engine it means; others, repeats and garbage are ignored. Reading starts at the size found at
the start, so a resumed run is not stopped by yesterday's stop. Access is by file permission.
"""

from __future__ import annotations

import json
import os
import time

from engine.contract.files.folders import FileOrPath, file_at
from engine.contract.files.opening import Untrusted
from engine.contract.wire.errors import ProtocolError
from engine.contract.wire.jobs import Start
from engine.contract.wire.protocol import CONTROL_LIMIT, AnyCommand, parse_command

_GARBAGE = "A line of control.jsonl is not a command and was ignored."
READ_LIMIT = 1024 * 1024  # bytes of one read
POLL_BYTES = 16 * READ_LIMIT  # looked through at a poll, for lines that name the engine
POLL_SECONDS = 0.05  # of this thread's CPU time at a poll; training needs the interpreter too
BACKLOG = 256 * READ_LIMIT  # bytes; of a longer backlog only the end is looked through
FLOOD = 20_000  # different garbage lines in a row that name the engine, after which reading goes on near the end
GARBAGE_LINES = 50  # of each read that are looked at for what to remark


class ControlFile:
    def __init__(self, path: FileOrPath, engine: str) -> None:
        self.file, self.engine = file_at(path), engine
        self._offset = self.file.size
        self._skipping = False  # the rest of a line that is longer than any command
        self._seen: set[str] = set()
        self._garbage: set[bytes] = set()  # lines that name the engine and are no new command, since the last one
        self._warnings: dict[str, bool] = {}  # words, and whether they were said

    def poll(self) -> list[AnyCommand]:
        """The new commands that mean this engine. A half line waits for its other half.

        Bounded in bytes and time, whatever somebody writes there: what is left is looked at in the next poll.
        """
        found: list[AnyCommand] = []
        began, end = time.thread_time(), self._offset + POLL_BYTES
        while self._offset < end and time.thread_time() - began < POLL_SECONDS:
            fresh = self._fresh()
            before = self._offset
            found += self._commands_in(fresh, began + POLL_SECONDS)
            if self._offset == before or len(fresh) < READ_LIMIT:
                break
        return found

    def _commands_in(self, fresh: bytes, until: float) -> list[AnyCommand]:
        """Those in what was read, as far as there is time; reading goes on after the last line that was looked at."""
        if self._skipping:
            newline = fresh.find(b"\n")
            if newline < 0:
                self._offset += len(fresh)
                return []
            self._offset += newline + 1
            fresh, self._skipping = fresh[newline + 1 :], False
        length = fresh.rfind(b"\n") + 1
        if len(fresh) - length > CONTROL_LIMIT:  # no command is that long
            self._warn(_GARBAGE)
            self._skipping = True
            rest = len(fresh)
        else:
            rest = length
        examined, commands = self._addressed_in(fresh[:length], until)
        if examined < length:
            self._skipping = False
            rest = examined
        self._offset += rest
        return commands

    def _addressed_in(self, lines: bytes, until: float) -> tuple[int, list[AnyCommand]]:
        """How far whole lines were looked through, and the commands in them.

        A line that does not name the engine cannot mean it: of those only the first few are looked at, so as to say
        why they are ignored.
        """
        commands: list[AnyCommand] = []
        position, others = 0, 0
        name = self.engine.encode()
        while position < len(lines):
            if others >= GARBAGE_LINES:
                spot = lines.find(name, position)
                if spot < 0:
                    return len(lines), commands
                position = lines.rfind(b"\n", position, spot) + 1 or position
            end = lines.index(b"\n", position)
            line = lines[position:end]
            position = end + 1
            if line in self._garbage:  # the same again needs no second look
                continue
            command = self._addressed(line)
            if command is not None:
                commands.append(command)
                self._garbage.clear()
            elif name in line:
                self._garbage.add(line)
            else:
                others += 1
            if time.thread_time() > until:
                break
        return position, commands

    def take_warnings(self) -> list[str]:
        """What was ignored since the last time and why; each kind once, so that garbage cannot flood the journal."""
        new = [message for message, reported in self._warnings.items() if not reported]
        self._warnings.update(dict.fromkeys(new, True))
        return new

    def _fresh(self) -> bytes:
        """What was appended since the last look; never waits, whatever lies under the name."""
        try:
            descriptor = self.file.descriptor(os.O_RDONLY)
        except Untrusted as error:
            self._warn(f"Commands in control.jsonl are ignored: {error.strerror}.")
            return b""
        except OSError:
            return b""
        try:
            found = os.fstat(descriptor)
            if found.st_size < self._offset:  # cut; a command names its engine, so what is old stays without effect
                self._offset, self._skipping = 0, False
            kept = BACKLOG if len(self._garbage) < FLOOD else READ_LIMIT
            if found.st_size - self._offset > kept:
                self._warn("control.jsonl grew faster than it can be read: part of it was skipped.")
                self._offset, self._skipping = found.st_size - kept, True
            if kept != BACKLOG:
                self._garbage.clear()
            return os.pread(descriptor, READ_LIMIT, self._offset)
        except OSError:
            return b""
        finally:
            os.close(descriptor)

    def _addressed(self, line: bytes) -> AnyCommand | None:
        try:
            command = parse_command(line) if len(line) <= CONTROL_LIMIT and _is_object(line) else None
        except ProtocolError:
            command = None
        if command is None or isinstance(command, Start):
            if line.strip():
                self._warn(_GARBAGE)
            return None
        if command.engine != self.engine:
            self._warn("A command in control.jsonl is addressed to another engine and was ignored.")
            return None
        if command.id in self._seen:
            self._warn("A command in control.jsonl repeats an earlier id and was ignored.")
            return None
        self._seen.add(command.id)
        return command

    def _warn(self, message: str) -> None:
        self._warnings.setdefault(message, False)


def _is_object(line: bytes) -> bool:
    """Before it is parsed as a command, which takes ten times as long: garbage may come in floods."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
