"""Recipes as files: saved as another, renamed, deleted; drafts of an earlier console. Nothing is lost unseen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from screen_helpers import screen_text, shows, wait_for
from stand_ins import make_run
from test_recipes import MINE, SIZE, edit, opened, recipes
from textual.widgets import Input, OptionList

from medtui.console.recipes.document import Document, Entry
from medtui.console.recipes.drafts import Drafts
from medtui.console.recipes.yaml_area import YamlArea

pytestmark = pytest.mark.asyncio
EDITED = MINE.replace("1e-3", "0.5")


def left_by_an_earlier_console(path: Path, text: str) -> None:
    """A draft of a console that is gone."""
    folder = Path(os.environ["MEDTUI_SETTINGS"]).parent / "drafts"
    Drafts(folder).keep(Document(Entry(path.name, path, "workspace"), text, path.read_text()))


def drafts() -> list[str]:
    folder = Path(os.environ["MEDTUI_SETTINGS"]).parent / "drafts"
    return sorted(path.read_text() for path in folder.glob("*.json")) if folder.exists() else []


def toasts(app) -> list[str]:
    return [one.message for one in app._notifications]


def cursor(screen) -> str:
    option = screen.query_one("#recipe-list", OptionList).highlighted_option
    return Path(option.id).name if option is not None else ""


# ---- saved as --------------------------------------------------------------------------------------------------------


async def test_what_is_typed_replaces_the_name_that_is_proposed(console, workspace) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "strict")
        await edit(pilot, screen, "training.lr", [*"0.5", "enter"])
        await pilot.press("ctrl+s")
        await shows(pilot, "Save your edits as", "strict.yaml")
        await pilot.press(*"fast", "enter")
        await wait_for(pilot, lambda: (workspace.root / "fast.yaml").exists())
        assert "lr: 0.5" in (workspace.root / "fast.yaml").read_text()
        await wait_for(pilot, lambda: screen.current.entry.name == "fast.yaml" and cursor(screen) == "fast.yaml")
        assert "edited" not in screen_text(app)


async def test_any_recipe_is_saved_as_another_file_and_the_first_stays(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await edit(pilot, screen, "training.lr", [*"0.5", "enter"])
        await wait_for(pilot, lambda: screen.current.dirty)
        await pilot.press("s")
        await shows(pilot, "mine_2.yaml")  # a name that is free
        await pilot.press("enter")
        await wait_for(pilot, lambda: (workspace.root / "mine_2.yaml").exists())
        assert (workspace.root / "mine.yaml").read_text() == MINE
        assert (workspace.root / "mine_2.yaml").read_text() == EDITED


@pytest.mark.parametrize("name", ["/", "..", ".", "down/..", ".yaml"])
@pytest.mark.everyday("/", ".yaml")
async def test_what_is_no_name_of_a_file_is_refused(console, workspace, name: str) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    before = sorted(workspace.root.parent.rglob("*.yaml"))
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app, "mine.yaml")
        for key in "sR":
            await pilot.press(key, *name, "enter")
            await shows(pilot, "Expected the name of a file")
        assert sorted(workspace.root.parent.rglob("*.yaml")) == before


async def test_a_recipe_saved_as_itself_is_saved(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await edit(pilot, screen, "training.lr", [*"0.5", "enter"])
        await wait_for(pilot, lambda: screen.current.dirty)
        await pilot.press("s", *"mine", "enter")
        await shows(pilot, "mine.yaml already exists.")
        await pilot.press("right", "enter")
        await wait_for(pilot, lambda: (workspace.root / "mine.yaml").read_text() == EDITED)
        assert not screen.current.dirty


async def test_another_file_is_overwritten_only_after_a_question(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    (workspace.root / "other.yaml").write_text("# other\n")
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app, "mine.yaml")
        for key in "sR":
            await pilot.press(key, *"other", "enter")
            await shows(pilot, "other.yaml already exists.")
            await pilot.press("enter")  # no
            await pilot.pause(0.1)
            assert (workspace.root / "other.yaml").read_text() == "# other\n"
            assert (workspace.root / "mine.yaml").read_text() == MINE


async def test_a_run_keeps_its_own_recipe(console, workspace) -> None:
    run = make_run(workspace, "20261120_breastmnist_resnet18-adapted_aaaaaa")
    before = run.recipe.path.read_bytes()
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, run.name)
        for key in "RD":
            await pilot.press(key)
            await shows(pilot, "saves a copy.")
        await opened(pilot, app, "mine.yaml")
        await pilot.press("s")
        await wait_for(pilot, lambda: len(app.screen.query(Input)) == 1)
        app.screen.query_one(Input).value = str(run.recipe.path)  # a hundred keys would take ten seconds
        await pilot.press("enter")
        await shows(pilot, "Choose another folder.")
        assert run.recipe.path.read_bytes() == before
        assert screen.current.entry.name == "mine.yaml"


# ---- renamed ---------------------------------------------------------------------------------------------------------


async def test_a_recipe_is_renamed_with_its_unsaved_edits_and_their_draft(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await edit(pilot, screen, "training.lr", [*"0.5", "enter"])
        await wait_for(pilot, lambda: screen.current.dirty)
        await pilot.press("R")
        await shows(pilot, "Rename mine.yaml to:")
        await pilot.press(*"ours", "enter")
        await shows(pilot, "Renamed mine.yaml to ours.yaml.", "ours.yaml ● edited")
        assert (workspace.root / "ours.yaml").read_text() == MINE and not (workspace.root / "mine.yaml").exists()
        assert screen.query_one(YamlArea).text == EDITED
        assert cursor(screen) == "ours.yaml"
        assert [str(workspace.root / "ours.yaml") in draft for draft in drafts()] == [True]
    again = console()
    async with again.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, again, "ours.yaml")
        assert screen.query_one(YamlArea).text == EDITED


async def test_the_name_of_a_recipe_with_unsaved_edits_is_not_taken_from_it(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    (workspace.root / "other.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "other.yaml")
        await edit(pilot, screen, "training.lr", [*"0.5", "enter"])
        await wait_for(pilot, lambda: screen.current.dirty)
        await opened(pilot, app, "mine.yaml")
        await pilot.press("R", *"other", "enter")
        await shows(pilot, "other.yaml has unsaved edits. Save or revert them first.")
        assert (workspace.root / "mine.yaml").exists()
        screen = await opened(pilot, app, "other.yaml")
        assert screen.current.text == EDITED


# ---- deleted ---------------------------------------------------------------------------------------------------------


async def test_a_recipe_is_deleted_after_a_question_and_the_next_is_shown(console, workspace) -> None:
    for name in ("a.yaml", "b.yaml", "c.yaml"):
        (workspace.root / name).write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "b.yaml")
        await edit(pilot, screen, "training.lr", [*"0.5", "enter"])
        await wait_for(pilot, lambda: screen.current.dirty)
        await pilot.press("D")
        await shows(pilot, "Delete b.yaml permanently? Its unsaved edits are lost, too.")
        await pilot.press("enter")  # no
        await pilot.pause(0.1)
        assert (workspace.root / "b.yaml").read_text() == MINE and screen.current.dirty
        await pilot.press("D", "right", "enter")
        await shows(pilot, "Deleted b.yaml.")
        assert sorted(path.name for path in workspace.root.glob("*.yaml")) == ["a.yaml", "c.yaml"]
        await wait_for(pilot, lambda: screen.current.entry.name == "c.yaml" and cursor(screen) == "c.yaml")
        assert drafts() == []


async def test_a_recipe_that_changed_on_disk_is_not_deleted_unseen(console, workspace) -> None:
    path = workspace.root / "mine.yaml"
    path.write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app, "mine.yaml")
        await pilot.press("D")
        await shows(pilot, "Delete mine.yaml permanently?")
        path.write_text(MINE + "# theirs, while the question was open\n")
        await pilot.press("right", "enter")
        await shows(pilot, "mine.yaml has changed on disk in the meantime, so it was left alone.")
        assert path.read_text().endswith("# theirs, while the question was open\n")


async def test_a_link_is_deleted_and_its_target_stays(console, workspace, tmp_path: Path) -> None:
    real = tmp_path / "real.yaml"
    real.write_text(MINE)
    (workspace.root / "link.yaml").symlink_to(real)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app, "link.yaml")
        await pilot.press("D", "right", "enter")
        await shows(pilot, "Deleted link.yaml.")
        assert real.read_text() == MINE and not (workspace.root / "link.yaml").is_symlink()


async def test_read_only_renames_and_deletes_nothing(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console(readonly=True)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app, "mine.yaml")
        for key in "sRD":
            await pilot.press(key)
            await pilot.pause()
            assert app.screen is app.base_screen, "nothing is asked"
        assert (workspace.root / "mine.yaml").read_text() == MINE


# ---- drafts and the cursor -------------------------------------------------------------------------------------------


async def test_drafts_of_an_earlier_console_are_marked_before_they_are_visited(console, workspace) -> None:
    path = workspace.root / "mine.yaml"
    path.write_text(MINE)
    (workspace.root / "saved.yaml").write_text(MINE)
    left_by_an_earlier_console(path, EDITED)
    left_by_an_earlier_console(workspace.root / "saved.yaml", EDITED)
    (workspace.root / "saved.yaml").write_text(EDITED)  # by another program; nothing is left to restore
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await shows(pilot, "mine.yaml ○ draft", "saved.yaml")
        assert screen_text(app).count("draft") == 1
        await opened(pilot, app, "mine.yaml")
        await shows(pilot, "mine.yaml ● edited")


@pytest.mark.parametrize("size", [(60, 18), (120, 40)], ids=str)
async def test_the_cursor_stands_on_the_recipe_that_is_shown_from_the_first_key(console, size) -> None:
    app = console()
    async with app.run_test(size=size, notifications=True) as pilot:
        screen = recipes(app)
        await wait_for(pilot, lambda: screen.entries and screen.current)
        assert cursor(screen) == screen.current.entry.path.name
        await shows(pilot, f"▸{screen.current.entry.name}")
        await pilot.press("j")
        await wait_for(pilot, lambda: screen.current.entry == screen.entries[1])
        await shows(pilot, f"▸{screen.entries[1].name}")


async def test_the_cursor_of_the_list_follows_a_recipe_that_results_opens(console, workspace) -> None:
    run = make_run(workspace, "20261120_breastmnist_resnet18-adapted_aaaaaa")
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = recipes(app)
        await wait_for(pilot, lambda: screen.entries and screen.current)
        app.open_recipe(run.recipe.path)
        await wait_for(pilot, lambda: screen.current.entry.name == run.name)
        option = screen.query_one("#recipe-list", OptionList).highlighted_option
        assert option is not None and option.id == str(run.recipe.path)
        await shows(pilot, f"recipe of {run.name}")  # in full, which the list has no room for


# ---- where it is, and what next --------------------------------------------------------------------------------------


async def test_a_recipe_that_is_saved_outside_the_workspace_is_named_with_its_folder(
    console, workspace, tmp_path: Path
) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app, "mine.yaml")
        await pilot.press("s")
        await shows(pilot, "mine_2.yaml")
        await pilot.press(*"../x", "enter")
        await wait_for(pilot, lambda: (workspace.root.parent / "x.yaml").exists())
        await wait_for(pilot, lambda: toasts(app) == [f"Saved {workspace.root.parent / 'x.yaml'}."])


async def test_a_file_that_cannot_be_renamed_says_what_to_do_next(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app, "mine.yaml")
        await pilot.press("R")
        await shows(pilot, "Rename mine.yaml to:")
        await pilot.press(*"no/such", "enter")
        await wait_for(pilot, lambda: any("Choose another name or folder" in words for words in toasts(app)))
        assert (workspace.root / "mine.yaml").read_text() == MINE


async def test_edits_of_a_file_that_changed_on_disk_are_kept_when_the_file_is_loaded(console, workspace) -> None:
    """Twice: the second edits do not replace the first."""
    path = workspace.root / "mine.yaml"
    path.write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        for number, lr in enumerate(("0.5", "0.25")):
            theirs = MINE + "# theirs\n" * (number + 1)
            await edit(pilot, screen, "training.lr", [*lr, "enter"])
            await wait_for(pilot, lambda: screen.current.dirty)
            path.write_text(theirs)
            await pilot.press("ctrl+s")
            await shows(pilot, "mine.yaml has changed on disk.")
            await pilot.press("y")
            await wait_for(pilot, lambda theirs=theirs: screen.current.text == theirs == path.read_text())
        await shows(pilot, "mine_edits.ya", "mine_edits_2.")  # in the list
        assert sorted(screen.open_recipes.unsaved) == ["mine_edits.yaml", "mine_edits_2.yaml"]
        kept = [screen.open_recipes.documents[str(workspace.root / f"mine_edits{end}.yaml")] for end in ("", "_2")]
        assert "lr: 0.5" in kept[0].text and "lr: 0.25" in kept[1].text
    assert len(drafts()) == 2


async def test_no_key_acts_on_another_recipe_than_the_one_at_the_cursor(console, workspace, scripts) -> None:
    """The file at the cursor cannot be shown, so the one before it still is."""
    (workspace.root / "mine.yaml").write_text(MINE)
    (workspace.root / "mind.yaml").write_bytes(b"\xff\xfe\x00bad")
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await pilot.press("k")
        said = "mind.yaml cannot be read: it is not UTF-8 text (byte 1)"
        await wait_for(pilot, lambda: any(said in words for words in toasts(app)))
        for key in ("r", "D", "R", "s"):
            before = len(toasts(app))
            await pilot.press(key)
            await wait_for(pilot, lambda before=before: len(toasts(app)) > before)
            assert app.screen_name == "recipes" and not scripts
        await pilot.press("j")
        await wait_for(pilot, lambda: cursor(screen) == "mine.yaml")
        await pilot.press("D")
        await shows(pilot, "Delete mine.yaml permanently?")
