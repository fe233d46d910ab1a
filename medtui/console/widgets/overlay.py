"""Marked runs drawn over the curves of another: each a single curve that ends in its letter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.status import RunSummary
from medtui.client.journal import replay
from medtui.client.same_data import same_data
from medtui.client.view import RunView
from medtui.console.shell.marked_runs import MarkedRuns, RunMark
from medtui.console.widgets.plot import PlotSpec, Series
from medtui.text import clean, data_marks


def overlaid(spec: PlotSpec, runs: Sequence[tuple[RunMark, PlotSpec]]) -> PlotSpec:
    """`spec` with one curve of each of these runs, in the run's colour and with its letter.

    `runs`: marks, each with the same plot of that run, made as `spec` was. Its curve is the one that is called like the
    main curve of `spec`; a run without it adds none. Scale, axis, points and cursor stay those of `spec`.
    """
    main = main_series(spec)
    added = [_curve(mark, other, main.name if main else None) for mark, other in runs]
    return replace(spec, series=(*spec.series, *(one for one in added if one is not None)))


def comparable(view: RunView, marks: Sequence[RunMark], others: Mapping[str, RunView]) -> tuple[list[RunMark], str]:
    """The marks of the runs that were trained on the images of `view`; the others with what theirs are, or "".

    Before a run has said what it is trained on, all are.
    """
    own, drawn, left = view.state.summary, [], []
    for mark in marks:
        of = others[mark.run].state.summary
        if own.dataset is None or of.dataset is None or same_data(own, of):
            drawn.append(mark)
        else:
            left.append(f"{mark.sign} ({_data_of(of)})")
    return drawn, ", ".join(left)


def _data_of(summary: RunSummary) -> str:
    words = [clean(summary.dataset or "?", 40)]
    words += [f"{summary.size} px"] if summary.size is not None else []
    return " ".join([*words, *data_marks(summary.synthetic, summary.limit)])


def main_series(spec: PlotSpec) -> Series | None:
    """What a run is compared by: the validation split's curve where there is one, else the first."""
    named = [one for one in spec.series if one.name.split(" ")[0] == "val"]
    return next(iter((*named, *spec.series)), None)


def _curve(mark: RunMark, spec: PlotSpec, name: str | None) -> Series | None:
    alike = [one for one in spec.series if one.name == name]
    found = alike[0] if alike else main_series(spec) if name is None else None
    if found is None or not found.xs:
        return None
    return Series(mark.sign, found.xs, found.ys, mark.colour, sign=mark.sign)


def read_marked(
    outputs: Path, marked: MarkedRuns, known: Mapping[str, RunView], shown: str | None
) -> dict[str, RunView]:
    """Views of the marked runs by name, but for the run `shown`, whose curves are there already.

    Reads their journals, so it belongs into a worker. A run among `known` that is over is not read again; one whose
    journal cannot be read is left out.
    """
    found = {}
    for mark in marked.marks:
        if mark.run == shown:
            continue
        view = known.get(mark.run)
        if view is None or view.outcome is None:
            try:
                view = RunView(state=replay(RunDirectory(outputs / mark.run).journal))
            except OSError:
                continue
        found[mark.run] = view
    return found
