"""A web server on 127.0.0.1 that is sent notifications, and answers as a test requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

PATIENCE = 60.0  # seconds


class Request(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.changed:
            self.server.requests.append((self.path, dict(self.headers), json.loads(body)))
            self.server.changed.notify_all()
        self.server.answer(self)

    def do_GET(self) -> None:
        with self.server.changed:
            self.server.requests.append((f"GET {self.path}", dict(self.headers), {}))
        self.status(200)

    def status(self, code: int, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def silent(request: Request) -> None:
    request.server.over.wait(PATIENCE)


def a_byte_at_a_time(request: Request) -> None:
    """A header that never ends: each read of the client's is answered in time."""
    request.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
    while not request.server.over.wait(0.05):
        try:
            request.wfile.write(b"x")
        except OSError:
            return


class Receiver(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, answer: Callable[[Request], None] = lambda request: request.status(200)) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.answer = answer
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []  # path, headers, body
        self.changed = threading.Condition()
        self.over = threading.Event()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def wait_for(self, event: str) -> dict[str, Any]:
        """The body of the first request about this."""
        with self.changed:
            assert self.changed.wait_for(lambda: event in self.events, PATIENCE), self.events
        return next(body for _, _, body in self.requests if body.get("event") == event)

    @property
    def events(self) -> list[str]:
        return [body.get("event", "") for _, _, body in self.requests]

    def __enter__(self) -> Receiver:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()
