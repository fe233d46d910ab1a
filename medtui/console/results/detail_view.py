"""One run in detail: its texts, its curve, its pictures, one below the other."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from medtui.client.view import RunView
from medtui.console.results.pictures import samples_sheet
from medtui.console.results.text import Detail, body_text, end_text, header_text, titled
from medtui.console.shell.plain import Static
from medtui.console.widgets.curves import auc_plot
from medtui.console.widgets.pictures import Captioned, Pictures, Sheet
from medtui.console.widgets.plot import Plot
from medtui.console.widgets.stored_pictures import batch_sheet

NARROWEST = 40  # columns
BATCH = "training images as the model sees them"


class DetailView(VerticalScroll):
    """`#detail-scroll` of Results."""

    def compose(self) -> ComposeResult:
        yield Static("loading runs …", id="detail")
        yield Plot(id="detail-plot")
        yield Static(id="detail-body")
        for name in ("confusion", "samples", "batch"):
            yield Pictures(f"detail-{name}")
        yield Static(id="detail-end")

    def show(self, detail: Detail, available: int) -> None:
        """`available`: columns, as long as this has no size of its own."""
        width = max(NARROWEST, (self.size.width or available) - 3)
        self._put_text("detail", header_text(detail, width))
        plot = self.query_one("#detail-plot", Plot)
        plot.display = bool(detail.state.epochs)
        plot.show(auc_plot(RunView(state=detail.state), "epoch"))
        self._put_text("detail-body", body_text(detail, width))
        figure = detail.confusion_figure
        self._put_sheet("confusion", Sheet(() if figure is None else (Captioned(figure),)))
        self._put_sheet("samples", samples_sheet(detail.samples, titled("sample predictions")))
        self._put_sheet("batch", batch_sheet(detail.batch, titled(BATCH)) if detail.batch is not None else Sheet())
        self._put_text("detail-end", end_text(detail))

    def show_instead(self, words: str) -> None:
        """Show this text instead of a run."""
        self._put_text("detail", Text(words))
        for name in ("body", "end"):
            self._put_text(f"detail-{name}", Text())
        for name in ("confusion", "samples", "batch"):
            self._put_sheet(name, Sheet())
        self.query_one("#detail-plot").display = False

    def _put_text(self, id_: str, text: Text) -> None:
        self.query_one(f"#{id_}", Static).update(text)

    def _put_sheet(self, name: str, sheet: Sheet) -> None:
        self.query_one(f"#detail-{name}", Pictures).show(sheet)
