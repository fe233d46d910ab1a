"""Mean curves of a suite's groups over its seeds: validation AUC by epoch, with a band of one standard deviation."""

from __future__ import annotations

import string
from collections.abc import Sequence

from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import MedtuiError
from medtui.console.widgets.plot import PlotSpec, Series
from medtui.suites.curves import Curve, curves_of
from medtui.suites.work import Item
from medtui.text import clean, shortened

MOST = 6  # curves; more could not be told apart
EMPTY = "the mean curve of each group, once one of its runs is completed"


def group_curves(items: Sequence[Item], selected: Item | None, workspace: Workspace) -> PlotSpec:
    """Of the groups on the data of the selected run. Reads the journals of completed runs."""
    selected = selected or next(iter(items), None)
    same = [item for item in items if selected is not None and item.recipe.get("dataset") == selected.recipe["dataset"]]
    try:
        found = curves_of(same, workspace, "val_auc")
    except MedtuiError:  # a recipe of an older medtui
        found = []
    return curves_plot([curve for _, curves in found for curve in curves])


def curves_plot(curves: Sequence[Curve]) -> PlotSpec:
    """Each curve ends in its letter; its band is faint, in its colour."""
    series = []
    for at, curve in enumerate(curves[:MOST]):
        xs = tuple(float(epoch) for epoch in range(1, len(curve.mean) + 1))
        sign = string.ascii_uppercase[at]
        series.append(Series(f"{sign} {shortened(clean(curve.label), 40)}", xs, curve.mean, at, sign=sign))
        if curve.low:
            series += [Series("", xs, edge, at, faint=True) for edge in (curve.low, curve.high)]
    return PlotSpec(tuple(series), x_title="epoch", unit="mean validation AUC", empty=EMPTY, upper=1.0)
