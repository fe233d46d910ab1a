"""Whatever events arrive, in any order and with any numbers, the texts and curves of a run are shown."""

from __future__ import annotations

import io
from typing import Any

import pytest
from any_events import CALM, STORIES
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from engine.contract.wire.protocol import parse_event
from medtui.client.facts import facts_of
from medtui.client.feed import absorb
from medtui.client.occurrences import Occurrences
from medtui.client.view import RunView
from medtui.console.live.text import log_text, progress_text
from medtui.console.shell.notifications import Notifications, Pace
from medtui.console.shell.status_text import AppStatus, status_line
from medtui.console.widgets.classes import class_rows, classes_text
from medtui.console.widgets.curves import auc_plot, loss_plot
from medtui.console.widgets.plot import plot_text
from medtui.plain.progress import print_results
from medtui.text import json_line


@pytest.mark.slow
@settings(max_examples=100, **CALM)
@given(story=STORIES, log=st.booleans(), axis=st.sampled_from(["step", "epoch", "time"]))
def test_any_events_are_shown_by_every_text_and_curve(story: list[Any], log: bool, axis: Any) -> None:
    view, news, pace, occurrences = RunView(asked_to_start=True), Notifications(), Pace(), Occurrences()
    for at, event in enumerate(story):
        heard = parse_event(event.line().rstrip(b"\n"))
        assert heard is not None, "an event that can be said can be heard"
        view = absorb(view, heard)
        found = occurrences.of(view, 100.0 * at)
        news.of(found)
        assert all(json_line(facts_of(one, view)) for one in found)
        pace.left(view)
    assert progress_text(view, None, 50).plain
    log_text(view, "", 10)
    classes_text(class_rows(view)[1], 80)
    for spec in (loss_plot(view, axis, log=log, smooth=True), auc_plot(view, axis)):
        assert plot_text(spec, 60, 12, dark=True).plain
    assert status_line(view, AppStatus(), 120).plain
    if view.state.finished is not None:
        print_results(Console(file=io.StringIO(), width=80), view.state.finished, view.state)


def test_impossible_numbers_are_not_an_event() -> None:
    """A hostile journal: a step that no float holds, a time that no calendar has."""
    whole = (
        b'{"event":"checkpoint.saved","time":%s,"kind":"last","path":"x","position":{"epoch":%s,"step":0},"digest":"d",'
    )
    rest = b'"bytes":1,"seconds":1}'
    assert parse_event(whole % (b"1", b"1") + rest) is not None
    for time, epoch in ((b"1", b"1" + b"0" * 400), (b"1e18", b"1"), (b'"NaN"', b"1"), (b"-1", b"1")):
        assert parse_event(whole % (time, epoch) + rest) is None
