"""Explore a source of images: what is in it, and what is wrong with it. Nothing of it is changed."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from engine.contract.data.datasets import SPLITS
from engine.contract.data.exploration import Exploration, ImageId
from engine.contract.files.folders import Folder
from engine.contract.recipe.sources import DatasetSection, data_source
from engine.contract.wire.jobs import Explore
from engine.data.cache import Decoded
from engine.data.explore.findings import explored, image
from engine.data.explore.survey import Survey, survey
from engine.data.own.contents import duplicates_of_pool
from engine.data.own.duplicates import Duplicates, find_duplicates
from engine.data.own.source import OwnDecoded
from engine.report.data_page import Place, data_page, pictured
from engine.run.data_jobs import ReadProgress, all_images_of, decoded_data
from engine.run.job import Job, JobResult

if TYPE_CHECKING:
    from engine.run.doubting_model import DoubtingModel

RESULT, PAGE = "exploration.json", "exploration.html"
SAMPLES = 8  # images of each class on the page
LARGEST = 112  # pixels per side of a picture on the page


def explore(job: Job, command: Explore) -> JobResult:
    """Raises RecipeError for a source that is none, DataError, CheckpointError or UsageError for an unfit model."""
    with job.control.interruptible():
        model = _model(command)
        section = section_of(command, model)
        data = decoded_data(job, data_source(section))
        if model is not None:
            model.refuse_other(data)
        found = survey(data, ReadProgress(job))
        duplicates = _duplicates(job, data, found)
    doubtful = None
    if model is not None:
        job.enter("evaluating")
        doubtful = model.doubtful_labels(job, data, found)
    job.enter("reporting")
    with job.control.interruptible():
        exploration = explored(found, data.source, duplicates, doubtful)
        _write(Folder(Path(command.output)), exploration, data, found)
    return JobResult()


def _model(command: Explore) -> DoubtingModel | None:
    """Raises CheckpointError or WeightsError."""
    if command.model is None:
        return None
    from engine.run.doubting_model import DoubtingModel  # with torch, which takes seconds

    return DoubtingModel(command.model)


def section_of(command: Explore, model: DoubtingModel | None) -> DatasetSection:
    """All images of the source, whatever is wrong with them, at the size of the model. Raises RecipeError."""
    section = all_images_of(command.dataset, "data explore")
    changes: dict[str, object] = {}
    if section.name is None:
        changes |= {"max_unreadable": 1.0, "duplicates": "keep"}
    if model is not None:
        changes["size"] = model.size
    return section.model_copy(update=changes)


def _duplicates(job: Job, data: Decoded, found: Survey) -> Duplicates:
    """As a run finds them."""
    progress = ReadProgress(job)
    if isinstance(data, OwnDecoded):
        return duplicates_of_pool(data.converted, progress).among(
            [row for split in SPLITS for row in data.rows(split).tolist()]
        )
    size = found.thumbs.shape[1]  # bytes
    return find_duplicates(
        found.digests, found.thumbs, lambda n, of: progress("comparing the images", n * size, of * size)
    )


# ---- what is written -------------------------------------------------------------------------------------------------


def _write(output: Folder, exploration: Exploration, data: Decoded, found: Survey) -> None:
    """Raises OSError."""
    samples = {name: _sampled(found, number) for number, name in enumerate(found.facts.class_names)}
    places = pictured(exploration, samples)
    pictures = {place: png(pixels) for place, pixels in _pixels(data, places)}
    output.file(PAGE).write(data_page(exploration, samples, pictures), durable=False)
    output.file(RESULT).write(exploration.model_dump_json(indent=1) + "\n", durable=False)


def _sampled(found: Survey, number: int) -> Sequence[ImageId]:
    """Training images of a class, evenly spread over it."""
    of_class = np.nonzero((found.splits == "train") & (found.hot[:, number] == 1))[0]
    if not len(of_class):
        return []
    chosen = np.unique(np.linspace(0, len(of_class) - 1, SAMPLES).round().astype(int))
    return [image(found, int(of_class[at])) for at in chosen]


def _pixels(data: Decoded, places: set[Place]) -> Iterator[tuple[Place, np.ndarray]]:
    for split in SPLITS:
        images = data.images(split)
        for place in sorted(place for place in places if place[0] == split):
            yield place, np.asarray(images[place[1]])


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 [S, S] or [S, S, 3], at most `LARGEST` pixels per side."""
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if max(picture.size) > LARGEST:
        picture = picture.resize((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()
