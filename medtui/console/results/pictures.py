"""Sample predictions as small pictures: half-block cells, two pixels per cell, correct and wrong by sign and colour."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.color import Color
from rich.style import Style
from rich.text import Text

from engine.contract.store.run_directory import RunDirectory, read_object
from medtui.text import clean, shortened

CELLS = 16  # columns of a picture; it has half as many rows
GAP = 2  # columns between pictures
LIMIT = 64  # pictures

Pixel = tuple[int, int, int]


@dataclass(frozen=True)
class Sample:
    """One test image: its pixels, label, prediction and score."""

    pixels: tuple[tuple[Pixel, ...], ...]  # rows of RGB
    truth: str
    predicted: str
    score: float | None = None

    @property
    def correct(self) -> bool:
        return self.truth == self.predicted


def read_samples(run: RunDirectory) -> list[Sample]:
    """The contents of `metrics/samples.json`; empty where it is missing or damaged."""
    values = read_object(run.metrics / "samples.json")
    if values is None:
        return []
    try:
        return _samples(values)
    except (KeyError, TypeError, ValueError, OverflowError, IndexError, binascii.Error):
        return []


def _samples(values: dict[str, Any]) -> list[Sample]:
    count, height, width, *rest = (int(side) for side in values["shape"])
    channels = rest[0] if rest else 1
    if not (0 < height <= 1024 and 0 < width <= 1024 and channels in (1, 3)):
        return []
    data = base64.b64decode(values["images"], validate=True)
    size = height * width * channels
    found = []
    for number in range(min(count, LIMIT, len(data) // size)):
        pixels = _scaled(data[number * size : (number + 1) * size], height, width, channels)
        score = values["scores"][number] if "scores" in values else None
        score = float(score) if isinstance(score, int | float) else None
        found.append(Sample(pixels, str(values["truth"][number]), str(values["said"][number]), score))
    return found


def _scaled(data: bytes, height: int, width: int, channels: int) -> tuple[tuple[Pixel, ...], ...]:
    """`CELLS` × `CELLS` pixels, each the mean of the pixels it covers."""
    rows = []
    for y in range(CELLS):
        top, bottom = y * height // CELLS, max((y + 1) * height // CELLS, y * height // CELLS + 1)
        row = []
        for x in range(CELLS):
            left, right = x * width // CELLS, max((x + 1) * width // CELLS, x * width // CELLS + 1)
            spots = [(j * width + i) * channels for j in range(top, bottom) for i in range(left, right)]
            means = [sum(data[spot + c] for spot in spots) // len(spots) for c in range(channels)]
            row.append((means[0], means[0], means[0]) if channels == 1 else (means[0], means[1], means[2]))
        rows.append(tuple(row))
    return tuple(rows)


def picture_rows(sample: Sample) -> list[Text]:
    """Upper half block: foreground the upper pixel, background the lower."""
    lines = []
    for y in range(0, CELLS, 2):
        line = Text()
        for upper, lower in zip(sample.pixels[y], sample.pixels[y + 1], strict=True):
            line.append("▀", Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower)))
        lines.append(line)
    return lines


def grid_text(samples: list[Sample], width: int) -> Text:
    """Images side by side, as many as fit, each with its prediction below."""
    if not samples:
        return Text("no sample images in this run", style="dim")
    across = max(1, (width + GAP) // (CELLS + GAP))
    text = Text(no_wrap=True)
    for start in range(0, len(samples), across):
        row = samples[start : start + across]
        for lines in zip(*(picture_rows(sample) for sample in row), strict=True):
            for line in lines:
                text.append_text(line)
                text.append(" " * GAP)
            text.append("\n")
        for number in range(2):
            for sample in row:
                words, style = _captions(sample)[number]
                text.append(words + " " * max(0, CELLS + GAP - cell_len(words)), style)
            text.append("\n")
    n_correct = sum(sample.correct for sample in samples)
    text.append(f"{n_correct} of {len(samples)} correct: ✓ green, ✗ red with the prediction\n", "dim")
    return text


def _captions(sample: Sample) -> list[tuple[str, str]]:
    truth = shortened(clean(sample.truth, 60), CELLS - 2)
    score = f" {sample.score:.2f}" if sample.score is not None else ""
    if sample.correct:
        return [(f"✓ {truth}", "green"), (f"  {score.strip()}", "dim")]
    predicted = shortened(clean(sample.predicted, 60), CELLS - 2 - len(score))
    return [(f"✗ {truth}", "bold red"), (f"→ {predicted}{score}", "red")]
