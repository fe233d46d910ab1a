"""`RunFeed`: whatever the source, the same view; gaps are filled, and an unreported end is detected."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_state import RUN, folded

from engine.contract.machine.process_identity import ProcessIdentity, boot_id
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.status import Status
from engine.contract.wire.protocol import (
    LINE_LIMIT,
    AnyEvent,
    EpochFinished,
    Hello,
    RunFinished,
    RunStarted,
    parse_event,
)
from medtui.client.engine_death import Death, describe_death
from medtui.client.engine_process import Line
from medtui.client.feed import RunFeed
from medtui.client.sources import EnginePipe, RunFiles
from medtui.sentences import EngineDeath

ENDED = {"pid": 999_999_999, "started": 1.0, "host": socket.gethostname(), "boot": boot_id()}  # no process has that pid


class Pipe:
    """What an engine writes before it dies by signal 9."""

    identity = ProcessIdentity(999_999_999, 1.0, socket.gethostname(), boot_id())

    def __init__(self, *lines: bytes) -> None:
        self._lines: Iterator[bytes] = iter(lines)

    def receive(self, timeout: float) -> Line | None:
        line = next(self._lines, None)
        return None if line is None else (line, parse_event(line))

    def death(self, run: RunDirectory | None, patience: float) -> Death:
        return describe_death(-9, "Segmentation fault\nin libfoo")


def lines_of(events: list[AnyEvent]) -> list[bytes]:
    return [event.line().rstrip(b"\n") for event in events]


def read_to_its_end(feed: RunFeed) -> list[Line]:
    heard = []
    while not feed.over:
        heard += list(feed.poll(0.0))
    return heard


def run_with(tmp_path: Path, events: list[AnyEvent], **status: object) -> RunDirectory:
    """A run whose engine is dead; without `status` values it has no status."""
    run = RunDirectory(tmp_path / "run")
    (run.root / "checkpoints").mkdir(parents=True)
    run.journal.path.write_bytes(b"".join(event.line() for event in events))
    if status:
        values = {"engine": "e" * 16, "updated": 1.0, "phase": "training", "seq": 1, **ENDED, **status}
        run.status.path.write_text(Status.model_validate(values).model_dump_json())
    return run


def test_pipe_and_files_of_a_run_make_the_same_state(tmp_path: Path) -> None:
    piped = RunFeed(EnginePipe(Pipe(*lines_of(RUN))))
    heard = read_to_its_end(piped)
    assert [line for line, _ in heard] == lines_of(RUN)
    followed = RunFeed(RunFiles(run_with(tmp_path, RUN, outcome="completed")))
    assert [event for _, event in read_to_its_end(followed)] == RUN
    assert piped.view.state == followed.view.state == folded(RUN)
    assert piped.final_event() == followed.final_event() == RUN[-1]


def test_each_line_is_passed_on_once_the_view_has_it() -> None:
    feed, known = RunFeed(EnginePipe(Pipe(*lines_of(RUN)))), []
    while not feed.over:
        for _, event in feed.poll(0.0):
            assert event is not None
            known.append(event)
            assert feed.view.state == folded(known)


def test_what_a_pipe_lost_is_taken_from_the_journal(tmp_path: Path) -> None:
    run = run_with(tmp_path, [])
    started = next(number for number, event in enumerate(RUN) if isinstance(event, RunStarted))
    here = [e.model_copy(update={"run_dir": str(run.root)}) if isinstance(e, RunStarted) else e for e in RUN]
    run.journal.path.write_bytes(b"".join(event.line() for event in here[:-1]))
    feed = RunFeed(EnginePipe(Pipe(*lines_of([*here[: started + 1], *here[-2:]]))))
    read_to_its_end(feed)
    assert feed.view.state == folded(here)


def test_an_engine_that_dies_without_reporting_is_detected_in_the_pipe(tmp_path: Path) -> None:
    feed = RunFeed(EnginePipe(Pipe(*lines_of(RUN[:2]), b"Killed", b"")))
    read_to_its_end(feed)
    word = feed.final_event()
    assert (word.outcome, word.exit_code, word.seq) == ("crashed", 5, None)
    assert word.error is not None and word.error.code == EngineDeath.KILLED.code and "libfoo" in word.error.hint
    assert feed.death is not None and feed.death.fields == {"signal": 9}
    assert feed.view.died == "The engine died (signal 9). Last output: in libfoo"
    assert feed.view.noise == 1, "an empty line is none"


def test_an_event_of_a_newer_version_is_passed_on_and_is_no_noise() -> None:
    newer, noise = b'{"event":"of.tomorrow","seq":99}', [b'{"event":"torn', b'{"other":1}', b"warning: hot", b" "]
    feed = RunFeed(EnginePipe(Pipe(*lines_of(RUN[:2]), newer, *noise)))
    assert [line for line, _ in read_to_its_end(feed)] == [*lines_of(RUN[:2]), newer, *noise]
    assert feed.view.noise == 3, "a blank line is none"
    assert feed.view.state == folded(RUN[:2])


@pytest.mark.parametrize("known_by", ["status", "journal"])
def test_an_engine_that_dies_without_reporting_is_detected_in_the_files(tmp_path: Path, known_by: str) -> None:
    first, *rest = RUN[:-1]
    assert isinstance(first, Hello)
    events = [first.model_copy(update=ENDED), *rest]
    run = run_with(tmp_path, events, **({"phase": "training"} if known_by == "status" else {}))
    feed = RunFeed(RunFiles(run))
    assert [event for _, event in read_to_its_end(feed)] == events
    assert feed.view.died == "The engine process disappeared without reporting."
    word = feed.final_event(run)
    assert (word.outcome, word.exit_code, word.run_dir) == ("crashed", 7, str(run.root))


@pytest.mark.parametrize(("saved", "code"), [(True, 7), (False, 5)])
def test_a_crash_that_left_a_checkpoint_has_one_exit_code_also_where_the_journal_cannot_be_read(
    tmp_path: Path, saved: bool, code: int
) -> None:
    run = run_with(tmp_path, RUN[:-1], phase="training")
    run.journal.path.rename(tmp_path / "elsewhere.jsonl")
    run.journal.path.symlink_to(tmp_path / "elsewhere.jsonl")
    if saved:
        run.last.path.write_bytes(b"weights")
    feed = RunFeed(RunFiles(run))
    assert read_to_its_end(feed) == []
    assert (feed.final_event(run).outcome, feed.final_event(run).exit_code) == ("crashed", code)


def test_a_final_event_that_only_the_status_has_is_used(tmp_path: Path) -> None:
    run = run_with(tmp_path, RUN[:-1], outcome="stopped")
    feed = RunFeed(RunFiles(run))
    read_to_its_end(feed)
    assert (feed.final_event(run).outcome, feed.final_event(run).exit_code, feed.view.outcome) == (
        "stopped",
        6,
        "stopped",
    )
    assert feed.view.died is None and feed.death is None


def test_a_journal_that_starts_over_is_read_again(tmp_path: Path) -> None:
    run = run_with(tmp_path, RUN[:6])
    feed = RunFeed(RunFiles(run))
    feed.refresh(0.0)
    assert feed.view.state == folded(RUN[:6])
    run.journal.path.write_bytes(b"".join(event.line() for event in RUN[:2]))
    assert [event for _, event in feed.poll(0.0)] == RUN[:2]
    assert feed.view.state == folded(RUN[:2])


def test_half_a_line_waits_for_its_end_and_one_without_end_is_skipped(tmp_path: Path) -> None:
    run = run_with(tmp_path, RUN[:1])
    feed = RunFeed(RunFiles(run))
    feed.refresh(0.0)
    half, rest = RUN[1].line()[:20], RUN[1].line()[20:]
    with run.journal.path.open("ab", buffering=0) as journal:
        journal.write(half)
        assert list(feed.poll(0.0)) == []
        journal.write(rest + b"x" * 3 * LINE_LIMIT)
        assert [event for _, event in feed.poll(0.0)] == [RUN[1]]
        journal.write(b"x\n" + RUN[2].line())
        assert [event for _, event in feed.poll(0.0)] == [RUN[2]]


def test_only_from_its_end_on_if_requested(tmp_path: Path) -> None:
    run = run_with(tmp_path, RUN[:-1])
    feed = RunFeed(RunFiles(run, from_end=True))
    feed.refresh(0.0)
    with run.journal.path.open("ab") as journal:
        journal.write(RUN[-1].line())
    assert [event for _, event in feed.poll(0.0)] == [RUN[-1]]
    assert isinstance(feed.view.state.finished, RunFinished)


def test_a_closed_feed_stops_waiting(tmp_path: Path) -> None:
    files = RunFiles(run_with(tmp_path, RUN[:-1]))
    feed = RunFeed(files)
    feed.refresh(0.0)
    thread = threading.Thread(target=feed.refresh, args=(600.0,), daemon=True)
    thread.start()
    files.close()
    thread.join(30)
    assert not thread.is_alive()


def test_the_curve_of_a_journaled_epoch_is_not_reported_twice(tmp_path: Path) -> None:
    """The status is read first: its curve may be of the epoch whose end stands in the journal."""
    epoch = next(event for event in RUN if isinstance(event, EpochFinished))
    events = RUN[: RUN.index(epoch) + 1]
    run = run_with(tmp_path, events, curve=[[epoch.step - 1, 2.3], [epoch.step, 2.2], [epoch.step + 1, 2.1]])
    feed = RunFeed(RunFiles(run))
    feed.refresh(0.0)
    assert feed.view.points == ((epoch.step + 1, 2.1),)
