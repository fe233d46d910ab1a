"""The table of a suite for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from engine.contract.data.published import Published, remarks
from medtui.rich_output import CleanConsole, print_wrapped, wrapped
from medtui.suites.formats import footnotes, mean_and_sd, mean_interval, published_name, published_value
from medtui.suites.groups import METRICS, Block, Group
from medtui.text import clean

INDENT = "      "  # of a note
LABEL = 30  # columns; a longer label has a line of its own


def print_table(console: CleanConsole, blocks: Sequence[Block], left: Sequence[str]) -> None:
    """`left`: what must be known of the suite as such."""
    for block in blocks:
        print_wrapped(console, block.title, style="bold")
        console.print(_line("", "", "n", "mean ± sd", "95 % of the mean"), style="dim", soft_wrap=True)
        for group in block.groups:
            _print_group(console, group)
        for one in block.published:
            _print_published(console, one, block)
        console.print()
    for words in [*left, *footnotes(blocks)]:
        print_wrapped(console, words, style="dim")


def _print_group(console: CleanConsole, group: Group) -> None:
    label = f"  {clean(group.label, 400)}"
    if cell_len(label) > LABEL:
        console.print(label, soft_wrap=True)
        label = ""
    n = f"{group.count('completed')}/{len(group.runs)}"
    for metric in METRICS:
        found = group.summary(metric)
        best = metric in group.best
        value = mean_and_sd(found) + " *" * best
        line = _line(label, metric.upper(), n, value, mean_interval(found))
        console.print(line, style="bold" if best else None, soft_wrap=True)
        label = n = ""
    for note in group.notes:
        _print_note(console, note, "yellow")


def _print_published(console: CleanConsole, one: Published, block: Block) -> None:
    label = f"  {published_name(one)}"
    if cell_len(label) > LABEL:
        console.print(label, style="dim", soft_wrap=True)
        label = ""
    for metric in METRICS:
        console.print(_line(label, metric.upper(), "", published_value(one, metric), ""), style="dim", soft_wrap=True)
        label = ""
    for remark in remarks(one, list(block.published)):
        _print_note(console, remark, "dim")


def _print_note(console: CleanConsole, note: str, style: str) -> None:
    for line in wrapped(clean(note, 1000), max(20, console.width - len(INDENT))):
        console.print(INDENT + line, style=style, soft_wrap=True)


def _line(label: str, metric: str, n: str, value: str, interval: str) -> str:
    gap = " " * max(0, LABEL - cell_len(label))
    return f"{label}{gap} {metric:<3} {n:>5}  {value:<19}  {interval}".rstrip()
