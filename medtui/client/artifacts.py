"""The files of a run's results, by the names that its engine announces them under."""

from __future__ import annotations

from engine.contract.store.run_directory import RunDirectory

GROWING = {"history": "metrics/history.csv", "per_class": "metrics/per_class.csv"}  # with each epoch, unannounced


def artifacts_there(run: RunDirectory, announced: dict[str, str]) -> dict[str, str]:
    """Those that are there, of what was announced and of the tables of a run that ended before it could do so; paths
    within the run."""
    there = {name: path for name, path in (GROWING | announced).items() if run.folder.file(path).is_regular}
    if "scores" in announced and "scores" not in there:  # `medtui report` may have made it, of a run renamed since
        for file in run.score_files():
            there["scores"] = file.name_below
    return there
