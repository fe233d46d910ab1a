"""Trackio: rows in its local database.

The id of a row in the database is made of the journal's number: what is there already, the database itself leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from trackio import utils
from trackio.media.utils import get_project_media_path
from trackio.sqlite_storage import SQLiteStorage

from engine.contract.files.folders import File, Folder
from medtui.track.records import Artifact, End, Record, Row, RunFacts
from medtui.track.tracker import Source

PROJECT = "medtui"


@dataclass(frozen=True)
class _Logged:
    """A row of the database."""

    id: str
    step: int
    time: float
    values: Mapping[str, Any]


class Trackio:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._facts: RunFacts | None = None
        self._last: _Logged | None = None

    @property
    def where(self) -> str:
        return str(SQLiteStorage.get_project_db_path(PROJECT))

    def begin(self, facts: RunFacts) -> None:
        self._facts = facts

    def write(self, records: Sequence[Record]) -> None:
        rows = [row for record in records if (row := self._row(record)) is not None]
        if rows:
            self._log(rows, {})
            self._last = rows[-1]

    def close(self, end: End | None) -> None:
        """The outcome goes to the run's configuration, which is written with a row: one that is there."""
        if end is not None and self._last is not None:
            self._log([self._last], {"outcome": end.outcome, "error": end.error})

    def _row(self, record: Record) -> _Logged | None:
        match record:
            case Row():
                values = {**record.values, record.axis: record.at}
                return _Logged(str(record.number), record.at, record.time, values)
            case Artifact() if record.path.endswith(".png") and (file := self._source.file(record)) is not None:
                image = self._copied(file, record)
                return _Logged(record.name, record.epoch, record.time, {record.name: image})
        return None

    def _copied(self, figure: File, artifact: Artifact) -> dict[str, Any]:
        """The figure in Trackio's own folder, as Trackio names one in a row."""
        assert self._facts is not None
        folder = get_project_media_path(project=PROJECT, run=self._facts.name, step=artifact.epoch)
        copy = Folder(folder).file(figure.name)
        copy.folder.make()
        copy.write(figure.content(), durable=False)
        path = copy.path.relative_to(utils.MEDIA_DIR)
        return {"_type": "trackio.image", "file_path": str(path), "caption": artifact.path}

    def _log(self, rows: Sequence[_Logged], outcome: Mapping[str, str]) -> None:
        assert self._facts is not None
        SQLiteStorage.bulk_log(
            project=PROJECT,
            run=self._facts.name,
            run_id=self._facts.key,
            metrics_list=[dict(row.values) for row in rows],
            steps=[row.step for row in rows],
            timestamps=[datetime.fromtimestamp(row.time, UTC).isoformat() for row in rows],
            log_ids=[f"{self._facts.key}-{row.id}" for row in rows],
            config={**self._facts.parameters, **self._facts.tags, **outcome},
        )
