"""How a command shows an engine's progress during a short job."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.contract.wire.protocol import AnyEvent


class JobProgress:
    """An engine's progress and log: a bar on a terminal, lines elsewhere, nothing for scripts."""

    def __init__(self, *, quiet: bool, on_stderr: bool = False) -> None:
        """`on_stderr`: for commands that print their result on standard output."""
        from rich.progress import BarColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        from medtui.plain.progress import CleanColumn
        from medtui.rich_output import stderr_console, stdout_console

        self._console = stderr_console(quiet=quiet) if on_stderr else stdout_console(quiet=quiet)
        columns = (CleanColumn("{task.description}"), BarColumn(), CleanColumn("{task.fields[so_far]}"))
        disabled = quiet or not self._console.is_terminal
        self._bars = Bars(*columns, TimeRemainingColumn(), console=self._console, transient=True, disable=disabled)
        self._task = self._bars.add_task("", total=None, visible=False, so_far="")

    def __enter__(self) -> JobProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, event: AnyEvent) -> None:
        from engine.contract.wire.protocol import Log, Progress
        from medtui.text import clean

        if isinstance(event, Progress):
            words, total = clean(event.activity, 60), event.total or None
            so_far = "/".join(_amount(n, event.unit) for n in filter(None, (event.done, total)))
            self._bars.update(
                self._task, description=words, completed=event.done, total=total, visible=True, so_far=so_far
            )
        elif isinstance(event, Log):
            self._console.print(event.message, soft_wrap=True)


def _amount(count: int, unit: str | None) -> str:
    from engine.contract.wire.text import format_bytes

    return format_bytes(count) if unit == "bytes" else f"{count:,}"
