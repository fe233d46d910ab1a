"""`medtui runs tag|note|archive|unarchive|delete|prune`: manage runs that are over."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.contract.wire.text import counted, format_bytes
from medtui.cli.completion import runs as complete_runs
from medtui.cli.options import JsonOption, RunArgument, WorkspaceOption

if TYPE_CHECKING:
    from engine.contract.store.run_directory import RunDirectory
    from engine.contract.store.workspace import Workspace
    from medtui.client.pruning import Prunable


ALL_SKIPPED = 1  # exit code: no run can be pruned now


def tag(
    run: RunArgument,
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="TAG", help="Tags to add; omit them to print the current tags.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="TAG", help="A tag to remove; may be repeated.")
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Add or remove tags of a run."""
    from engine.contract.wire.errors import UsageError
    from medtui.client.labels import read_labels, set_tags
    from medtui.client.run_management import refuse_foreign
    from medtui.output import print_line
    from medtui.sentences import Tagging

    ws, found = _found(run, workspace)
    labels = read_labels(found)
    if tags or remove:
        refuse_foreign(found, ws)
        if missing := [name for name in remove or [] if name not in labels.tags]:
            tags_here = ", ".join(labels.tags) or "none"
            raise UsageError(Tagging.NO_SUCH_TAG, run=found.name, tag=missing[0], tags=tags_here)
        kept = [name for name in (*labels.tags, *(tags or [])) if name not in (remove or [])]
        labels = set_tags(found, kept)
    print_line(f"{found.name}: {' '.join(labels.tags) or 'no tags'}")


def note(
    run: RunArgument,
    text: Annotated[str | None, typer.Argument(help='The note. "" removes it; omit it to print the note.')] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Add a note to a run."""
    from medtui.client.labels import read_labels, set_note
    from medtui.client.run_management import refuse_foreign
    from medtui.output import print_line

    ws, found = _found(run, workspace)
    if text is not None:
        refuse_foreign(found, ws)
    labels = read_labels(found) if text is None else set_note(found, text)
    print_line(f"{found.name}: {labels.note or 'no note'}")


def archive(run: RunArgument, workspace: WorkspaceOption = None) -> None:
    """Hide a run from lists: move it to outputs/archive."""
    from medtui.client import run_management
    from medtui.output import print_line

    ws, found = _found(run, workspace)
    moved = run_management.archive(found, ws)
    print_line(f"Moved to {moved}. `medtui runs unarchive {quote(found.name)}` moves it back.")


def unarchive(
    run: Annotated[str, typer.Argument(help="The name of an archived run, or a unique part of it.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Move an archived run back to outputs/."""
    from engine.contract.store.find_run import find_run
    from engine.contract.store.run_directory import list_runs
    from engine.contract.store.workspace import find_workspace
    from engine.contract.wire.errors import UsageError
    from medtui.client import run_management
    from medtui.output import print_line
    from medtui.sentences import Management

    ws = find_workspace(workspace)
    archive = ws.archive
    if not list_runs(archive):
        raise UsageError(Management.ARCHIVE_EMPTY, path=archive)
    print_line(f"Moved to {run_management.unarchive(find_run(archive, run), ws)}.")


def delete(
    run: RunArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Delete a run permanently; asks for its name first."""
    from engine.contract.wire.errors import UsageError
    from medtui.client import run_management
    from medtui.output import ask_user, can_ask, print_line
    from medtui.sentences import Management

    ws, found = _found(run, workspace)
    run_management.refuse_foreign(found, ws)
    run_management.refuse_living(found, ws)
    if not yes:
        if not can_ask():
            raise UsageError(Management.DELETE_UNCONFIRMED, run=found.name)
        size = format_bytes(run_management.size_of(found))
        question = f"{found.name}, {size}, will be deleted permanently. Type its name to confirm"
        if ask_user(question) != found.name:
            raise UsageError(Management.NAME_DIFFERS)
    run_management.delete(found, ws)
    print_line(f"Deleted {found.name}.")


def prune(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="Run directories, names, unique parts of names or `last`. [default: all listed runs]",
            autocompletion=complete_runs,
        ),
    ] = None,
    resumable: Annotated[
        bool,
        typer.Option("--resumable", help="Also prune resumable runs, which then cannot be resumed."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be removed, with sizes; remove nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> int:
    """Remove checkpoints that are no longer needed; asks first.

    A completed run keeps its best weights and can be shown, evaluated and reported as before. Runs that can be resumed
    are left unchanged unless --resumable is given. Exit code 1: every run was skipped, as none can be
    changed now.
    """
    from engine.contract.store.workspace import find_workspace
    from medtui.client.pruning import prune_all
    from medtui.output import print_error, print_json, print_line

    ws = find_workspace(workspace)
    plans, skipped = _prunable(runs or [], ws, resumable=resumable)
    going = [plan for plan in plans if plan.files]
    total = sum(plan.bytes for plan in going)
    if json:
        print_json([_plan_values(plan) for plan in plans])
    else:
        for line in (*(f"Skipped: {reason}" for reason in skipped), *map(_plan_line, plans)):
            print_line(line)
        if not going or dry_run:
            print_line(_nothing_freed(total, len(going), len(skipped)))
    code = ALL_SKIPPED if skipped and not plans and not dry_run else 0
    if not going or dry_run or (json and not yes):
        return code
    if not yes:
        _ask_to_prune(going, total)
    freed, troubles = prune_all(going, ws)
    for error in troubles:
        print_error(f"medtui: {error}")
    if not json:
        print_line(f"Freed {format_bytes(freed)}.")
    return troubles[0].exit_code if troubles else code


def _nothing_freed(total: int, going: int, skipped: int) -> str:
    if going:
        return f"{format_bytes(total)} would be freed."
    if not skipped:
        return "Nothing to remove."
    return f"Nothing was removed: {counted(skipped, 'run')} skipped."


def _prunable(names: list[str], ws: Workspace, *, resumable: bool) -> tuple[list[Prunable], list[str]]:
    """The named runs, each of which must be modifiable; without names, all modifiable runs, and why others are not."""
    from engine.contract.store.find_run import find_run
    from medtui.client.pruning import prunable, prunable_runs

    if not names:
        return prunable_runs(ws, resumable=resumable)
    named = {run.root: run for run in (find_run(ws.outputs, word) for word in names)}
    return [prunable(run, ws, resumable=resumable) for run in named.values()], []


def _plan_values(plan: Prunable) -> dict[str, Any]:
    return {
        "run": plan.run.name,
        "state": plan.state,
        "files": [str(file) for file in plan.files],
        "bytes": plan.bytes,
        "kept": plan.kept or None,
        "ends_resume": plan.ends_resume,
    }


def _plan_line(plan: Prunable) -> str:
    files = ", ".join(file.name for file in plan.files)
    going = f"{format_bytes(plan.bytes)} in {files}" if files else "nothing to remove"
    remark = f" ({plan.kept})" if plan.kept else ". It can no longer be resumed afterwards" if plan.ends_resume else ""
    return f"{plan.run.name}, {plan.state}: {going}{remark}"


def _ask_to_prune(going: list[Prunable], total: int) -> None:
    """Raises UsageError where the answer is no, or there is no terminal to ask on."""
    from engine.contract.wire.errors import UsageError
    from medtui.output import ask_user, can_ask
    from medtui.sentences import Pruning

    if not can_ask():
        raise UsageError(Pruning.UNCONFIRMED)
    ended = sum(plan.ends_resume for plan in going)
    warning = f" {ended} of them can no longer be resumed afterwards." if ended else ""
    runs = f"{len(going)} run{'s' * (len(going) != 1)}"
    if ask_user(f"{format_bytes(total)} of {runs} will be deleted permanently.{warning} Type yes to confirm") != "yes":
        raise UsageError(Pruning.DECLINED)


def _found(run: str, workspace: Path | None) -> tuple[Workspace, RunDirectory]:
    from engine.contract.store.find_run import find_run
    from engine.contract.store.workspace import find_workspace

    ws = find_workspace(workspace)
    return ws, find_run(ws.outputs, run)
