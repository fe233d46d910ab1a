"""`medtui attach`, and the kill-switch from any shell: `pause`, `resume`, `stop`, `abort`, `kill`."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medtui.cli.options import DataOption, JsonOption, RunArgument, WorkspaceOption

if TYPE_CHECKING:
    from engine.contract.run_directory import RunDirectory
    from engine.contract.workspace import Workspace
    from medtui.client.climb import Ascent
    from medtui.client.control import Answered

REFUSED = 1  # the engine refused, did not answer, or did not end


def attach(
    run: RunArgument = "last",
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    readonly: Annotated[bool, typer.Option("--readonly", help="The console shows all and changes nothing.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the run's state events, from the first to the last.")
    ] = False,
) -> int:
    """Watch a living or finished run; leaving it does not end it. Ends with the run's own exit code."""
    from engine.contract.workspace import find_workspace
    from medtui.attach import follow_run
    from medtui.cli.console import on_a_terminal, open_console
    from medtui.cli.errors import discard_output
    from medtui.cli.run import show_of
    from medtui.client.control import run_meant
    from medtui.headless import JsonLines

    place = find_workspace(workspace)
    found = run_meant(place, run)
    if not json and on_a_terminal() and found.root.parent == place.outputs:
        return open_console(place.root, data, readonly=readonly, attach=found)
    show = JsonLines(lasting=False) if json else show_of(verbose=False, bars=False, lasting=False)
    try:
        return follow_run(found, show)
    except BrokenPipeError:  # nobody reads any more
        discard_output()
        return 0


def pause(run: RunArgument, workspace: WorkspaceOption = None, json: JsonOption = False) -> int:
    """Hold a run at its next batch; it saves a checkpoint and keeps the workspace."""
    return _command("pause", run, workspace, as_json=json)


def resume(run: RunArgument, workspace: WorkspaceOption = None, json: JsonOption = False) -> int:
    """Let a paused run go on. (`medtui run --resume` continues one that has ended.)"""
    return _command("resume", run, workspace, as_json=json)


def stop(run: RunArgument, workspace: WorkspaceOption = None, json: JsonOption = False) -> int:
    """End a run after its batch; the best weights are evaluated and everything is written."""
    return _command("stop", run, workspace, as_json=json)


def abort(run: RunArgument, workspace: WorkspaceOption = None, json: JsonOption = False) -> int:
    """End a run after its batch; a checkpoint is saved and nothing else."""
    return _command("abort", run, workspace, as_json=json)


def kill(
    run: RunArgument,
    now: Annotated[bool, typer.Option("--now", help="Start with SIGKILL.")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> int:
    """End a run for certain: abort, then SIGTERM, then SIGKILL, and look that it is gone."""
    from engine.contract.workspace import find_workspace
    from medtui.client.attached import AttachedRun
    from medtui.client.climb import climb_of
    from medtui.client.control import NothingToCommand, run_meant

    place = find_workspace(workspace)
    found = run_meant(place, run)
    watched = AttachedRun(found, place)
    try:
        engine = watched.engine
        if engine is None or (engine.is_alive() is False and watched.finished):
            raise NothingToCommand(
                f"Run {found.name} has no engine that could be ended.", f"See `medtui show {found.name}`."
            )
        if not engine.is_here:
            return _kill_elsewhere(found, as_json=json)
        lines = _RungLines(quiet=json)
        climb = climb_of(watched, _workspace_of(found, place), _me(), now=now, tell=lines.tell)
        ascent = climb.climb()
        return _say_ascent(found, ascent, as_json=json)
    finally:
        watched.close()


def _command(name: str, run: str, workspace: Path | None, *, as_json: bool) -> int:
    """Send it, wait for the engine's answer, say what it was."""
    from engine.contract.workspace import find_workspace
    from medtui.client.control import ask, run_meant

    found = run_meant(find_workspace(workspace), run)
    return _say(found, name, ask(found, name, _me()), as_json=as_json)


def _say(run: RunDirectory, name: str, answered: Answered, *, as_json: bool) -> int:
    from engine.contract.protocol import CommandAccepted
    from engine.contract.status import read_status
    from medtui.client.control import answer_words, elsewhere
    from medtui.text import clean, json_text

    accepted = isinstance(answered.answer, CommandAccepted)
    words, status = answer_words(run, name, answered), read_status(run)
    far = elsewhere(status) if status is not None else None
    if as_json:
        kind = answered.answer.event.removeprefix("command.") if answered.answer else None
        values: dict[str, Any] = {"run": run.name, "command": name, "id": answered.id, "answer": kind}
        typer.echo(json_text({**values, "words": words, "elsewhere": far}))
    else:
        print(clean(words, 1000), file=sys.stdout if accepted else sys.stderr)
        if far:
            print(clean(far, 1000), file=sys.stderr)
    return 0 if accepted else REFUSED


def _kill_elsewhere(run: RunDirectory, *, as_json: bool) -> int:
    """Signals do not reach it: abort by file is all that can be done from here."""
    from medtui.client.control import ask

    return _say(run, "abort", ask(run, "abort", _me()), as_json=as_json)


class _RungLines:
    """Prints a rung when it is reached."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._said: set[str] = set()

    def tell(self, ascent: Ascent) -> None:
        from medtui.client.climb import ascent_rungs
        from medtui.client.ladder import rung_line

        for rung in ascent_rungs(ascent):
            if rung.state != "waiting" and rung.title not in self._said and not self._quiet:
                self._said.add(rung.title)
                print(rung_line(rung), flush=True)


def _say_ascent(run: RunDirectory, ascent: Ascent, *, as_json: bool) -> int:
    from dataclasses import asdict

    from medtui.client.climb import ascent_rungs
    from medtui.text import json_text

    if as_json:
        rungs = [asdict(rung) for rung in ascent_rungs(ascent)]
        typer.echo(json_text({"run": run.name, "ended": ascent.succeeded, "rungs": rungs}))
    elif not ascent.succeeded:
        print(f"medtui: run {run.name} did not end cleanly; see the rungs above.", file=sys.stderr)
    return 0 if ascent.succeeded else REFUSED


def _workspace_of(run: RunDirectory, given: Workspace) -> Workspace:
    """The workspace whose lock the run's engine holds: the run may have been named by its folder."""
    from engine.contract.workspace import Workspace

    return Workspace(run.root.parent.parent) if run.root.parent.name == "outputs" else given


def _me() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"[:200]
