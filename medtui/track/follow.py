"""Follows a run and hands what comes to a tracker: in a process of its own, so that no run waits for one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from engine.contract.recipe.yaml_reader import read_yaml_file
from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.errors import MedtuiError, OutputError, UsageError
from medtui.client.control import DENIED
from medtui.client.feed import RunFeed
from medtui.client.liveness import Heartbeat
from medtui.client.sources import POLL, RunFiles
from medtui.client.trackers import make_folder
from medtui.client.unseen import refuse_unseen
from medtui.client.view import RunView
from medtui.sentences import Tracking
from medtui.text import clean
from medtui.track.records import End, Record, Records, RunFacts
from medtui.track.tracker import Tracker

PATIENCE = 15.0  # seconds for the follower of an attempt that has just ended


class TrackingFailed(MedtuiError):
    """A tool did not take what it was given."""

    kind = "tracking"
    exit_code = 5


class AlreadyTracked(MedtuiError):
    """Another process follows this run into the same tool."""

    kind = "locked"
    exit_code = 3


@contextmanager
def only_follower(run: RunDirectory, name: str, patience: float) -> Iterator[None]:
    """While this lasts, no other process writes the same; waits `patience` seconds for one.

    Raises AlreadyTracked or OutputError.
    """
    deadline = time.monotonic() + patience
    try:
        descriptor = (make_folder(run) / f"{name}.lock").descriptor(os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unwritable(run, error) from None
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise AlreadyTracked(Tracking.ALREADY, run=run.name, tracker=name) from None
                time.sleep(0.1)
            except OSError as error:
                raise _unwritable(run, error) from None
        yield
    finally:
        os.close(descriptor)


def _unwritable(run: RunDirectory, error: OSError) -> OutputError:
    """Not every one is the owner's affair: a file system may be full, or mounted to be read only."""
    denied = error.errno in DENIED
    return OutputError(Tracking.NOT_OWNER if denied else Tracking.UNWRITABLE, run=run.name, reason=error.strerror)


class Follower:
    """One run, and the tracker that is given its records."""

    def __init__(self, run: RunDirectory, name: str, tracker: Tracker) -> None:
        """`name`: of the tracker, for messages."""
        self._run, self._name, self._tracker = run, name, tracker
        self._records = Records()
        self._begun = False

    @property
    def epochs(self) -> int:
        """How many were done, as far as was read."""
        return self._records.epoch

    def follow(self, *, to_the_end: bool, heartbeat: Heartbeat | None = None) -> End | None:
        """Write what there is, and `to_the_end` also what comes; how the run ended, None while it has not.

        Raises TrackingFailed, NotSeen for an engine that cannot be seen, and UsageError where nothing has begun.
        """
        files = RunFiles(self._run, heartbeat)
        feed = RunFeed(files, RunView(own=False, run=self._run.name, asked_to_start=True, catching_up=True))
        try:
            while True:
                self._write([record for _, event in feed.poll(POLL) if event for record in self._records.of(event)])
                if feed.over or not to_the_end:
                    break
                if feed.view.state.finished is None:
                    refuse_unseen(self._run, files, feed.view.unseen)
            if feed.over:
                self._write(list(self._records.unreported_end(feed.final_event(self._run))))
        except BaseException:
            with contextlib.suppress(Exception):
                self._close(None)
            raise
        if self._records.first is None:
            raise UsageError(Tracking.NOT_BEGUN, run=self._run.name)
        self._close(self._records.end)
        return self._records.end

    def _write(self, records: list[Record]) -> None:
        first, hello = self._records.first, self._records.hello
        with self._failures():
            if first is not None and not self._begun:
                key = hello.engine if hello is not None else first.run
                self._tracker.begin(RunFacts(key, self._run.name, first.time, first, _recipe_of(self._run)))
                self._begun = True
            if records and self._begun:
                self._tracker.write(records)

    def _close(self, end: End | None) -> None:
        if self._begun:
            self._begun = False
            with self._failures():
                self._tracker.close(end)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """What a tool raises, as one sentence."""
        try:
            yield
        except MedtuiError:
            raise
        except Exception as error:
            reason = clean(f"{type(error).__name__}: {error}".rstrip(".: "), 300)
            raise TrackingFailed(Tracking.FAILED, tracker=self._name, run=self._run.name, reason=reason) from error


def _recipe_of(run: RunDirectory) -> Mapping[str, Any]:
    """As its file has it; nothing where that cannot be read."""
    try:
        return read_yaml_file(run.recipe).values
    except MedtuiError:
        return {}
