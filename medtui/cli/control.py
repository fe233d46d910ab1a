"""`medtui attach`, and the kill switch from any shell: `pause`, `resume`, `stop`, `abort`, `kill`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from medtui.cli.options import DataOption, JsonOption, RunArgument, WorkspaceOption
from medtui.cli.who import current_user

if TYPE_CHECKING:
    from engine.contract.store.run_directory import RunDirectory
    from engine.contract.store.workspace import Workspace
    from medtui.client.escalation import Escalation
    from medtui.client.preparing_engine import PreparingEngine

REFUSED = 1  # the engine refused, did not answer, or did not end


def attach(
    run: RunArgument = "last",
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    readonly: Annotated[bool, typer.Option("--readonly", help="Open the console read-only.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print all state events of the run as JSON lines.")] = False,
) -> int:
    """Watch a live or finished run; detaching does not end it. Exits with the run's exit code."""
    from engine.contract.store.workspace import find_workspace
    from medtui import terminal
    from medtui.cli.console import open_console
    from medtui.cli.run import display_for
    from medtui.client.control import resolve_run
    from medtui.output import ReaderGone, discard_output, on_a_terminal
    from medtui.plain.attach import follow_run
    from medtui.plain.headless import JsonLines
    from medtui.plain.notifications import RunNotifications
    from medtui.settings import read_settings

    ws = find_workspace(workspace)
    found = resolve_run(ws, run)
    if not json and on_a_terminal() and terminal.remedy() is None and found.root.parent == ws.outputs:
        return open_console(ws.root, data, readonly=readonly, attach=found)
    display = JsonLines(never_fails=False) if json else display_for(verbose=False, bars=False, never_fails=False)
    notifications = RunNotifications(read_settings().away, display.note)
    try:
        return follow_run(found, display, notifications=notifications)
    except ReaderGone:
        discard_output()
        return 0
    finally:
        notifications.close()
        if isinstance(display, JsonLines):
            display.close()


def pause(run: RunArgument, workspace: WorkspaceOption = None, json: JsonOption = False) -> int:
    """Pause a run after the current batch; it saves a checkpoint and keeps the workspace locked."""
    return _command("pause", run, workspace, as_json=json)


def resume(run: RunArgument, workspace: WorkspaceOption = None, json: JsonOption = False) -> int:
    """Resume a paused run. (`medtui run --resume` continues one that has ended.)"""
    return _command("resume", run, workspace, as_json=json)


def stop(run: RunArgument, workspace: WorkspaceOption = None, json: JsonOption = False) -> int:
    """End a run after the current batch; the best weights are evaluated and all artifacts written."""
    return _command("stop", run, workspace, as_json=json)


def abort(run: RunArgument, workspace: WorkspaceOption = None, json: JsonOption = False) -> int:
    """End a run after the current batch; only a checkpoint is saved."""
    return _command("abort", run, workspace, as_json=json)


def kill(
    run: RunArgument,
    now: Annotated[bool, typer.Option("--now", help="Skip abort and SIGTERM; send SIGKILL at once.")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> int:
    """Force a run to end: abort, then SIGTERM, then SIGKILL, and verify that it is gone."""
    from engine.contract.store.workspace import find_workspace
    from medtui.client.attached import AttachedRun
    from medtui.client.control import NothingToCommand, resolve_run
    from medtui.client.escalation import escalator_for
    from medtui.client.timeout import run_with_timeout
    from medtui.sentences import Control
    from medtui.suites.store import note_kill

    run_with_timeout(
        lambda alive: _read_all(workspace, run), f"run {run}"
    )  # before any thread of this process can hang in it
    ws = find_workspace(workspace)
    if (at_work := _preparing(ws, run)) is not None:
        return _kill_preparing(at_work, ws, now=now, as_json=json)
    found = resolve_run(ws, run)
    handle = AttachedRun(found, ws)
    try:
        engine = handle.engine
        if engine is None or (engine.is_alive() is False and handle.finished):
            raise NothingToCommand(Control.NO_ENGINE, run=found.name)
        if not engine.is_here:
            return _kill_elsewhere(found, as_json=json)
        lines = _StepPrinter(quiet=json)
        note_kill(found, _workspace_of(found, ws))
        escalator = escalator_for(handle, _workspace_of(found, ws), current_user(), now=now, on_change=lines.on_change)
        escalation = escalator.escalate()
        if escalation.unneeded:
            raise NothingToCommand(Control.RUN_OVER, run=found.name, outcome=escalation.outcome)
        return _print_escalation(found.name, escalation, as_json=json)
    finally:
        handle.close()


def _read_all(workspace: Path | None, run: str) -> None:
    """Read everything that `kill` needs before its first step. Raises MedtuiError."""
    from engine.contract.store.run_record import read_run
    from engine.contract.store.workspace import find_workspace
    from medtui.client.control import resolve_run

    ws = find_workspace(workspace)
    if _preparing(ws, run) is None:
        read_run(resolve_run(ws, run))


def _command(name: str, run: str, workspace: Path | None, *, as_json: bool) -> int:
    """Send it, wait for the engine's answer, print it."""
    from medtui.client.timeout import run_with_timeout

    def work(alive: Callable[[], None]) -> _Result:
        from engine.contract.store.workspace import find_workspace
        from medtui.client.control import resolve_run

        ws = find_workspace(workspace)
        if (engine := _preparing(ws, run)) is not None:
            return _command_preparing(engine, name, alive)
        return _send(resolve_run(ws, run), name, alive)

    return _print_result(run_with_timeout(work, f"run {run}"), as_json=as_json)


@dataclass(frozen=True)
class _Result:
    """The result of a command, with everything read from files to report it."""

    run: str | None  # None while its engine has no directory yet
    command: str
    id: str
    answer: Literal["accepted", "rejected"] | None
    words: str
    elsewhere: str | None = None


def _send(run: RunDirectory, name: str, alive: Callable[[], None] = lambda: None) -> _Result:
    from engine.contract.store.status import read_status
    from engine.contract.wire.protocol import CommandAccepted
    from medtui.client.control import describe_remote_engine, describe_result, send_and_wait

    answered = send_and_wait(run, name, current_user(), on_poll=alive)
    status = read_status(run)
    far = describe_remote_engine(status) if status is not None else None
    answer: Literal["accepted", "rejected"] | None = None
    if answered.answer is not None:
        answer = "accepted" if isinstance(answered.answer, CommandAccepted) else "rejected"
    return _Result(run.name, name, answered.id, answer, describe_result(run, name, answered), far)


def _command_preparing(engine: PreparingEngine, name: str, alive: Callable[[], None] = lambda: None) -> _Result:
    from engine.contract.wire.protocol import CommandAccepted
    from medtui.client.preparing_engine import command_preparing_engine, describe_preparing_result

    result = command_preparing_engine(engine, name, current_user(), on_poll=alive)
    answer: Literal["accepted", "rejected"] | None = None
    if result.gone or isinstance(result.answer, CommandAccepted):
        answer = "accepted"
    elif result.answer is not None:
        answer = "rejected"
    run = engine.run_directory
    return _Result(
        run.name if run else None,
        name,
        result.request.id,
        answer,
        describe_preparing_result(engine, result),
    )


def _print_result(result: _Result, *, as_json: bool) -> int:
    from medtui.output import print_error, print_json, print_line

    accepted = result.answer == "accepted"
    if as_json:
        values: dict[str, Any] = {"run": result.run, "command": result.command, "id": result.id}
        print_json({**values, "answer": result.answer, "words": result.words, "elsewhere": result.elsewhere})
    else:
        (print_line if accepted else print_error)(result.words)
        if result.elsewhere:
            print_error(result.elsewhere)
    return 0 if accepted else REFUSED


def _preparing(ws: Workspace, run: str) -> PreparingEngine | None:
    """The engine that `last` means while the workspace is held and the newest run has no directory yet."""
    from medtui.client.control import preparing
    from medtui.client.preparing_engine import PreparingEngine

    holder = preparing(ws) if run == "last" else None
    return PreparingEngine(holder, ws) if holder is not None else None


def _kill_preparing(engine: PreparingEngine, ws: Workspace, *, now: bool, as_json: bool) -> int:
    from medtui.client.escalation import escalator_for

    if not engine.engine.is_here:
        return _print_result(_command_preparing(engine, "abort"), as_json=as_json)
    lines = _StepPrinter(quiet=as_json)
    escalation = escalator_for(engine, ws, current_user(), now=now, on_change=lines.on_change).escalate()
    return _print_escalation("the run that was being prepared", escalation, as_json=as_json)


def _kill_elsewhere(run: RunDirectory, *, as_json: bool) -> int:
    """Signals do not reach it: an abort through its file is all that can be done from here."""
    return _print_result(_send(run, "abort"), as_json=as_json)


class _StepPrinter:
    """Prints a step when it is reached; none while a run that ended by itself is all that there is to report."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._printed: set[str] = set()

    def on_change(self, escalation: Escalation) -> None:
        from medtui.client.escalation import steps_taken
        from medtui.client.escalation_steps import format_step
        from medtui.output import print_line

        if escalation.unneeded:
            return
        for step in steps_taken(escalation):
            if step.state != "waiting" and step.title not in self._printed and not self._quiet:
                self._printed.add(step.title)
                print_line(format_step(step))


def _print_escalation(run: str, escalation: Escalation, *, as_json: bool) -> int:
    from dataclasses import asdict

    from medtui.client.escalation import steps_taken
    from medtui.output import print_error, print_json

    if as_json:
        steps = [asdict(step) for step in steps_taken(escalation)]
        print_json({"run": run, "ended": escalation.succeeded, "steps": steps})
    elif escalation.forbidden:
        print_error(f"medtui: {run} was not ended: {escalation.forbidden}; only they and root may signal it.")
    elif not escalation.succeeded:
        print_error(f"medtui: {run} did not end cleanly; see the steps above.")
    return 0 if escalation.succeeded else REFUSED


def _workspace_of(run: RunDirectory, given: Workspace) -> Workspace:
    """The workspace whose lock the run's engine holds: the run may have been named by its folder."""
    from engine.contract.store.workspace import Workspace

    return Workspace(run.root.parent.parent) if run.root.parent.name == "outputs" else given
