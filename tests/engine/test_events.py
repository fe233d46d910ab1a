"""The engine's voice: what a reader of the pipe may rely on."""

from __future__ import annotations

import os
import threading

from engine.contract.wire.protocol import Progress, RunFinished, parse_event
from engine.events import EventStream, Pipe

IDENTITY = {"engine": "e" * 16, "host": "here", "boot": "b", "pid": 1, "started": 0.0}


def test_run_finished_is_the_last_line_even_while_snapshots_wait() -> None:
    """The reader is slow: everything is queued before the first byte is taken."""
    for _ in range(20):
        reading, writing = os.pipe()
        os.set_blocking(writing, True)
        filler = b"x" * 70_000 + b"\n"  # more than a pipe holds: its writer waits
        pipe = Pipe(writing)
        stream = EventStream(pipe, IDENTITY)
        pipe.put(filler)
        stream.snapshot(Progress(time=1.0, phase="reporting", activity="a", done=1, total=2))
        stream.emit(RunFinished(time=2.0, outcome="completed", exit_code=0, metrics={}, run_dir=None))
        stream.snapshot(Progress(time=3.0, phase="finished", activity="b", done=2, total=2))
        received = bytearray()

        def read(descriptor: int = reading, into: bytearray = received) -> None:
            while part := os.read(descriptor, 65536):
                into.extend(part)

        reader = threading.Thread(target=read)
        reader.start()
        pipe.close()
        os.close(writing)
        reader.join(10)
        os.close(reading)
        last = parse_event(bytes(received).splitlines()[-1])
        assert last is not None and last.event == "run.finished"


def test_a_pipe_that_was_left_non_blocking_loses_no_line_to_a_late_reader() -> None:
    """As node and some schedulers leave them: a full one answers EAGAIN."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    pipe = Pipe(writing)
    lines = [b"%06d" % number + b"x" * 1000 + b"\n" for number in range(300)]  # several times what a pipe holds
    for line in lines:
        pipe.put(line)
    received = bytearray()

    def read() -> None:
        while part := os.read(reading, 65536):
            received.extend(part)

    reader = threading.Timer(0.3, read)
    reader.start()
    pipe.close()
    os.close(writing)
    reader.join(10)
    os.close(reading)
    assert bytes(received) == b"".join(lines)
