"""`medtui runs tag|note|archive|unarchive|delete`: what is done with a run that is over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medtui.cli.options import RunArgument, WorkspaceOption

if TYPE_CHECKING:
    from engine.contract.run_directory import RunDirectory
    from engine.contract.workspace import Workspace


def tag(
    run: RunArgument,
    tags: Annotated[list[str] | None, typer.Argument(help="Tags to add; none prints those it has.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="TAG", help="A tag to take away.")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Add and remove tags of a run."""
    from medtui.client.keeping import read_labels, set_tags
    from medtui.text import clean

    _, found = _found(run, workspace)
    labels = read_labels(found)
    if tags or remove:
        kept = [name for name in (*labels.tags, *(tags or [])) if name not in (remove or [])]
        labels = set_tags(found, kept)
    typer.echo(f"{clean(found.name)}: {clean(' '.join(labels.tags)) or 'no tags'}")


def note(
    run: RunArgument,
    text: Annotated[str | None, typer.Argument(help='The note; "" takes it away; none prints it.')] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Note something down about a run."""
    from medtui.client.keeping import read_labels, set_note
    from medtui.text import clean

    _, found = _found(run, workspace)
    labels = read_labels(found) if text is None else set_note(found, text)
    typer.echo(f"{clean(found.name)}: {clean(labels.note) or 'no note'}")


def archive(run: RunArgument, workspace: WorkspaceOption = None) -> None:
    """Move a run to outputs/archive, where it is not listed."""
    from medtui.client import keeping
    from medtui.text import clean

    place, found = _found(run, workspace)
    moved = clean(str(keeping.archive(found, place)))
    typer.echo(f"Moved to {moved}. `medtui runs unarchive {clean(found.name)}` moves it back.")


def unarchive(
    run: Annotated[str, typer.Argument(help="The name of an archived run, or a unique part of it.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Move an archived run back, so that it is listed again."""
    from engine.contract.errors import UsageError
    from engine.contract.run_directory import find_run, list_runs
    from engine.contract.workspace import find_workspace
    from medtui.client import keeping
    from medtui.text import clean

    place = find_workspace(workspace)
    archive = keeping.archive_of(place)
    if not list_runs(archive):
        raise UsageError(f"There is no run in {archive}.", "`medtui runs archive RUN` moves one there.")
    typer.echo(f"Moved to {clean(str(keeping.unarchive(find_run(archive, run), place)))}.")


def delete(
    run: RunArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Without asking.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Delete a run for ever; asks for its name first."""
    import sys

    from engine.contract.errors import UsageError
    from medtui.client import keeping
    from medtui.text import clean

    place, found = _found(run, workspace)
    keeping.refuse_living(found, place)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"Deleting {found.name} is asked on a terminal only.", "--yes deletes without asking.")
        megabytes = keeping.size_of(found) / 1e6
        words = f"{clean(found.name)}, {megabytes:,.0f} MB, will be gone for ever. Type its name to delete it"
        if typer.prompt(words) != found.name:
            raise UsageError("That is not its name: nothing is deleted.", "")
    keeping.delete(found, place)
    typer.echo(f"Deleted {clean(found.name)}.")


def _found(run: str, workspace: Path | None) -> tuple[Workspace, RunDirectory]:
    from engine.contract.run_directory import find_run
    from engine.contract.workspace import find_workspace

    place = find_workspace(workspace)
    return place, find_run(place.outputs, run)
