"""The run whose best weights another one starts from: found once, by name and digest, and the same at every attempt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.contract.files.paths import is_file
from engine.contract.store.checkpoint_file import weights_digest
from engine.contract.store.run_directory import RunDirectory, list_runs
from engine.contract.wire.errors import CheckpointError, MedtuiError, RecipeError, UsageError, WeightsError
from engine.run.resumed import ResumedRun
from engine.sentences import InitFrom
from engine.train.checkpoint import Tensors, load_weights


@dataclass(frozen=True)
class Source:
    run: str  # its name
    folder: str
    digest: str  # of its best weights

    def values(self) -> dict[str, str]:
        """As the manifest records it."""
        return asdict(self)


def source_of(manifest: dict[str, Any]) -> Source | None:
    """What an untrusted manifest records; None where the version of medtui did not."""
    found = manifest.get("init_from")
    values = found if isinstance(found, dict) else {}
    texts = [text for name in ("run", "folder", "digest") if isinstance(text := values.get(name), str)]
    return Source(*texts) if len(texts) == 3 and all(text and text.isprintable() for text in texts) else None


FindRun = Callable[[str], RunDirectory]  # by name, hash, path or `last`; raises UsageError


def find_source(word: str, find_run: FindRun, resumed: ResumedRun | None, recorded: Source | None) -> RunDirectory:
    """The run that `training.init_from` means: the recorded one, however the word is meant now.

    Raises RecipeError where the word means none, WeightsError where the one of a resumed run is gone.
    """
    try:
        if resumed is None:
            return _named(word, find_run)
        if recorded is not None:
            return _recorded(recorded, resumed.run.root.parent)
        return _of_older_medtui(word, find_run, resumed)
    except RecipeError:
        raise
    except MedtuiError as error:
        raise WeightsError(InitFrom.UNUSABLE, cause=error) from None


def _named(word: str, find_run: FindRun) -> RunDirectory:
    try:
        return find_run(word)
    except UsageError as error:
        raise RecipeError(InitFrom.UNUSABLE, cause=error) from None


def load_source(run: RunDirectory, on_progress: Callable[[], None]) -> tuple[Tensors, Source]:
    """The best weights of a run, and the record of them. Raises WeightsError, and what `on_progress` raises."""
    try:
        digest = weights_digest(run.best, on_progress)
        weights = load_weights(run.best)
        if weights_digest(run.best, on_progress) != digest:
            raise CheckpointError(InitFrom.CHANGED, path=run.best)
    except CheckpointError as error:
        raise WeightsError(InitFrom.UNUSABLE, cause=error) from None
    return weights, Source(run.name, str(run.root), digest)


def _recorded(recorded: Source, outputs: Path) -> RunDirectory:
    """Here, where the workspace was moved or copied with it, else where it was; the first with the recorded weights."""
    candidates = [outputs / Path(recorded.run).name, Path(recorded.folder)]
    runs = [RunDirectory(folder) for folder in candidates if is_file(folder / "manifest.json")]
    if not runs:
        raise UsageError(InitFrom.GONE, source=recorded.run, folder=recorded.folder, outputs=outputs)
    return next((run for run in runs if _has(run, recorded.digest)), runs[0])


def _has(run: RunDirectory, digest: str) -> bool:
    try:
        return weights_digest(run.best) == digest
    except CheckpointError:
        return False


def _of_older_medtui(word: str, find_run: FindRun, resumed: ResumedRun) -> RunDirectory:
    """The name is in what was recorded of the starting weights; else the word, as if this run were not there."""
    weights = resumed.resolved.weights
    if weights is not None and weights.kind == "run" and weights.id:
        return find_run(weights.id)
    if word != "last":
        return find_run(word)
    outputs = resumed.run.root.parent
    others = [run for run in list_runs(outputs) if run.name != resumed.run.name]
    if not others:
        raise UsageError(InitFrom.NO_OTHER_RUN, outputs=outputs)
    return others[-1]
