"""`medtui attach` without a console: a run of any engine, replayed from its journal and followed to its end."""

from __future__ import annotations

import time

from engine.contract.errors import MedtuiError
from engine.contract.protocol import parse_event
from engine.contract.run_directory import RunDirectory
from engine.contract.status import Status, read_status
from medtui.client.control import elsewhere
from medtui.client.liveness import Heartbeat, Liveness, unseen_words
from medtui.client.state import RunState, fold
from medtui.client.tail import JournalTail
from medtui.headless import Show, crashed

POLL = 0.25  # seconds between looks at the journal
REPLACED = 2.0  # seconds within which a living engine has surely replaced its status


class NotSeen(MedtuiError):
    """The engine of a run does not show itself, and from here nobody can know whether it lives."""

    kind = "unseen"
    exit_code = 5


def follow_run(run: RunDirectory, show: Show, heartbeat: Heartbeat | None = None) -> int:
    """Show every state event from the first to `run.finished`. Returns the run's exit code. Raises NotSeen, also for a
    status that stays unreadable.

    For an engine that is dead the last word is made here: `crashed`.
    """
    journal, heartbeat = JournalTail(run.journal), heartbeat or Heartbeat()
    state, last_shown, told = RunState(), 0.0, False
    readable_at = time.monotonic()
    while True:
        there = run.status.exists()
        status = read_status(run)  # before the journal: of an engine that is gone the journal is whole
        liveness = heartbeat.look(status)
        if status is not None and not told and (words := elsewhere(status)):
            show.note(words)
            told = True
        state = _show_new(journal, show, state)
        if status is not None and status.progress is not None and status.progress.time > last_shown:
            last_shown = status.progress.time
            show.progress(status.progress, state)
        if (code := _ended(run, show, state, status, liveness)) is not None:
            return code
        if status is not None or not there:
            readable_at = time.monotonic()
        elif time.monotonic() - readable_at > REPLACED:
            raise _unreadable(run)
        time.sleep(POLL)


def _unreadable(run: RunDirectory) -> NotSeen:
    return NotSeen(
        f"Expected the status of run {run.name} in {run.status}, found nothing that can be read; a living engine "
        "replaces it every second, so none seems to live here.",
        f"`medtui run --resume {run.name}` goes on with the run.",
    )


def _show_new(journal: JournalTail, show: Show, state: RunState) -> RunState:
    anew, lines = journal.fresh()
    state = RunState() if anew else state
    for line in lines:
        event = parse_event(line)
        if event is not None:
            state = fold(state, event)
        show.event(line, event, state)
    return state


def _ended(run: RunDirectory, show: Show, state: RunState, status: Status | None, liveness: Liveness) -> int | None:
    """The exit code of a run that is over; None while it goes on."""
    finished = state.finished
    goes_on = status is not None and status.outcome is None and liveness == "alive"  # perhaps a new attempt begins
    if finished is None and liveness == "gone":
        finished = crashed(state, run, "The engine is gone without a last word.", "")
        show.event(finished.line().rstrip(b"\n"), finished, state)
    elif finished is None and liveness == "unseen":
        words = unseen_words(status) if status is not None else "nothing was ever seen of it"
        raise NotSeen(f"The engine of run {run.name}: {words}.", "Look on its own host.")
    elif finished is None or goes_on:
        return None
    show.end(finished, state)
    return finished.exit_code
