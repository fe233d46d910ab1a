"""The kill switch once the run is over: what happened, what it left, and what comes next."""

from __future__ import annotations

import pytest
from screen_helpers import screen_text, shows, wait_for
from stand_ins import Story, intact_checkpoint, make_run
from suite_fixture import end, held, make_study, run_name
from test_live import watching

from engine.contract.store.run_directory import RunDirectory
from medtui.actions import BY_ID, with_keys
from medtui.client import shutdown_checks
from medtui.client.escalation import Escalation
from medtui.client.escalation_steps import EscalationStep
from medtui.client.feed import absorb
from medtui.client.view import RunView, ShutdownChecks
from medtui.console.kill_switch.text import checkpoint_after, end_text, is_over, settled, what_next
from medtui.settings import Settings

NAME = "20261122_breastmnist_resnet18-adapted_1a2b3c"


async def aborted(pilot, app, scripts) -> None:
    """Ask for it, and have it happen: the engine saves, says so, and ends."""
    script, story = await watching(pilot, app, scripts)
    await pilot.press("K")
    await shows(pilot, "kill switch")
    await pilot.press("y")
    await wait_for(pilot, lambda: app.view.requests)
    story.time = app.view.requests[-1].at
    intact_checkpoint(RunDirectory(story.run_dir))
    script.emit(story.accepted(script.sent[-1].id, "abort"), story.checkpoint(3), *story.ended("aborted", 7))
    script.end()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("size", "way"), [((120, 40), "enter"), ((60, 18), "escape"), ((40, 12), "enter")], ids=["120", "60", "40"]
)
@pytest.mark.everyday("60")
async def test_it_ends_in_done_with_the_next_key_and_enter_or_esc_closes_it(console, scripts, size, way: str) -> None:
    app = console()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.resize_terminal(*size)
        await aborted(pilot, app, scripts)
        await shows(pilot, "▲ aborted: done", "✓ process gone", "✓ its lock free", "✓ checkpoint verified")
        await shows(pilot, "u resumes it in Results.", "Close", "y Results")
        assert app.focused.id == "cancel"
        assert "pause at the next batch" not in screen_text(app), "there is nothing more to choose"
        await pilot.press(way)
        await wait_for(pilot, lambda: app.screen is app.base_screen)
        assert app.screen_name == "live"


@pytest.mark.asyncio
async def test_y_then_shows_the_run_in_results_where_the_named_key_resumes_it(console, scripts, workspace) -> None:
    app = console(
        settings=Settings(bell=False, notify=False, keys={"results.resume": "U", "kill_switch.confirm": "f7"})
    )
    async with app.run_test(size=(120, 40)) as pilot:
        script, story = await watching(pilot, app, scripts)
        make_run(workspace, "20261121_breastmnist_resnet18-adapted_aaaaaa")
        await pilot.press("K")
        await shows(pilot, "F7 abort")
        await pilot.press("y")  # somebody else's key
        assert not app.view.requests
        await pilot.press("f7")
        await wait_for(pilot, lambda: app.view.requests)
        make_run(workspace, NAME, "aborted", started="2026-11-22T20:26:40+00:00")
        story.time = app.view.requests[-1].at
        script.emit(story.accepted(script.sent[-1].id, "abort"), *story.ended("aborted", 7))
        script.end()
        await shows(pilot, "aborted: ", "U in Results", "F7 Results")
        await pilot.press("f7")
        results = app.get_base_screen("results")
        await wait_for(pilot, lambda: app.screen_name == "results" and results.detail)
        assert results.detail.run_row.run == NAME
        await pilot.press("U")
        await shows(pilot, f"Resume {NAME}")


@pytest.mark.asyncio
async def test_closed_and_opened_again_it_shows_what_was_asked_for(console, scripts) -> None:
    app = console()
    async with app.run_test(size=(120, 40)) as pilot:
        script, _ = await watching(pilot, app, scripts)
        await pilot.press("S")
        await shows(pilot, "y stop")
        await pilot.press("y")
        await shows(pilot, "✓ stop requested")
        await pilot.press("escape", "f9")
        await shows(pilot, "kill switch", "✓ stop requested", "… engine's answer")
        assert len([command for command in script.sent if command.command == "stop"]) == 1


def finished(tmp_path, outcome: str, after: ShutdownChecks) -> RunView:
    story, view = Story(tmp_path / "run"), RunView(asked_to_start=True, after=after)
    for event in (*story.running(3), *story.ended(outcome, 0)):
        view = absorb(view, event)
    return view


def test_it_is_over_only_once_process_lock_and_checkpoint_were_looked_at(tmp_path) -> None:
    view = finished(tmp_path, "aborted", ShutdownChecks(process_gone=1.0, lock_free=1.0))
    assert not is_over(view, None)
    assert is_over(finished(tmp_path, "aborted", ShutdownChecks(checkpoint_checked=1.0)), None)
    assert not is_over(RunView(asked_to_start=True), Escalation(0.0, over=True)), "it outlived every signal"
    assert is_over(RunView(asked_to_start=True), Escalation(0.0, over=True, gone=1.0))


def test_what_comes_next_depends_on_how_the_run_ended_and_on_its_checkpoint(tmp_path) -> None:
    checked = ShutdownChecks(checkpoint_checked=1.0, checkpoint="verified")
    words = {
        o: what_next(finished(tmp_path, o, checked), "verified", BY_ID) for o in ("completed", "stopped", "aborted")
    }
    assert words == {
        "completed": "Its scores are in Results.",
        "stopped": "Its scores are in Results, where u resumes it.",
        "aborted": "u resumes it in Results.",
    }
    aborted = finished(tmp_path, "aborted", checked)
    assert "no checkpoint: u in Results starts it again" in what_next(aborted, "none", BY_ID)
    assert what_next(aborted, "verified", with_keys({"results.resume": "f8"})) == "F8 resumes it in Results."
    assert "Nothing was kept" in what_next(RunView(asked_to_start=True), None, BY_ID), "it had no folder yet"


def test_after_a_run_of_a_suite_it_says_the_key_of_suites_as_that_holds_the_workspace(tmp_path) -> None:
    def words(outcome: str, *, killed: bool = False) -> str:
        return what_next(finished(tmp_path, outcome, ShutdownChecks()), "verified", BY_ID, "suite live", killed=killed)

    assert words("aborted") == "t retries it in Suites: suite live holds the workspace."
    assert words("stopped") == "Its scores are in Results; t retries it in Suites: suite live holds the workspace."
    assert words("completed") == "Its scores are in Results."
    died = RunView(run="x", asked_to_start=True, died="by signal 9")
    assert what_next(died, None, BY_ID, "suite live") == "The runner of suite live resumes it."
    assert what_next(died, None, BY_ID, "suite live", killed=True).startswith("t retries it in Suites")


@pytest.mark.asyncio
async def test_the_panel_and_live_say_it_of_an_aborted_run_of_the_study(console, workspace, monkeypatch) -> None:
    """Its engine is this process, whose end is not waited for."""
    monkeypatch.setattr(shutdown_checks, "SETTLE", 0.2)
    make_study(workspace)
    app = console()
    async with app.run_test(size=(120, 40)) as pilot:
        with held(workspace, run_name(2)):
            await wait_for(pilot, lambda: app.view is not None and app.view.run == run_name(2) and app.holding_work)
            await wait_for(pilot, lambda: app.busy and not app.view.catching_up)
            await pilot.press("3", "K")
            await shows(pilot, "kill switch")
            end(RunDirectory(workspace.outputs / run_name(2)), "aborted")
            await shows(pilot, "▲ aborted", "t retries it in Suites: suite study holds the workspace.")
            await pilot.press("escape")
            await shows(pilot, "aborted   retry: 5, then t")


def test_done_is_said_only_where_nothing_is_left_behind() -> None:
    gone, held = EscalationStep("process gone", "done", 1.0), EscalationStep("its lock free", "waiting")
    checked = EscalationStep("checkpoint verified", "done", 1.0)
    silent = EscalationStep("no answer from the engine", "failed")
    free = EscalationStep("its lock free", "done", 1.0)
    assert end_text(None, [silent, gone, free, checked]).plain.endswith(": done")
    assert [(step.state, step.note) for step in settled([gone, held])] == [("done", ""), ("failed", "not seen")]
    assert end_text(None, settled([gone, held, checked])).plain.endswith(": see what failed")


def test_the_checkpoint_is_what_the_escalation_found() -> None:
    found = [
        checkpoint_after(Escalation(0.0, checkpoint_summary=summary, checkpoint_good=good))
        for summary, good in (
            ("checkpoint verified (last is damaged: x)", True),
            ("no checkpoint to verify", True),
            ("no intact checkpoint (last is damaged: x)", False),
        )
    ]
    assert found == ["verified", "none", "damaged"]
