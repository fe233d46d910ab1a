"""What a server sends, read by httpx in a thread of its own.

httpx honours proxies, certificates and time limits, but a name server that hangs blocks it, and so does a silent server
until its limit: the caller, which must be able to give up at any moment, waits for messages and not for a socket.
"""

from __future__ import annotations

import email.utils
import os
import queue
import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx

from engine.download.failures import Busy, Cut, DownloadFailed
from engine.sentences import Downloads

POLL = 0.2  # seconds; how late this thread sees that it was given up
REDIRECTS = 10  # at most
BUSY = (408, 429, 500, 502, 503, 504)  # answers that may be others in a moment
AUTHORIZATION = "Authorization"
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # variables that OpenSSL reads


@dataclass(frozen=True)
class Answer:
    """What a server says before the bytes."""

    start: int  # the first byte that it sends; -1 where it has fewer than were asked for
    total: int | None  # bytes of the complete file
    kind: str  # its Content-Type


Message = Answer | bytes | DownloadFailed | str  # "connected" and "end" are words


class Receiver(threading.Thread):
    """Asks for a file from a byte on; `messages` has the answer, then the bytes, then "end" or what failed."""

    def __init__(self, url: str, authorization: str | None, offset: int, *, connect: float, silent: float) -> None:
        """connect, silent: seconds after which the socket gives up, for a caller that is gone."""
        super().__init__(name="download", daemon=True)
        self._url, self._authorization, self._offset = url, authorization, offset
        self._limits = httpx.Timeout(silent, connect=connect)
        self._given_up = threading.Event()
        self.messages: queue.Queue[Message] = queue.Queue(maxsize=16)

    def give_up(self) -> None:
        self._given_up.set()

    def run(self) -> None:
        try:
            self._receive()
            self._send("end")
        except DownloadFailed as failed:
            self._send(failed)
        except httpx.RemoteProtocolError:  # it ended before all bytes were there: the caller counts them
            self._send("end")
        except httpx.ConnectTimeout as error:
            self._send(Cut(Downloads.CUT_BECAUSE, reason=str(error) or "no connection in time"))
        except (httpx.ConnectError, httpx.ProxyError) as error:
            self._send(_unreachable(error, self._url))
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError):  # their texts quote it
            self._send(DownloadFailed(Downloads.ADDRESS, host=_host(self._url)))
        except (httpx.HTTPError, OSError) as error:
            self._send(Cut(Downloads.CUT_BECAUSE, reason=str(error) or type(error).__name__))

    def _receive(self) -> None:
        headers = {"User-Agent": "medtui", "Accept-Encoding": "identity"}
        headers |= {"Range": f"bytes={self._offset}-"} if self._offset else {}
        headers |= {AUTHORIZATION: self._authorization} if self._authorization is not None else {}
        with httpx.Client(timeout=self._limits, verify=_trusted(*map(os.environ.get, CERTIFICATES))) as client:
            request = client.build_request("GET", self._url, headers=headers, extensions={"trace": self._traced})
            for _ in range(REDIRECTS):
                response = client.send(request, stream=True, follow_redirects=False)
                try:
                    if (following := _redirected(request, response)) is None:
                        self._pass_on(response)
                        return
                    request = following
                finally:
                    response.close()
        raise DownloadFailed(Downloads.REDIRECTS, host=_host(self._url), count=REDIRECTS)

    def _pass_on(self, response: httpx.Response) -> None:
        if response.status_code >= 400 and not (response.status_code == 416 and self._offset):
            raise _refused(response)
        if response.status_code == 416:
            self._send(Answer(-1, None, ""))
            return
        self._send(_answer_of(response))
        for chunk in response.iter_raw():  # as they arrive, and as they are
            if self._given_up.is_set():
                return
            self._send(chunk)

    def _traced(self, event: str, _info: Any) -> None:
        if event == "http11.send_request_headers.started":  # after the name, the connection and its encryption
            self._send("connected")

    def _send(self, message: Message) -> None:
        while not self._given_up.is_set():
            try:
                self.messages.put(message, timeout=POLL)
                return
            except queue.Full:
                continue


@cache
def _trusted(*_variables: str | None) -> ssl.SSLContext:
    """What the system trusts, or these variables say, and no list of httpx's own."""
    return ssl.create_default_context()


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _redirected(request: httpx.Request, response: httpx.Response) -> httpx.Request | None:
    """Where to ask instead; what another server must not see is left out there. Raises DownloadFailed."""
    following = response.next_request
    if following is None:
        return None
    if request.url.scheme == "https" and following.url.scheme != "https":
        host, reason = request.url.host, ", and redirects away from https"
        raise DownloadFailed(Downloads.ANSWERED, host=host, status=response.status_code, reason=reason)
    if (request.url.scheme, request.url.host, request.url.port) != (
        following.url.scheme,
        following.url.host,
        following.url.port,
    ):
        following.headers.pop(AUTHORIZATION, None)
    following.extensions = {**following.extensions, **request.extensions}
    return following


def _refused(response: httpx.Response) -> DownloadFailed:
    phrase = response.reason_phrase
    reason = "" if not phrase or "://" in phrase else f" {phrase}"  # an address may hold a secret
    fields = {"host": response.request.url.host, "status": response.status_code, "reason": reason}
    if response.status_code in BUSY:
        return Busy(Downloads.ANSWERED, retry_after(response.headers.get("Retry-After", "")), **fields)
    return DownloadFailed(Downloads.ANSWERED, **fields)


def retry_after(text: str) -> float | None:
    """Seconds, of a number of them or a date (RFC 9110, 10.2.3); None for anything else."""
    if re.fullmatch(r"\d{1,9}", text.strip()):
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _answer_of(response: httpx.Response) -> Answer:
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    length = response.headers.get("Content-Length", "")
    total = int(length) if re.fullmatch(r"\d{1,18}", length) else None
    partial = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})", response.headers.get("Content-Range", ""))
    if response.status_code == 206 and partial:
        return Answer(int(partial[1]), int(partial[2]), kind)
    return Answer(0, total, kind)


def _unreachable(error: BaseException, url: str) -> DownloadFailed:
    """By what lies below the library's error."""
    host, cause = _host(url), _below(error)
    if isinstance(cause, socket.gaierror):
        return Cut(Downloads.HOST_NAME, host=host, reason=cause.strerror)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return DownloadFailed(Downloads.CERTIFICATE, host=host, reason=cause.verify_message)
    return Cut(Downloads.UNREACHABLE, host=host, reason=getattr(cause, "strerror", None) or cause)


def _below(error: BaseException) -> BaseException:
    """The deepest cause that is an error of the system; the error itself where there is none."""
    found, seen = error, error
    while (deeper := seen.__cause__ or seen.__context__) is not None:
        seen = deeper
        found = seen if isinstance(seen, OSError) else found
    return found
