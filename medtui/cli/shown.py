"""How a command shows what the engine says while a short job is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.contract.protocol import AnyEvent


class Shown:
    """What an engine says while it works: a bar on a terminal, lines elsewhere, nothing for scripts."""

    def __init__(self, *, quiet: bool, beside: bool = False) -> None:
        """`beside`: on standard error, where something else is the command's answer."""
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(highlight=False, emoji=False, quiet=quiet, stderr=beside)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        disabled = quiet or not self._console.is_terminal
        self._bars = Progress(*columns, console=self._console, transient=True, disable=disabled)
        self._task = self._bars.add_task("", total=None, visible=False)

    def __enter__(self) -> Shown:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, event: AnyEvent) -> None:
        from engine.contract.protocol import Log, Progress
        from medtui.text import clean

        if isinstance(event, Progress):
            words, total = clean(event.activity, 60), event.total or None
            self._bars.update(self._task, description=words, completed=event.done, total=total, visible=True)
        elif isinstance(event, Log):
            self._console.print(clean(event.message), markup=False, soft_wrap=True)
