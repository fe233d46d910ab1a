"""Recipes: form and text are two views of one document; nothing is lost silently."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field
from screen_helpers import screen_text, shows, wait_for
from stand_ins import make_run
from textual.widgets import Input, OptionList

from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.sections import ModelSection, TrainingSection
from engine.contract.recipe.setting import setting
from medtui.client.recipe_document import check
from medtui.console.app import ConsoleApp
from medtui.console.recipes.form import RecipeForm
from medtui.console.recipes.screen import Recipes
from medtui.console.recipes.yaml_area import YamlArea

pytestmark = pytest.mark.asyncio
SIZE = (120, 40)
MINE = """# mine
dataset:
  name: breastmnist   # my note
training:
  lr: 1e-3            # slow
"""


def recipes(app: ConsoleApp) -> Recipes:
    screen = app.get_base_screen("recipes")
    assert isinstance(screen, Recipes)
    return screen


async def opened(pilot, app: ConsoleApp, name: str) -> Recipes:
    """The recipe of this name is shown and checked."""
    screen = recipes(app)
    await wait_for(pilot, lambda: screen.entries and screen.current)
    entry = next(entry for entry in screen.entries if entry.name == name)
    options = screen.query_one("#recipe-list", OptionList)
    options.highlighted = options.get_option_index(entry.key)
    await wait_for(pilot, lambda: screen.current.entry == entry and screen.checked.text == screen.current.text)
    return screen


async def edit(pilot, screen: Recipes, field: str, keys: list[str]) -> None:
    """Put the cursor on a field, open it and type."""
    form = screen.query_one(RecipeForm)
    assert form.go_to(*field.split("."))
    screen.set_focus(form)
    await pilot.press("enter", *keys)
    await pilot.pause()


async def test_a_value_changed_in_the_form_changes_in_the_text_and_its_comment_stays(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await edit(pilot, screen, "training.lr", [*"0.02", "enter"])
        await wait_for(pilot, lambda: "0.02" in screen.query_one(YamlArea).text)
        assert screen.query_one(YamlArea).text == MINE.replace("1e-3 ", "0.02 ")
        await shows(pilot, "training.lr 0.001 → 0.02", "mine.yaml ●")


async def test_a_value_changed_in_the_text_changes_in_the_form(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        area = screen.query_one(YamlArea)
        await pilot.press("y")
        area.move_cursor((4, 6))
        await pilot.press("delete", "5")
        assert area.text == MINE.replace("1e-3", "5e-3")
        form = screen.query_one(RecipeForm)
        row = next(row for row in form.rows if row.spec.path == "training.lr")
        await wait_for(pilot, lambda: row.value == "5e-3")


async def test_escape_undoes_what_was_typed_into_a_field(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await edit(pilot, screen, "training.lr", [*"7"])
        await wait_for(pilot, lambda: "lr: 7" in screen.query_one(YamlArea).text)
        await pilot.press("escape")
        await wait_for(pilot, lambda: screen.query_one(YamlArea).text == MINE)
        assert not screen.query(RecipeForm).first().query(Input)


async def test_an_arrow_in_a_field_keeps_its_value_and_goes_to_the_next(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await edit(pilot, screen, "training.epochs", [*"7", "down", "enter", *"9", "enter"])
        await wait_for(pilot, lambda: "  epochs: 7\n  batch_size: 9\n" in screen.query_one(YamlArea).text)


async def test_the_selected_field_is_visible_at_every_size(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE.replace("1e-3", "fast"))
    app = console()
    async with app.run_test(size=(60, 18), notifications=True) as pilot:
        await opened(pilot, app, "mine.yaml")
        await pilot.press("r")  # the form's pane comes to the front, at the field that is wrong
        await shows(pilot, "▸ Learning rate")
        for size in ((120, 40), (80, 24), (60, 18), (100, 30)):
            await pilot.resize_terminal(*size)
            await shows(pilot, "▸ Learning rate")


async def test_digits_typed_into_a_field_are_text_and_do_not_change_the_screen(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await edit(pilot, screen, "training.epochs", [*"234", "enter"])
        await wait_for(pilot, lambda: "epochs: 234" in screen.query_one(YamlArea).text)
        assert app.screen_name == "recipes"


async def test_an_error_is_told_once_at_its_field_and_its_line_is_marked(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await edit(pilot, screen, "training.lr", [*"1e-7", "enter"])
        await shows(pilot, "✗ must be below lr", "1 error: this recipe cannot run yet. n goes to it.")
        await edit(pilot, screen, "training.lr", [*"much", "enter"])
        await shows(pilot, "✗ must be a number above 0", "found the text 'much'")
        shown = screen_text(app)
        assert shown.count("must be a number above 0") == 1, shown
        below = next(number for number, line in enumerate(shown.splitlines()) if "Learning rate" in line) + 1
        assert "✗ must be a number" in shown.splitlines()[below], shown
        assert any("lr: much" in line and "✗" in line for line in shown.splitlines()), shown
        await pilot.press("escape", "r")
        await shows(pilot, "Correct the recipe first")
        assert app.handle is None


async def test_while_the_text_is_edited_an_error_is_told_below_it(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE.replace("1e-3", "much"))
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await shows(pilot, "✗ must be a number above 0")
        await pilot.press("y")
        screen.query_one(YamlArea).move_cursor((4, 3))
        await shows(pilot, "✗ line 5: training.lr must be")
        assert screen_text(app).count("must be") == 1, screen_text(app)
        await pilot.press("escape")
        await shows(pilot, "✗ must be a number above 0")
        assert "line 5:" not in screen_text(app)


async def test_a_key_goes_from_error_to_error_in_form_and_text(console, workspace) -> None:
    text = MINE.replace("1e-3", "much") + "  momentum: 7\n  sharpnes: 1\n"
    (workspace.root / "mine.yaml").write_text(text)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await shows(pilot, "3 errors: this recipe cannot run yet. n goes to the first.")
        form, area = screen.query_one(RecipeForm), screen.query_one(YamlArea)
        await pilot.press("n")
        seen = []
        for _ in range(3):
            await pilot.pause()
            row = form.row if form.has_focus else None
            seen.append(row.spec.path if row is not None else area.document.get_line(area.line_number - 1).strip())
            screen.action_next_problem()  # letters typed into the text are text
        assert sorted(seen) == ["sharpnes: 1", "training.lr", "training.momentum"]


async def test_while_the_text_is_not_yaml_the_form_shows_no_values(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        rows = {row.spec.path: row for row in screen.query_one(RecipeForm).rows}
        assert rows["dataset.name"].value == "breastmnist"
        screen.query_one(YamlArea).text = MINE + "nonsense: [\n"
        await wait_for(pilot, lambda: rows["dataset.name"].value == rows["training.epochs"].value == "–")
        screen.query_one(YamlArea).text = MINE
        await wait_for(pilot, lambda: rows["dataset.name"].value == "breastmnist")


class BiggerTraining(TrainingSection):
    sharpness: Annotated[float, Field(ge=0.0, le=0.5)] = setting(
        0.05, title="Sharpness", help="How far SAM looks", unit="radius"
    )
    flavour: Literal["plain", "salted"] = setting("plain", title="Flavour", help="One of two.")


class Bigger(Recipe):
    training: BiggerTraining = Field(BiggerTraining(), title="Training")


async def test_a_new_field_of_the_schema_needs_no_new_screen_code(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console(model=Bigger)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await edit(pilot, screen, "training.sharpness", [*"0.3", "enter"])
        await shows(pilot, "Sharpness", "How far SAM looks", "radius", "from 0 to 0.5", "0.05")
        assert "  sharpness: 0.3\n" in screen.query_one(YamlArea).text
        await edit(pilot, screen, "training.sharpness", [*"0.7", "enter"])
        await shows(pilot, "✗ must be a number from 0 to 0.5, found")
        await edit(pilot, screen, "training.sharpness", [*"0.1", "enter"])
        await edit(pilot, screen, "training.flavour", ["j", "enter"])
        await wait_for(pilot, lambda: "flavour: salted" in screen.query_one(YamlArea).text)
        assert screen.checked.recipe.training.flavour == "salted"


async def test_every_field_of_the_schema_is_in_the_form(console) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = recipes(app)
        await wait_for(pilot, lambda: screen.current)
        form = screen.query_one(RecipeForm)
        assert len(form.rows) > 40
        assert {row.spec.path for row in form.rows} >= {f"model.{name}" for name in ModelSection.model_fields}


async def test_unsaved_edits_survive_another_selection_and_a_crash(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await edit(pilot, screen, "training.lr", [*"0.5", "enter"])
        await opened(pilot, app, "quickstart")
        await shows(pilot, "mine.yaml ●")
        await opened(pilot, app, "mine.yaml")
        assert "lr: 0.5" in screen.query_one(YamlArea).text
    assert (workspace.root / "mine.yaml").read_text() == MINE
    again = console()
    async with again.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, again, "mine.yaml")
        assert "lr: 0.5" in screen.query_one(YamlArea).text
        await shows(pilot, "Unsaved edits of mine.yaml were restored.")


async def test_a_note_takes_one_row_of_a_narrow_terminal(console, workspace) -> None:
    app = console()
    async with app.run_test(size=(60, 18), notifications=True) as pilot:
        await wait_for(pilot, lambda: app.base_screen and app.base_screen.ready)
        app.show_toast("Unsaved edits of mine.yaml were restored.")
        await shows(pilot, "▌ Unsaved edits of mine.yaml were restored.")
        assert screen_text(app).count("▌") == 1


async def test_leaving_with_unsaved_edits_asks(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await edit(pilot, screen, "training.lr", [*"0.5", "enter"])
        await pilot.press("q")
        await shows(pilot, "Unsaved edits in mine.yaml.", "stay", "discard them")
        await pilot.press("escape")
        await pilot.pause()
        assert app.is_running
        assert "lr: 0.5" in screen.query_one(YamlArea).text


async def test_saving_is_atomic_and_a_change_on_disk_is_noticed(console, workspace) -> None:
    path = workspace.root / "mine.yaml"
    path.write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await edit(pilot, screen, "training.lr", [*"0.5", "enter"])
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: "lr: 0.5" in path.read_text())
        assert [other.name for other in workspace.root.iterdir()] == ["mine.yaml"]
        await edit(pilot, screen, "training.lr", [*"0.25", "enter"])
        path.write_text(MINE + "# theirs\n")
        screen._poll_disk()
        await shows(pilot, "The file changed on disk.")
        await pilot.press("ctrl+s")
        await shows(pilot, "mine.yaml has changed on disk.")
        await pilot.press("escape")
        await pilot.pause()
        assert path.read_text() == MINE + "# theirs\n"
        assert "lr: 0.25" in screen.query_one(YamlArea).text


async def test_a_clean_recipe_follows_its_file(console, workspace) -> None:
    path = workspace.root / "mine.yaml"
    path.write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        path.write_text(MINE + "# theirs\n")
        screen._poll_disk()
        await wait_for(pilot, lambda: screen.query_one(YamlArea).text == MINE + "# theirs\n")


async def test_a_shipped_recipe_is_saved_as_a_file_of_the_workspace(console, workspace) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "strict")
        shipped = screen.current.entry.path.read_text()
        await edit(pilot, screen, "training.lr", [*"0.5", "enter"])
        await pilot.press("ctrl+s")
        await shows(pilot, "Save your edits as")
        await pilot.press("enter")
        await wait_for(pilot, lambda: (workspace.root / "strict.yaml").exists())
        assert "lr: 0.5" in (workspace.root / "strict.yaml").read_text()
        assert Path(shipped) is not None and shipped == next(
            entry.path.read_text() for entry in screen.entries if entry.name == "strict"
        )


async def test_what_a_run_needs_is_shown_before_it_starts(console, workspace) -> None:
    make_run(workspace, "20261120_breastmnist_resnet18-adapted_aaaaaa")
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app, "mine.yaml")
        # 60 epochs of 5 steps (546 images in batches of 128). The run before took 16 s from its start to the end of its
        # eighth epoch, and 5 s from there to the end: 60 x 2 s + 5 s
        await shows(
            pilot, "steps 300", "about 2 min 05 s, from 20261120", "of 24.0 GB free", "breastmnist.npz is missing"
        )
        await shows(pilot, "run 20261122_breastmnist_resnet18-adapted_", "ImageNet file missing → scratch (auto)")


async def test_the_list_can_be_filtered_and_shows_when_there_are_no_matches(console) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = recipes(app)
        await wait_for(pilot, lambda: screen.current)
        await pilot.press("slash", *"blood")
        await shows(pilot, "bloodmnist")
        options = screen.query_one("#recipe-list", OptionList)
        assert [o.id for o in options.options if o.id] == [str(e.path) for e in screen.entries if "blood" in e.name]
        await pilot.press(*"xyz")
        await shows(pilot, "no matches")


async def test_enter_in_the_filter_opens_the_first_match(console) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = recipes(app)
        await wait_for(pilot, lambda: screen.current)
        await pilot.press("slash", *"retina", "enter")
        await wait_for(pilot, lambda: screen.current.entry.name == "retinamnist")
        assert screen.focused is screen.query_one("#recipe-list")


async def test_the_estimated_time_comes_only_from_runs_with_similar_epochs(console, workspace) -> None:
    like = {"dataset": {"name": "breastmnist"}, "training": {"epochs": 3}}
    make_run(workspace, "20261119_breastmnist_resnet18-adapted_aaaaa1", recipe=like)  # 2 s an epoch, 5 s after the last
    for number, other in enumerate(({"limit": 200}, {"size": 64}, {"name": "retinamnist"})):
        of_other = {"dataset": {"name": "breastmnist"} | other}
        make_run(workspace, f"2026112{number}_other_resnet18-adapted_aaaaa2", recipe=of_other)
    make_run(workspace, "20261121_b_x_aaaaa3", recipe={**like, "training": {"batch_size": 16}})
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app, "mine.yaml")
        await shows(pilot, "about 2 min 05 s, from 20261119")


async def test_read_only_changes_nothing(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console(readonly=True)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await edit(pilot, screen, "training.lr", [*"0.5", "enter"])
        await pilot.press("r", "ctrl+s")
        await shows(pilot, "read-only")
        assert app.handle is None
        assert screen.query_one(YamlArea).text == MINE == (workspace.root / "mine.yaml").read_text()


async def test_the_form_shows_the_fields_of_the_source_of_images_that_is_named() -> None:
    form = RecipeForm(Recipe, "form")

    def shown(text: str) -> set[str]:
        form.sections["dataset"].unfold()
        form.show(check(text))
        return {row.spec.name for row in form.rows if row.display and row.spec.section == "dataset"}

    named = shown("dataset: {name: cells}")
    assert {"name", "archive", "folder", "csv", "npz"} <= named and not {"group", "fit", "label_columns"} & named
    folder = shown("dataset: {folder: mine}")
    assert {"group", "fit", "folds", "duplicates"} <= folder and not {"archive", "label_columns"} & folder
    assert {"label_columns", "delimiter", "root"} <= shown("dataset: {csv: mine.csv}")
    assert "label_columns" in shown("dataset: {folder: mine, label_columns: x}")  # wrong, so it is seen
