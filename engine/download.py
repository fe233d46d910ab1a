"""One file from the web: whole and verified, or not at all.

By urllib, which honours proxies. pooch, made for such files, can neither be aborted while a server is silent, nor go
on with a cut download, nor look at the free disk before it begins, nor refuse to be led from https to http.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import queue
import re
import shutil
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from engine.contract.data_files import bytes_words
from engine.contract.files import written_whole

CONNECT = 5.0  # seconds for the name, the connection and its encryption
STALL = 30.0  # seconds without a byte, after which the caller gives up; the reading thread later
POLL = 0.2  # seconds between looks at what the caller wants
ABANDONED = 60.0  # seconds without a write, after which a file that nobody locks is a killed fetcher's
ROOM = 10_000_000  # bytes that stay free
_CHUNK = 256 * 1024  # bytes


class DownloadFailed(Exception):
    """Why, in the words that end a sentence."""


class _Cut(DownloadFailed):
    """The connection ended in the middle: worth going on once."""


@dataclass(frozen=True)
class Download:
    url: str
    target: Path
    algorithm: Literal["md5", "sha256"]
    digest: str  # in hex digits; a beginning is enough
    largest: int  # bytes; whatever is larger is not this file


Between = Callable[[int, int | None], None]  # bytes done, of how many where that is known; raises to end it


def download(wanted: Download, between: Between, say: Callable[[str], None]) -> None:
    """Fetch, verify, rename into place; whatever goes wrong leaves what stood there before.

    `between` is called several times a second, a silent server or not. Raises DownloadFailed and what `between` raises.
    """
    try:
        wanted.target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(wanted.target)
        with written_whole(wanted.target) as temporary, temporary.open("wb") as file:
            _hold(file)
            part = _Part(wanted, file)
            _fill(part, between, say)
            part.verify()
            between(part.done, part.done)
    except OSError as error:
        raise DownloadFailed(f"{wanted.target.parent} cannot be written: {error.strerror or error}") from None


class _Part:
    """The file as far as it is there, and the digest of it."""

    def __init__(self, wanted: Download, file: IO[bytes]) -> None:
        self.wanted, self.file = wanted, file
        self.done, self.total, self.kind = 0, None, ""
        self._digest = hashlib.new(wanted.algorithm, usedforsecurity=False)

    done: int  # bytes
    total: int | None  # as the server says
    kind: str  # the server's Content-Type

    def begin(self, answer: _Answer) -> None:
        """The server goes on where the file ends, or begins anew. Raises DownloadFailed where there is no room."""
        if answer.start != self.done:
            self.file.seek(0)
            self.file.truncate()
            self.done, self._digest = 0, hashlib.new(self.wanted.algorithm, usedforsecurity=False)
        self.total, self.kind = answer.total, answer.kind
        self._refuse_larger(self.total or 0)
        free = shutil.disk_usage(self.wanted.target.parent).free
        missing = (self.total or 0) - self.done
        if missing + ROOM > free:
            folder = self.wanted.target.parent
            raise DownloadFailed(f"it needs {bytes_words(missing)} in {folder}, found {bytes_words(free)} free")

    def write(self, chunk: bytes) -> None:
        self._refuse_larger(self.done + len(chunk))
        self.file.write(chunk)
        self._digest.update(chunk)
        self.done += len(chunk)

    def verify(self) -> None:
        self.file.flush()
        found = self._digest.hexdigest()
        if not found.startswith(self.wanted.digest):
            what = f"{self.done:,} bytes of {self.kind}" if self.kind else f"{self.done:,} bytes"
            page = ", a web page" if "html" in self.kind else ""
            name = "MD5" if self.wanted.algorithm == "md5" else "SHA-256"
            raise DownloadFailed(f"expected {name} {self.wanted.digest}, found {found} ({what}{page})")

    def _refuse_larger(self, size: int) -> None:
        if size > self.wanted.largest:
            raise DownloadFailed(f"expected at most {self.wanted.largest:,} bytes, found {size:,} or more")


def _fill(part: _Part, between: Between, say: Callable[[str], None]) -> None:
    """All of the file, going on once where it was cut."""
    try:
        _receive(part, between)
    except _Cut as cut:
        if part.done == 0:
            raise
        say(f"{str(cut)[:1].upper()}{str(cut)[1:]}; going on after {bytes_words(part.done)}.")
        _receive(part, between)


def _receive(part: _Part, between: Between) -> None:
    with closing(_heard(part.wanted.url, part.done, lambda: between(part.done, part.total))) as messages:
        for message in messages:
            if isinstance(message, _Answer):
                part.begin(message)
            else:
                part.write(message)
                if part.done == part.total:  # some servers keep the connection open
                    return
    if part.total is not None and part.done < part.total:
        raise _Cut(f"the connection was cut after {part.done:,} of {part.total:,} bytes")


# ---- the other thread ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Answer:
    """What a server says before the bytes."""

    start: int  # the first byte that it sends
    total: int | None  # bytes of the whole file
    kind: str


def _heard(url: str, offset: int, between: Callable[[], None]) -> Generator[_Answer | bytes, None, None]:
    """The answer, then the bytes. Raises DownloadFailed, also when nothing comes for too long."""
    receiver = _Receiver(url, offset)
    receiver.start()
    silent, limit = time.monotonic(), CONNECT
    try:
        while True:
            between()
            try:
                message = receiver.messages.get(timeout=POLL)
            except queue.Empty:
                if time.monotonic() - silent > limit:
                    what = "connection to" if limit == CONNECT else "byte from"
                    raise _Cut(f"no {what} {urlsplit(url).hostname} within {limit:g} s") from None
                continue
            silent, limit = time.monotonic(), STALL
            if isinstance(message, _Answer | bytes):
                yield message
            elif isinstance(message, DownloadFailed):
                raise message
            elif message == "end":
                return
    finally:
        receiver.give_up()


class _Receiver(threading.Thread):
    """Reads in a thread of its own: whatever hangs there, a name server or a silent host, the caller does not."""

    def __init__(self, url: str, offset: int) -> None:
        super().__init__(name="download", daemon=True)
        self._url, self._offset = url, offset
        self._given_up = threading.Event()
        self.messages: queue.Queue[_Answer | bytes | DownloadFailed | str] = queue.Queue(maxsize=16)

    def give_up(self) -> None:
        self._given_up.set()

    def run(self) -> None:
        headers = {"User-Agent": "medtui"} | ({"Range": f"bytes={self._offset}-"} if self._offset else {})
        try:
            request = urllib.request.Request(self._url, headers=headers)
            with _opener(lambda: self._tell("connected")).open(request, timeout=2 * STALL) as response:
                self._tell(_answer_of(response))
                while not self._given_up.is_set() and (chunk := response.read1(_CHUNK)):
                    self._tell(chunk)
            self._tell("end")
        except HTTPError as error:
            self._tell(DownloadFailed(f"{urlsplit(error.url).hostname} answered {error.code} {error.reason}"))
        except (URLError, ssl.SSLCertVerificationError) as error:
            self._tell(DownloadFailed(_words(getattr(error, "reason", error), self._url)))
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._tell(_Cut(f"the connection was cut ({str(error) or type(error).__name__})"))

    def _tell(self, message: _Answer | bytes | DownloadFailed | str) -> None:
        while not self._given_up.is_set():
            try:
                self.messages.put(message, timeout=POLL)
                return
            except queue.Full:
                continue


def _answer_of(response: Any) -> _Answer:
    kind = response.headers.get_content_type() if response.headers.get("Content-Type") else ""
    length = response.headers.get("Content-Length", "")
    whole = int(length) if length.isdecimal() else None
    partial = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if response.status == 206 and partial:
        return _Answer(int(partial[1]), int(partial[2]), kind)
    return _Answer(0, whole, kind)


def _words(reason: object, url: str) -> str:
    host = urlsplit(url).hostname
    if isinstance(reason, socket.gaierror):
        return f"the name {host} is not known here ({reason.strerror})"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"the certificate of {host} is not trusted ({reason.verify_message})"
    return f"{host} cannot be reached ({getattr(reason, 'strerror', None) or reason})"


def _opener(connected: Callable[[], None]) -> urllib.request.OpenerDirector:
    """Speaks http and https through the user's proxies, and says when it is connected."""

    class Http(http.client.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            connected()

    class Https(http.client.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            connected()

    class Handler(urllib.request.AbstractHTTPHandler):
        http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

        def http_open(self, request: urllib.request.Request) -> Any:
            return self.do_open(Http, request)

        def https_open(self, request: urllib.request.Request) -> Any:
            return self.do_open(Https, request, context=ssl.create_default_context())

    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
        Handler(),
    ):
        opener.add_handler(handler)
    return opener


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            raise HTTPError(req.full_url, code, f"{msg}, and leads away from https", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


# ---- what killed fetchers left ---------------------------------------------------------------------------------------


def _hold(file: IO[bytes]) -> None:
    """While it is written, a lock says so; where the file system has none, only its age does."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return


def _sweep(target: Path) -> None:
    """Remove the temporary files of this target that a killed fetcher left."""
    for path in target.parent.glob(f".{target.stem[:60]}.????????{target.suffix}"):
        try:
            if time.time() - path.stat().st_mtime < ABANDONED:
                continue
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)
        except OSError:  # somebody writes it, or it is not ours
            continue
