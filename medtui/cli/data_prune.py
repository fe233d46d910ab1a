"""`medtui data prune`: decoded data and unfinished downloads that nothing uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.contract.wire.text import format_bytes
from medtui.cli.options import DataOption, JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from medtui.machine.cache_removal import Stored

ELSEWHERE = "Runs of other workspaces are not known here; they decode what is missing again."


def prune(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be removed, with sizes; remove nothing.")
    ] = False,
    completed: Annotated[
        bool,
        typer.Option("--completed", help="Also remove what only completed runs use; evaluating one decodes it again."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Remove decoded data that nothing uses; asks first.

    That is decoded data that no run of this workspace was trained on, and unfinished downloads. All of it can be
    recreated. Runs of other workspaces are not known. Archives and your own images are never removed, nor what an
    engine is using.
    """
    from engine.contract.store.workspace import find_workspace
    from medtui.cli.run import data_folders
    from medtui.machine.cache_removal import remove_each, unfinished_data
    from medtui.machine.needs import copies_and_needs
    from medtui.output import print_error, print_json, print_line

    ws = find_workspace(workspace)
    found: list[Stored] = [*copies_and_needs(ws), *unfinished_data(ws, data_folders(data))]
    found.sort(key=lambda one: -one.bytes)
    going = [one for one in found if not (one.needed_by if completed else one.used_by)]
    if json:
        print_json([_values(one) for one in found])
        if dry_run or not yes:
            return
    else:
        for line in _lines(found):
            print_line(line)
        if not going or dry_run:
            print_line(f"{_size_of(going)} would be freed. {ELSEWHERE}" if going else "Nothing to remove.")
            return
        if not yes:
            _ask(going)
    removed, troubles = remove_each(going, ws)
    for error in troubles:
        print_error(f"medtui: {error}")
    if not json:
        print_line(f"Freed {_size_of(removed)}.")
    if troubles:
        raise typer.Exit(troubles[0].exit_code)


def _values(one: Stored) -> dict[str, Any]:
    return {"path": str(one.file), "what": one.what, "bytes": one.bytes, "used_by": list(one.used_by)}


def _lines(found: Sequence[Stored]) -> list[str]:
    """One for each; those that would read alike, such as copies of one data set, are one with how many they are."""
    alike: dict[tuple[str, tuple[str, ...]], list[Stored]] = {}
    for one in found:
        alike.setdefault((one.what, one.used_by), []).append(one)
    return [_line(of[0], of) for of in alike.values()]


def _line(one: Stored, alike: Sequence[Stored]) -> str:
    count = f" ({len(alike)} copies)" if len(alike) > 1 else ""
    kept = f"kept for {'; '.join(one.used_by[:3])}{f'; and {len(one.used_by) - 3} more' if one.used_by[3:] else ''}"
    return f"{_size_of(alike):>12}  {one.what}{count}: {kept if one.used_by else 'nothing uses it'}"


def _size_of(stored: Sequence[Stored]) -> str:
    return format_bytes(sum(one.bytes for one in stored))


def _ask(going: Sequence[Stored]) -> None:
    """Raises UsageError where the answer is no, or there is no terminal to ask on."""
    from engine.contract.wire.errors import UsageError
    from medtui.output import ask_user, can_ask
    from medtui.sentences import Pruning

    if not can_ask():
        raise UsageError(Pruning.UNCONFIRMED)
    question = f"{_size_of(going)} that can be recreated will be deleted. {ELSEWHERE} Type yes to confirm"
    if ask_user(question) != "yes":
        raise UsageError(Pruning.DECLINED)
