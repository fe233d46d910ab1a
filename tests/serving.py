"""A mirror of official files on 127.0.0.1, which serves them as a test requests: complete, cut, late, wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit


class Asked(BaseHTTPRequestHandler):
    """One request; the content starts at its Range header."""

    server: Mirror
    start = 0

    def do_GET(self) -> None:
        name, wanted = (
            urlsplit(self.path).path.strip("/"),
            self.headers.get("Range"),
        )  # a proxy is asked for a whole URL
        self.server.asked.append((name, wanted))
        content = self.server.files.get(name)
        if content is None:
            self.send_error(404)
            return
        self.start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        self.server.serve(self, content)

    def answer(self, length: int | None, kind: str = "application/octet-stream") -> None:
        self.send_response(206 if self.start else 200)
        if self.start and length is not None:
            self.send_header("Content-Range", f"bytes {self.start}-{length - 1}/{length}")
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length - self.start))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


Serve = Callable[[Asked, bytes], None]


def complete(asked: Asked, content: bytes) -> None:
    asked.answer(len(content))
    asked.wfile.write(content[asked.start :])


def of_unknown_length(asked: Asked, content: bytes) -> None:
    asked.answer(None)
    asked.wfile.write(content)


def a_web_page(asked: Asked, content: bytes) -> None:
    page = b"<html>Please log in to the network.</html>"
    asked.start = 0
    asked.answer(len(page), "text/html; charset=utf-8")
    asked.wfile.write(page)


def cut_after(size: int) -> Serve:
    """Every answer breaks off after so many bytes."""

    def serve(asked: Asked, content: bytes) -> None:
        asked.answer(len(content))
        asked.wfile.write(content[asked.start : asked.start + size])

    return serve


def silent_after(size: int) -> Serve:
    """Every answer stops after so many bytes, and the connection stays open."""

    def serve(asked: Asked, content: bytes) -> None:
        asked.answer(len(content))
        asked.wfile.write(content[asked.start : asked.start + size])
        asked.wfile.flush()
        asked.server.over.wait()

    return serve


class Mirror(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, files: dict[str, bytes], serve: Serve = complete) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.files, self.serve = files, serve
        self.asked: list[tuple[str, str | None]] = []  # name, Range header
        self.over = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """For a command that fetches from here, and from nowhere else."""
        return {"MEDTUI_OFFLINE": "", "MEDTUI_MIRROR": self.address, "no_proxy": "127.0.0.1"}

    def __enter__(self) -> Mirror:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()
