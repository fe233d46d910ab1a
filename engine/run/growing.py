"""`history.csv` and `per_class.csv` while a run trains: complete rows are appended after every epoch.

What cannot be appended is kept and follows with a later epoch, or with the report, which writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from engine.contract.files.folders import File
from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.protocol import ClassMetrics
from engine.failure import reason_of
from engine.report.tables import class_rows, class_table, history_row, history_table
from engine.run.history import class_history_of, lost_class_rows
from engine.run.job import Job
from engine.sentences import Alarms
from engine.train.state import EpochRecord


class GrowingTables:
    def __init__(self, job: Job, run: RunDirectory) -> None:
        self.job, self.run = job, run
        self._history = _GrowingFile(run.metrics / "history.csv")
        self._per_class = _GrowingFile(run.metrics / "per_class.csv")
        self._alarmed = False

    def begin(self, history: list[EpochRecord]) -> None:
        """Both as they were where training now continues. An attempt that was killed may have left half a
        row, rows of epochs that are trained again, or its test results."""
        rows = [asdict(record) for record in history]
        self._guarded(self._history, lambda: self._history.begin(history_table(rows)))
        self._guarded(self._per_class, lambda: self._per_class.begin(self._class_table(len(history))))

    def epoch_finished(self, record: EpochRecord, per_class: list[ClassMetrics]) -> None:
        self._guarded(self._history, lambda: self._history.add(history_row(asdict(record))))
        self._guarded(self._per_class, lambda: self._per_class.add(class_rows(record.epoch, "val", per_class)))

    def _class_table(self, epochs: int) -> bytes:
        validated = ((epoch, rows) for epoch, rows in class_history_of(self.run) if epoch <= epochs)
        return class_table(validated, lost_class_rows(self.run, epochs))

    def _guarded(self, table: _GrowingFile, do: Callable[[], None]) -> None:
        """A table that cannot be extended ends no run, and raises one alarm."""
        try:
            do()
        except OSError as error:
            if not self._alarmed:
                self._alarmed = True
                name, reason = table.file.name_below, reason_of(error)
                self.job.stream.alarm("artifact", Alarms.TABLE_NOT_EXTENDED, table=name, reason=reason)


class _GrowingFile:
    def __init__(self, file: File) -> None:
        self.file = file
        self._begun = False
        self._unwritten: list[bytes] = []

    def begin(self, content: bytes) -> None:
        """Raises OSError; then it is left to the report."""
        self.file.extend_to(content, durable=False)
        self._begun = True

    def add(self, rows: bytes) -> None:
        """Raises OSError; the rows are kept for the next time."""
        if self._begun:
            self._unwritten.append(rows)
            self.file.append(b"".join(self._unwritten))
            self._unwritten.clear()
