"""A run that is followed, and whose engine cannot be seen."""

from __future__ import annotations

from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.errors import MedtuiError
from medtui.client.sources import RunFiles
from medtui.sentences import Following


class NotSeen(MedtuiError):
    """The engine of a run cannot be seen, and its state cannot be known from here."""

    kind = "unseen"
    exit_code = 5


def refuse_unseen(run: RunDirectory, files: RunFiles, unseen: str | None) -> None:
    """`unseen`: as a view has it. Raises NotSeen, also for a status that stays unreadable."""
    if unseen is not None:
        raise NotSeen(Following.UNSEEN, run=run.name, seen=unseen)
    if files.unreadable:
        raise NotSeen(Following.STATUS_UNREADABLE, run=run.name, path=run.status)
