"""What only the console side can find wrong, and how it reads. Groups are alphabetical; a code is `group.name`."""

from __future__ import annotations

from engine.contract.wire.sentences import Sentence


class Disk:
    NOT_RESPONDING = Sentence(
        "The disk of {where} does not respond: no read or write completed for {seconds:g} s.",
        "Check the disk or its server. Signals still reach the engine; `ps` shows its pid.",
    )
