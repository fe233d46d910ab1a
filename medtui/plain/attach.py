"""`medtui attach` without a console: a run of any engine, replayed from its journal and followed to its end."""

from __future__ import annotations

from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.protocol import SNAPSHOTS, Progress
from medtui.client.control import describe_remote_engine
from medtui.client.feed import RunFeed
from medtui.client.liveness import Heartbeat
from medtui.client.sources import POLL, RunFiles
from medtui.client.unseen import refuse_unseen
from medtui.client.view import RunView
from medtui.plain.headless import Display, show_end
from medtui.plain.notifications import NO_NOTIFICATIONS, RunNotifications


def follow_run(
    run: RunDirectory,
    display: Display,
    heartbeat: Heartbeat | None = None,
    notifications: RunNotifications = NO_NOTIFICATIONS,
) -> int:
    """Show every state event from the first to `run.finished`. Returns the run's exit code. Raises NotSeen, also for a
    status that stays unreadable.

    For a dead engine the final event is made here: `crashed`.
    """
    files = RunFiles(run, heartbeat)
    view = RunView(own=False, run=run.name, asked_to_start=True, catching_up=True)
    feed, reported = RunFeed(files, view), False
    while not feed.over:
        for line, event in feed.poll(POLL):
            if not reported and files.status is not None:
                reported = True
                if words := describe_remote_engine(files.status):
                    display.note(words)
            if isinstance(event, Progress):
                display.progress(event, feed.view.state)
            elif not isinstance(event, SNAPSHOTS):
                display.event(line, event, feed.view.state)
        if feed.view.state.finished is None and not feed.over:
            refuse_unseen(run, files, feed.view.unseen)
        notifications.poll(feed.view)
    return show_end(feed, display, run)
