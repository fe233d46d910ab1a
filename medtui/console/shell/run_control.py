"""The run that the console shows: started, attached to, commanded and ended through its engines."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.driver import Driver

from engine.contract.files.paths import place_of
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import MedtuiError, UsageError
from medtui.actions import Action
from medtui.console.shell.one_question import OneQuestion
from medtui.sentences import Console

if TYPE_CHECKING:
    from engine.contract.store.run_directory import RunDirectory
    from medtui.client.escalation import Escalator
    from medtui.client.own_engine import OwnEngine
    from medtui.client.run_handle import RunHandle
    from medtui.client.view import RunView
    from medtui.console.shell.engines import Engines


class RunControl(OneQuestion):
    """What of the app deals with the run. The app shows it: the methods that say so are its own."""

    actions: dict[str, Action]

    def __init__(
        self,
        driver_class: type[Driver],
        workspace: Workspace,
        data: list[str],
        *,
        readonly: bool,
        make_engine: Callable[[Workspace], OwnEngine] | None,
        warm: bool,
    ) -> None:
        super().__init__(driver_class=driver_class)
        self.workspace, self.data, self.readonly = workspace, data, readonly
        self.living: tuple[str, ...] = ()  # names of the runs that train in the workspace now
        self._reads = False  # was the run that is shown opened after its end, to be looked at?
        self._followed: str | None = None  # the engine that resumed elsewhere what is shown
        self._seen_folder: Path | None = None  # of the run that is shown, once it was there
        self._place = place_of(workspace.root)  # a folder may be moved, and another one get its name
        self._make_engine, self._keep_warm = make_engine, warm and not readonly

    def _begin_run(self) -> None:
        """Another run is shown: nothing about it is reported yet."""
        raise NotImplementedError

    def _show_changes(self) -> None:
        """Show what changed now, not at the next tick."""
        raise NotImplementedError

    @property
    def screen_name(self) -> str:
        raise NotImplementedError

    def show_view(self) -> None:
        """What the screen shows of a run is that of the present one, or of none."""
        raise NotImplementedError

    def go_to(self, screen: str) -> None:
        raise NotImplementedError

    def show_toast(self, text: str, *, severity: Any = "information") -> None:
        raise NotImplementedError

    @cached_property
    def engines(self) -> Engines:
        from medtui.client.own_engine import OwnEngine
        from medtui.console.shell.engines import Engines

        return Engines(self.workspace, self._make_engine or OwnEngine, keep_warm=self._keep_warm)

    @property
    def handle(self) -> RunHandle | None:
        return self.engines.handle

    @property
    def view(self) -> RunView | None:
        return self.engines.view

    @property
    def busy(self) -> bool:
        return self.engines.busy

    def start_run(self, recipe: dict[str, Any]) -> None:
        """Ask for training. Raises MedtuiError where that is impossible."""
        self._start(lambda: self.engines.train(recipe, self.data))

    def resume_run(self, run: RunDirectory) -> None:
        """Ask for a run to be resumed. Raises MedtuiError where that is impossible."""
        self._start(lambda: self.engines.resume(run, self.data))

    def _start(self, ask: Callable[[], None]) -> None:
        if self.readonly:
            raise UsageError(Console.READ_ONLY)
        if self._place is not None and place_of(self.workspace.root) != self._place:
            raise UsageError(Console.WORKSPACE_GONE, path=self.workspace.root)
        if self.engines.trains_here:
            raise UsageError(Console.TRAINING)
        if (holder := self.engines.held_by_another()) is not None:  # what is shown stays shown
            raise UsageError(Console.HELD_BY_ANOTHER, holder=holder, key=self.actions["run.attach"].key)
        ask()
        self._reads = False
        self._begin_run()
        self.go_to("live")

    def may_change(self) -> bool:
        """May this console change anything? Where it may not, it says so."""
        if self.readonly:
            self.show_toast(str(UsageError(Console.READ_ONLY)), severity="warning")
        return not self.readonly

    def command(self, name: str) -> None:
        """Send a command to the engine; its answer is an event."""
        if self.may_change():
            if self.handle is None or not self.busy:
                self.show_toast("Nothing is training.", severity="warning")
            else:
                self._send(self.handle, name)
        self._show_changes()

    def _send(self, handle: RunHandle, name: str) -> None:
        from medtui.console.shell.engines import who

        try:
            if handle.command(name, who()) is None:
                self.show_toast("The engine no longer accepts commands.", severity="warning")
        except MedtuiError as error:
            self.show_toast(str(error), severity="error")

    @property
    def escalator(self) -> Escalator | None:
        return self.engines.escalator

    def end_run(self) -> None:
        """Escalate; where no signal reaches the engine, ask it to abort and report who else can end it."""
        if not self.may_change():
            return
        from medtui.client.attached import AttachedRun
        from medtui.client.control import NothingToCommand, describe_remote_engine

        try:
            self.engines.end_run()
        except NothingToCommand:
            self.command("abort")
            status = self.handle.status if isinstance(self.handle, AttachedRun) else None
            self.show_toast(
                (describe_remote_engine(status) if status else None) or "Its engine is unknown.", severity="warning"
            )

    def _means_a_run(self, command: str) -> bool:
        """Is there a run that this command means, which is followed from now on? Where there is none, it says so."""
        raise NotImplementedError

    def action_pause(self) -> None:
        if not self._means_a_run("pause"):
            return
        view = self.view
        self.command("resume" if view is not None and view.phase == "paused" else "pause")

    def action_checkpoint(self) -> None:
        if self._means_a_run("save"):
            self.command("checkpoint")

    @property
    def holder_run(self) -> str | None:
        """The run that trains in the workspace, the first of several."""
        return self.living[0] if self.living else None

    @property
    def next_living(self) -> str | None:
        """The run that trains and follows the one shown, in turn; None where no other one trains."""
        shown = self.view.run if self.view is not None else None
        at = self.living.index(shown) + 1 if shown in self.living else 0
        following = [*self.living[at:], *self.living[:at]]
        return next((run for run in following if run != shown), None)

    def action_attach(self) -> None:
        from engine.contract.store.run_directory import list_runs

        runs = list_runs(self.workspace.outputs)
        word = self.holder_run or (runs[-1].name if runs else None)
        if word is None:
            self.show_toast("No runs to attach to yet.", severity="warning")
        elif self._follow(word):
            self.go_to("live")

    def attach_to(self, name: str, *, quiet: bool = False) -> bool:
        """Attach to a run of this workspace. False when that is impossible. `quiet`: the screen shows it anyway."""
        if self.busy and self.view is not None and self.view.run == name:
            return True
        if self.engines.trains_here:
            self.show_toast("This console is training; stop its run or open another console.", severity="warning")
            return False
        from engine.contract.store.run_directory import RunDirectory

        run = RunDirectory(self.workspace.outputs / name)
        if not run.journal.is_there:
            self.show_toast(f"No run found at {run.root}.", severity="warning")
            return False
        self.engines.attach(run)
        self._seen_folder, self._reads = run.root, _is_over(run)
        self._begin_run()
        if not quiet:
            self.show_toast(f"Attached to {name}.")
        return True

    def _follow(self, name: str) -> bool:
        """Attach to it until it is over; then to what trains next."""
        attached = self.attach_to(name)
        self._reads = self._reads and not attached
        return attached

    def _follow_work(self, newest_engine: str | None) -> None:
        """Connect to what trains here, whoever started it, unless something that goes on is shown, or is read.

        `newest_engine`: of the run that is shown.
        """
        from engine.contract.store.run_directory import RunDirectory

        run = self._run_to_follow(newest_engine)
        if run is not None and RunDirectory(self.workspace.outputs / run).journal.is_there:  # else it is being made
            self._follow(run)

    def _run_to_follow(self, newest_engine: str | None) -> str | None:
        """None: what is shown stays, as it does below a dialog about its end."""
        if self.handle is None:
            return self.holder_run
        view = self.view
        if view is None or view.outcome is None or len(self.screen_stack) > 2:
            return None
        if self._is_resumed_elsewhere(view, newest_engine):
            return view.run
        return None if self._reads else self.next_living

    @property
    def _shown_folder(self) -> Path | None:
        run = self.handle.run_directory if self.handle is not None else None
        return run.root if run is not None else None

    def _is_removed(self, there: Path | None, gone: Path | None) -> bool:
        """Was the run that is shown deleted or moved after its end? Not below a dialog about it."""
        if there is not None:
            self._seen_folder = there
        over = self.view is not None and self.view.outcome is not None and len(self.screen_stack) <= 2
        return over and gone is not None and gone == self._seen_folder == self._shown_folder

    def _forget_run(self) -> None:
        """Nothing is shown any more: what it offers, such as to resume, would fail."""
        name = self.view.run if self.view is not None else None
        self.engines.forget()
        self._begin_run()
        self.show_view()
        if self.screen_name == "live":
            self.show_toast(f"{name} was deleted or moved.")

    def _is_resumed_elsewhere(self, view: RunView, engine: str | None) -> bool:
        """Did this engine train again what is shown as ended? Once each."""
        ended = view.state.hello.engine if view.state.hello is not None else None
        if view.run is None or engine in (None, ended, self._followed):
            return False
        self._followed = engine
        return True


def _is_over(run: RunDirectory) -> bool:
    """By its status file; one whose engine cannot be seen from here may still train."""
    from engine.contract.store.status import read_status
    from medtui.client.liveness import is_alive

    status = read_status(run)
    return status is not None and (status.outcome is not None or is_alive(status) is False)
