"""Notifies of what happens to a run that is followed without a console."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from medtui.client.away import LIMIT, Notifier
from medtui.client.occurrences import Occurrences
from medtui.client.view import RunView
from medtui.settings import Away

if TYPE_CHECKING:
    from medtui.cluster.coordinator import Coordinator
    from medtui.suites.runner import Runner


class RunNotifications:
    def __init__(self, away: Away, note: Callable[[str], None]) -> None:
        """`note` shows a line; it is called from another thread, too."""
        for warning in away.warnings:
            note(warning)
        self._away, self._occurrences, self._notifier = away, Occurrences(), Notifier(away, note)

    def poll(self, view: RunView) -> None:
        """Called several times per second. Never waits."""
        if self._away:
            for occurrence in self._occurrences.of(view, time.monotonic()):
                self._notifier.notify(occurrence, view)

    def close(self) -> None:
        """Wait for what is being delivered, as long as that may take. Ctrl-C ends the wait."""
        with contextlib.suppress(KeyboardInterrupt):
            self._notifier.close(LIMIT + 1.0)


def notify_of_work(away: Away, worker: Runner | Coordinator, exit_code: int, note: Callable[[str], None]) -> None:
    """A suite, a search or the queue has ended. Waits until that is delivered."""
    if not away:
        return
    from engine.contract.machine.process_identity import this_process
    from medtui.suites.facts import facts_of_end

    notifier = Notifier(away, note)
    notifier.notify_facts(*facts_of_end(worker.store, worker.work, worker.id, exit_code, this_process().host))
    with contextlib.suppress(KeyboardInterrupt):
        notifier.close(LIMIT + 1.0)


NO_NOTIFICATIONS = RunNotifications(Away(), lambda _: None)
