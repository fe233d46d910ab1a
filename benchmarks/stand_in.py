"""Inputs of measurements: recipes, jobs without a session, and a large archive created once."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.contract.machine.process_identity import this_process
from engine.contract.store.find_run import find_run
from engine.contract.store.workspace import Workspace
from engine.contract.wire.jobs import Train
from engine.control import Control
from engine.events import EventStream, Pipe

if TYPE_CHECKING:
    from engine.run.job import Job

Recipe = dict[str, dict[str, Any]]
MANY = 90_000  # images of the large archive
ARCHIVE = "many.npz"
SPLITS = {"train": MANY - 6_000, "val": 3_000, "test": 3_000}  # images
IMAGE_BYTES = 28 * 28 * 3


def tiny_recipe(**sections: dict[str, Any]) -> Recipe:
    """A run of a few seconds: synthetic cells, the small net. Sections are merged field by field."""
    recipe: Recipe = {
        "dataset": {"name": "cells", "limit": 64},
        "model": {"name": "mini_cnn"},
        "training": {"epochs": 1, "batch_size": 16},
        "evaluation": {"tta": False},
    }
    for section, values in sections.items():
        recipe.setdefault(section, {}).update(values)
    return recipe


def many_recipe(archive: Path, md5: str, cache: str = "auto") -> Recipe:
    """A run on the large archive."""
    dataset = {"name": "pathmnist", "archive": str(archive), "md5": md5, "cache": cache, "limit": None}
    return tiny_recipe(dataset=dataset, training={"batch_size": 128})


def write_many(
    folder: Path, compression: int = zipfile.ZIP_DEFLATED, side: int = 28, splits: dict[str, int] = SPLITS
) -> tuple[Path, str]:
    """An archive of generated RGB images, MANY of 28 px, compressed as PathMNIST's is; its path and MD5.

    Smooth fields under little noise: they compress to about half, as pictures of tissue do.
    """
    random = np.random.default_rng(7)
    path = folder / ARCHIVE
    with zipfile.ZipFile(path, "w", compression, compresslevel=1) as archive:
        for split, images in splits.items():
            labels = (np.arange(images, dtype=np.uint8) % 9)[:, None]
            fields = random.integers(40, 200, (images, 4, 4, 3), dtype=np.uint8)
            fields = fields.repeat(side // 4, axis=1).repeat(side // 4, axis=2)
            fields += random.integers(0, 16, fields.shape, dtype=np.uint8)
            for part, array in (("images", fields), ("labels", labels)):
                content = io.BytesIO()
                np.save(content, array)
                archive.writestr(f"{split}_{part}.npy", content.getbuffer())
    with path.open("rb") as file:
        return path, hashlib.file_digest(file, "md5").hexdigest()


@contextmanager
def job_for(recipe: Recipe, workspace: Path) -> Iterator[Job]:
    """A training job as a session creates it, without the lock and the commands; its events go only to the journal."""
    from engine.run.job import Job

    nowhere = os.open(os.devnull, os.O_WRONLY)
    pipe = Pipe(nowhere)
    me = this_process()
    identity = {"engine": "benchmark", "host": me.host, "boot": me.boot, "pid": me.pid, "started": me.started}
    stream = EventStream(pipe, identity)
    start = Train(id="start", by="benchmark", recipe=recipe)
    try:
        find = partial(find_run, workspace / "outputs")
        yield Job(start, Workspace(workspace), stream, Control(), None, stream.open_journal, find)
    finally:
        pipe.close()
        os.close(nowhere)
