"""Images that the engine stored: as JSON, with `shape` and the bytes of all in base64, and as figures."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from rich.text import Text
from textual.screen import Screen

from engine.contract.store.run_directory import RunDirectory, read_object
from medtui.console.graphics.picture import COLUMNS, Picture, picture_from_png, picture_of
from medtui.console.graphics.terminal import ASSUMED_CELL
from medtui.console.shell.app_context import context_of
from medtui.console.widgets.pictures import Captioned, Sheet
from medtui.text import clean, shortened

LIMIT = 64  # pictures
LARGEST = 1024  # pixels per side
FIGURE_BYTES = 16 * 1024 * 1024
WIDEST_FIGURE, HIGHEST_FIGURE = 80, 30  # cells: sixels of more are too much for a slow line
DAMAGED = (
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    IndexError,
    binascii.Error,
)  # what reading such a file raises


def stored_pictures(values: dict[str, Any]) -> list[Picture]:
    """The first of them. Raises one of `DAMAGED`."""
    count, height, width, *rest = (int(side) for side in values["shape"])
    channels = rest[0] if rest else 1
    if not (0 < height <= LARGEST and 0 < width <= LARGEST and channels in (1, 3)):
        return []
    data = base64.b64decode(values["images"], validate=True)
    size = height * width * channels
    count = min(count, LIMIT, len(data) // size)
    return [picture_of(data[at * size : (at + 1) * size], width, height, channels) for at in range(count)]


# ---- figures --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Room:
    """Where a figure is to be shown by the terminal's graphics."""

    columns: int
    rows: int
    cell: tuple[int, int]  # pixels


def room_for(screen: Screen[Any], columns: int) -> Room | None:
    """For a figure; None in a terminal without graphics, as half blocks are too coarse for its text."""
    gallery = context_of(screen).gallery
    if not gallery.paints:
        return None
    return Room(max(1, min(WIDEST_FIGURE, columns)), HIGHEST_FIGURE, gallery.cell or ASSUMED_CELL)


def read_figure(run: RunDirectory, name: str, room: Room | None) -> Picture | None:
    """A figure of the report, as large as there is room for; None where it is missing or cannot be shown."""
    if room is None:
        return None
    try:
        content = (run.figures / f"{name}.png").content(FIGURE_BYTES)
    except OSError:
        return None
    return picture_from_png(content, room.columns, room.rows, room.cell)


# ---- the first training batch ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrainingBatch:
    """Some images of the first training batch, as the model sees them."""

    pictures: tuple[Picture, ...]
    labels: tuple[str, ...]
    partners: tuple[str, ...] | None  # what each is mixed with; None without MixUp
    weight: float  # of an image itself in its mixture
    size: int  # images of the batch
    steps: str  # what was done to them


def read_batch(run: RunDirectory) -> TrainingBatch | None:
    """The contents of `metrics/batch.json`; None where it is missing or damaged."""
    values = read_object(run.metrics / "batch.json")
    if values is None:
        return None
    try:
        pictures, partners = stored_pictures(values), values["partners"]
        return TrainingBatch(
            tuple(pictures),
            tuple(str(values["labels"][at]) for at in range(len(pictures))),
            None if partners is None else tuple(str(partners[at]) for at in range(len(pictures))),
            float(values["weight"]),
            int(values["batch_size"]),
            str(values["steps"]),
        )
    except DAMAGED:
        return None


def batch_sheet(batch: TrainingBatch | None, before: Text) -> Sheet:
    """Each with its label; mixed ones with both, and how much of each."""
    if batch is None or not batch.pictures:
        return Sheet(before=before.append("The stored images cannot be read.\n", "dim"))
    items = []
    for at, picture in enumerate(batch.pictures):
        lines = [_label(batch.labels[at], batch.weight if batch.partners else None)]
        if batch.partners is not None:
            lines.append(_label(batch.partners[at], 1 - batch.weight))
        items.append(Captioned(picture, tuple(lines)))
    n = len(items)
    count = f"{n} of {batch.size:,} images" if n < batch.size else f"{n} images"
    words = f"{count} of the first training batch: {clean(batch.steps, 300)}"
    return Sheet(tuple(items), before, Text(words + "\n", "dim"))


def _label(name: str, weight: float | None) -> Text:
    fraction = "" if weight is None else f"{weight:.0%} "
    return Text(fraction + shortened(clean(name, 60), COLUMNS - len(fraction)))
