"""The Python face of the engine, as `medtui.load` gives it: a trained model in a program or a notebook.

Small, and stable: what is documented in docs/models.md. Torch is imported by the first prediction, pandas by the first
frame; neither is needed to load a model and look at what it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from engine.contract.files.folders import File, Folder
from engine.contract.store.model_bundle import ModelBundle, read_bundle
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.run_record import read_run
from engine.contract.wire.errors import DataError, InstallationError, UsageError
from engine.contract.wire.protocol import Metrics
from engine.sentences import Images, Libraries, Models

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from engine.run.bundled_model import BundledModel, Predicted

    OneImage = str | PathLike[str] | np.ndarray
    ManyImages = OneImage | Sequence[OneImage]


def load(folder: Path, run: RunDirectory | None, device: str = "auto") -> Model:
    """The model in a folder with `model.json`. Raises CheckpointError where that is damaged."""
    files = Folder(folder).itself
    return Model(files, read_bundle(files / "model.json"), run, device)


@dataclass(frozen=True)
class Predictions:
    """What images are predicted to be, in their order. K classes, N images."""

    class_names: tuple[str, ...]
    classes: list[Any]  # the name of each image's class; for multi-label the list of its labels
    confidence: np.ndarray  # float64 [N]
    probabilities: np.ndarray  # float64 [N, K], calibrated
    scores: np.ndarray  # float32 [N, K], as the model gives them
    distances: np.ndarray | None  # float64 [N], from the training images; None of older bundles
    unlike: np.ndarray | None  # bool [N]: too far from the training images

    def __len__(self) -> int:
        return len(self.classes)

    def frame(self) -> pd.DataFrame:
        """One row per image. Raises InstallationError without pandas."""
        columns: dict[str, Any] = {"prediction": self.classes, "confidence": self.confidence}
        if self.unlike is not None:
            columns |= {"unlike": self.unlike, "distance": self.distances}
        columns |= {f"probability {name}": self.probabilities[:, k] for k, name in enumerate(self.class_names)}
        frame: pd.DataFrame = _pandas().DataFrame(columns)
        return frame


class Model:
    """A trained model: what it is, what it predicts, and how its run went."""

    def __init__(self, folder: File, bundle: ModelBundle, run: RunDirectory | None, device: str) -> None:
        self.bundle = bundle
        self.run = run
        self._folder = folder
        self._device = device

    def __repr__(self) -> str:
        of = self.run.name if self.run is not None else str(self._folder)
        return f"<medtui model {self.bundle.model}, {len(self.bundle.class_names)} classes, of {of}>"

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.bundle.class_names

    def predict(self, images: ManyImages, *, tta: bool = False) -> Predictions:
        """Predict images as `medtui predict` does.

        images: paths or arrays, one or several; an array is uint8 [H, W], [H, W, 3] or a stack [N, H, W(, 3)] of them,
        of any size. Without labels nothing is evaluated: `metrics` has what the run's test gave, and `medtui predict`
        evaluates a table with labels. Raises DataError for an image that cannot be read.
        """
        import numpy as np

        from engine.evaluate.predict import evaluation_batch

        model, views = self._loaded, self._loaded.views(tta)
        pixels = [self._pixels(image, number) for number, image in enumerate(_separate(images))]
        if not pixels:
            raise DataError(Images.NONE, ignored="")
        size = evaluation_batch(self.bundle.model_size)
        parts = [model.predict(model.batch(pixels[at : at + size]), views) for at in range(0, len(pixels), size)]
        return _joined(self.bundle, parts, np)

    @cached_property
    def _loaded(self) -> BundledModel:
        from engine.run.bundled_model import load_model

        return load_model(self._folder, self._device)

    def _pixels(self, image: OneImage, number: int) -> np.ndarray:
        from engine.data.own.pictures import Unreadable
        from engine.run.images import entry_of, pixels_of

        entry = entry_of(image, self.bundle, number)
        try:
            return pixels_of(entry, self.bundle)
        except Unreadable as error:
            raise DataError(Images.UNREADABLE, image=entry.name, reason=error) from None

    # ---- how its run went --------------------------------------------------------------------------------------------

    @property
    def metrics(self) -> pd.DataFrame:
        """One row per split, `validation` of the best epoch and `test`. Raises UsageError for a bundle alone."""
        summary = read_run(self._own_run()).summary
        found = {name: getattr(summary, name) for name in ("validation", "test")}
        frame: pd.DataFrame = _pandas().DataFrame.from_dict(
            {name: _row(metrics) for name, metrics in found.items() if metrics is not None}, orient="index"
        )
        return frame

    @property
    def per_class(self) -> pd.DataFrame:
        """One row per class of the test split. Raises UsageError for a bundle alone."""
        rows = read_run(self._own_run()).summary.per_class
        frame: pd.DataFrame = _pandas().DataFrame([row.model_dump(exclude={"auc_ci95"}) for row in rows])
        return frame

    @property
    def history(self) -> pd.DataFrame:
        """One row per epoch, as in `metrics/history.csv`. Raises UsageError for a bundle alone."""
        pandas, run = _pandas(), self._own_run()
        with (run.metrics / "history.csv").reading() as file:
            frame: pd.DataFrame = pandas.read_csv(file)
        return frame

    def _own_run(self) -> RunDirectory:
        if self.run is None:
            raise UsageError(Models.NO_RUN, folder=self._folder)
        return self.run


def _separate(images: ManyImages) -> Sequence[OneImage]:
    """One image is a path, or an array that is no stack: [H, W], or [H, W, 3]."""
    if isinstance(images, str | PathLike):
        return [images]
    shape = getattr(images, "shape", None)
    if shape is not None and (len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3, 4))):
        return [images]  # type: ignore[list-item]
    return list(images)


def _row(metrics: Metrics) -> dict[str, float | None]:
    values: dict[str, float | None] = {name: getattr(metrics, name) for name in ("loss", "auc", "acc", "f1")}
    for name, interval in (("auc", metrics.auc_ci95), ("acc", metrics.acc_ci95)):
        values[f"{name}_low"], values[f"{name}_high"] = interval or (None, None)
    return values


def _joined(bundle: ModelBundle, parts: Sequence[Predicted], np: ModuleType) -> Predictions:
    def joined(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else np.concatenate(values)

    names, found = bundle.class_names, joined("classes")
    if found.ndim == 2:
        classes: list[Any] = [[name for name, is_set in zip(names, row, strict=True) if is_set] for row in found]
    else:
        classes = [names[int(number)] for number in found]
    return Predictions(
        names,
        classes,
        joined("confidence"),
        joined("probabilities"),
        joined("scores"),
        joined("distances"),
        joined("unlike"),
    )


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise InstallationError(Libraries.NO_PANDAS) from None
    return pandas
