"""MLflow: a run in the store that MLFLOW_TRACKING_URI names, else in `outputs/mlruns`.

What the store has already is known by name, step and time of each value, which are the journal's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

# Nothing is sent to MLflow's makers, and files are a store that needs no server; the user's own choice wins.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from engine.contract.recipe.yaml_reader import written
from engine.contract.store.run_directory import MLFLOW
from medtui.track.records import End, Record, Row, RunFacts
from medtui.track.tracker import Source

EXPERIMENT = "medtui"  # unless MLFLOW_EXPERIMENT_NAME names another
KEY = "medtui.key"  # tag by which a run is found again
LONGEST = 500  # characters of a parameter that every store takes
AT_ONCE = 500  # metrics of one call; a store takes 1000 values
STATUS = {"completed": "FINISHED", "stopped": "FINISHED", "aborted": "KILLED"}


class MLflow:
    def __init__(self, source: Source) -> None:
        self._source = source
        address = os.environ.get("MLFLOW_TRACKING_URI") or (source.outputs / MLFLOW).absolute().as_uri()
        self._client = MlflowClient(tracking_uri=address)
        self._address = address
        self._id = ""
        self._is_new = False
        self._known: dict[str, set[tuple[int, int]]] = {}  # by metric: step and milliseconds of its values

    @property
    def where(self) -> str:
        return self._address

    def begin(self, facts: RunFacts) -> None:
        experiment = self._experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT)
        found = self._find(experiment, facts)
        self._is_new = found is None
        if found is None:
            found = self._client.create_run(
                experiment, start_time=_milliseconds(facts.time), run_name=facts.name, tags={KEY: facts.key}
            )
        self._id = found.info.run_id
        there = found.data.params
        texts = {name: written(value)[:LONGEST] for name, value in facts.parameters.items() if name not in there}
        params = [Param(name, text) for name, text in texts.items()]
        tags = [RunTag(KEY, facts.key), *(RunTag(f"medtui.{name}", text) for name, text in facts.tags.items())]
        for some in _in_parts(params, 100):
            self._client.log_batch(self._id, params=some)
        self._client.log_batch(self._id, tags=tags)
        if self._source.run.recipe.is_regular:
            self._client.log_artifact(self._id, str(self._source.run.recipe.path))
        if found.info.status != "RUNNING":
            self._client.update_run(self._id, status="RUNNING")

    def write(self, records: Sequence[Record]) -> None:
        missing = [metric for record in records if isinstance(record, Row) for metric in self._missing(record)]
        for some in _in_parts(missing, AT_ONCE):
            self._client.log_batch(self._id, metrics=some)
        for file in self._source.files(records):
            folder = file.parent.name_below
            self._client.log_artifact(self._id, str(file.path), artifact_path=folder or None)

    def close(self, end: End | None) -> None:
        if end is None:
            return
        self._client.set_tag(self._id, "medtui.outcome", end.outcome)
        if end.error:
            self._client.set_tag(self._id, "medtui.error", end.error)
        self._client.set_terminated(self._id, STATUS.get(end.outcome, "FAILED"), end_time=_milliseconds(end.time))

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name))
            except MlflowException:  # another process just did
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _find(self, experiment: str, facts: RunFacts) -> Any:
        """By its key; by name and start where a follower was killed before it gave it one."""
        filters = [f"tags.`{KEY}` = '{facts.key}'"]
        if "'" not in facts.name:
            at = _milliseconds(facts.time)
            filters.append(f"attributes.run_name = '{facts.name}' and attributes.start_time = {at}")
        for one in filters:
            for run in self._client.search_runs([experiment], one, max_results=1):
                return run
        return None

    def _missing(self, row: Row) -> Iterator[Metric]:
        at = (row.at, _milliseconds(row.time))
        for name, value in row.values.items():
            if name not in self._known:
                found = [] if self._is_new else self._client.get_metric_history(self._id, name)
                self._known[name] = {(metric.step, metric.timestamp) for metric in found}
            if at not in self._known[name]:
                yield Metric(name, value, at[1], at[0])


def _milliseconds(time: float) -> int:
    return int(time * 1000)


def _in_parts(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (values[start : start + size] for start in range(0, len(values), size))
