"""Fetching one file: asked for, received, continued where it was cut, verified, put in place."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.contract.files.folders import file_at
from engine.contract.wire.text import format_bytes
from engine.download.failures import Busy, Cut, DownloadFailed
from engine.download.part import Download, Part, opened_part
from engine.sentences import Downloads

if TYPE_CHECKING:
    from engine.download.stream import Answer

CONNECT = 5.0  # seconds for the name, the connection and its encryption
WINDOW = 30.0  # seconds over which a server must send at least
SLOWEST = 1000.0  # bytes per second; a slower one is not waited for
STALL = 30.0  # seconds without a byte, after which the caller gives up; the reading thread later
POLL = 0.2  # seconds between calls of the caller's callback
PAUSES = (0.5, 2.0, 4.0)  # seconds before each further attempt
MOST = 300.0  # seconds that a server may ask to wait for (Retry-After)
GAIN = 1_000_000  # bytes; an attempt that brought so many begins the pauses anew

OnProgress = Callable[[int, int | None], None]  # bytes done, of how many where that is known; raises to end it
Log = Callable[[str], None]


def download(spec: Download, on_progress: OnProgress, log: Log) -> None:
    """Fetch, verify, rename into place; whatever goes wrong leaves what stood there before.

    One process at a time fetches a file. What was cut and is large stays next to it, and is continued by the next call.
    `on_progress` is called several times a second, even if the server is silent. Raises DownloadFailed, and what it
    raises.
    """
    waited = False

    def wait(done: int) -> None:
        nonlocal waited
        if not waited:
            log(f"Another process is fetching {spec.target.name}; waiting for it.")
            waited = True
        on_progress(done, None)

    try:
        target = file_at(spec.target)
        target.folder.make()
        with opened_part(spec, target, wait) as file:
            if file is None:  # that process has it
                on_progress(target.size, target.size)
                return
            part = Part(spec, file)
            _complete(part, on_progress, log)
            on_progress(part.done, part.done)
    except OSError as error:
        reason = error.strerror or error
        raise DownloadFailed(Downloads.NOT_WRITABLE, folder=spec.target.parent, reason=reason) from None


def _complete(part: Part, on_progress: OnProgress, log: Log) -> None:
    """All of the file, verified. What an earlier process left may be of another file: then all of it is fetched."""
    part.take_up(on_progress)
    if part.resumed and part.is_right:
        return
    if part.resumed:
        log(f"Continuing after {format_bytes(part.done)} that were fetched before.")
    _fill(part, on_progress, log)
    if part.resumed and not part.is_right:
        log("What was fetched before belongs to another file; fetching all of it.")
        part.start_over()
        _fill(part, on_progress, log)
    part.verify()


def _fill(part: Part, on_progress: OnProgress, log: Log) -> None:
    """All of the file, in as many attempts as bring something."""
    attempt = 0
    while True:
        before = part.done
        try:
            _receive(part, on_progress)
            return
        except (Cut, Busy) as failed:
            if part.done - before >= GAIN:
                attempt = 0
            if attempt == len(PAUSES) or (isinstance(failed, Cut) and part.done == 0):
                raise
            pause = _pause(failed, attempt)
            words = f"{str(failed)[:1].upper()}{str(failed)[1:]}"
            where = f"continuing after {format_bytes(part.done)}" if part.done else "trying again"
            log(f"{words}; {where} in {pause:.1f} s.")
            _wait(pause, lambda: on_progress(part.done, part.total))
            attempt += 1


def _pause(failed: DownloadFailed, attempt: int) -> float:
    """Seconds: what the server asks for, or more each time. Raises DownloadFailed for longer than is waited."""
    asked = failed.retry_after if isinstance(failed, Busy) else None
    if asked is not None and asked > MOST:
        raise DownloadFailed(Downloads.RETRY_LATER, reason=failed, minutes=asked / 60) from None
    return max(PAUSES[attempt], asked or 0.0)


def _wait(seconds: float, on_progress: Callable[[], None]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        on_progress()
        time.sleep(min(left, POLL))


def _receive(part: Part, on_progress: OnProgress) -> None:
    """What is missing. Raises DownloadFailed."""
    with closing(_messages(part.spec, part.done, lambda: on_progress(part.done, part.total))) as messages:
        began, before = time.monotonic(), part.done
        for message in messages:
            if not isinstance(message, bytes):
                if message.start < 0:  # the file has less than we have: ours is of another one
                    part.start_over()
                    break
                part.begin(message.start, message.total, message.kind)
                began, before = time.monotonic(), part.done
                continue
            part.write(message)
            seconds = time.monotonic() - began
            if seconds >= WINDOW and part.done != part.total:
                _refuse_slower(part, (part.done - before) / seconds)
                began, before = time.monotonic(), part.done
            if part.done == part.total:  # some servers keep the connection open
                return
        else:
            if part.total is not None and part.done < part.total:
                raise Cut(Downloads.CUT, done=part.done, total=part.total)
            return
    _receive(part, on_progress)


def _refuse_slower(part: Part, rate: float) -> None:
    """Raises Cut: another connection may be faster."""
    if rate < SLOWEST:
        host = urlsplit(part.spec.url).hostname
        raise Cut(Downloads.TOO_SLOW, host=host, found=rate, expected=SLOWEST, seconds=WINDOW)


def _messages(spec: Download, offset: int, on_progress: Callable[[], None]) -> Generator[Answer | bytes, None, None]:
    """The answer, then the bytes. Raises DownloadFailed, also when nothing comes for too long."""
    from engine.download.stream import Answer, Receiver  # with httpx, which most starts do not need

    receiver = Receiver(spec.url, spec.authorization, offset, connect=2 * CONNECT, silent=2 * STALL)
    receiver.start()
    silent, limit = time.monotonic(), CONNECT
    try:
        while True:
            on_progress()
            try:
                message = receiver.messages.get(timeout=POLL)
            except queue.Empty:
                if time.monotonic() - silent > limit:
                    host = urlsplit(spec.url).hostname
                    sentence = Downloads.NO_CONNECTION if limit == CONNECT else Downloads.NO_DATA
                    raise Cut(sentence, host=host, seconds=limit) from None
                continue
            silent, limit = time.monotonic(), STALL
            if isinstance(message, Answer | bytes):
                yield message
            elif isinstance(message, DownloadFailed):
                raise message
            elif message == "end":
                return
    finally:
        receiver.give_up()
