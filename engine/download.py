"""One file from the web: complete and verified, or not at all.

By urllib, which honours proxies. pooch, made for such files, can neither be aborted while a server is silent, nor go
on with a cut download, nor look at the free disk before it begins, nor refuse to be led from https to http.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from engine.contract.data.archives import format_bytes
from engine.contract.files.folders import File, file_at
from engine.contract.sentence import Sentence
from engine.sentences import Downloads

CONNECT = 5.0  # seconds for the name, the connection and its encryption
WINDOW = 30.0  # seconds over which a server must send at least
SLOWEST = 1000.0  # bytes per second; a slower one is not waited for
STALL = 30.0  # seconds without a byte, after which the caller gives up; the reading thread later
POLL = 0.2  # seconds between calls of the caller's callback
ABANDONED = 60.0  # seconds without a write, after which a file without a lock is a killed fetcher's
ROOM = 10_000_000  # bytes that stay free
_CHUNK = 256 * 1024  # bytes
AUTHORIZATION = "Authorization"


class DownloadFailed(Exception):
    """Why: a sentence of `Downloads`, whose words end another one."""

    def __init__(self, sentence: Sentence, **fields: object) -> None:
        self.code, self.fields = sentence.code, fields
        super().__init__(sentence.text(**fields)[0])


class _Cut(DownloadFailed):
    """The connection ended in the middle: worth continuing once."""


@dataclass(frozen=True)
class Download:
    url: str
    target: Path
    algorithm: Literal["md5", "sha256"]
    digest: str  # in hex digits; a beginning is enough
    largest: int  # bytes; whatever is larger is not this file
    authorization: str | None = field(default=None, repr=False)  # the header, for the host of `url` alone


OnProgress = Callable[[int, int | None], None]  # bytes done, of how many where that is known; raises to end it


def download(spec: Download, on_progress: OnProgress, log: Callable[[str], None]) -> None:
    """Fetch, verify, rename into place; whatever goes wrong leaves what stood there before.

    `on_progress` is called several times a second, even if the server is silent. Raises DownloadFailed, and what it
    raises.
    """
    try:
        target = file_at(spec.target)
        target.folder.make()
        _sweep(target)
        with target.replacing() as file:
            _lock_file(file)
            part = _Part(spec, file)
            _fill(part, on_progress, log)
            part.verify()
            on_progress(part.done, part.done)
    except OSError as error:
        reason = error.strerror or error
        raise DownloadFailed(Downloads.NOT_WRITABLE, folder=spec.target.parent, reason=reason) from None


class _Part:
    """The file as far as it is there, and the digest of it."""

    def __init__(self, spec: Download, file: IO[bytes]) -> None:
        self.spec, self.file = spec, file
        self.done, self.total, self.kind = 0, None, ""
        self._digest = hashlib.new(spec.algorithm, usedforsecurity=False)

    done: int  # bytes
    total: int | None  # as the server says
    kind: str  # the server's Content-Type

    def begin(self, answer: _Answer) -> None:
        """The server continues where the file ends, or starts over. Raises DownloadFailed where there is no space."""
        if answer.start != self.done:
            self.file.seek(0)
            self.file.truncate()
            self.done, self._digest = 0, hashlib.new(self.spec.algorithm, usedforsecurity=False)
        self.total, self.kind = answer.total, answer.kind
        self._refuse_larger(self.total or 0)
        free = shutil.disk_usage(self.spec.target.parent).free
        missing = (self.total or 0) - self.done
        if missing + ROOM > free:
            need, found, folder = format_bytes(missing), format_bytes(free), self.spec.target.parent
            raise DownloadFailed(Downloads.NO_SPACE, need=need, folder=folder, found=found)

    def write(self, chunk: bytes) -> None:
        self._refuse_larger(self.done + len(chunk))
        self.file.write(chunk)
        self._digest.update(chunk)
        self.done += len(chunk)

    def verify(self) -> None:
        self.file.flush()
        found = self._digest.hexdigest()
        if not found.startswith(self.spec.digest):
            what = f" of {self.kind}" if self.kind else ""
            name = "MD5" if self.spec.algorithm == "md5" else "SHA-256"
            raise DownloadFailed(
                Downloads.WEB_PAGE if "html" in self.kind else Downloads.DIGEST,
                algorithm=name,
                expected=self.spec.digest,
                found=found,
                size=self.done,
                what=what,
            )

    def _refuse_larger(self, size: int) -> None:
        if size > self.spec.largest:
            raise DownloadFailed(Downloads.TOO_LARGE, expected=self.spec.largest, found=size)


def _fill(part: _Part, on_progress: OnProgress, log: Callable[[str], None]) -> None:
    """All of the file, continuing once where it was cut."""
    try:
        _receive(part, on_progress)
    except _Cut as cut:
        if part.done == 0:
            raise
        log(f"{str(cut)[:1].upper()}{str(cut)[1:]}; continuing after {format_bytes(part.done)}.")
        _receive(part, on_progress)


def _receive(part: _Part, on_progress: OnProgress) -> None:
    with closing(_messages(part.spec, part.done, lambda: on_progress(part.done, part.total))) as messages:
        began, before = time.monotonic(), part.done
        for message in messages:
            if isinstance(message, _Answer):
                part.begin(message)
                began, before = time.monotonic(), part.done
            else:
                part.write(message)
                seconds = time.monotonic() - began
                if seconds >= WINDOW and part.done != part.total:
                    _refuse_slower(part, (part.done - before) / seconds)
                    began, before = time.monotonic(), part.done
                if part.done == part.total:  # some servers keep the connection open
                    return
    if part.total is not None and part.done < part.total:
        raise _Cut(Downloads.CUT, done=part.done, total=part.total)


def _refuse_slower(part: _Part, rate: float) -> None:
    """Raises _Cut: another connection may be faster."""
    if rate < SLOWEST:
        host = urlsplit(part.spec.url).hostname
        raise _Cut(Downloads.TOO_SLOW, host=host, found=rate, expected=SLOWEST, seconds=WINDOW)


# ---- the other thread ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Answer:
    """What a server says before the bytes."""

    start: int  # the first byte that it sends
    total: int | None  # bytes of the complete file
    kind: str


def _messages(spec: Download, offset: int, on_progress: Callable[[], None]) -> Generator[_Answer | bytes, None, None]:
    """The answer, then the bytes. Raises DownloadFailed, also when nothing comes for too long."""
    receiver = _Receiver(spec, offset)
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
                    raise _Cut(
                        Downloads.NO_CONNECTION if limit == CONNECT else Downloads.NO_DATA, host=host, seconds=limit
                    ) from None
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
    """Reads in a separate thread, so that a hanging name server or a silent host does not block the caller."""

    def __init__(self, spec: Download, offset: int) -> None:
        super().__init__(name="download", daemon=True)
        self._url, self._authorization, self._offset = spec.url, spec.authorization, offset
        self._given_up = threading.Event()
        self.messages: queue.Queue[_Answer | bytes | DownloadFailed | str] = queue.Queue(maxsize=16)

    def give_up(self) -> None:
        self._given_up.set()

    def run(self) -> None:
        headers = {"User-Agent": "medtui"} | ({"Range": f"bytes={self._offset}-"} if self._offset else {})
        try:
            request = urllib.request.Request(self._url, headers=headers)
            if self._authorization is not None:
                request.add_unredirected_header(AUTHORIZATION, self._authorization)
            with _opener(lambda: self._send("connected")).open(request, timeout=2 * STALL) as response:
                self._send(_answer_of(response))
                while not self._given_up.is_set() and (chunk := response.read1(_CHUNK)):
                    self._send(chunk)
            self._send("end")
        except HTTPError as error:
            reason = "" if "://" in str(error.reason) else f" {error.reason}"  # an address may hold a secret
            host = urlsplit(error.url).hostname
            self._send(DownloadFailed(Downloads.ANSWERED, host=host, status=error.code, reason=reason))
        except (URLError, ssl.SSLCertVerificationError) as error:
            self._send(_unreachable(getattr(error, "reason", error), self._url))
        except (http.client.InvalidURL, ValueError):  # their texts quote it
            self._send(DownloadFailed(Downloads.ADDRESS, host=urlsplit(self._url).hostname))
        except (OSError, http.client.HTTPException) as error:
            self._send(_Cut(Downloads.CUT_BECAUSE, reason=str(error) or type(error).__name__))

    def _send(self, message: _Answer | bytes | DownloadFailed | str) -> None:
        while not self._given_up.is_set():
            try:
                self.messages.put(message, timeout=POLL)
                return
            except queue.Full:
                continue


def _answer_of(response: Any) -> _Answer:
    kind = response.headers.get_content_type() if response.headers.get("Content-Type") else ""
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    partial = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if response.status == 206 and partial:
        return _Answer(int(partial[1]), int(partial[2]), kind)
    return _Answer(0, total, kind)


def _unreachable(reason: object, url: str) -> DownloadFailed:
    host = urlsplit(url).hostname
    if isinstance(reason, socket.gaierror):
        return DownloadFailed(Downloads.HOST_NAME, host=host, reason=reason.strerror)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return DownloadFailed(Downloads.CERTIFICATE, host=host, reason=reason.verify_message)
    return DownloadFailed(Downloads.UNREACHABLE, host=host, reason=getattr(reason, "strerror", None) or reason)


def _opener(connected: Callable[[], None]) -> urllib.request.OpenerDirector:
    """Speaks http and https through the user's proxies, and calls `connected` when it is."""

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
            raise HTTPError(req.full_url, code, f"{msg}, and redirects away from https", headers, fp)
        there = super().redirect_request(req, fp, code, msg, headers, newurl)
        secret = req.unredirected_hdrs.get(AUTHORIZATION)
        if there is not None and secret is not None and _same_server(req.full_url, newurl):
            there.add_unredirected_header(AUTHORIZATION, secret)
        return there


def _same_server(url: str, other: str) -> bool:
    """May the second see what the first is sent? Not another host, nor another port of it, nor without encryption."""
    one, two = urlsplit(url), urlsplit(other)
    return (one.scheme, one.hostname, one.port) == (two.scheme, two.hostname, two.port)


# ---- what killed fetchers left ---------------------------------------------------------------------------------------


def _lock_file(file: IO[bytes]) -> None:
    """While it is written, a lock says so; where the file system has none, only its age does."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return


def _sweep(target: File) -> None:
    """Remove the temporary files of this target that a killed fetcher left."""
    folder, stem = target.parent, target.path.stem[:60]
    for name in folder.names():
        left = folder / name
        found = left.info()
        ours = name.startswith(f".{stem}.") and name.endswith(target.suffix) and left.is_regular
        if not ours or found is None or time.time() - found.st_mtime < ABANDONED:
            continue
        with contextlib.suppress(OSError), left.reading() as file:  # it is being written, or it is not ours
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.delete()
