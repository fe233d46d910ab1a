"""A model from its bundle alone: `model.json`, the weights, and where it is there, the space of the features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from engine.contract.files.folders import File
from engine.contract.models.catalogue import model_spec
from engine.contract.store.checkpoint_file import DIGEST, opened_checkpoint
from engine.contract.store.model_bundle import Calibration, ModelBundle, read_bundle
from engine.contract.wire.errors import CheckpointError, WeightsError
from engine.data.augment import unit_range
from engine.device import choose_device, choose_precision, set_determinism, set_threads
from engine.evaluate.calibration import calibrated
from engine.evaluate.features import Depth, FeatureSpace, capturing, joined
from engine.evaluate.metrics import predictions
from engine.evaluate.predict import IDENTITY, VIEWS, View, predict_scores
from engine.model.build import Built, build, load_matching
from engine.model.plan import ModelPlan
from engine.sentences import Bundles, ModelWeights
from engine.train.checkpoint import Tensors, read_tensors
from engine.train.step import Precision


@dataclass(frozen=True)
class Predicted:
    """Of a batch of images."""

    scores: np.ndarray  # float32 [N, K], as the model gives them
    probabilities: np.ndarray  # float64 [N, K], calibrated; the scores where the bundle has no temperature
    classes: np.ndarray  # int64 [N], or bool [N, K] for multi-label: by the scores, as the evaluation counts them
    confidence: np.ndarray  # float64 [N]: of the predicted class; for multi-label of the least certain label
    distances: np.ndarray | None  # float64 [N], from the training images
    unlike: np.ndarray | None  # bool [N]: beyond the threshold


@dataclass(frozen=True)
class BundledModel:
    bundle: ModelBundle
    built: Built
    device: torch.device
    precision: Precision
    space: FeatureSpace | None

    def views(self, tta: bool) -> list[View]:
        """The identity alone, or those of test-time augmentation."""
        names = (self.bundle.tta_views or self.bundle.views) if tta else ()
        return [VIEWS[name] for name in names] or [IDENTITY]

    def calibration(self, views: Sequence[View]) -> Calibration | None:
        averaged = self.bundle.calibration_tta if len(views) > 1 else None
        return averaged or self.bundle.calibration

    def batch(self, images: Sequence[np.ndarray]) -> torch.Tensor:
        """uint8 [N, C, S, S] on the device. images: uint8 [S, S] or [S, S, 3], as the bundle has it."""
        stacked = torch.from_numpy(np.stack(images))
        return (stacked.unsqueeze(1) if stacked.ndim == 3 else stacked.permute(0, 3, 1, 2)).to(self.device)

    def predict(
        self, images: torch.Tensor, views: Sequence[View], on_progress: Callable[[int], None] = lambda done: None
    ) -> Predicted:
        """images: uint8 [N, C, S, S], on the device: one forward pass per view."""
        bundle, module = self.bundle, self.built.module
        with capturing(module, classifier_of(self.built), self.built.spec.channels_last) as captured:
            scores = predict_scores(
                module,
                [images],
                lambda batch: self.built.normalisation(unit_range(batch)),
                bundle.task,
                views,
                self.precision.context,
                on_progress,
            )
        calibration = self.calibration(views)
        found = calibrated(scores, calibration.temperature, bundle.task) if calibration else scores.astype(np.float64)
        classes = predictions(scores, bundle.task)
        distances = self.space.distances(joined(captured[:1])) if self.space is not None else None
        unlike = distances > bundle.features.threshold if distances is not None and bundle.features else None
        return Predicted(scores, found, classes, _confidence(found, classes), distances, unlike)


def _confidence(probabilities: np.ndarray, classes: np.ndarray) -> np.ndarray:
    if classes.ndim == 2:
        least: np.ndarray = np.where(classes, probabilities, 1 - probabilities).min(axis=1)
        return least
    return probabilities[np.arange(len(classes)), classes]


def classifier_of(built: Built) -> str:
    """The name of the classifier's module."""
    return built.spec.classifier[0].rpartition(".")[0]


def load_model(folder: File, device: str = "auto") -> BundledModel:
    """The model in a folder with `model.json`, ready to predict.

    Raises CheckpointError for a damaged or mixed-up bundle, WeightsError for weights of another model.
    """
    bundle = read_bundle(folder / "model.json")
    spec = model_spec(bundle.model)
    if spec is None:
        raise CheckpointError(Bundles.UNKNOWN_MODEL, path=folder / "model.json", model=bundle.model[:60])
    set_determinism(False)
    set_threads(None)
    plan = ModelPlan(len(bundle.class_names), bundle.model_size, dropout=0.0, enlarged_to=bundle.input_size)
    built = build(spec, plan, (list(bundle.mean), list(bundle.std)))
    weights = folder / bundle.weights.file
    if left := load_matching(built, read_part(weights, bundle.weights.digest), str(weights)):
        raise WeightsError(ModelWeights.UNFIT, path=weights, names=", ".join(left[:3]))
    where = choose_device(device)
    built.module.to(where, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    built.normalisation.to(where)
    amp = "auto" if bundle.amp is True else bundle.amp  # where it cannot work here, it is not needed
    return BundledModel(
        bundle, built, where, Precision(where.type, choose_precision(amp, where)), _space(folder, bundle)
    )


def read_part(file: File, digest: str) -> Tensors:
    """The tensors of a bundle's file, which must be the one that the description means. Raises CheckpointError."""
    with opened_checkpoint(file) as (content, header):
        if (found := header.metadata[DIGEST]) != digest:
            raise CheckpointError(Bundles.MIXED_UP, path=file, expected=digest, found=found)
        return read_tensors(content, header)


def _space(folder: File, bundle: ModelBundle) -> FeatureSpace | None:
    """None where the bundle has none, or was copied without that file."""
    if bundle.features is None or not (file := folder / bundle.features.file).is_there:
        return None
    tensors = read_part(file, bundle.features.digest)
    parts = [(f"{depth}.mean", f"{depth}.whitening", f"{depth}.scale") for depth in range(len(tensors) // 3)]
    return FeatureSpace(
        tuple(
            Depth(tensors[mean].numpy(), tensors[whitening].numpy(), float(tensors[scale]))
            for mean, whitening, scale in parts
        )
    )


def tensors_of(space: FeatureSpace) -> Tensors:
    """As they are stored: the name begins with the depth, 0 is the shallowest."""
    tensors: Tensors = {}
    for number, depth in enumerate(space.depths):
        tensors[f"{number}.mean"] = torch.from_numpy(depth.mean)
        tensors[f"{number}.whitening"] = torch.from_numpy(depth.whitening)
        tensors[f"{number}.scale"] = torch.tensor(depth.scale, dtype=torch.float64)
    return tensors
