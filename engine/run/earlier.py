"""A run that is to go on, as its directory tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.contract.errors import CheckpointError
from engine.contract.recipe import Recipe
from engine.contract.recipe_file import build_recipe
from engine.contract.resumable import check_resumable
from engine.contract.run_directory import RunDirectory, attempts_of
from engine.contract.yaml_reader import read_yaml_file
from engine.run.job import Job


@dataclass(frozen=True)
class Earlier:
    run: RunDirectory
    manifest: dict[str, Any]  # anybody's file: nothing in it is believed without a look

    @property
    def has_checkpoint(self) -> bool:
        return self.run.last.exists() or self.run.previous.exists()

    @property
    def checkpoint_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.run.last.parent.glob("*.safetensors"))

    @property
    def recorded(self) -> dict[str, Any]:
        """What the newest attempt said that must match."""
        attempts = attempts_of(self.manifest)
        recorded = attempts[-1].get("must_match") if attempts else None
        return recorded if isinstance(recorded, dict) else {}

    @property
    def starting_weights(self) -> str:
        """What the first attempt started from, in words."""
        return str(self.recorded.get("weights", "unknown"))[:500]

    def recipe(self) -> Recipe:
        """The run's own. Raises RecipeError."""
        text = read_yaml_file(self.run.recipe)
        return build_recipe(text.values, source=text.source, lines=text.lines)


def earlier_run(job: Job) -> Earlier | None:
    """The run that the job is to go on with; None for a new one. Raises UsageError or CheckpointError."""
    if job.start.resume is None:
        return None
    run = RunDirectory(Path(job.start.resume).resolve())
    earlier = Earlier(run, check_resumable(run, job.workspace))
    if run.best.exists() and not earlier.has_checkpoint:
        raise CheckpointError(
            f"{run.name} has best weights, but neither last.safetensors nor previous.safetensors to go on from.",
            "Put one back, or start a new run; training.init_from starts from the best weights.",
        )
    return earlier
