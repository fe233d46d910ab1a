"""Sample predictions as small pictures, correct and wrong by sign and colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.text import Text

from engine.contract.store.run_directory import RunDirectory, read_object
from medtui.console.graphics.picture import COLUMNS, Picture
from medtui.console.widgets.pictures import Captioned, Sheet
from medtui.console.widgets.stored_pictures import DAMAGED, stored_pictures
from medtui.text import clean, shortened


@dataclass(frozen=True)
class Sample:
    """One test image: its pixels, label, prediction and score."""

    picture: Picture
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
        return [_sample(values, at, picture) for at, picture in enumerate(stored_pictures(values))]
    except DAMAGED:
        return []


def _sample(values: dict[str, Any], at: int, picture: Picture) -> Sample:
    score = values["scores"][at] if "scores" in values else None
    score = float(score) if isinstance(score, int | float) else None
    return Sample(picture, str(values["truth"][at]), str(values["said"][at]), score)


def samples_sheet(samples: list[Sample], before: Text) -> Sheet:
    """Side by side, each with its prediction below."""
    if not samples:
        return Sheet(before=before.append("no sample images in this run\n", "dim"))
    n_correct = sum(sample.correct for sample in samples)
    after = Text(f"{n_correct} of {len(samples)} correct: ✓ green, ✗ red with the prediction\n", "dim")
    return Sheet(tuple(Captioned(sample.picture, _captions(sample)) for sample in samples), before, after)


def _captions(sample: Sample) -> tuple[Text, Text]:
    truth = shortened(clean(sample.truth, 60), COLUMNS - 2)
    score = f" {sample.score:.2f}" if sample.score is not None else ""
    if sample.correct:
        return Text(f"✓ {truth}", "green"), Text(f"  {score.strip()}", "dim")
    predicted = shortened(clean(sample.predicted, 60), COLUMNS - 2 - len(score))
    return Text(f"✗ {truth}", "bold red"), Text(f"→ {predicted}{score}", "red")
