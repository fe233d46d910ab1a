"""What is typed in a burst, as over a slow link or by a paste, counts as if it were typed slowly."""

from __future__ import annotations

import random

import pytest
from screen_helpers import wait_for
from test_recipes import MINE, SIZE, opened
from textual.widgets import Input

from engine.contract.recipe.yaml_reader import read_yaml
from engine.contract.wire.errors import RecipeError
from medtui.console.app import ConsoleApp
from medtui.console.recipes.field_row import FieldRow
from medtui.console.recipes.form import RecipeForm
from medtui.console.recipes.screen import Recipes
from medtui.console.recipes.yaml_area import YamlArea
from medtui.console.shell.keyboard import Keys

FIELDS = ("training.epochs", "training.batch_size", "training.seed", "training.lr", "dataset.limit")


def burst(app: ConsoleApp, keys: str) -> None:
    """All keys at once, as the terminal's driver hands them to the app after one read."""
    parser = Keys()
    for event in (*parser.feed(keys), *parser.feed("")):
        event.set_sender(app)
        app.post_message(event)


def form_at(screen: Recipes, field: str) -> RecipeForm:
    form = screen.query_one(RecipeForm)
    assert form.go_to(*field.split("."))
    screen.set_focus(form)
    return form


def both_show(screen: Recipes, wanted: dict[str, str]) -> bool:
    """Form, text and what is run have these values, as they were typed; nobody is typing any more."""
    form, text = screen.query_one(RecipeForm), screen.query_one(YamlArea).text
    shown = {row.spec.path: row.value for row in form.rows}
    if form.field is not None or screen.checked is None or not text == screen.current.text == screen.checked.text:
        return False
    try:
        values = read_yaml(text, "mine").values
    except RecipeError:  # on a busy machine, while it is still being typed
        return False
    for path, value in wanted.items():
        section, name = path.split(".")
        if shown[path] != value or values[section].get(name, "") != read_yaml(f"x: {value}", "x").values["x"]:
            return False
    return True


@pytest.mark.asyncio
async def test_a_burst_into_a_field_is_stored_completely(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        form_at(screen, "dataset.limit")  # it shows null: the last text of the burst is what was there before it
        burst(app, "\rnull\r")
        await wait_for(pilot, lambda: both_show(screen, {"dataset.limit": "null"}))


@pytest.mark.asyncio
async def test_a_burst_into_several_fields_goes_where_it_would_go_slowly(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        form_at(screen, "training.epochs")
        burst(app, "\r234\rj\r17\r\x1b[B\r7\rkk++")  # epochs, batch size, seed; epochs twice one more
        await wait_for(
            pilot,
            lambda: both_show(screen, {"training.epochs": "236", "training.batch_size": "17", "training.seed": "7"}),
        )


@pytest.mark.asyncio
async def test_a_burst_into_text_and_form_leaves_both_equal_to_what_was_typed(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        screen.query_one(RecipeForm).go_to("training", "epochs")
        await pilot.press("y")
        screen.query_one(YamlArea).move_cursor((5, 0))
        # the second line is indented as the first; the last one goes two lines higher
        burst(app, "  epochs: 40\rseed: 3\r\x1b[A\x1b[A# typed\r")
        burst(app, "\x1be++")  # the form stands at epochs, as the text has them
        await wait_for(pilot, lambda: both_show(screen, {"training.epochs": "42", "training.seed": "3"}))
        assert screen.query_one(YamlArea).text == MINE + "  # typed\n  epochs: 42\n  seed: 3\n  "


@pytest.mark.asyncio
async def test_a_new_line_of_the_text_is_indented_as_yaml_wants_it(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await pilot.press("y")
        screen.query_one(YamlArea).move_cursor((5, 0))
        burst(app, "evaluation:   # how\rtta: false\rsplit: x")
        await wait_for(
            pilot,
            lambda: screen.query_one(YamlArea).text == MINE + "evaluation:   # how\n  tta: false\n  split: x",
        )
        burst(app, "\x1b[200~\n\nruntime:\n  threads: 1\x1b[201~")  # a paste stays as it is
        await wait_for(pilot, lambda: screen.query_one(YamlArea).text.endswith("split: x\n\nruntime:\n  threads: 1"))


@pytest.mark.asyncio
async def test_an_unchanged_value_is_no_edit_and_an_emptied_field_is_null(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        form_at(screen, "dataset.size")
        await pilot.press("enter", "enter")  # the choice that is there
        form_at(screen, "training.lr")
        await pilot.press("enter", *"1e-3", "enter")
        await pilot.pause(0.3)
        assert screen.current.text == MINE and not screen.current.dirty
        form_at(screen, "dataset.limit")
        await pilot.press("enter", *"64", "enter", "enter", "backspace", "enter")
        await wait_for(pilot, lambda: both_show(screen, {"dataset.limit": "null"}))


@pytest.mark.asyncio
async def test_a_paste_among_keys_keeps_its_position(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        form_at(screen, "training.epochs")
        burst(app, "\r1")
        burst(app, "\x1b[200~23\x1b[201~4\r")
        await wait_for(pilot, lambda: both_show(screen, {"training.epochs": "1234"}))


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.everyday("0")
@pytest.mark.usual("0", "1")
async def test_no_burst_loses_a_key(console, workspace, seed: int) -> None:
    """Random values into random fields, the keys cut into reads at random places."""
    draw = random.Random(seed)
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        form = form_at(screen, FIELDS[0])
        order = [line.spec.path if isinstance(line, FieldRow) else "" for line in form.stops]
        at, keys, wanted = order.index(FIELDS[0]), "", {}
        for _ in range(5):
            field = draw.choice(FIELDS)
            value = str(draw.choice((draw.randint(2, 99999), "null", "12ab", 0.25)))
            steps = order.index(field) - at
            keys += ("j" if steps > 0 else "k") * abs(steps) + f"\r{value}\r"
            at, wanted[field] = order.index(field), value
        while keys:
            read = draw.randint(1, 40)
            burst(app, keys[:read])
            keys = keys[read:]
            await pilot._wait_for_screen() if draw.random() < 0.3 else None
        await wait_for(pilot, lambda: both_show(screen, wanted))


@pytest.mark.asyncio
async def test_a_burst_into_the_filter_runs_nothing(console) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await wait_for(pilot, lambda: app.base_screen and app.base_screen.ready and app.base_screen.current)
        burst(app, "/breast")  # r, of all keys, is in it
        field = app.base_screen.query_one("#recipe-filter", Input)
        await wait_for(pilot, lambda: field.value == "breast")
        assert app.handle is None


@pytest.mark.asyncio
async def test_escape_and_a_key_at_once_are_two_keys(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        form_at(screen, "training.epochs")
        burst(app, "\r99\x1bj\r17\r\x1b3")  # taken back; the next field; out of the form and to Live
        await wait_for(pilot, lambda: app.screen_name == "live")
        assert screen.query_one(YamlArea).text == MINE + "  batch_size: 17\n"


def keys_of(*reads: str) -> list[str]:
    parser = Keys()
    return [event.key for read in (*reads, "") for event in parser.feed(read)]


def test_esc_is_a_separate_key_whatever_follows_it_in_one_read() -> None:
    assert keys_of("\x1bj", "\x1b3", "\x1bS", "\x1b/", "\x1b\r", "\x1b\x1b[A", "\x1b") == [
        *("escape", "j", "escape", "3", "escape", "S", "escape", "slash", "escape", "enter"),
        *("escape", "up", "escape"),
    ]
    assert keys_of("\x1bj\r17\r\x1b3") == ["escape", "j", "enter", "1", "7", "enter", "escape", "3"]
    assert keys_of("\x1b" + "j" * 40) == ["escape", *"j" * 40]
    parts = ("x\x1b", "j", "\x1b", "[A", "\x1b", "\x1b", "3")  # reads that end in the middle
    assert keys_of(*parts) == ["x", "escape", "j", "up", "escape", "escape", "3"]


def test_what_a_terminal_sends_for_one_key_is_one_key() -> None:
    assert keys_of("\x1b[A", "\x1bOB", "\x1b[1;5C", "\x1b[15~", "\x1bb", "\x1b\x7f", "\x1b[27u") == [
        *("up", "down", "ctrl+right", "f5", "ctrl+left", "ctrl+w", "escape"),
    ]


@pytest.mark.asyncio
async def test_one_undo_in_the_text_reverts_what_was_typed_into_a_field(console, workspace) -> None:
    """And the next one the change before; esc in a field leaves nothing to undo."""
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        area = screen.query_one(YamlArea)
        form_at(screen, "training.epochs")
        await pilot.press("plus", "plus")
        once, nudged = MINE + "  epochs: 61\n", MINE + "  epochs: 62\n"
        await wait_for(pilot, lambda: screen.current.text == nudged)
        form_at(screen, "training.lr")
        await pilot.press("enter", *"0.0075", "backspace", "enter")
        await wait_for(pilot, lambda: both_show(screen, {"training.lr": "0.007"}))
        typed = screen.current.text
        await pilot.press("enter", *"0.9", "escape")
        await wait_for(pilot, lambda: both_show(screen, {"training.lr": "0.007"}))
        screen.set_focus(area)
        for wanted in (nudged, once, MINE, MINE):
            area.action_undo()
            await wait_for(pilot, lambda wanted=wanted: screen.current.text == wanted)
        for wanted in (once, nudged, typed):
            area.action_redo()
            await wait_for(pilot, lambda wanted=wanted: screen.current.text == wanted)
