"""What every figure shares: the canvas, the palette, and text that is rendered literally."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from engine.contract.files.folders import FileOrPath, file_at
from engine.contract.store.starting_weights import describe_origin
from engine.report.content import RunReport
from engine.report.text import UNPRINTABLE, shortened

DPI = 200

# Okabe & Ito, "Color Universal Design" (2008), without the yellow, which is too pale on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
BLUE, VERMILION = PALETTE[:2]
CORRECT, WRONG = BLUE, VERMILION
GREY, PALE = "#595959", "#D9D9D9"

_LEFT_TO_RIGHT = "\N{LEFT-TO-RIGHT MARK}"
_FONT = "DejaVu Sans"  # comes with matplotlib, so figures look alike on every machine
_STYLE: dict[Any, Any] = {
    "font.family": _FONT,
    "font.size": 9,
    "text.parse_math": False,  # a "$" in a class name is a dollar sign
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "legend.frameon": False,
}


@contextmanager
def figure(path: FileOrPath, report: RunReport, title: str, size: tuple[float, float]) -> Iterator[Figure]:
    """An empty figure of a run, of `size` inches, as `canvas` makes it. Raises OSError."""
    with canvas(path, size) as fig:
        _add_title(fig, title, _subject(report))
        fig.supxlabel(f"run {drawable(report.run, 80)}", fontsize=7, color=GREY)
        yield fig


@contextmanager
def canvas(path: FileOrPath, size: tuple[float, float]) -> Iterator[Figure]:
    """An empty figure of `size` inches, written atomically to `path` as a PNG when the block ends well. Raises OSError.

    Drawn with matplotlib's own defaults, whatever matplotlibrc the user has; those are as before afterwards.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)  # inches
        fig = Figure(figsize=size, dpi=DPI, layout=layout)
        agg = FigureCanvasAgg(fig)
        yield fig
        with file_at(path).replacing() as file:
            agg.print_png(file)


def _add_title(fig: Figure, title: str, subject: list[str]) -> None:
    """Title and subject, on as many lines as it takes for none to be wider than the figure."""
    heading = fig.suptitle(title, fontsize=10)
    max_width = fig.bbox.width - 0.2 * fig.dpi  # 0.1 inches at either side

    def fits(text: str) -> bool:
        heading.set_text(text)
        return bool(heading.get_window_extent().width <= max_width)

    lines = [title]
    for part in subject:
        longer = f"{lines[-1]} · {part}"
        if len(lines) > 1 and fits(longer):
            lines[-1] = longer
        else:
            lines.append(part)
    size = 10.0
    while not fits("\n".join(lines)) and size > 5:  # one part alone is too wide
        size -= 0.5
        heading.set_fontsize(size)


def _subject(report: RunReport) -> list[str]:
    parts = [drawable(report.dataset, 40), drawable(report.model, 30)]
    if report.weights is not None:
        parts.append(drawable(describe_origin(report.weights), 60))
    if report.synthetic:
        parts.append("synthetic data")
    if report.limit is not None:
        parts.append(f"at most {report.limit:,} images per split")
    if report.input_size is not None:
        parts.append(f"enlarged to {report.input_size} px")
    if report.outcome != "completed":
        parts.append(drawable(report.outcome, 20))
    return parts


def drawable(text: str, length: int = 24) -> str:
    """The text on one short line, with U+FFFD for what the font has no glyph for. Empty text becomes "(no name)"."""
    glyphs = _glyphs()
    line = "".join(letter if ord(letter) in glyphs else UNPRINTABLE for letter in shortened(text, length))
    if not line.strip():
        return "(no name)"
    # Between left-to-right marks, what stands after a right-to-left name (a count, a score) stays after it.
    rightwards = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in line)
    return f"{_LEFT_TO_RIGHT}{line}{_LEFT_TO_RIGHT}" if rightwards else line


@cache
def _glyphs() -> frozenset[int]:
    """Code points that the font can draw."""
    return frozenset(font_manager.get_font(font_manager.findfont(_FONT)).get_charmap())


def annotate_empty(axes: Axes, text: str) -> None:
    """Words in the middle of axes that have nothing to show."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY, backgroundcolor="white")
