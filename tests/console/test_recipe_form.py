"""The form of a recipe: choices, what is folded away, and the whole of what is said, by the keyboard or the mouse."""

from __future__ import annotations

import pytest
from screen_helpers import screen_text, shows, wait_for
from test_recipes import MINE, SIZE, edit, opened

from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.schema import fields
from engine.contract.recipe.sources import official_sets
from medtui.client.recipe_document import check
from medtui.console.recipes.before_run import BeforeRun
from medtui.console.recipes.choices import Available, choices_of
from medtui.console.recipes.choose import Choose
from medtui.console.recipes.field_row import FieldRow
from medtui.console.recipes.form import RecipeForm
from medtui.console.recipes.yaml_area import YamlArea

SIZES = [(60, 18), (80, 24), (120, 40), (200, 60)]


# ---- choices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "some"),
    [
        ("dataset.name", {"cells", "bloodmnist", "organsmnist"}),
        ("dataset.size", {"28", "224"}),
        ("dataset.fit", {"pad", "crop", "stretch"}),
        ("dataset.duplicates", {"keep", "drop", "refuse"}),
        ("model.name", {"mini_cnn", "resnet18"}),
        ("training.optimizer", {"sgd", "adamw"}),
        ("training.schedule", {"cosine", "plateau"}),
        ("training.monitor", {"auc", "loss"}),
        ("training.amp", {"auto", "true", "false"}),
        ("runtime.device", {"auto", "cpu", "cuda"}),
    ],
)
def test_a_field_with_choices_is_chosen(field: str, some: set[str]) -> None:
    assert FieldRow(fields()[field]).is_choice
    assert some <= {choice.value for choice in choices_of(fields()[field])}


@pytest.mark.parametrize("value", ["30", "9999999", "123456789012345"])
def test_no_rest_of_a_unit_or_number_stands_behind_the_field_where_it_is_typed(value: str) -> None:
    row = FieldRow(fields()["training.epochs"])
    row.value = value
    assert row.render().plain.endswith(f"{value} epochs")
    row.edited = True
    assert row.render().plain.split() == ["✎", "Epochs"]


def test_data_sets_whose_images_are_here_come_first_and_each_says_what_it_is() -> None:
    here = next(facts for facts in official_sets() if facts.name == "pathmnist").archives[64].file_name
    found = choices_of(fields()["dataset.name"], {"size": 64}, Available(frozenset({here}), ()))
    names = [choice.value for choice in found]
    assert set(names[:2]) == {"cells", "pathmnist"} and len([name for name in names if name]) == 13
    notes = {choice.value: choice.note for choice in found}
    assert (notes["cells"], notes["pathmnist"]) == ("synthetic, generated", "official, found")
    assert notes["bloodmnist"].startswith("official, not here (≤ ")
    assert [choice.field for choice in found if choice.value is None] == ["folder", "csv", "npz"]


def test_each_gpu_of_a_machine_with_several_is_a_choice() -> None:
    of_two = choices_of(fields()["runtime.device"], {}, Available(frozenset(), ("H100", "A100")))
    assert {("cuda:0", "H100"), ("cuda:1", "A100")} <= {(choice.label, choice.note) for choice in of_two}
    of_none = choices_of(fields()["runtime.device"], {}, Available(frozenset(), ()))
    assert ("cuda", "no GPU found") in {(choice.value, choice.note) for choice in of_none}


@pytest.mark.asyncio
async def test_a_data_set_is_chosen_by_keys_and_its_comment_stays(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await pilot.press("e", "enter")
        await wait_for(pilot, lambda: isinstance(app.screen, Choose))
        await shows(pilot, "synthetic, generated", "official, not here")
        names = [choice.value for choice in app.screen.choices]
        steps = names.index("retinamnist") - names.index("breastmnist")
        await pilot.press(*["j" if steps > 0 else "k"] * abs(steps), "enter")
        await wait_for(pilot, lambda: screen.current.dirty)
        assert screen.query_one(YamlArea).text == MINE.replace("breastmnist ", "retinamnist ")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        (MINE.replace("breastmnist", "brestmnist"), "dataset.name", "brestmnist"),
        (f"{MINE}  optimizer: adam\n", "training.optimizer", "adam"),
        (f"{MINE}runtime:\n  device: 0\n", "runtime.device", "0"),
    ],
)
async def test_a_value_that_is_no_choice_is_shown_with_its_error_and_stays(
    console, workspace, text: str, field: str, value: str
) -> None:
    (workspace.root / "mine.yaml").write_text(text)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await pilot.press("n")
        await shows(pilot, f"{value} ▾", "1 error", "✗ ")
        await edit(pilot, screen, field, [])
        await shows(pilot, "as it is")
        await pilot.press("enter")  # the cursor is on it
        await wait_for(pilot, lambda: app.screen is screen)
        await pilot.pause(0.2)
        assert screen.current.text == text


@pytest.mark.asyncio
async def test_images_of_ones_own_are_named_in_the_form_and_given_up_again(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await pilot.press("e", "enter")
        await wait_for(pilot, lambda: isinstance(app.screen, Choose))
        options = app.screen.query_one("ChoiceList")
        options.highlighted = [choice.field for choice in app.screen.choices].index("folder")
        await pilot.press("enter")
        await wait_for(pilot, lambda: screen.query_one(RecipeForm).field is not None)
        await pilot.press(*"data/mine", "enter")
        await wait_for(pilot, lambda: screen.checked.values["dataset"].get("folder") == "data/mine")
        assert screen.current.text == MINE.replace("breastmnist ", "null ").replace(
            "training:", "  folder: data/mine\ntraining:"
        )
        assert screen.checked.recipe is not None and screen.checked.recipe.dataset.name is None
        shown = {row.spec.path: row for row in screen.query_one(RecipeForm).rows if row.display}
        assert shown["dataset.folder"].value == "data/mine" and not shown["dataset.folder"].is_choice
        await edit(pilot, screen, "dataset.name", [])
        await wait_for(pilot, lambda: isinstance(app.screen, Choose))
        options = app.screen.query_one("ChoiceList")
        options.highlighted = [choice.value for choice in app.screen.choices].index("cells")
        await pilot.press("enter")
        await wait_for(pilot, lambda: screen.checked.recipe and screen.checked.recipe.dataset.name == "cells")
        assert screen.checked.recipe.dataset.folder is None


# ---- folding ---------------------------------------------------------------------------------------------------------


def test_rarely_used_fields_are_folded_away_and_those_that_differ_are_counted() -> None:
    form = RecipeForm(Recipe, "form")
    form.show(check("training: {momentum: 0.5, nesterov: true, epochs: 3, min_lr: 1e-6}"))  # the last as by default
    shown = {row.spec.path for row in form.rows if row.display}
    assert {"dataset.name", "training.lr", "training.epochs", "runtime.device"} <= shown
    assert not {"training.momentum", "training.min_lr", "dataset.archive"} & shown
    advanced = [spec for spec in fields().values() if spec.section == "training" and spec.advanced]
    assert f"[+] {len(advanced)} more, 2 not at default" in form.sections["training"].render().plain
    form.show(check("training: {momentum: 2}"))
    assert "[−] all shown" in form.sections["training"].render().plain
    assert {"training.momentum", "training.min_lr"} <= {row.spec.path for row in form.rows if row.display}
    assert not form.sections["model"].is_open


@pytest.mark.asyncio
async def test_a_group_unfolds_and_folds_by_key_and_by_mouse(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        form = screen.query_one(RecipeForm)

        def seen() -> bool:
            return next(row for row in form.rows if row.spec.path == "model.dropout").display

        form.go_to("model", "name")
        screen.set_focus(form)
        assert not seen()
        await pilot.press("space")
        await shows(pilot, "Dropout", "Model  [−] all shown")
        await pilot.press("j", "j", "space")  # the cursor is on a field that is folded away: it goes to the title
        folded = sum(spec.advanced for spec in fields().values() if spec.section == "model")
        await shows(pilot, f"Model  [+] {folded} more")
        assert not seen() and form.line is form.sections["model"]
        await pilot.press("enter")
        await shows(pilot, "Dropout")
        for wanted in (False, True):
            await pilot.click(form.sections["model"])
            await wait_for(pilot, lambda wanted=wanted: seen() is wanted)


@pytest.mark.asyncio
async def test_the_mouse_alone_chooses_and_types(console, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        rows = {row.spec.path: row for row in screen.query_one(RecipeForm).rows}
        await pilot.click(rows["dataset.size"])
        await wait_for(pilot, lambda: isinstance(app.screen, Choose))
        await pilot.click("ChoiceList", offset=(3, 1))  # 64, the second
        await wait_for(pilot, lambda: screen.checked.recipe and screen.checked.recipe.dataset.size == 64)


# ---- all of it can be read -------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_an_error_can_be_read_to_its_end_at_every_size(console, workspace, size: tuple[int, int]) -> None:
    (workspace.root / "mine.yaml").write_text(MINE.replace("1e-3", "'a rate that nobody would have thought of'"))
    app = console()
    async with app.run_test(size=size, notifications=True) as pilot:
        await opened(pilot, app, "mine.yaml")
        await pilot.press("n")
        wanted = "must be a number above 0 and up to 10, found the text 'a rate that nobody would have thought of'"
        await wait_for(pilot, lambda: wanted in " ".join(_pane(screen_text(app), "✗ must").split()))


def _pane(shown: str, start: str) -> str:
    """The text that begins with these words, and the lines below it, without frames and what stands beside it."""
    lines = shown.splitlines()
    first = next((number for number, line in enumerate(lines) if start in line), None)
    if first is None:
        return ""
    left = lines[first].index(start)
    below = [line[left:].partition("│")[0].rstrip(" ▁▂▃▄▅▆▇█") for line in lines[first : first + 4]]
    return " ".join(below)


@pytest.mark.asyncio
@pytest.mark.parametrize("size", SIZES[:2], ids=str)
async def test_the_help_of_a_field_can_be_scrolled_to_its_end(console, workspace, size: tuple[int, int]) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=size, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await pilot.press("e")
        screen.query_one(RecipeForm).go_to("training", "monitor")
        await shows(pilot, "training.monitor")
        await pilot.press("tab")
        for _ in range(12):
            if "Default auc." in screen_text(app):
                break
            await pilot.press("down")
            await pilot.pause()
        assert "Default auc." in screen_text(app), screen_text(app)
        await pilot.press("escape")
        await wait_for(pilot, lambda: screen.query_one(RecipeForm).has_focus)


@pytest.mark.asyncio
@pytest.mark.parametrize("size", SIZES[:2], ids=str)
async def test_what_a_run_needs_can_be_scrolled_to_its_end(console, workspace, size: tuple[int, int]) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=size, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await wait_for(pilot, lambda: screen.query_one(BeforeRun).preflight)
        await pilot.press("left_square_bracket")  # the pane before the list is the last
        for _ in range(8):
            if "run 20261122_breastmnist_" in screen_text(app):
                break
            await pilot.press("down")
            await pilot.pause()
        assert "run 20261122_breastmnist_" in screen_text(app), screen_text(app)


@pytest.mark.asyncio
async def test_a_form_without_a_recipe_shows_no_field_as_if_it_were_empty() -> None:
    form = RecipeForm(Recipe, "form")
    assert form.lines and not any(line.display for line in form.lines)
