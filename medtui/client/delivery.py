"""One notification delivered: by a command with the facts in its environment, and by one HTTP POST of JSON.

No warning has an address beyond its host, nor a command's arguments or output: they may hold a secret. An address that
redirects is not followed: where it leads was never chosen, and a POST would arrive there as a GET, without the facts.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import math
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from engine.contract.files.paths import expanded
from engine.contract.sentence import Sentence
from medtui.client.facts import Facts
from medtui.sentences import Notify
from medtui.settings import Away, settings_file
from medtui.text import clean, json_line

LONGEST = 2000  # characters of a text
MARGIN = 0.5  # seconds more than a limit, for who reports it himself


def deliver(away: Away, facts: Facts, limit: float) -> list[str]:
    """Both at once, within `limit` seconds; what went wrong."""
    facts = {name: clean(value, LONGEST) if isinstance(value, str) else value for name, value in facts.items()}
    command = _Attempt(lambda: run_command(away.command, facts, limit) if away.command else "")
    address = _Attempt(lambda: post(away.url, facts, limit) if away.url else "")
    latest = time.monotonic() + limit + MARGIN
    found = []
    if reason := command.result(latest, f"was not ended within {limit:g} s"):
        program = clean(Path(away.command[0]).name, 60)
        found.append(_warning(Notify.COMMAND_FAILED, program=program, reason=reason, settings=settings_file()))
    if reason := address.result(latest, _silent(limit)):
        host = clean(urlsplit(away.url or "").hostname or "", 100)
        found.append(_warning(Notify.POST_FAILED, host=host, reason=reason, settings=settings_file()))
    return found


class _Attempt(threading.Thread):
    """In a thread of its own: a name server may hang, and a server send a byte at a time."""

    def __init__(self, work: Callable[[], str]) -> None:
        super().__init__(name="notification", daemon=True)
        self._work, self._reason = work, ""
        self.start()

    def run(self) -> None:
        self._reason = self._work()

    def result(self, latest: float, otherwise: str) -> str:
        """What went wrong, "" for nothing. `latest`: until when it is waited for; then it is left behind."""
        self.join(max(0.0, latest - time.monotonic()))
        return otherwise if self.is_alive() else self._reason


def _warning(sentence: Sentence, **fields: object) -> str:
    return " ".join(sentence.text(**fields))


# ---- a command ------------------------------------------------------------------------------------------------------


def run_command(command: tuple[str, ...], facts: Facts, limit: float) -> str:
    """Run it in a session of its own; what went wrong, as the end of a sentence, "" for nothing."""
    program = str(expanded(command[0])) if command[0].startswith("~") else command[0]
    try:
        process = subprocess.Popen(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **environment_of(facts)},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return f"could not be started: {getattr(error, 'strerror', None) or 'it is not valid'}"
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"was ended after {limit:g} s"
    return f"ended with exit code {code}" if code > 0 else f"was ended by signal {-code}" if code else ""


def environment_of(facts: Facts) -> dict[str, str]:
    """`MEDTUI_RUN`, …; what is unknown is empty."""
    return {f"MEDTUI_{name.upper()}": "" if value is None else str(value) for name, value in facts.items()}


# ---- an address -----------------------------------------------------------------------------------------------------


def post(url: str, facts: Facts, limit: float) -> str:
    """Send the facts; what went wrong, as the end of a sentence, "" for nothing. Honours the user's proxies."""
    parts = urlsplit(url)
    request = urllib.request.Request(
        _without_password(parts),
        json_line({name: _known(value) for name, value in facts.items()}).encode(),
        {"Content-Type": "application/json", "User-Agent": "medtui"},
        method="POST",
    )
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=limit):
            return ""
    except HTTPError as error:
        error.close()
        return f"it answered {error.code}" + (", which leads elsewhere" if 300 <= error.code < 400 else "")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _describe(error, limit)


def _known(value: str | int | float | None) -> str | int | float | None:
    """NaN is not JSON, and means that nothing is known."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _without_password(parts: SplitResult) -> str:
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None  # the answer is then an error


def _describe(error: Exception, limit: float) -> str:
    """In words of our own: those of the libraries may quote the address."""
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return _silent(limit)
    if isinstance(reason, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(reason, ssl.SSLError):
        return "its certificate is not trusted" if "CERTIFICATE" in str(reason) else "it cannot be reached securely"
    if isinstance(reason, OSError) and reason.strerror:
        return f"it cannot be reached ({reason.strerror})"
    return "it did not answer as a web server does"


def _silent(limit: float) -> str:
    return f"no answer within {limit:g} s"
