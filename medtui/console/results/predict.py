"""Images of one's own, predicted by a run's model: pictures, the probabilities of the classes, and what is unlike."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll

from engine.contract.store.find_model import find_model
from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.protocol import Progress
from medtui.client.predict import PredictedImage, Predictions, check_name, described, predicted
from medtui.console.results.ask_images import AskImages, words_of
from medtui.console.shell.app_context import AppContext, context_of
from medtui.console.shell.engines import who
from medtui.console.shell.frame import DialogKeys
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Static, border_title
from medtui.console.widgets.bars import bar
from medtui.console.widgets.engine_dialog import EngineDialog
from medtui.console.widgets.pictures import Captioned, Pictures, Sheet
from medtui.console.widgets.stored_pictures import DAMAGED, LIMIT, stored_pictures
from medtui.text import clean, shortened

BAR = 20  # cells, where there is room
MOST_CLASSES = 5  # of an image, the most probable ones
NAME = 24  # columns of a class, where there is room
TAKEN = 24  # columns that are taken by a picture, gaps and the frame
CSV = "predictions.csv"


async def predict_images(context: AppContext, run: RunDirectory) -> None:
    """Ask which, and show what they are; again for others, until the user goes back."""
    asked: str | None = ""
    while asked is not None:
        asked = await context.push_screen_wait(AskImages(run.name, asked))
        if asked is not None:
            asked = await context.push_screen_wait(PredictionsScreen(run, asked))


@dataclass(frozen=True)
class Found:
    """What is shown of predictions."""

    predictions: Predictions
    items: tuple[Captioned, ...]
    text_only: tuple[tuple[Text, ...], ...]  # of images without a picture


class PredictionsScreen(EngineDialog[Found]):
    SCOPE = "predictions"
    BINDINGS: ClassVar[list[BindingType]] = bindings("predictions")

    def __init__(self, run: RunDirectory, asked: str) -> None:
        super().__init__(asked)
        self.run_directory = run

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="predictions") as pane:
            border_title(pane, f"{self.asked} · predicted by {self.run_directory.name}")
            yield Static(id="predictions-words")
            yield Pictures("predictions-pictures")
            yield Static(id="predictions-rest")
        yield DialogKeys("predictions")

    def make_result(self, stack: contextlib.ExitStack) -> Found:
        context = context_of(self)
        model, _ = find_model(context.workspace.outputs, self.run_directory.name)
        predictions = stack.enter_context(
            predicted(
                model,
                words_of(self.asked),
                context.workspace,
                as_json=False,
                pictures=LIMIT,
                by=who(),
                cancelled=self.is_cancelled,
                on_event=self.receive,
            )
        )
        return read_predictions(predictions, self.app.size.width - TAKEN)

    def amount(self, progress: Progress) -> str:
        return f"{progress.done:,}/{progress.total:,}"

    def show_result(self, made: Found) -> None:
        summary = made.predictions.summary
        self.put_words(Text("\n".join(clean(line, 600) for line in described(summary, "; the command names all"))))
        self.query_one(Pictures).show(Sheet(made.items, captions_right=True))
        self.query_one("#predictions-rest", Static).update(rest_text(made))

    # ---- actions ---------------------------------------------------------------------------------------------------

    @work(exclusive=True, group="save")
    async def action_save(self) -> None:
        if name := await self.save_result("Save the predictions as CSV to this new file:", CSV):
            context_of(self).show_toast(f"Written to {name}.")

    def save_to(self, made: Found, path: Path) -> None:
        check_name(path, as_json=False)
        made.predictions.save(path, force=False)


# ---- what is shown, as functions of values --------------------------------------------------------------------------


def read_predictions(predictions: Predictions, width: int) -> Found:
    """The first ones with their pictures, and `width` columns of text. Raises OSError or ValueError."""
    images = predictions.first(LIMIT)
    try:
        pictures = stored_pictures(predictions.pictures())
    except DAMAGED:
        pictures = []
    texts = [image_lines(image, width) for image in images]
    items = tuple(Captioned(picture, lines) for picture, lines in zip(pictures, texts, strict=False))
    return Found(predictions, items, tuple(texts[len(items) :]))


def image_lines(image: PredictedImage, width: int) -> tuple[Text, ...]:
    """Name, prediction, marks, and the most probable classes with their bars: no more than a picture has rows."""
    prediction = Text(clean(image.prediction or "no label", 80), "bold")
    prediction.append(f"  confidence {image.confidence:.2f}", "")
    if image.label is not None:
        correct = image.label == image.prediction
        prediction.append(
            f"  {'✓' if correct else '✗'} {clean(image.label or 'no label', 60)}", "green" if correct else "red"
        )
    lines = [Text(clean(image.path, 300), "dim"), prediction]
    if image.unlike:
        lines.append(Text("! unlike the training images", "bold yellow"))
    column = min(NAME, max(6, width // 2))
    length = max(4, min(BAR, width - column - 6))
    for name, probability in sorted(image.probabilities, key=lambda one: -one[1])[:MOST_CLASSES]:
        words = shortened(clean(name, 60), column)
        line = Text(words + " " * (column - cell_len(words) + 1))
        lines.append(line.append_text(bar(probability, 1.0, length)).append(f" {probability:.2f}"))
    return tuple(lines)


def rest_text(found: Found) -> Text:
    """Predictions that have no picture here, and how many there are besides."""
    text = Text()
    for lines in found.text_only:
        text.append_text(Text("\n").join(lines)).append("\n\n")
    more = int(found.predictions.summary["predicted"]) - len(found.items) - len(found.text_only)
    if more > 0:
        text.append(f"and {more:,} more; saving writes all of them\n", "dim")
    return text
