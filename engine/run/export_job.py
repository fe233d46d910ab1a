"""A run's model for other programs: ONNX, `torch.export`, the bundle and a card, checked on the test split."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.contract.files.folders import File, file_at
from engine.contract.recipe.reader import read_recipe
from engine.contract.store.find_model import require_description
from engine.contract.store.model_bundle import ModelBundle
from engine.contract.store.run_directory import RunDirectory, is_run, read_object
from engine.contract.store.run_record import read_run
from engine.contract.wire.errors import OutputError, RunFailed
from engine.contract.wire.jobs import Export
from engine.contract.wire.protocol import Metrics, Progress
from engine.data.batches import Split
from engine.evaluate.metrics import evaluate_with_ci95
from engine.evaluate.predict import evaluation_batch
from engine.events import now
from engine.run.bundled_model import BundledModel, load_model
from engine.run.deployed import Deployed, exported_program
from engine.run.disk import check_disk_space
from engine.run.evaluate_job import loaded_splits, require_weights, run_of
from engine.run.job import Job, JobResult
from engine.run.model_card import CardContent, model_card
from engine.run.onnx_file import Session, onnx_bytes, quantised, require_packages
from engine.run.prepare import LoadedData
from engine.sentences import Exports

ONNX, INT8, TORCH, CARD, CHECK = "model.onnx", "model.int8.onnx", "model.pt2", "README.md", "check.json"
NAMES = ("model.json", "best.safetensors", "features.safetensors", ONNX, INT8, TORCH, CARD, CHECK)
TOLERANCE = 1e-4  # of a score: more is no rounding
PROGRAM_BYTES = 2_000_000  # of a program without its weights
CARD_BYTES = 100_000
QUANTISING_IMAGES = 256  # training images that the ranges of activations are taken from

Scores = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass
class Check:
    """Of one file, on the test split."""

    difference: float  # the largest of a score or a probability, from PyTorch's in float32
    metrics: Metrics


@dataclass
class Made:
    files: dict[str, bytes] = field(default_factory=dict)
    checks: dict[str, Check] = field(default_factory=dict)


def export(job: Job, command: Export) -> JobResult:
    """Raises InstallationError without the packages, UsageError without weights, DataError without the data,
    RunFailed where a file does not give PyTorch's scores."""
    if "onnx" in command.formats or command.int8:
        require_packages()
    target = file_at(Path(command.output))
    with job.control.interruptible():
        run = run_of(command.run, "exported")
        require_weights(run)
        require_description(run)
        _refuse_existing(target, command.replace)
        model = load_model(run.checkpoints, "cpu")
        splits = ("train", "test") if command.int8 else ("test",)
        data = loaded_splits(job, run, read_recipe(run.recipe), splits)
        check_disk_space(target.parent.path, _bytes_of(command, run, model.bundle), "An export", "an --output")
    job.enter("evaluating")
    made = _made(job, command, run, model, data)
    job.enter("reporting")
    made.files[CHECK] = json.dumps({name: _plain(check) for name, check in made.checks.items()}, indent=2).encode()
    made.files[CARD] = _card(run, model, data, made).encode()
    _write(run, model.bundle, made, target)
    return JobResult(metrics={"validation": None, "test": next(iter(made.checks.values())).metrics})


def _refuse_existing(target: File, replace: bool) -> None:
    if not target.is_there:
        return
    if not replace:
        raise OutputError(Exports.EXISTS, folder=target)
    # a run's checkpoints have a description and weights of the same names, but were never checked as an export is
    is_export = target.is_folder and (target / "model.json").is_there and (target / CHECK).is_there
    above = target.path.parent
    if not is_export or (is_run(above) and target.name == RunDirectory(above).checkpoints.name):
        raise OutputError(Exports.NOT_AN_EXPORT, folder=target)


def _bytes_of(command: Export, run: RunDirectory, bundle: ModelBundle) -> int:
    """About what it takes: the bundle, and for each program its weights and code; one of 8 bits is made of another."""
    programs = len(command.formats) + 2 * command.int8
    copied = sum((run.checkpoints / name).size for name in _bundle_files(bundle))
    return copied + programs * (run.best.size + PROGRAM_BYTES) + CARD_BYTES


# ---- what is made ----------------------------------------------------------------------------------------------------


def _made(job: Job, command: Export, run: RunDirectory, model: BundledModel, data: LoadedData) -> Made:
    made = Made()
    reference = _Reference(job, model, data)
    made.checks["PyTorch"] = reference.check(reference.run)
    if not command.formats and not command.int8:
        return made
    program = exported_program(model)
    if "torch" in command.formats:
        buffer = io.BytesIO()
        torch.export.save(program, buffer)
        made.files[TORCH] = buffer.getvalue()
        module = torch.export.load(io.BytesIO(made.files[TORCH])).module()
        made.checks[TORCH] = reference.check(lambda images: _as_arrays(module(torch.from_numpy(images))))
    if "onnx" in command.formats or command.int8:
        content = onnx_bytes(program, metadata_of(model.bundle))
        made.files[ONNX] = content
        made.checks[ONNX] = reference.check(Session(content, data.threads))
    if command.int8:
        made.files[INT8] = quantised(content, _first_images(data.splits["train"]), run.folder.itself)
        made.checks[INT8] = reference.check(Session(made.files[INT8], data.threads))
    for name, check in made.checks.items():
        if name != INT8 and not check.difference <= TOLERANCE:
            raise RunFailed(Exports.DIFFERS, file=name, found=check.difference, limit=TOLERANCE)
    return made


def _as_arrays(found: tuple[torch.Tensor, torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    return found[0].detach().numpy(), found[1].detach().numpy()


def _first_images(split: Split) -> np.ndarray:
    rows = np.linspace(0, len(split) - 1, min(len(split), QUANTISING_IMAGES)).astype(np.int64)
    return _images(split, rows)


def _images(split: Split, rows: np.ndarray) -> np.ndarray:
    """uint8 [N, S, S, C]"""
    return np.ascontiguousarray(split.gather(rows).permute(0, 2, 3, 1).cpu().numpy())


class _Reference:
    """PyTorch's scores of the test split in float32, and how far others are from them."""

    def __init__(self, job: Job, model: BundledModel, data: LoadedData) -> None:
        self._job, self._data, self._bundle = job, data, model.bundle
        self._module = Deployed(model).eval()
        self._expected = self._all(self.run)

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            return _as_arrays(self._module(torch.from_numpy(images)))

    def check(self, scores: Scores) -> Check:
        found = self._all(scores)
        difference = max(float(np.abs(a - b).max()) for a, b in zip(found, self._expected, strict=True))
        result = evaluate_with_ci95(self._data.labels["test"], found[0], self._bundle.task, self._bundle.class_names)
        return Check(difference, result.metrics)

    def _all(self, scores: Scores) -> tuple[np.ndarray, np.ndarray]:
        parts = [scores(images) for images in self._batches()]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _batches(self) -> Iterator[np.ndarray]:
        split, size = self._data.splits["test"], evaluation_batch(self._bundle.model_size)
        for start in range(0, len(split), size):
            self._job.control.raise_if_aborted()
            progress = Progress(
                time=now(), phase="evaluating", activity="checking on the test split", done=start, total=len(split)
            )
            self._job.stream.snapshot(progress)
            yield _images(split, np.arange(start, min(start + size, len(split))))


def metadata_of(bundle: ModelBundle) -> dict[str, str]:
    """What an ONNX file says of itself; lists and numbers as JSON."""
    values: dict[str, Any] = {
        "class_names": bundle.class_names,
        "task": bundle.task,
        "preprocessing": {
            "size": bundle.size,
            "channels": bundle.channels,
            "fit": bundle.fit,
            "resize": "bicubic, antialiased",
            "input": "uint8 [batch, height, width, channels], 0 to 255; normalised inside",
            "mean": bundle.mean,
            "std": bundle.std,
        },
        "temperature": bundle.calibration.temperature if bundle.calibration else None,
        "model": bundle.model,
        "recipe_hash": bundle.recipe_hash,
        "weights": bundle.weights.digest,
    }
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def _plain(check: Check) -> dict[str, Any]:
    return {"difference": check.difference, "metrics": json.loads(check.metrics.model_dump_json())}


# ---- writing ---------------------------------------------------------------------------------------------------------


def _card(run: RunDirectory, model: BundledModel, data: LoadedData, made: Made) -> str:
    record = read_run(run)
    return model_card(
        CardContent(
            run=run.name,
            bundle=model.bundle,
            facts=data.facts,
            size=data.recipe.dataset.size,
            limit=data.recipe.dataset.limit,
            manifest=read_object(run.manifest) or {},
            test=record.summary.test,
            per_class=record.summary.per_class if record.summary.test is not None else [],
            weights=record.weights,
            outcome=record.outcome,
            epochs=(record.summary.epochs_done, record.summary.epochs_planned),
            checks={name: (check.difference, check.metrics) for name, check in made.checks.items()},
            files=[name for name in NAMES if name in made.files or name in _bundle_files(model.bundle)],
        )
    )


def _bundle_files(bundle: ModelBundle) -> list[str]:
    return ["model.json", bundle.weights.file, *([bundle.features.file] if bundle.features else [])]


def _write(run: RunDirectory, bundle: ModelBundle, made: Made, target: File) -> None:
    """All in a new folder that takes the name at the end; or, where it is replaced, file by file, and no others."""
    files = dict(made.files)
    for name in _bundle_files(bundle):
        if (file := run.checkpoints / name).is_there:
            files[name] = file.content(limit=file.size)
    try:
        if target.is_there:
            for name, content in files.items():
                (target / name).write(content)
            for name in set(NAMES) - files.keys():
                (target / name).delete()
            return
        temporary = target.make_temporary()
        try:
            for name, content in files.items():
                (temporary / name).write(content)
            temporary.move(target)
        except BaseException:
            temporary.delete_tree()
            raise
    except OSError as error:
        raise OutputError(Exports.UNWRITABLE, folder=target, reason=error.strerror) from None
