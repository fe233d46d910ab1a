"""Keys: one registry, from which bindings, footer, help and palette come; each can be remapped by its id."""

from __future__ import annotations

import string
import subprocess
import sys
from pathlib import Path

import pytest
from screen_helpers import screen_text, shows, wait_for
from stand_ins import make_run
from textual.command import CommandList
from textual.keys import _character_to_key

from medtui.actions import ACTIONS, BY_ID, EVERYWHERE, FORBIDDEN, SCREEN_NAMES, remapped
from medtui.console.shell.dialogs import help_text
from medtui.console.shell.frame import key_line
from medtui.keys import key_id
from medtui.settings import Settings, read_settings


def test_ids_are_unique_and_no_key_means_two_things_at_once() -> None:
    assert len(BY_ID) == len(ACTIONS) > 40
    for screen in SCREEN_NAMES:
        here = [a for a in ACTIONS if a.scope in (screen, EVERYWHERE)]
        keys = [key for a in here for key in a.keys.split(",")]
        assert len(keys) == len(set(keys)), sorted(key for key in keys if keys.count(key) > 1)


def test_keys_that_terminals_use_are_never_bound() -> None:
    bound = {key for action in ACTIONS for key in action.keys.split(",")}
    assert not bound & FORBIDDEN
    assert not bound & {"ctrl+i", "ctrl+m", "ctrl+h", "ctrl+b", "ctrl+a", "ctrl+z", "ctrl+left_square_bracket"}


def test_dangerous_keys_are_upper_case() -> None:
    for id_ in ("run.stop", "run.abort", "machine.end_orphan"):
        assert BY_ID[id_].keys.isupper()


def test_help_lists_every_action_of_the_screen_and_the_global_ones() -> None:
    text = help_text("live", BY_ID).plain
    for action in ACTIONS:
        if action.scope in ("live", EVERYWHERE, "kill_switch"):
            assert action.help in text and action.id in text


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("screen", SCREEN_NAMES)
@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_most_important_keys_fit_and_help_is_the_last_of_them(width: int, screen: str, busy: bool) -> None:
    """During a run its kill keys are shown; otherwise the screen's keys take their place."""
    shown = [action for action in ACTIONS if action.footer]
    everywhere = [a for a in shown if a.scope == EVERYWHERE]
    screens, kill = ([a for a in everywhere if a.id.startswith(start)] for start in ("go.", "run."))
    own = [a for a in shown if a.scope == screen]
    rest = [a for a in everywhere if a not in screens and a not in kill]
    line = key_line([screens, own, kill, rest], width, lambda action: busy or action not in kill).plain.rstrip()
    assert len(line) <= width
    assert line.endswith(" ? help")
    assert " 1 " in line and " q " in line
    assert not busy or "p pause S stop K abort" in line
    assert f" {own[0].key} {own[0].title.split()[0]}" in line


def test_keys_that_cannot_act_give_way_to_those_of_machine() -> None:
    shown = [action for action in ACTIONS if action.footer]
    kill = [action for action in shown if action.scope == EVERYWHERE and action.id.startswith("run.")]
    own = [action for action in shown if action.scope == "machine"]
    line = key_line([[], own, kill, []], 100, lambda action: action not in kill).plain
    assert all(f" {key} " in line for key in "XsferPDc") and "K abort" not in line


def test_every_character_has_the_name_that_textual_gives_it() -> None:
    assert {c: key_id(c) for c in string.printable.strip()} == {
        c: _character_to_key(c) for c in string.printable.strip()
    }


def test_unknown_keys_are_refused_and_two_actions_may_swap_theirs() -> None:
    accepted, refused = remapped({"live.axis": "^", "live.cursor": "?", "go.live": "ctrl-l", "go.results": "page up"})
    assert accepted == {"live.axis": "circumflex_accent"}
    assert [words.split(";")[0] for words in refused] == [
        "keys: ctrl-l for go.live is not a key",
        "keys: page up for go.results is not a key",
        "keys: question_mark for live.cursor is taken by view.help",
    ]
    assert remapped({"live.log_scale": "s", "live.smoothing": "y"}) == (
        {"live.log_scale": "s", "live.smoothing": "y"},
        [],
    )


def test_keys_of_older_settings_files_still_apply_under_the_actions_new_names() -> None:
    assert remapped({"run.ladder": "f6", "ladder.confirm": "Y"}) == (
        {"run.kill_switch": "f6", "kill_switch.confirm": "Y"},
        [],
    )


@pytest.mark.asyncio
async def test_a_key_of_the_settings_file_replaces_the_shipped_one(console, isolated_settings: Path) -> None:
    isolated_settings.parent.mkdir(parents=True)
    isolated_settings.write_text(
        "bell: false\nnotify: false\nkeys:\n  go.results: f4\n  go.live: ctrl+a\n  nonsense: x\n"
    )
    app = console(settings=read_settings())
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await shows(pilot, "cannot be bound", "there is no action 'nonsense'", "F4 Results")
        await pilot.press("4")
        await pilot.pause(0.1)
        assert app.screen_name == "recipes"
        await pilot.press("f4")
        await wait_for(pilot, lambda: app.screen_name == "results")


@pytest.mark.asyncio
async def test_the_palette_lists_the_actions_available_now(console) -> None:
    app = console()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await wait_for(pilot, lambda: app.base_screen and app.base_screen.ready)
        await pilot.press("ctrl+p")
        await pilot.pause(0.3)
        await pilot.press("escape", "4", "ctrl+p")
        await pilot.pause(0.3)
        await pilot.press(*"compare")
        await shows(pilot, "Compare the marked runs.")
        assert "Kill" not in screen_text(app)


@pytest.mark.asyncio
async def test_the_palette_has_the_keys_of_the_form_while_it_has_the_focus(console) -> None:
    app = console()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await wait_for(pilot, lambda: app.base_screen and app.base_screen.ready and app.base_screen.checked)
        await pilot.press("e", *"jjjj", "ctrl+p", *"larger value")
        await shows(pilot, "Next larger value of a number.")
        before = app.base_screen.query_one("#form").rows
        assert app.base_screen.current is not None and not app.base_screen.current.dirty, before
        await pilot.press("enter")
        await wait_for(pilot, lambda: len(app.screen_stack) == 2)
        await pilot.press("escape", "ctrl+p", *"larger value")
        await pilot.pause(0.3)
        assert "Next larger value of a number." not in screen_text(app), "the list has the focus now"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("keys", "inside"),
    [
        ("1", "list"),
        ("1e", "form"),
        ("1y", None),  # the text editor's own keys are Textual's
        ("3", None),
        ("4", "table"),
    ],
)
async def test_the_palette_has_every_key_of_the_screen_and_of_the_widget_with_the_focus(
    console, workspace, keys: str, inside: str | None
) -> None:
    make_run(workspace, "20261120_breastmnist_resnet18-adapted_aaaaaa")
    app = console()
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for(pilot, lambda: app.base_screen and app.base_screen.ready and app.base_screen.current)
        for key in keys:
            await pilot.press(key)
            await wait_for(pilot, lambda: app.base_screen.ready)
        if inside == "table":
            await wait_for(pilot, lambda: app.focused is not None)
        screen = app.screen_name
        await pilot.press("ctrl+p")
        listed = app.screen.query_one(CommandList)
        able = [action for action in ACTIONS if action.scope in (inside, screen, EVERYWHERE) and app.can(action)]
        await wait_for(pilot, lambda: listed.option_count == len(able))
        shown = "\n".join(str(option.prompt) for option in listed.options)
        assert [action.id for action in able if action.help not in shown] == []


@pytest.mark.asyncio
async def test_help_opens_and_escape_closes_it(console) -> None:
    app = console()
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for(pilot, lambda: app.base_screen and app.base_screen.ready)
        await pilot.press("question_mark")
        await shows(pilot, "Train with this recipe.", "recipes.run")
        await pilot.press("escape")
        await wait_for(pilot, lambda: "recipes.run" not in screen_text(app))


@pytest.mark.asyncio
async def test_everything_can_be_reached_by_mouse(console) -> None:
    app = console(settings=Settings(bell=False, notify=False))
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for(pilot, lambda: app.base_screen and app.base_screen.ready)
        at = screen_text(app).splitlines()[-1].index("Results")
        await pilot.click(offset=(at + 1, 39))
        await wait_for(pilot, lambda: app.screen_name == "results")


def test_help_and_run_import_no_textual() -> None:
    code = "import sys; sys.argv = ['medtui', '--help']\nfrom medtui.cli.app import app\napp(standalone_mode=False)\n"
    check = "import sys; print([m for m in sys.modules if m.startswith(('textual', 'plotext'))], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code + check], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
