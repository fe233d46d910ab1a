"""Which of a suite's runs a workspace holds already: by what was done, not only by what was asked for."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from engine.contract.recipe.identity import recipe_hash, resolved_hash
from engine.contract.recipe.reader import recipe_from_values
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.sources import facts_of
from engine.contract.store.run_directory import RunDirectory, list_runs_and_manifests, mark_of
from engine.contract.store.run_record import RunRecord, read_run, resolved_of_run
from engine.contract.wire.errors import MedtuiError
from engine.contract.wire.resolved import Resolved
from medtui.client.preflight import weights_state
from medtui.suites.work import Event, Item


class KnownRuns:
    """The runs of a workspace, as they were when this was made."""

    def __init__(self, outputs: Path, *, has_gpu: bool) -> None:
        self._has_gpu = has_gpu
        self._marked: dict[tuple[str, str], list[RunDirectory]] = defaultdict(list)
        self._asked: dict[str, list[RunRecord]] = defaultdict(list)  # by recipe_hash
        self._done: dict[str, list[RunRecord]] = defaultdict(list)  # by resolved_hash
        self._resolved: dict[str, dict[str, Resolved]] = defaultdict(dict)  # by data set: each once
        for run, manifest in list_runs_and_manifests(outputs):
            if (mark := mark_of(manifest or {})) is not None:
                self._marked[mark].append(run)
            record = read_run(run, manifest=manifest)
            if record.outcome == "completed":
                self._add(record)

    def _add(self, record: RunRecord) -> None:
        resolved, done = resolved_of_run(record)
        if record.summary.recipe_hash:
            self._asked[record.summary.recipe_hash].append(record)
        if resolved is not None and done is not None:
            self._done[done].append(record)
            self._resolved[str(record.summary.dataset)][resolved.model_dump_json()] = resolved

    def of(self, owner: str, item: str) -> RunDirectory | None:
        """The newest run that was started for this item."""
        found = self._marked.get((owner, item))
        return found[-1] if found else None

    def ended(self, item: Item, *, again: bool = False) -> Event | None:
        """The event that a pending item ends with which is not to be run; None for one that is.

        Its recipe was valid for an older medtui only, or it was done before. `again`: it is run also where it was, as
        an entry of the queue is, and `medtui run` does.
        """
        if item.run is not None:  # that is resumed
            return None
        ended: Event = {"event": "ended", "id": item.id}
        try:
            recipe = recipe_from_values(item.recipe)
            found = None if again else self.done(recipe)
        except MedtuiError as error:
            return {**ended, "outcome": "failed", "run": None, "detail": error.message}
        return None if found is None else {**ended, "outcome": "completed", "run": found.name, "detail": "done before"}

    def done(self, recipe: Recipe) -> RunDirectory | None:
        """The newest completed run of the same experiment: what it resolved to is what the recipe would become here."""
        candidates = list(self._asked.get(recipe_hash(recipe), ()))
        for resolved in self._resolved.get(facts_of(recipe.dataset).name, {}).values():
            if (same := resolved_hash(recipe, resolved)) is not None:
                candidates += self._done.get(same, ())
        for record in reversed(candidates):
            done, _ = resolved_of_run(record)
            drifted = bool((record.manifest or {}).get("drift"))
            if done is not None and not drifted and agrees(recipe, done, has_gpu=self._has_gpu):
                return record.run
        return None


def agrees(recipe: Recipe, resolved: Resolved, *, has_gpu: bool) -> bool:
    """Would what this recipe leaves to the machine become that, as far as can be told without torch?"""
    amp, device, hflip = recipe.training.amp, recipe.runtime.device, recipe.augmentation.hflip
    device = ("cuda" if has_gpu else "cpu") if device == "auto" else device.partition(":")[0]
    views = len(resolved.views) if resolved.views is not None else None
    md5 = recipe.dataset.md5
    return (
        (amp == "auto" or amp is (resolved.precision != "float32"))
        and device == resolved.device
        and (hflip == "auto" or hflip == resolved.hflip)
        and (views is None or recipe.evaluation.tta or views == 1)
        and (md5 is None or resolved.data is None or md5 == resolved.data)
        and _same_start(recipe, resolved)
    )


def _same_start(recipe: Recipe, resolved: Resolved) -> bool:
    """A run that fell back to random weights is not the one that would find published weights now."""
    kind = resolved.weights.kind if resolved.weights is not None else None
    if recipe.training.init_from is not None or recipe.model.weights is not None:
        return kind == ("run" if recipe.training.init_from is not None else "file")
    if kind not in ("scratch", "imagenet"):
        return False
    try:
        now, _ = weights_state(recipe)
    except MedtuiError:
        return False
    return (kind == "scratch") == ("scratch" in now)
