"""Lines from a descriptor, as both ends of the protocol read them."""

from __future__ import annotations

import os
from collections.abc import Iterator

from engine.contract.protocol import LINE_LIMIT


def lines_of(descriptor: int) -> Iterator[bytes]:
    """Whole lines; one longer than the protocol allows is skipped, a half last one dropped."""
    buffer = b""
    skipping = False
    while chunk := _read(descriptor):
        *whole, buffer = (buffer + chunk).split(b"\n")
        for line in whole:
            if not skipping and len(line) <= LINE_LIMIT:
                yield line
            skipping = False
        if len(buffer) > LINE_LIMIT:
            buffer = b""
            skipping = True


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # a terminal that hung up
        return b""
