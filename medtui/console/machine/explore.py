"""Machine: what is in a source of images and what is wrong with it, as `medtui data explore` finds it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll

from engine.contract.data.exploration import Exploration
from engine.contract.recipe.recipe import Recipe
from engine.contract.wire.protocol import Progress
from medtui.client.explore import Explored, explored
from medtui.client.explored_text import by_channel, findings, heading
from medtui.client.named_source import section_named
from medtui.console.shell.app_context import AppContext, context_of, key_of
from medtui.console.shell.dialogs import AskText
from medtui.console.shell.engines import who
from medtui.console.shell.frame import DialogKeys
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Static, border_title
from medtui.console.widgets.engine_dialog import EngineDialog
from medtui.text import clean, shortened

CLASS, COUNT, NUMBERS = 32, 8, 16  # columns at most
RARE = " rare"
FRAME = 5  # columns of the border, its padding and a scroll bar
QUESTION = "Explore which images? A data set's name, a folder, a table, an .npz file or a recipe:"


async def explore_images(context: AppContext) -> None:
    """Ask which, the chosen recipe's first, and show what is in them; again for others, until the user goes back."""
    recipe = context.chosen_recipe
    chosen = source_of(recipe) if recipe is not None else ""
    asked: str | None = chosen
    while asked is not None:
        asked = await context.push_screen_wait(AskText(QUESTION, asked, select=True))
        if asked is not None:
            section = recipe.dataset.model_dump(mode="json") if recipe is not None and asked == chosen else None
            asked = await context.push_screen_wait(ExplorationScreen(asked, section))


def source_of(recipe: Recipe) -> str:
    """As it can be typed: a name or a path."""
    section = recipe.dataset
    return section.name or section.folder or section.csv or section.npz or ""


class ExplorationScreen(EngineDialog[Explored]):
    SCOPE = "exploration"
    BINDINGS: ClassVar[list[BindingType]] = bindings("exploration")

    def __init__(self, asked: str, section: dict[str, Any] | None) -> None:
        """`section`: of the recipe that names these images, where one does."""
        super().__init__(asked)
        self.section = section

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="exploration") as pane:
            border_title(pane, f"{clean(self.asked, 200)} · explored")
            yield Static(id="exploration-words")
        yield DialogKeys("exploration")

    def make_result(self, stack: contextlib.ExitStack) -> Explored:
        context = context_of(self)
        section = self.section or section_named(self.asked)
        return stack.enter_context(
            explored(
                section,
                context.workspace,
                context.data,
                by=who(),
                cancelled=self.is_cancelled,
                on_event=self.receive,
            )
        )

    def amount(self, progress: Progress) -> str:
        return f"{100 * min(1.0, progress.done / progress.total):.0f} %"

    def on_resize(self) -> None:
        if self.made is not None:
            self.show_result(self.made)

    def show_result(self, made: Explored) -> None:
        rest = f"the page shows them ({key_of(self, 'exploration.save')})"
        self.put_words(exploration_text(made.found, max(30, self.size.width - FRAME), rest))

    # ---- actions ---------------------------------------------------------------------------------------------------

    @work(exclusive=True, group="save")
    async def action_save(self) -> None:
        proposed = f"{self.made.found.name}.html" if self.made is not None else ""
        if name := await self.save_result("Write the page with pictures to this new file:", proposed):
            context_of(self).show_toast(f"Written to {name}: a browser opens it, without a network.")

    def save_to(self, made: Explored, path: Path) -> None:
        made.save_page(path)


# ---- as text: functions of values -----------------------------------------------------------------------------------


def exploration_text(found: Exploration, width: int, rest: str) -> Text:
    """`rest`: where the findings are that are not named here."""
    first, *more = heading(found)
    text = Text(f"{first}\n", "bold")
    for line in more:
        text.append(f"{line}\n", "dim")
    text.append("\n")
    _append_classes(text, found, width)
    text.append("\n")
    for line in findings(found, rest):
        text.append(f"{line}\n", "" if line.startswith("  ") else "bold")
    text.rstrip()
    return text


def _append_classes(text: Text, found: Exploration, width: int) -> None:
    """A row per class; brightness where there is room."""
    counts = len(found.splits) * COUNT + COUNT
    marked = len(RARE) if any(one.rare for one in found.classes) else 0
    column = min(
        CLASS, max([cell_len(clean(one.name, 60)) for one in found.classes], default=0), width - counts - marked
    )
    column = max(8, column)
    roomy = width >= column + counts + 2 * NUMBERS + marked
    titles = "".join(f"{title:>{COUNT}}" for title in (*found.splits, "% train"))
    titles += f"{'mean':>{NUMBERS}}{'deviation':>{NUMBERS}}" if roomy else ""
    text.append(f"{'class':<{column}}{titles}\n", "bold")
    for one in found.classes:
        name = shortened(clean(one.name, 60), column)
        row = name + " " * (column - cell_len(name))
        row += "".join(f"{one.images[split]:>{COUNT},}" for split in found.splits)
        row += f"{100 * one.fraction:>{COUNT}.1f}"
        row += f"{by_channel(one.mean):>{NUMBERS}}{by_channel(one.deviation):>{NUMBERS}}" if roomy else ""
        text.append(row + RARE * one.rare + "\n", "yellow" if one.rare else "")
