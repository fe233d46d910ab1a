"""Live: what an engine reports is shown; what it does not report is never assumed."""

from __future__ import annotations

import base64
import json
import math
import re
import signal
import subprocess
import time
from dataclasses import replace
from functools import reduce
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.text import Text
from screen_helpers import screen_text, shows, wait_for
from stand_ins import START, Scripted, Story, make_run

from engine.contract.machine.process_identity import ProcessIdentity, start_of, this_process
from engine.contract.machine.scheduler import SchedulerJob
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.status import read_status
from engine.contract.wire.protocol import AnyEvent, CommandRejected, ErrorInfo, Metrics, Position, Progress
from medtui.actions import with_keys
from medtui.client.escalation_steps import EscalationStep, overdue, request_steps
from medtui.client.feed import absorb
from medtui.client.state import RunState, fold
from medtui.client.view import Request, RunView
from medtui.console.app import ConsoleApp
from medtui.console.kill_switch.text import fitting
from medtui.console.live.numbers import numbers_text
from medtui.console.live.screen import Live
from medtui.console.live.text import log_text, progress_text
from medtui.console.shell.frame import StatusLine
from medtui.console.shell.status_text import AppStatus, known, status_line
from medtui.console.widgets.classes import class_rows, classes_text
from medtui.console.widgets.curves import auc_plot, loss_title
from medtui.settings import Settings

SIZE = (120, 40)
HOSTILE = "evil\x1b]52;c;AAAA\x07\x1b[31m\x9b1m‮[/] [b [bold]x[/bold]"


async def watching(pilot, app: ConsoleApp, scripts: list[Scripted], epochs: int = 3) -> tuple[Scripted, Story]:
    """A run that was started from the Recipes screen and is in the middle of an epoch."""
    await wait_for(pilot, lambda: getattr(app.base_screen, "checked", None) and app.base_screen.checked.recipe)
    await pilot.press("r")
    await wait_for(pilot, lambda: scripts and scripts[-1].sent)
    run_dir = app.workspace.outputs / "20261122_breastmnist_resnet18-adapted_1a2b3c"
    story = Story(run_dir)
    scripts[-1].emit(*story.running(epochs))
    await wait_for(pilot, lambda: len(app.view.state.epochs) == epochs and app.screen_name == "live")
    await pilot.pause(0.3)
    return scripts[-1], story


@pytest.mark.asyncio
async def test_a_run_starts_from_the_recipe_and_its_curves_and_classes_move(console, scripts) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        script, story = await watching(pilot, app, scripts, epochs=3)
        start = script.sent[0]
        assert (start.command, start.job, start.on_disconnect) == ("start", "train", "continue")
        assert start.recipe["dataset"]["name"] == "cells"
        await shows(pilot, "● training", "breastmnist · resnet18_adapted · 1a2b3c", "epoch 4/10", "best 0.8600 @ 3")
        text = screen_text(app)
        assert text.index("malignant") < text.index("benign"), "worst first"
        assert "+0.050" in text
        script.emit(story.epoch(4))
        await shows(pilot, "best 0.8800 @ 4", "epoch 4: best AUC 0.8800")


@pytest.mark.asyncio
async def test_however_many_snapshots_come_a_frame_per_second_shows_the_newest(console, scripts, monkeypatch) -> None:
    """Each frame composes the whole screen: half of what the live screen costs."""
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        script, story = await watching(pilot, app, scripts)
        display, frames = app._display, []
        app.now = lambda: START + time.monotonic()  # the clock of the top line runs, and its seconds make frames too
        monkeypatch.setattr(app, "_display", lambda screen, update: (frames.append(update), display(screen, update)))
        began = time.monotonic()
        while time.monotonic() - began < 5.0:
            rate = 1000.0 + len(frames) + time.monotonic() % 1
            script.emit(story.progress(4, 2).model_copy(update={"images_per_second": rate}))
            await pilot.pause(0.1)
        assert sum(update is not None for update in frames) <= 1.4 * (time.monotonic() - began)
        script.emit(story.progress(4, 3).model_copy(update={"images_per_second": 4321.0}))
        await shows(pilot, "4,321 img/s")


@pytest.mark.asyncio
async def test_pause_is_acknowledged_at_once_and_shown_as_done_only_when_the_engine_confirms(console, scripts) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        script, story = await watching(pilot, app, scripts)
        await pilot.press("p")
        await shows(pilot, "pause sent, waiting for the engine's answer", "● training")
        pause = script.sent[-1]
        assert pause.command == "pause"
        script.emit(story.accepted(pause.id, "pause"), story.phase("paused"))
        await shows(pilot, "‖ paused", "paused; p resumes")
        await pilot.press("p")
        await wait_for(pilot, lambda: script.sent[-1].command == "resume")


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [(120, 40), (80, 24), (60, 18), (40, 12)], ids=str)
@pytest.mark.everyday("(80, 24)")
async def test_the_kill_switch_is_opened_by_one_key_and_confirmed_by_another(console, scripts, size) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        script, story = await watching(pilot, app, scripts)
        await pilot.resize_terminal(*size)
        await pilot.press("S")
        await shows(pilot, "kill switch", "Cancel", "y stop")
        assert app.focused.id == "cancel"
        sent = len(script.sent)
        await pilot.press("S", "K", "escape")
        await pilot.pause()
        assert len(script.sent) == sent, "neither the opening key nor esc acts"
        await pilot.press("K")
        await shows(pilot, "y abort")
        await pilot.press("y")
        await wait_for(pilot, lambda: script.sent[-1].command == "abort")
        await shows(pilot, "✓ abort requested", "… engine's answer")
        story.time = app.view.requests[-1].at
        script.emit(story.accepted(script.sent[-1].id, "abort"), story.checkpoint(3), *story.ended("aborted", 7))
        script.end()
        await shows(pilot, "▲ aborted: see what failed", "✗ checkpoint damaged")  # the script wrote none
        await shows(pilot, "✓ aborted", "✓ process gone", "✓ its lock free")


@pytest.mark.asyncio
async def test_f9_opens_the_kill_switch_in_every_field(console, scripts) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await watching(pilot, app, scripts)
        for screen, field in (("1", "slash"), ("4", "slash"), ("3", "slash")):
            await pilot.press("escape", "escape", screen)
            await pilot.pause(0.2)
            await pilot.press(field, "x", "f9")
            await shows(pilot, "kill switch")
            await pilot.press("escape")


@pytest.mark.asyncio
async def test_below_60_by_18_a_notice_is_shown_and_the_kill_keys_work(console, scripts) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        script, story = await watching(pilot, app, scripts)
        await pilot.resize_terminal(40, 12)
        await shows(pilot, "40 × 12", "60 × 18", "training", "p pause", "S stop", "K abort")
        await pilot.press("p")
        await wait_for(pilot, lambda: script.sent[-1].command == "pause")
        script.emit(story.accepted(script.sent[-1].id, "pause"), story.phase("paused"))
        await shows(pilot, "paused")


@pytest.mark.asyncio
async def test_an_engine_that_dies_is_reported_and_the_next_run_can_start(console, scripts) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        script, _ = await watching(pilot, app, scripts)
        script.die(-9)
        await shows(pilot, "✗ crashed", "The engine died (signal 9).", "Segmentation")
        await pilot.press("1")
        await pilot.press("r")
        await wait_for(pilot, lambda: len(scripts) == 2 and scripts[1].sent)
        assert scripts[1].sent[0].command == "start"


@pytest.mark.asyncio
async def test_garbage_half_lines_and_floods_do_no_harm(console, scripts) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        script, story = await watching(pilot, app, scripts)
        script.write(
            b"not json", b'{"event": "epoch.fin', b"\xff\xfe\x00", b"[]", b'{"event": "brand.new", "seq": null}'
        )
        for number in range(10_000):
            script.emit(story.log(f"line {number}"))
        script.emit(story.epoch(4))
        await shows(pilot, "not events: 4 lines of the engine's output", "epoch 4: best AUC")
        await pilot.press("4", "3")
        await shows(pilot, "● training")


@pytest.mark.asyncio
async def test_hostile_text_reaches_no_terminal_and_breaks_no_screen(console, scripts) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await wait_for(pilot, lambda: getattr(app.base_screen, "checked", None) and app.base_screen.checked.recipe)
        await pilot.press("r")
        await wait_for(pilot, lambda: scripts and scripts[-1].sent)
        story = Story(app.workspace.outputs / "20261122_x", name=f"run {HOSTILE}")
        rows = [row.model_copy(update={"name": f"{HOSTILE} {row.name}"}) for row in story.epoch(1).per_class]
        script = scripts[-1]
        script.emit(story.hello(), story.started(class_names=(HOSTILE, "b")), story.phase("training"))
        script.emit(story.epoch(1, per_class=rows), story.log(HOSTILE, "warning"))
        await shows(pilot, "evil·]52;c;AAAA··[31m")
        text = screen_text(app)
        assert not set(text) & set("\x1b\x07\x9b‮")
        script.emit(*story.ended("failed", 5))
        await shows(pilot, "✗ failed")


@pytest.mark.asyncio
async def test_screens_and_sizes_change_without_losing_selection_or_input(console, scripts, workspace) -> None:
    for day in range(3):
        make_run(
            workspace, f"2026112{day}_breastmnist_resnet18-adapted_aaaaa{day}", started=f"2026-11-2{day}T10:00:00+00:00"
        )
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await watching(pilot, app, scripts)
        await pilot.press("4")
        results = app.get_base_screen("results")
        await wait_for(pilot, lambda: results.detail)
        await pilot.press("down")
        await wait_for(pilot, lambda: results.detail.run_row.run.endswith("aaaaa1"))
        await pilot.press("3", "slash", *"best")
        for size in ((60, 18), (40, 12), (120, 40)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
        assert app.get_base_screen("live").query_one("#log-filter").value == "best"
        await pilot.press("escape", "4")
        await pilot.pause(0.3)
        assert results.detail.run_row.run.endswith("aaaaa1")
        assert results.query_one("#runs").cursor_row == 1


@pytest.mark.asyncio
async def test_ten_thousand_queued_events_lose_neither_selection_nor_input(console, scripts, workspace) -> None:
    for day in range(3):
        make_run(
            workspace, f"2026111{day}_breastmnist_resnet18-adapted_aaaaa{day}", started=f"2026-11-1{day}T10:00:00+00:00"
        )
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        script, story = await watching(pilot, app, scripts)
        await pilot.press("4")
        results = app.get_base_screen("results")
        await wait_for(pilot, lambda: results.detail)
        await pilot.press("down")
        await wait_for(pilot, lambda: results.detail.run_row.run.endswith("aaaaa1"))
        await pilot.press("3", "slash")
        flood: list = []
        for number in range(4, 1003):
            flood += [story.log(f"line {number}-{part}") for part in range(8)]
            flood += [story.progress(number, 2), story.epoch(number, best=False)]
        assert len(flood) > 9_900
        script.emit(*flood, *(story.log(f"the last {count}") for count in range(10)))
        for key in "the last":  # while they are being taken in
            await pilot.press(key if key != " " else "space")
        await wait_for(pilot, lambda: app.view.state.messages[-1].message == "the last 9")
        await shows(pilot, "the last 8", "the last 9")
        assert app.get_base_screen("live").query_one("#log-filter").value == "the last"
        assert len(app.view.state.epochs) == 1002
        await pilot.press("escape", "4")
        await pilot.pause(0.3)
        assert results.detail.run_row.run.endswith("aaaaa1")
        assert results.query_one("#runs").cursor_row == 1


@pytest.mark.asyncio
async def test_the_table_of_classes_is_made_for_the_room_that_its_pane_has(console, scripts) -> None:
    """A pane next to it comes and goes: it has its size only after the layout."""
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        script, story = await watching(pilot, app, scripts)
        live, widths = app.base_screen, set()
        pane, table = live.query_one("#pane-classes"), live.query_one("#classes")
        for number, confusion in ((4, [[50, 7], [4, 17]]), (5, None), (6, [[50, 7], [4, 17]])):
            script.emit(story.epoch(number, confusion=confusion))
            await wait_for(pilot, lambda: live.has_class("-no-confusion") is (confusion is None))  # noqa: B023
            await pilot.pause(0.3)
            expected = classes_text(class_rows(app.view)[1], pane.size.width - 2).plain
            await wait_for(pilot, lambda: str(table.content) == expected)  # noqa: B023
            widths.add(pane.size.width)
        assert len(widths) == 2


@pytest.mark.asyncio
async def test_q_while_training_asks_and_stay_stays(console, scripts) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        script, _ = await watching(pilot, app, scripts)
        sent = len(script.sent)
        await pilot.press("q")
        await shows(pilot, "A run is training.", "n stay", "y quit, leave it running", "s stop it")
        await pilot.press("n")
        await pilot.pause(0.2)
        assert app.is_running and len(script.sent) == sent
        await pilot.press("q")
        await shows(pilot, "leave it running")
        assert app.focused.id == "answer-leave", "what is most likely meant, which ends nothing"
        await pilot.press("enter")
        await wait_for(pilot, lambda: app.return_code == 0)
        assert len(script.sent) == sent, "leaving it running sends nothing"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("size", "classes", "rows"),
    # with as many rows as the screens have
    [((120, 40), 2, 6), ((120, 40), 14, 11), ((80, 24), 2, 5), ((80, 24), 14, 6), ((200, 60), 14, 16)],
    ids=str,
)
@pytest.mark.everyday("(80, 24)-14-6", "(200, 60)-14-16")
async def test_the_table_is_as_tall_as_its_classes_and_the_plots_get_the_rest(
    console, scripts, size, classes, rows
) -> None:
    app = console()
    async with app.run_test(size=size, notifications=True) as pilot:
        script, story = await watching(pilot, app, scripts)
        one = story.epoch(4).per_class[0]
        many = [one.model_copy(update={"name": f"class {n:02}", "recall": n / 100}) for n in range(classes)]
        script.emit(story.epoch(5, per_class=many))
        await shows(pilot, "class 00")
        table, plot = app.base_screen.query_one("#pane-classes"), app.base_screen.query_one("#pane-loss")
        numbers = app.base_screen.query_one("#numbers").outer_size.height
        end = app.base_screen.query_one("#live-end").outer_size.height  # progress and log
        assert table.outer_size.height == rows  # a frame, a head, the classes, up to a bound
        down = 2 if size[1] >= 50 else 1
        assert plot.outer_size.height in (left := (size[1] - 2 - numbers - end - rows) // down, left + 1)
        assert plot.outer_size.height >= 9
        await pilot.press(*["j"] * classes)  # the last one can be had
        await shows(pilot, f"class {classes - 1:02}")


@pytest.mark.parametrize(
    ("position", "words"),
    [(Position(epoch=3, step=2), "epoch 4, step 2"), (Position(epoch=3, step=0), "the end of epoch 3")],
)
def test_the_log_shows_where_a_run_resumes_and_what_changed(tmp_path, position: Position, words: str) -> None:
    story = Story(tmp_path)
    story.facts = {"attempt": 2, "resumed_from": position, "drift": ["threads were 4, are 2"]}
    events = [story.hello(), story.started(), story.phase("training")]
    view = RunView(state=reduce(fold, events, RunState()))
    lines = log_text(view, "", 9).plain.splitlines()
    assert [line[9:] for line in lines] == [
        f"attempt 2: resumed from {words}",
        "drift between attempts, not bit for bit: threads were 4, are 2",
    ]


@pytest.mark.asyncio
async def test_the_log_says_how_a_run_ended(console, scripts) -> None:
    app = console()
    async with app.run_test(size=(120, 40)) as pilot:
        script, story = await watching(pilot, app, scripts)
        script.emit(story.phase("finished"))
        await wait_for(pilot, lambda: app.view.phases[-1][0] == "finished")
        await pilot.pause(0.3)
        script.emit(story.finished("aborted", 7))
        await wait_for(pilot, lambda: re.search(r"\d\d:\d\d:\d\d aborted", screen_text(app)))
        assert not re.search(r"\d\d:\d\d:\d\d finished", screen_text(app))


@pytest.mark.asyncio
async def test_a_narrow_terminal_shows_log_lines_below_the_progress(console, scripts) -> None:
    app = console()
    async with app.run_test(size=(60, 18), notifications=True) as pilot:
        await watching(pilot, app, scripts)
        await pilot.press("left_square_bracket")  # the last one
        await shows(pilot, "░  4/10", "░  2/4", "best: epoch 3", "epoch 3: best AUC")
        await pilot.press("right_square_bracket")
        await wait_for(pilot, lambda: "epoch 3: best AUC" not in screen_text(app))
        await shows(pilot, "░  4/10", "◆ val", "val loss 0.560")


NAN = ErrorInfo(kind="failed", message="The loss is NaN in epoch 4.", hint="Lower training.lr.")


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [(120, 40), (80, 24), (60, 18)], ids=str)
@pytest.mark.everyday("(80, 24)")
async def test_a_failure_is_shown_once_where_it_can_be_read_with_the_next_key(console, scripts, size) -> None:
    app = console()
    async with app.run_test(size=size, notifications=True) as pilot:
        script, story = await watching(pilot, app, scripts)
        script.emit(story.alarm(NAN.message, NAN.hint), *story.ended("failed", 5, NAN))
        await shows(pilot, "✗ failed", "resume: 4, then u", "The loss is NaN in epoch 4. Lower")
        await pilot.pause(0.3)
        text = screen_text(app)
        panel = text[text.index("resume: 4, then u") :]
        assert panel.index("The loss is NaN") < panel.index("3/10"), "nothing covers it"
        assert not app._notifications


@pytest.mark.asyncio
async def test_a_failure_is_notified_once_on_any_other_screen(console, scripts) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        script, story = await watching(pilot, app, scripts)
        await pilot.press("2")
        await wait_for(pilot, lambda: app.screen_name == "machine")
        script.emit(story.alarm(NAN.message, NAN.hint), *story.ended("failed", 5, NAN))
        await shows(pilot, "✗ failed", NAN.message)
        assert [note.message for note in app._notifications] == [f"{NAN.message} {NAN.hint}"]


@pytest.mark.asyncio
async def test_an_alarm_stays_on_the_live_screen_while_the_run_continues(console, scripts) -> None:
    app = console()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        script, story = await watching(pilot, app, scripts)
        script.emit(story.alarm("The validation AUC of epoch 4 is undefined.", ""))
        await shows(pilot, "ALARM The validation AUC of epoch 4")
        assert not app._notifications


@pytest.mark.asyncio
async def test_without_a_run_live_shows_what_to_do(console) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await pilot.press("3")
        await shows(pilot, "Nothing is training.", "r runs the selected recipe; a attaches to a run.")
        await pilot.press("S", "p")
        await pilot.pause()
        assert app.screen_name == "live" and "kill switch" not in screen_text(app)


@pytest.mark.asyncio
async def test_the_keys_that_live_names_without_a_run_work_there(console, scripts, workspace) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await wait_for(pilot, lambda: getattr(app.base_screen, "checked", None) and app.base_screen.checked.recipe)
        await pilot.press("3")
        await shows(pilot, "r runs the selected recipe")
        assert "log scale" not in screen_text(app), "no key of the curves while there are none"
        await pilot.press("r")
        await wait_for(pilot, lambda: scripts and scripts[-1].sent)
        assert scripts[-1].sent[0].recipe["dataset"]["name"] == "cells"
        assert app.screen_name == "live"


@pytest.mark.asyncio
async def test_a_finished_run_can_be_replayed(console, workspace) -> None:
    make_run(workspace, "20261120_breastmnist_resnet18-adapted_aaaaaa", epochs=8)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await wait_for(pilot, lambda: app.base_screen)
        await pilot.press("3", "a")
        await shows(pilot, "✓ completed", "test AUC 0.9014", "best 0.9200 @ 6")


# ---- pure -----------------------------------------------------------------------------------------------------------


def story_events(tmp_path) -> list:
    story = Story(tmp_path / "run")
    return [*story.running(4), *story.ended()]


def test_escalation_steps_come_from_events_and_carry_their_clocks(tmp_path) -> None:
    story = Story(tmp_path / "run")
    view = RunView(asked_to_start=True)
    for event in story.running(3):
        view = absorb(view, event)
    request = Request("7", "stop", story.time + 0.5)
    view = RunView(**{**view.__dict__, "requests": (request,)})
    titles = [(entry.title, entry.state) for entry in request_steps(view, request)]
    assert titles == [("stop requested", "done"), ("engine's answer", "waiting"), *titles[2:]]
    assert all(state == "waiting" for _, state in titles[2:])
    view = absorb(view, story.accepted("7", "stop"))
    view = absorb(view, story.checkpoint(3))
    clocks = {entry.title: entry.clock for entry in request_steps(view, request)}
    assert clocks["accepted"] == pytest.approx(0.5)
    assert clocks["checkpoint saved"] == pytest.approx(1.5)
    assert clocks["best weights evaluated"] is None


@pytest.mark.parametrize("columns", [36, 60])
def test_the_kill_switch_fits_and_keeps_the_pending_step_and_the_advice(columns: int) -> None:
    note = "finishes the batch, saves, evaluates the best weights, writes all artifacts"
    for done in range(9):
        states = ["done"] * done + ["waiting"] * (9 - done)
        found = [EscalationStep(f"entry {at}", state, 1.0, note * (at == 1)) for at, state in enumerate(states)]
        for rows in range(4, 16):
            text = fitting(found, "Longer than the expected 0.4 s. Try abort.", columns, rows).plain
            lines = text.splitlines()
            assert len(lines) <= rows and max(map(len, lines)) <= columns
            assert " ".join(lines).endswith("Try abort.") and (f"entry {done}" in text or done == 9)
            assert all(line.strip() for line in lines), "no row is wasted"
    roomy = fitting(found, None, 60, 15).plain
    assert note in " ".join(roomy.split()) and roomy.count("entry") == 9


def test_a_run_of_ten_epochs_is_never_in_its_eleventh_and_when_ended_counts_complete_ones(tmp_path) -> None:
    story = Story(tmp_path / "run", epochs=10)
    view, seen = RunView(asked_to_start=True), []
    for event in [*story.running(9), story.progress(10, 1), story.epoch(10), story.progress(11, 0, "evaluating")]:
        view = absorb(view, event)
        seen.append(view.epoch)
    assert seen == sorted(seen) and seen[-3:] == [10, 10, 10]
    crashed = RunView(asked_to_start=True)
    for event in story.running(3):  # and in the middle of the fourth
        crashed = absorb(crashed, event)
    assert (crashed.epoch, replace(crashed, died="The engine died.").epoch) == (4, 3)


def test_a_checkpoint_from_before_the_request_does_not_count(tmp_path) -> None:
    story = Story(tmp_path / "run")
    view = RunView(asked_to_start=True)
    for event in story.running(3):
        view = absorb(view, event)
    request = Request("7", "abort", story.time + 10)
    saved = next(entry for entry in request_steps(view, request) if entry.title == "checkpoint saved")
    assert saved.state == "waiting"


def test_a_rejected_command_shows_the_reason_and_escalates_no_further(tmp_path) -> None:
    request = Request("7", "pause", START)
    rejected = CommandRejected(time=START + 1, seq=1, id="7", command="pause", reason="too late", by="me", via="stdin")
    view = absorb(RunView(asked_to_start=True), rejected)
    assert [(entry.title, entry.state) for entry in request_steps(view, request)] == [
        ("pause requested", "done"),
        ("rejected", "failed"),
    ]


def test_patience_is_measured_by_what_the_engine_expects(tmp_path) -> None:
    request = Request("7", "stop", START)
    view = RunView(asked_to_start=True)
    assert overdue(view, request, START + 9) is None
    assert "does not answer" in (overdue(view, request, START + 11) or "")
    view = absorb(view, Story(tmp_path / "run").accepted("7", "stop", expected=60.0))
    assert overdue(view, request, START + 59) is None
    assert "Try abort" in (overdue(view, request, START + 61) or "")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_order_repetition_or_loss_of_events_breaks_fold_or_texts(tmp_path, data) -> None:
    events = story_events(tmp_path)
    chosen = data.draw(st.lists(st.sampled_from(events), max_size=40))
    view = RunView(asked_to_start=True)
    for event in chosen:
        view = absorb(view, event)
    progress_text(view, None, 50)
    log_text(view, "", 10)
    classes_text(class_rows(view)[1], 80)


def test_undefined_values_are_dashes_and_crosses_never_zeros(tmp_path) -> None:
    story = Story(tmp_path / "run")
    nan = math.nan
    rows = [row.model_copy(update={"recall": nan, "auc": nan}) for row in story.epoch(1).per_class]
    view = RunView(asked_to_start=True)
    metrics = Metrics(loss=nan, auc=nan, acc=0.5, f1=nan)
    for event in (story.started(), story.epoch(1, per_class=rows, validation=metrics, train_loss=nan)):
        view = absorb(view, event)
    text = classes_text(class_rows(view)[1], 100).plain
    assert "–" in text and "×" in text and "0.000" not in text


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [(120, 40), pytest.param((40, 12), marks=pytest.mark.slow)], ids=str)
async def test_kill_escalates_through_every_step_and_shows_steps_and_clocks(console, scripts, size) -> None:
    child = subprocess.Popen(  # in the place of an engine: it ignores SIGTERM
        ["bash", "-c", "trap '' TERM; echo; while :; do sleep 0.05; done"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout.readline()
    app = console()
    try:
        async with app.run_test(size=SIZE, notifications=True) as pilot:
            script, _ = await watching(pilot, app, scripts)
            me = this_process()
            script.identity = ProcessIdentity(child.pid, start_of(child.pid), me.host, me.boot)
            await pilot.resize_terminal(*size)
            await pilot.press("K", "j")
            await shows(pilot, "▸ kill", "y kill")
            await pilot.press("y")
            await wait_for(pilot, lambda: script.sent[-1].command == "abort")
            await shows(pilot, "✓ abort requested", "… engine's answer", "y next step")
            await pilot.press("y")
            await shows(pilot, "✓ SIGTERM to group")
            await pilot.press("escape", "f9")  # closed and opened again, it goes on
            await shows(pilot, "… process gone", "y next step")
            await pilot.press("y")
            await shows(pilot, "✓ SIGKILL to group", "✓ process gone", "✓ its lock free")
            assert child.wait(5) == -signal.SIGKILL
            script.die()
            await shows(pilot, "✗ crashed")
    finally:
        child.kill()
        child.wait()


@pytest.mark.asyncio
async def test_a_run_of_another_host_is_asked_to_abort_and_its_scheduler_is_named(console, workspace) -> None:
    run = make_run(workspace, "20261122_breastmnist_resnet18-adapted_1a2b3c", None, epochs=3)
    status = read_status(run)
    far = status.model_copy(update={"host": "node7", "scheduler": SchedulerJob(variable="SLURM_JOB_ID", job="4711")})
    run.status.path.write_text(far.model_dump_json())
    run.control.path.touch()
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await pilot.press("a")
        await wait_for(pilot, lambda: app.view is not None and app.view.state.started)
        await pilot.press("K", "j")
        await shows(pilot, "▸ kill")
        await pilot.press("y")
        await wait_for(pilot, lambda: run.control.path.read_text())
        assert '"command":"abort"' in run.control.path.read_text() and far.engine in run.control.path.read_text()
        assert app.escalator is None
        await pilot.press("escape")
        await shows(pilot, "scancel", "4711")  # a toast breaks its lines anywhere


@pytest.mark.asyncio
async def test_an_enlarged_plot_shows_how_its_run_ended_and_does_not_switch_to_the_next_run(console, scripts) -> None:
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        script, story = await watching(pilot, app, scripts)
        await pilot.press("enter")
        await shows(pilot, "esc: all panes")
        assert "per class" not in screen_text(app)
        await pilot.press("escape")
        await shows(pilot, "per class")
        await pilot.press("enter")
        await shows(pilot, "esc: all panes")
        script.emit(*story.ended())
        script.end()
        await wait_for(pilot, lambda: not app.busy)
        await pilot.press("1", "r")
        await wait_for(pilot, lambda: len(scripts) > 1 and scripts[-1].sent and app.screen_name == "live")
        following = Story(app.workspace.outputs / "20261122_cells_mini-cnn_1a2b3c")
        scripts[-1].emit(*following.running(2))
        await shows(pilot, "per class", "epoch 3/10")
        assert "esc: all panes" not in screen_text(app)


def test_a_run_that_starts_says_what_it_waits_for() -> None:
    assert progress_text(RunView(asked_to_start=True), None, 56).plain == "starting … waiting for the engine"


@pytest.mark.parametrize("width", [36, 56])  # inside of the panes at 80 and at 120 columns
def test_how_a_run_ended_fits_its_pane_with_scores_and_next_key(tmp_path, width) -> None:
    story = Story(tmp_path / "run")
    view = RunView(asked_to_start=True)
    for event in [*story.running(10), *story.ended()]:
        view = absorb(view, event)
    lines = progress_text(view, None, width).plain.splitlines()
    assert lines[:2] == ["completed   4 shows the results", "test AUC 0.9014  ACC 0.8654"]
    assert max(map(len, lines)) <= width and len(lines) <= 4, "80 × 24 has four rows"


def test_the_top_line_shows_what_matters_most_in_the_available_space(tmp_path) -> None:
    view = RunView(asked_to_start=True)
    for event in Story(tmp_path / "20261122_breastmnist_resnet18-adapted_1a2b3c_2").running(3):
        view = absorb(view, event)
    app_status = AppStatus(lock="this console", gpu="gpu0 87% 6.1G", eta=250.0, elapsed=58)
    done = time.strftime("%H:%M", time.localtime(now := time.time() + 250.0))
    times = f"0:58 elapsed  4:10 left  done {done}"
    whole = f" medtui  ● training  breastmnist · resnet18_adapted · 1a2b3c_2  epoch 4/10  {times}  lock: this console"
    if time.strftime("%H:%M", time.localtime(now + 5)) == done:  # no new minute meanwhile
        assert status_line(view, app_status, 160).plain == f"{whole}  gpu0 87% 6.1G  link ok"
        assert status_line(view, app_status, 140).plain == f"{whole}  link ok", "less important, but there is space"
    narrow = " medtui  ● training  breastmnist  epoch 4/10  4:10 left  lock: this console"
    assert status_line(view, app_status, 76).plain == narrow
    assert status_line(view, app_status, 59).plain == " medtui  ● training  epoch 4/10  lock: this console"


def test_no_connection_is_claimed_once_the_engine_is_gone(tmp_path) -> None:
    view = RunView(asked_to_start=True)
    for event in Story(tmp_path / "run").running(3):
        view = absorb(view, event)
    assert "link ok" in status_line(view, AppStatus(), 160).plain
    assert "link" not in status_line(replace(view, died="The engine died."), AppStatus(), 160).plain


@pytest.mark.parametrize("steps", [9, 94, 546, 9999])
def test_bars_counts_and_rates_fit_a_narrow_pane(tmp_path, steps) -> None:
    story = Story(tmp_path / "run", epochs=60, steps=steps)
    view = RunView(asked_to_start=True)
    for event in [*story.running(8), story.progress(9, steps)]:
        view = absorb(view, event)
    lines = progress_text(view, 3725.0, 36).plain.splitlines()
    assert lines[0].endswith("9/60  1:02:05 left") and lines[1].endswith(f"  {steps}/{steps}")
    assert all(line.count("█") + line.count("░") >= 10 for line in lines[:2])
    assert max(map(len, lines)) <= 36


def test_the_bar_of_the_run_never_goes_back(tmp_path) -> None:
    """Validating an epoch, or paused in one, its steps stay done."""
    story = Story(tmp_path / "run", epochs=3, steps=50)
    view = reduce(absorb, [story.hello(), story.started(), story.phase("training"), story.epoch(1)], RunView())

    def validating(done: int) -> Progress:
        no_step = {"activity": "validating epoch 2", "step": None, "done": done, "total": 40}
        return story.progress(2, 50).model_copy(update=no_step)

    pause = story.progress(2, 25, "paused").model_copy(update={"step": None, "done": 25, "total": 50})
    shown = []
    for event in (story.progress(2, 20), pause, story.progress(2, 49), validating(0), validating(39), story.epoch(2)):
        view = absorb(view, event)
        shown.append(progress_text(view, None, 80).plain.splitlines()[0].count("█"))
    assert shown == sorted(shown) and shown[0] < shown[1] < shown[2] <= shown[3] == shown[-1]


def test_progress_says_nothing_of_what_is_over_by_the_log(tmp_path) -> None:
    """An epoch that has finished is not validated any more; after a pause nothing is paused."""
    story = Story(tmp_path / "run", steps=50)
    no_step = {"activity": "validating epoch 4", "step": None, "done": 0, "total": 40}
    validating = story.progress(4, 50).model_copy(update=no_step)
    view = reduce(absorb, [*story.running(3), story.progress(4, 49), validating], RunView(asked_to_start=True))
    assert "0/40  validating epoch 4" in progress_text(view, None, 60).plain
    view = absorb(view, story.epoch(4))
    text = progress_text(view, None, 60).plain
    assert "validating" not in text and "50/50" in text and "4/10" in text

    pause = story.progress(5, 25, "paused").model_copy(update={"activity": "paused", "step": None, "done": 25})
    view = reduce(absorb, [story.progress(5, 25), story.phase("paused"), pause], view)
    assert progress_text(view, None, 60).plain.count("paused") == 2
    text = progress_text(absorb(view, story.phase("training")), None, 60).plain
    assert "paused" not in text and "25/50" in text and "5/10" in text


@pytest.mark.asyncio
async def test_top_line_and_progress_name_the_same_epoch(console, scripts, monkeypatch) -> None:
    monkeypatch.setattr(Live, "_catch_up", lambda _: None)
    app = console()
    app.now = lambda: START + 100  # the clock stands still: no second brings the news
    async with app.run_test(size=SIZE) as pilot:
        script, story = await watching(pilot, app, scripts)
        script.emit(story.epoch(4), story.progress(5, 1))
        await shows(pilot, "epoch 5/10", "  5/10")
        script.emit(story.progress(6, 1))
        await shows(pilot, "epoch 6/10", "  6/10")


def test_a_snapshot_of_the_same_epoch_makes_no_new_top_line(tmp_path) -> None:
    story = Story(tmp_path / "run", steps=50)
    view = RunView(asked_to_start=True)
    for event in story.running(3):
        view = absorb(view, event)
    later = absorb(view, story.progress(4, 30))
    assert later.progress != view.progress and known(later) == known(view)
    assert known(absorb(view, story.progress(5, 1))) != known(view)
    assert known(absorb(view, story.phase("paused"))) != known(view)
    assert known(replace(view, died="The engine died.")) != known(view)


@pytest.mark.parametrize(
    ("parts", "title"),
    [([], "loss"), (["MixUp"], "loss · train with MixUp"), (["MixUp", "a\x1b[2J"], "loss · train with MixUp, a")],
)
def test_the_loss_plot_labels_what_only_one_of_the_losses_contains(parts: list[str], title: str) -> None:
    started = Story(Path("r")).started().model_copy(update={"only_in_training_loss": parts})
    view = absorb(RunView(), started)
    assert loss_title(view).startswith(title) and "\x1b" not in loss_title(view)


def test_sentences_on_live_name_the_users_keys() -> None:
    keys = with_keys({"run.pause": "f4", "go.results": "ctrl+r", "results.resume": "U"})
    story = Story(Path("r"))
    paused = reduce(absorb, [story.hello(), story.started(), story.phase("paused")], RunView(asked_to_start=True))
    assert "paused; F4 resumes" in progress_text(paused, None, 60, keys).plain
    over = absorb(paused, story.finished("aborted", 7))
    assert "resume: ^r, then U" in progress_text(over, None, 60, keys).plain


def test_the_star_is_on_the_epoch_whose_weights_are_kept() -> None:
    story = Story(Path("r"))
    metrics = Metrics(loss=0.5, auc=1.0, acc=0.9, f1=0.9)
    events: list[AnyEvent] = [story.hello(), story.started()]
    events += [story.epoch(number, validation=metrics, best=number != 2) for number in (1, 2, 3)]
    view = reduce(absorb, events, RunView())
    (point,) = auc_plot(view, "epoch").points
    assert point.words.endswith("@ 3")


@pytest.mark.asyncio
async def test_no_frame_says_idle_while_a_run_trains_whichever_screen_is_opened(console, scripts, monkeypatch) -> None:
    """A screen is composed when it is first opened: its first frame, too, shows the run."""
    app = console()
    frames: list[str] = []
    async with app.run_test(size=(120, 40)) as pilot:
        await watching(pilot, app, scripts)
        original = StatusLine.render

        def recorded(line: StatusLine) -> Text:
            text = original(line)
            frames.append(text.plain)
            return text

        monkeypatch.setattr(StatusLine, "render", recorded)
        for key in "12431":
            await pilot.press(key)
            await pilot.pause()
    shown = [frame for frame in frames if frame.strip()]
    assert len(shown) >= 3
    assert [frame for frame in shown if "idle" in frame or "training" not in frame] == []


@pytest.mark.asyncio
async def test_pane_tabs_name_the_users_keys(console) -> None:
    app = console(settings=Settings(bell=False, notify=False, keys={"view.next_pane": ">", "view.previous_pane": "<"}))
    async with app.run_test(size=(70, 24)) as pilot:
        await shows(pilot, "other")
        (tabs,) = [line for line in screen_text(app).splitlines() if line.rstrip().endswith("other")]
        assert "< > other" in tabs and "[ ]" not in tabs


@pytest.mark.parametrize(
    ("monitor", "mark", "line", "star"),
    [
        ("auc", "best 0.8600 @ 3", "epoch 3: best AUC 0.8600", "AUC 0.8600 ★3"),
        ("loss", "best by loss @ 3", "epoch 3: best loss 0.5600", "val loss 0.560 ↘ ★3"),
        ("f1", "best by F1 @ 3", "epoch 3: best F1 0.8000", "F1 0.800 ★3"),
    ],
)
def test_the_best_epoch_is_shown_with_the_metric_that_the_run_monitors(
    monitor: str, mark: str, line: str, star: str, tmp_path: Path
) -> None:
    story = Story(tmp_path / "run")
    story.facts = {"monitor": monitor}
    events = [event for event in story.running(3) if event.seq is not None]
    view = RunView(state=reduce(fold, events, RunState()))
    assert [point.words for point in auc_plot(view, "epoch").points] == [mark]
    assert line in log_text(view, "", 100).plain
    numbers = numbers_text(view, 200, 1).plain
    assert star in numbers and numbers.count("★") == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("width", [79, 80, 120])
async def test_c_before_the_test_split_says_where_validations_confusion_is(
    console, scripts, monkeypatch, width: int
) -> None:
    """The pane is named where the screen has it: not before the first epoch's matrix, not where panes are stacked."""
    app = console()
    async with app.run_test(size=(width, 40), notifications=True) as pilot:
        script, story = await watching(pilot, app, scripts, epochs=1)
        await pilot.press("c")
        await shows(pilot, "it is available after")
        assert "validation split" not in screen_text(app)
        script.emit(story.epoch(2, confusion=[[50, 7], [4, 17]]))
        await wait_for(pilot, lambda: len(app.view.state.epochs) == 2)
        await pilot.pause(0.3)
        said: list[str] = []
        monkeypatch.setattr(app, "show_toast", lambda words, **_: said.append(words))
        await pilot.press("c")
        await wait_for(pilot, lambda: said)
        assert said[0].endswith("validation split is in the pane “confusion, validation”.") is (width != 80)


@pytest.mark.asyncio
async def test_b_shows_the_images_of_the_first_batch_as_soon_as_they_are_stored(console, workspace, scripts) -> None:
    """Each with its label, mixed ones with both and how much of each; before, a toast says when they come."""
    app = console()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        _, story = await watching(pilot, app, scripts, epochs=1)
        await pilot.press("b")
        await shows(pilot, "available once training has begun")
        run = RunDirectory(story.run_dir)
        (run.root / "metrics").mkdir(parents=True)
        values = {
            "shape": [2, 4, 4],
            "images": base64.b64encode(bytes(range(32))).decode(),
            "labels": ["benign", "malignant"],
            "partners": ["malignant", "malignant"],
            "weight": 0.7,
            "batch_size": 128,
            "steps": "rotation ±10°",
        }
        (run.metrics.path / "batch.json").write_text(json.dumps(values))
        await pilot.press("b")
        await shows(pilot, "▀" * 16, "70% benign", "30% malignant", "2 of 128 images of the first training batch")
        await pilot.press("escape")
        await wait_for(pilot, lambda: app.screen is app.base_screen)
