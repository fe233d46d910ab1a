"""Lines from a descriptor, as both ends of the protocol read them."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

from engine.contract.wire.protocol import LINE_LIMIT


def lines_of(descriptor: int, until: int | None = None) -> Iterator[bytes]:
    """Whole lines; one longer than the protocol allows is skipped, a half last one dropped.

    `until`: a descriptor; once there is something to read in it, the lines end with what is there already.
    """
    buffer = b""
    skipping = False
    while (until is None or _has_more(descriptor, until)) and (chunk := _read(descriptor)):
        *complete, buffer = (buffer + chunk).split(b"\n")
        for line in complete:
            if not skipping and len(line) <= LINE_LIMIT:
                yield line
            skipping = False
        if len(buffer) > LINE_LIMIT:
            buffer = b""
            skipping = True


def _has_more(descriptor: int, until: int) -> bool:
    """Waits until there is something to read, or its end; False where nothing is there and `until` says so."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    poller.register(until, select.POLLIN)
    return any(found == descriptor for found, _ in poller.poll())


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # a terminal that hung up
        return b""
