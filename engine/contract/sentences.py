"""What both sides can find wrong, and how it reads. Groups are alphabetical; a code is `group.name`."""

from __future__ import annotations

from engine.contract.wire.sentences import Sentence


class Checkpoint:
    UNREADABLE = Sentence("The checkpoint {path} cannot be read: {reason}.", "Check that it exists.")
