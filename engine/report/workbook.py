"""report.xlsx. Every value goes through `put`, so that no text is a formula and no number is broken."""

from __future__ import annotations

import contextlib
import math
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
from openpyxl import Workbook
from openpyxl.cell.cell import Cell
from openpyxl.chart import LineChart, Reference
from openpyxl.formatting.rule import ColorScaleRule
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet
from openpyxl.writer.excel import ExcelWriter

from engine.contract.data.published import remarks
from engine.contract.files.folders import File, FileOrPath, file_at
from engine.contract.wire.protocol import ClassMetrics, Metrics
from engine.report.content import RunReport
from engine.report.text import shortened, writable

METRIC, COUNT, FRACTION = "0.0000", "#,##0", "0.0%"

_TEXT_LIMIT = 32_767  # UTF-16 units, Excel's limit for a cell
_EXACT = 10**15  # Excel keeps 15 digits; a longer integer is written as text
_ESCAPE_LOOKALIKE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")  # OOXML reads _x000D_ as a carriage return
_FORMULA = ("=", "+", "-", "@", "{=", "\t", "'")

_BOLD = Font(bold=True)
_HEADER = PatternFill("solid", fgColor="DDE6EF")
_NOTICE = PatternFill("solid", fgColor="FFE699")
_LIGHT, _DARK = "FFFFFF", "6BAED6"  # of a shaded cell; black text is readable on both
_TOP = Alignment(vertical="top", wrap_text=True)

_EPOCHS = {
    "epoch": ("epoch", "0"),
    "lr": ("learning rate", "0.00E+00"),
    "train_loss": ("training loss", METRIC),
    "train_acc": ("training accuracy", METRIC),
    "val_loss": ("validation loss", METRIC),
    "val_auc": ("validation AUC", METRIC),
    "val_acc": ("validation accuracy", METRIC),
    "val_f1": ("validation F1", METRIC),
    "best": ("best so far", "General"),
}
_EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
_COLOURS = {"train_loss": "0072B2", "val_loss": "D55E00", "val_auc": "0072B2", "val_acc": "D55E00"}


def write_workbook(path: FileOrPath, report: RunReport) -> None:
    """Write the sheets Summary, Configuration, Epochs, Per class, Confusion, Environment, and Published where there is
    something to compare with. Raises OSError."""
    book = Workbook()
    book.remove(book.active)
    _summary(book.create_sheet("Summary"), report)
    _table(book.create_sheet("Configuration"), ("Field", "Value", "Meaning"), report.configuration, (34, 36, 60))
    _epochs(book.create_sheet("Epochs"), report)
    _per_class(book.create_sheet("Per class"), report)
    _confusion(book.create_sheet("Confusion"), report)
    _table(book.create_sheet("Environment"), ("Item", "Value"), report.environment, (34, 80))
    if report.published:
        _published(book.create_sheet("Published"), report)
    _save(book, path)


def write_table(path: FileOrPath, name: str, rows: Sequence[Sequence[object]], notes: Sequence[str]) -> None:
    """One sheet: the first row is its header; and below the rows the notes. Raises OSError."""
    book = Workbook()
    book.remove(book.active)
    sheet = book.create_sheet(name)
    _header(sheet, 1, [str(value) for value in rows[0]])
    for number, row in enumerate(rows[1:], start=2):
        for column, value in enumerate(row, start=1):
            put(sheet.cell(number, column), "" if value is None else value)
    for number, note in enumerate(notes, start=len(rows) + 2):
        put(sheet.cell(number, 1), note)
    _save(book, path)


def _save(book: Workbook, path: FileOrPath) -> None:
    target = file_at(path)
    with target.replacing() as file, _temporary_files_next_to(target):
        book.properties.created = book.properties.modified = max(datetime.now(UTC), _EARLIEST).replace(tzinfo=None)
        with _Archive(file, "w", ZIP_DEFLATED, strict_timestamps=False) as archive:
            ExcelWriter(book, archive).save()


class _Archive(ZipFile):
    """Works with any clock: ZIP has no dates before 1980, and a machine without a battery starts in 1970."""

    def writestr(self, zinfo_or_arcname: Any, data: Any, *more: Any, **options: Any) -> None:
        if isinstance(name := zinfo_or_arcname, str):
            name = ZipInfo(name, max(time.localtime()[:6], _EARLIEST.timetuple()[:6]))
            name.compress_type = self.compression
        super().writestr(name, data, *more, **options)


@contextlib.contextmanager
def _temporary_files_next_to(file: File) -> Iterator[None]:
    """openpyxl writes each sheet to a temporary file first: a full temporary folder must not end a run."""
    before = tempfile.tempdir
    with file.parent.temporary_folder() as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = before


def put(cell: Cell, value: object, number_format: str = "General", *, reason: str = "") -> None:
    """Put any value into a cell so that it is read back as what it is.

    Text stays text, whatever it begins with; what XML cannot hold is replaced; it is cut to Excel's limit. What is not
    a number is written as a word with the `reason`. None is "none".
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        word = "undefined" if math.isnan(value) else "∞" if value > 0 else "-∞"
        value = f"{word} ({reason})" if reason else word
    elif isinstance(value, bool):
        value = "yes" if value else "no"
    elif value is None:
        value = "none"
    exact = isinstance(value, int) and abs(value) < _EXACT
    if exact or (isinstance(value, float | date) and not (isinstance(value, datetime) and value.tzinfo)):
        cell.value = value
        if not isinstance(value, date):
            cell.number_format = number_format
        return
    _put_text(cell, str(value))


def _put_text(cell: Cell, text: str) -> None:
    text = _ESCAPE_LOOKALIKE.sub("_x005F_", writable(text))
    units = text.encode("utf-16-le")
    if len(units) > 2 * _TEXT_LIMIT:
        text = units[: 2 * _TEXT_LIMIT - 2].decode("utf-16-le", errors="ignore") + "…"
    cell.value = text
    cell.data_type = "s"  # openpyxl makes a formula of "=…" and an error of "#N/A"
    if text.startswith(_FORMULA):
        cell.quotePrefix = True  # keeps it text when someone edits the cell
    cell.alignment = _TOP


def _header(sheet: Worksheet, row: int, names: Sequence[str]) -> None:
    for column, name in enumerate(names, start=1):
        cell = sheet.cell(row, column)
        put(cell, name)
        cell.font, cell.fill = _BOLD, _HEADER


def _widths(sheet: Worksheet, widths: Sequence[float]) -> None:
    for column, width in enumerate(widths, start=1):
        sheet.column_dimensions[get_column_letter(column)].width = width  # characters


def _table(sheet: Worksheet, header: Sequence[str], rows: Sequence[Sequence[object]], widths: Sequence[float]) -> None:
    _header(sheet, 1, header)
    sheet.freeze_panes = "A2"
    _widths(sheet, widths)
    for row, values in enumerate(rows, start=2):
        for column, value in enumerate(values, start=1):
            put(sheet.cell(row, column), value)
            sheet.cell(row, column).alignment = Alignment(horizontal="left", vertical="top", wrap_text=True)


def _summary(sheet: Worksheet, report: RunReport) -> None:
    rows: list[tuple[str, object, str, str]] = [("Run", report.run, "General", "")]
    rows.append(("Data set", report.dataset, "General", ""))
    notices = _notices(report)
    rows += [(*notice, "General", "") for notice in notices]
    rows += [("Model", report.model, "General", ""), ("Started from", report.weights or "unknown", "General", "")]
    rows.append(("Outcome", report.outcome, "General", ""))
    rows += [("What stands out", finding.message, "General", finding.hint) for finding in report.findings]
    rows += _metric_rows("Test", report.test)
    rows += _ci95_rows("Test", report.test)
    if report.validation:
        rows += _metric_rows("Validation (best epoch)", report.validation)
    else:
        rows.append(("Validation (best epoch)", None, "General", ""))
    rows += [(label, value, METRIC if isinstance(value, float) else "General", "") for label, value in report.summary]
    _table(sheet, ("Item", "Value", "Note"), [], (34, 44, 60))
    for row, (label, value, number_format, note) in enumerate(rows, start=2):
        put(sheet.cell(row, 1), label)
        put(sheet.cell(row, 2), value, number_format)
        sheet.cell(row, 2).alignment = Alignment(horizontal="left", vertical="top", wrap_text=True)
        put(sheet.cell(row, 3), note)
    for row in range(4, 4 + len(notices)):
        for column in (1, 2):
            sheet.cell(row, column).fill, sheet.cell(row, column).font = _NOTICE, _BOLD


def _notices(report: RunReport) -> list[tuple[str, str]]:
    """What a reader must know before any number: label and words."""
    notices = []
    if report.synthetic:
        notices.append(("Data", "synthetic data: computer-generated, no medical meaning"))
    if report.limit is not None:
        words = f"at most {report.limit:,} images of each split: not comparable with published results"
        notices.append(("Subset run", words))
    if report.input_size is not None:
        notices.append(("Input size", f"images were enlarged to {report.input_size} px for the model"))
    return notices


def _metric_rows(split: str, metrics: Metrics) -> list[tuple[str, object, str, str]]:
    shown = {"auc": "AUC", "acc": "accuracy", "f1": "F1 (macro)", "loss": "loss"}
    values = {name: getattr(metrics, name) for name in shown}
    return [
        (f"{split} {shown[name]}", value, METRIC, metrics.reasons.get(name, ""))
        for name, value in values.items()
        if value is not None
    ]


def _ci95_rows(split: str, metrics: Metrics) -> list[tuple[str, object, str, str]]:
    """Both ends of each 95 % interval, as numbers."""
    shown = {
        "AUC": (metrics.auc_ci95, "95 % interval: score test, its variance from DeLong's placement values"),
        "accuracy": (metrics.acc_ci95, "95 % interval: Wilson"),
    }
    return [
        (f"{split} {name}, 95 % {end}", value, METRIC, note)
        for name, (ci95, note) in shown.items()
        if ci95 is not None
        for end, value in zip(("lower", "upper"), ci95, strict=True)
    ]


def _published(sheet: Worksheet, report: RunReport) -> None:
    """Published values of the test split, with the run's own first; each mean with its standard deviation."""
    among = list(report.published)
    rows: list[list[object]] = [["this run", report.test.auc, None, report.test.acc, None, "", ""]]
    rows += [
        [one.method, one.auc, one.auc_sd, one.acc, one.acc_sd, one.source.citation, ", ".join(remarks(one, among))]
        for one in among
    ]
    header = ("Method", "AUC", "± sd", "Accuracy", "± sd", "Source", "Remarks")
    _table(sheet, header, rows, (26, 10, 10, 10, 10, 60, 60))
    conditions = [[f"{source.name}: {source.conditions}"] for source in dict.fromkeys(one.source for one in among)]
    for row, (words,) in enumerate(conditions, start=len(rows) + 3):
        put(sheet.cell(row, 1), words)


# ---- epochs ---------------------------------------------------------------------------------------------------


def _epochs(sheet: Worksheet, report: RunReport) -> None:
    _header(sheet, 1, [title for title, _ in _EPOCHS.values()])
    sheet.freeze_panes = "B2"
    _widths(sheet, [8, *[13] * (len(_EPOCHS) - 1)])
    for row, entry in enumerate(report.history, start=2):
        for column, (name, (_, number_format)) in enumerate(_EPOCHS.items(), start=1):
            put(sheet.cell(row, column), entry.get(name), number_format)
    if not report.history:
        return
    right_of_table = get_column_letter(len(_EPOCHS) + 2)
    sheet.add_chart(_line_chart(sheet, report, "Loss", ("train_loss", "val_loss")), f"{right_of_table}2")
    sheet.add_chart(_line_chart(sheet, report, "Validation", ("val_auc", "val_acc")), f"{right_of_table}20")


def _line_chart(sheet: Worksheet, report: RunReport, title: str, names: Sequence[str]) -> LineChart:
    chart = LineChart()
    chart.title, chart.width, chart.height = title, 18, 8.5  # centimetres
    chart.x_axis.title, chart.x_axis.delete, chart.y_axis.delete = "epoch", False, False
    chart.y_axis.number_format = "0.00"
    chart.legend.position = "b"
    chart.display_blanks, chart.visible_cells_only = "gap", False
    last = len(report.history) + 1
    for name in names:
        column = _chart_column(sheet, report, name)
        chart.add_data(Reference(sheet, min_col=column, min_row=1, max_row=last), titles_from_data=True)
        line = chart.series[-1]
        line.smooth = False
        line.graphicalProperties.line.solidFill = _COLOURS[name]
        line.graphicalProperties.line.width = 22_225  # EMU, 1.75 pt
        line.marker.symbol, line.marker.size = "circle", 5
        line.marker.graphicalProperties.solidFill = _COLOURS[name]
        line.marker.graphicalProperties.line.solidFill = _COLOURS[name]
    chart.set_categories(Reference(sheet, min_col=1, min_row=2, max_row=last))
    return chart


def _chart_column(sheet: Worksheet, report: RunReport, name: str) -> int:
    """The column a chart reads. Where a value is a word, a hidden copy with a gap: Excel plots words as 0."""
    column = list(_EPOCHS).index(name) + 1
    values = [entry.get(name) for entry in report.history]
    defined = [isinstance(value, int | float) and math.isfinite(value) for value in values]
    if all(defined):
        return column
    hidden = column + 40  # far right of the charts
    put(sheet.cell(1, hidden), _EPOCHS[name][0])
    for row, value in enumerate(values, start=2):
        if defined[row - 2]:
            put(sheet.cell(row, hidden), value, METRIC)
    sheet.column_dimensions[get_column_letter(hidden)].hidden = True
    return hidden


# ---- per class and confusion ----------------------------------------------------------------------------------


def _per_class(sheet: Worksheet, report: RunReport) -> None:
    images = "labels set" if report.task == "multi_label" else "images"
    _header(sheet, 1, ("Class", f"Test {images}", "Fraction", "Recall", "Precision", "F1", "AUC"))
    sheet.freeze_panes = "B2"
    _widths(sheet, (40, 16, 12, 18, 18, 18, 18))
    for row, entry in enumerate(report.per_class, start=2):
        put(sheet.cell(row, 1), entry.name)
        put(sheet.cell(row, 2), entry.support, COUNT)
        put(sheet.cell(row, 3), entry.support / len(report.labels) if len(report.labels) else math.nan, FRACTION)
        for column, name in enumerate(("recall", "precision", "f1", "auc"), start=4):
            put(sheet.cell(row, column), getattr(entry, name), METRIC, reason=_why_undefined(entry, name, report))


def _why_undefined(entry: ClassMetrics, name: str, report: RunReport) -> str:
    if name == "precision":
        return "never predicted"
    if entry.support == 0:
        return "absent" if name != "f1" else "absent and never predicted"
    if name == "auc":
        return "present in every image" if entry.support == len(report.labels) else "a score is not finite"
    return ""


def _confusion(sheet: Worksheet, report: RunReport) -> None:
    if report.task == "multi_label":
        _label_tables(sheet, report)
        return
    classes = len(report.class_names)
    totals = report.confusion.sum(axis=1)
    _matrix(sheet, 1, "Images: true ↓, predicted →", report, report.confusion, COUNT)
    for row, total in enumerate(totals, start=2):
        _shade(sheet, row, classes, int(total))
        put(sheet.cell(row, classes + 2), total, COUNT)
    _header_cell(sheet.cell(1, classes + 2), "total")
    with np.errstate(invalid="ignore"):
        fractions = report.confusion / totals[:, None].astype(float)
    below = classes + 4
    _matrix(sheet, below, "Fraction of the true class: true ↓, predicted →", report, fractions, FRACTION)
    for row in range(below + 1, below + 1 + classes):
        _shade(sheet, row, classes, 1)
    sheet.freeze_panes = "B2"
    _widths(sheet, [40, *[14] * (classes + 1)])


def _matrix(sheet: Worksheet, top: int, title: str, report: RunReport, values: np.ndarray, number_format: str) -> None:
    """values: [K, K], rows true, columns predicted."""
    _header(sheet, top, [title, *[shortened(name, 60) for name in report.class_names]])
    sheet.row_dimensions[top].height = 48  # points, three lines
    for row, name in enumerate(report.class_names, start=top + 1):
        _header_cell(sheet.cell(row, 1), shortened(name, 120))
        for column in range(len(report.class_names)):
            value = values[row - top - 1, column]
            put(sheet.cell(row, column + 2), value, number_format, reason="absent")


def _label_tables(sheet: Worksheet, report: RunReport) -> None:
    """One row per label: its 2×2 table, shaded by fraction of the label's true state, and recall and specificity."""
    cells = ("true negative", "false positive", "false negative", "true positive")
    _header(sheet, 1, ("Label (true / predicted)", *cells, "recall", "specificity"))
    sheet.freeze_panes = "B2"
    _widths(sheet, (40, 14, 14, 14, 14, 18, 18))
    for row, (name, table) in enumerate(zip(report.class_names, report.confusion, strict=True), start=2):
        _header_cell(sheet.cell(row, 1), shortened(name, 120))
        for column, count in enumerate(table.ravel(), start=2):
            put(sheet.cell(row, column), count, COUNT)
        without, having = (int(total) for total in table.sum(axis=1))
        _shade(sheet, row, 2, without)
        _shade(sheet, row, 2, having, first=4)
        recall, specificity = (table[k, k] / total if total else math.nan for k, total in ((1, having), (0, without)))
        put(sheet.cell(row, 6), recall, FRACTION, reason="absent")
        put(sheet.cell(row, 7), specificity, FRACTION, reason="present in every image")


def _header_cell(cell: Cell, name: str) -> None:
    put(cell, name)
    cell.font, cell.fill = _BOLD, _HEADER


def _shade(sheet: Worksheet, row: int, columns: int, total: int, *, first: int = 2) -> None:
    """Shade a row by the fraction of `total`: white for none of it, blue for all."""
    if total:
        scale = ColorScaleRule(
            start_type="num", start_value=0, start_color=_LIGHT, end_type="num", end_value=total, end_color=_DARK
        )
        cells = f"{get_column_letter(first)}{row}:{get_column_letter(first + columns - 1)}{row}"
        sheet.conditional_formatting.add(cells, scale)
