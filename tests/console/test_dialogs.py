"""Dialogs: the same keys in all of them, one question at a time, and the focus where a mistake costs nothing."""

from __future__ import annotations

import threading

import pytest
from screen_helpers import screen_text, shows, wait_for
from stand_ins import make_run
from test_live import watching
from textual.screen import ModalScreen

from engine.contract.store.run_directory import list_runs
from engine.contract.store.workspace import Workspace
from medtui.actions import remapped
from medtui.client import run_management
from medtui.client.view import RunView
from medtui.console.quit_questions import ask_run
from medtui.console.shell.dialogs import Question
from medtui.settings import Settings

NAME = "20261121_breastmnist_resnet18-adapted_1a2b3c"
SIZE = (120, 40)

pytestmark = pytest.mark.asyncio


async def in_results(pilot, app) -> None:
    await pilot.press("4")
    await wait_for(pilot, lambda: app.screen_name == "results" and app.base_screen.ready and app.base_screen.detail)


async def asked(pilot, app, question: Question) -> list[str | None]:
    """Ask it; what it answered, once it has."""
    await wait_for(pilot, lambda: app.base_screen and app.base_screen.ready)
    answers: list[str | None] = []
    app.push_screen(question, answers.append)
    await wait_for(pilot, lambda: app.screen is question and app.focused is not None)
    return answers


@pytest.mark.parametrize(
    ("key", "answer"), [("y", "yes"), ("n", "no"), ("o", "third"), ("escape", None), ("enter", "no")]
)
async def test_each_answer_has_its_key_and_esc_answers_nothing(console, key: str, answer: str | None) -> None:
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        question = Question("Overwrite it?", [("no", "keep it"), ("yes", "overwrite it"), ("third", "show it")])
        answers = await asked(pilot, app, question)
        await shows(pilot, "n keep it", "y overwrite it", "o show it")
        await pilot.press("x", "s", "d")  # keys of other questions
        assert app.screen is question
        await pilot.press(key)
        await wait_for(pilot, lambda: answers)
        assert answers == [answer]


async def test_the_keys_on_the_buttons_are_the_users(console) -> None:
    keys, refused = remapped({"dialog.yes": "f7", "dialog.no": "N"})
    assert not refused
    app = console(settings=Settings(bell=False, notify=False, keys=keys))
    async with app.run_test(size=SIZE) as pilot:
        answers = await asked(pilot, app, Question("Really?", [("no", "keep it"), ("yes", "do it")]))
        await shows(pilot, "N keep it", "F7 do it")
        await pilot.press("y", "n")
        assert not answers
        await pilot.press("f7")
        await wait_for(pilot, lambda: answers == ["yes"])


@pytest.mark.parametrize(("key", "focus"), [("A", "answer-yes"), ("u", "answer-yes"), ("e", "answer-as")])
async def test_what_destroys_nothing_has_its_likely_answer_in_focus(console, workspace, key: str, focus: str) -> None:
    make_run(workspace, NAME, "aborted")
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await in_results(pilot, app)
        await pilot.press(key)
        await wait_for(pilot, lambda: isinstance(app.screen, Question) and app.focused is not None)
        assert app.focused.id == focus
        await pilot.press("n")
    assert [run.name for run in list_runs(workspace.outputs)] == [NAME]


async def test_quitting_has_the_safe_answer_in_focus_only_where_another_would_end_the_run(console, scripts) -> None:
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await watching(pilot, app, scripts)
        view = app.view
        await pilot.press("q")
        await shows(pilot, "y quit, leave it running", "s stop it, then quit", "n stay")
        assert app.focused.id == "answer-leave"
        await pilot.press("escape")
        await wait_for(pilot, lambda: app.screen is app.base_screen)
    stops = RunView(**{**view.__dict__, "stops_when_left": True})
    assert ask_run(stops)._likely == ask_run(RunView(asked_to_start=True))._likely == "stay"


@pytest.mark.parametrize(("opens", "words", "leaves"), [("q", "A run is training.", "n"), ("f9", "y stop", "escape")])
@pytest.mark.everyday("q-A run is training.-n")
async def test_a_question_that_is_ready_while_another_dialog_is_open_waits_until_that_is_closed(
    console, workspace: Workspace, scripts, monkeypatch: pytest.MonkeyPatch, opens: str, words: str, leaves: str
) -> None:
    """Deleting counts bytes first. A key that answers the question in sight does not answer the next one."""
    make_run(workspace, NAME)
    counted, size_of = threading.Event(), run_management.size_of
    monkeypatch.setattr(run_management, "size_of", lambda run: (counted.wait(30), size_of(run))[1])
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await watching(pilot, app, scripts)
        await in_results(pilot, app)
        await pilot.press("D", opens)
        await shows(pilot, words)
        counted.set()
        await pilot.pause(0.5)
        assert "deleted permanently" not in screen_text(app)
        await pilot.press(leaves)
        await shows(pilot, "deleted permanently", "to confirm")
        await pilot.press("escape")
    assert [run.name for run in list_runs(workspace.outputs)] == [NAME]


async def test_a_screen_over_another_keeps_no_question_waiting(console) -> None:
    """As the predictions, which ask for a file's name, and over which the palette can quit."""

    class Page(ModalScreen[None]):
        pass

    app, page, question = console(), Page(), Question("Really?", [("no", "keep it"), ("yes", "do it")])
    async with app.run_test(size=SIZE) as pilot:
        await wait_for(pilot, lambda: app.base_screen and app.base_screen.ready)
        app.run_worker(app.push_screen_wait(page))
        await wait_for(pilot, lambda: app.screen is page)
        answered = app.run_worker(app.push_screen_wait(question))
        await wait_for(pilot, lambda: app.screen is question)
        await pilot.press("y")
        await wait_for(pilot, lambda: answered.is_finished)
        assert (answered.result, app.screen) == ("yes", page)


async def test_the_kill_switch_opens_over_a_question_and_leaves_it_as_it_was(console, workspace, scripts) -> None:
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        script, _ = await watching(pilot, app, scripts)
        await pilot.press("q")
        await shows(pilot, "A run is training.")
        sent = len(script.sent)
        await pilot.press("f9")
        await shows(pilot, "kill switch", "y stop")
        await pilot.press("escape")
        await shows(pilot, "y quit, leave it running")
        await pilot.press("ctrl+p")  # what can be done now is to answer
        await pilot.pause()
        assert isinstance(app.screen, Question)
        assert len(script.sent) == sent
