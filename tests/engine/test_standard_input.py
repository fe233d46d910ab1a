"""Standard input at the end of a job: what was written is read, and endless input does not keep the engine alive."""

from __future__ import annotations

import os
import threading
import time

from engine.standard_input import StandardInput


def listening(reading: int) -> tuple[StandardInput, list[bytes], threading.Thread]:
    heard: list[bytes] = []
    standard_input = StandardInput(reading)
    thread = threading.Thread(target=standard_input.each, args=(heard.append,), daemon=True)
    thread.start()
    return standard_input, heard, thread


def test_what_was_written_before_the_end_is_read_and_nothing_more_is_waited_for() -> None:
    reading, writing = os.pipe()
    standard_input, heard, thread = listening(reading)
    lines = [b"%d" % number for number in range(5000)]
    os.write(writing, b"\n".join(lines) + b"\n\nhalf a line")
    standard_input.finish(60.0)
    assert heard == lines and standard_input.finishing
    thread.join(10)
    assert not thread.is_alive(), "although the other end is open"


def test_endless_input_does_not_keep_the_engine_alive() -> None:
    reading, writing = os.pipe()
    over, begun = threading.Event(), threading.Event()

    def flood() -> None:
        while not over.is_set():
            os.write(writing, b"x\n" * 1000)
            begun.set()

    standard_input, _, _ = listening(reading)
    flooding = threading.Thread(target=flood, daemon=True)
    flooding.start()
    begun.wait(10)
    began = time.monotonic()
    standard_input.finish(0.5)
    assert time.monotonic() - began < 10
    over.set()
    flooding.join(10)


def test_closing_the_other_end_ends_reading() -> None:
    reading, writing = os.pipe()
    standard_input, heard, thread = listening(reading)
    os.write(writing, b"one\n")
    os.close(writing)
    thread.join(10)
    assert (heard, standard_input.finishing, thread.is_alive()) == ([b"one"], False, False)
