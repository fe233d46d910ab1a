"""A table as a workbook, curves and searches as figures, for a client that has no library for them."""

from __future__ import annotations

from pathlib import Path

from engine.contract.wire.errors import OutputError
from engine.contract.wire.jobs import Curves, SearchFigure, Table
from engine.report.group_curves import plot_group_curves
from engine.report.search_figure import plot_search
from engine.report.workbook import write_table
from engine.run.job import Job, JobResult
from engine.sentences import Reports


def table(job: Job, command: Table) -> JobResult:
    """Raises OutputError where it cannot be written."""
    job.enter("reporting")
    try:
        write_table(Path(command.output), command.name, command.rows, command.notes)
    except OSError as error:
        raise OutputError(Reports.TABLE_UNWRITABLE, path=command.output, reason=error.strerror or error) from None
    return JobResult()


def curves(job: Job, command: Curves) -> JobResult:
    """Raises OutputError where it cannot be written."""
    job.enter("reporting")
    try:
        plot_group_curves(Path(command.output), command.title, command.ylabel, command.note, command.panels)
    except OSError as error:
        raise OutputError(Reports.TABLE_UNWRITABLE, path=command.output, reason=error.strerror or error) from None
    return JobResult()


def search_figure(job: Job, command: SearchFigure) -> JobResult:
    """Raises OutputError where it cannot be written."""
    job.enter("reporting")
    try:
        plot_search(Path(command.output), command)
    except OSError as error:
        raise OutputError(Reports.TABLE_UNWRITABLE, path=command.output, reason=error.strerror or error) from None
    return JobResult()
