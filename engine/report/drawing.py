"""What every figure shares: the canvas, the palette, and text that is drawn as it is."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from engine.contract.files import written_whole
from engine.report.content import RunReport
from engine.report.text import UNPRINTABLE, shortened

DPI = 200

# Okabe & Ito, "Color Universal Design" (2008), without the yellow, which is too pale on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
BLUE, VERMILION = PALETTE[:2]
RIGHT, WRONG = BLUE, VERMILION
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
def figure(path: Path, report: RunReport, title: str, size: tuple[float, float]) -> Iterator[Figure]:
    """An empty figure of `size` inches, written whole to `path` as a PNG when the block ends well. Raises OSError.

    Drawn with matplotlib's own defaults, whatever matplotlibrc the user has; those are as before afterwards.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)  # inches
        drawn = Figure(figsize=size, dpi=DPI, layout=layout)
        canvas = FigureCanvasAgg(drawn)
        drawn.suptitle(f"{title}\n{_subject(report)}", fontsize=10)
        drawn.supxlabel(f"run {drawable(report.run, 80)}", fontsize=7, color=GREY)
        yield drawn
        with written_whole(path) as temporary:
            canvas.print_png(temporary)


def _subject(report: RunReport) -> str:
    parts = [drawable(report.dataset, 40), drawable(report.model, 30)]
    if report.synthetic:
        parts.append("synthetic data")
    if report.limit is not None:
        parts.append(f"at most {report.limit:,} images a split")
    if report.outcome != "completed":
        parts.append(drawable(report.outcome, 20))
    return " · ".join(parts)


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


def remark(axes: Axes, text: str) -> None:
    """Words in the middle of axes that have nothing to show."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY, backgroundcolor="white")
