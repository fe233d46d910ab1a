"""Where the processes of a run find its first one: on this machine by themselves, on several by a variable."""

from __future__ import annotations

import os
from dataclasses import dataclass

from engine.contract.wire.errors import UsageError
from engine.sentences import Devices

LOOPBACK = "127.0.0.1"
VARIABLE = "MEDTUI_RANKS"  # HOST:PORT; set, the other processes are started by somebody else, as on other machines


@dataclass(frozen=True)
class Address:
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Of `HOST:PORT`. Raises ValueError."""
        host, _, port = text.rpartition(":")
        if not host or not 0 < int(port) < 65536:
            raise ValueError(text)
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def address_elsewhere() -> Address | None:
    """What the variable says; None: the engine starts the others itself. Raises UsageError."""
    given = os.environ.get(VARIABLE, "")
    if not given:
        return None
    try:
        return Address.parse(given)
    except ValueError:
        raise UsageError(Devices.RANKS_ADDRESS, found=given) from None
