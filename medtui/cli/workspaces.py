"""Commands that look into several workspaces: which they are, what runs they hold, which of those a word means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from engine.contract.files.paths import path_status
from engine.contract.sentences import Runs
from engine.contract.store.run_directory import RunDirectory, list_runs, order_and_manifest, refuse_unlisted
from engine.contract.store.workspace import Workspace, find_workspace
from engine.contract.wire.errors import MedtuiError, UsageError
from engine.contract.wire.text import shortened
from medtui.client.run_index import Packed, packed_rows, unpacked
from medtui.client.run_row import RunRow
from medtui.client.timeout import DiskNotResponding, run_with_timeout
from medtui.output import print_error
from medtui.preferences import remember_workspace, used_workspaces
from medtui.sentences import Listing

T = TypeVar("T")


@dataclass(frozen=True)
class ListedRuns:
    rows: list[RunRow]  # oldest first
    n_archived: int  # where there are none: how many are archived
    several: bool  # are they of more than one workspace?
    troubles: list[MedtuiError]  # why some workspaces are left out


Chosen = Path | Workspace | None  # as it was named, one that is remembered, or the current one


class Seen:
    """Each folder of runs counts once, by whichever path it is reached."""

    def __init__(self) -> None:
        self._identities: set[tuple[int, int]] = set()

    def is_new(self, workspace: Workspace) -> bool:
        identity = workspace.folder.identity
        if identity in self._identities:
            return False
        if identity is not None:
            self._identities.add(identity)
        return True


def chosen_workspaces(given: Sequence[Path] | None, *, everywhere: bool) -> list[Chosen]:
    """Those that were named, else the current one; `everywhere`: and all that this user has used.

    Not looked at yet: that takes as long as their disks take to respond.
    """
    used = [Workspace(root) for root in used_workspaces()] if everywhere else []
    return [*given, *used] if given else [None, *used]


def listed_runs(chosen: list[Chosen], *, everywhere: bool, archived: bool) -> ListedRuns:
    """Their runs as one list. Raises MedtuiError where one cannot be read, unless `everywhere`: then that is told."""

    def read(workspace: Workspace) -> tuple[Path, list[Packed], int]:
        refuse_unlisted(workspace.outputs)
        outputs = workspace.archive if archived else workspace.outputs
        packed = packed_rows(outputs)
        return outputs, packed, 0 if packed or archived else len(list_runs(workspace.archive))

    answers = _from_each(chosen, read)
    troubles = [one for one in answers if isinstance(one, MedtuiError)]
    if troubles and not everywhere:
        raise troubles[0]
    for error in troubles:
        print_error(f"medtui: {error}")
    ordered: list[tuple[str, RunRow]] = []
    for outputs, packed, _ in (found := [one for one in answers if not isinstance(one, MedtuiError)]):
        rows = unpacked(outputs, packed)
        ordered += [(order, run_row) for (order, *_), run_row in zip(packed, rows, strict=True)]
        if rows:
            remember_workspace(rows[0].workspace)
    if len(found) > 1:
        ordered.sort(key=lambda one: (one[0], one[1].run))
    n_archived = sum(n_archived for *_, n_archived in found)
    return ListedRuns([run_row for _, run_row in ordered], n_archived, len(found) > 1, troubles)


def find_in(chosen: list[Chosen], word: str) -> RunDirectory:
    """As `find_run`, in all of these. Raises UsageError, also where several have such a run, or OutputError."""
    from engine.contract.store.find_run import find_run  # slow, and a list of runs needs none

    workspaces = [one for one in map(_workspace, chosen) if one is not None]
    if len(workspaces) == 1:
        return find_run(workspaces[0].outputs, word)
    found: dict[Path, RunDirectory] = {}
    troubles: list[MedtuiError] = []
    for workspace in filter(Seen().is_new, workspaces):
        try:
            run = find_run(workspace.outputs, word)
        except MedtuiError as error:
            troubles.append(error)
        else:
            found[run.root] = run
    runs = [run for run in found.values() if run.name == word] or list(found.values())
    if word == "last":
        runs = sorted(runs, key=lambda run: (order_and_manifest(run) or ("", None))[0])[-1:]
    if len(runs) > 1:
        folders = ", ".join(str(run.root) for run in runs[:5])
        raise UsageError(Listing.SEVERAL_WORKSPACES, count=len(runs), word=shortened(word), folders=folders)
    if not runs:
        ambiguous = [error for error in troubles if error.code in (Runs.AMBIGUOUS_NAME.code, Runs.AMBIGUOUS_HASH.code)]
        raise (*ambiguous, UsageError(Listing.UNKNOWN_IN_ALL, count=len(workspaces), word=shortened(word)))[0]
    return runs[0]


def _from_each(chosen: list[Chosen], read: Callable[[Workspace], T]) -> list[T | MedtuiError]:
    """What is read of each, or why it could not be: one after the other in one child process, so that a disk that does
    not respond ends it; then each in one of its own."""

    def read_all(alive: Callable[[], None], those: list[Chosen]) -> list[T | MedtuiError]:
        answers: list[T | MedtuiError] = []
        seen = Seen()
        for one in those:
            alive()
            try:
                workspace = _workspace(one)
                if workspace is not None and seen.is_new(workspace):
                    answers.append(read(workspace))
            except MedtuiError as error:
                answers.append(error)
        return answers

    try:
        where = chosen[0] or "the workspace" if len(chosen) == 1 else "one of the workspaces"
        return run_with_timeout(partial(read_all, those=chosen), where)
    except DiskNotResponding as error:
        if len(chosen) == 1:
            return [error]
    answers: list[T | MedtuiError] = []
    for one in chosen:
        try:
            where = one.root if isinstance(one, Workspace) else one or "the workspace"
            answers += run_with_timeout(partial(read_all, those=[one]), where)
        except DiskNotResponding as error:
            answers.append(error)
    return answers


def _workspace(chosen: Chosen) -> Workspace | None:
    """None for one that is remembered, and holds no runs any more. Raises UsageError for one that was named."""
    if not isinstance(chosen, Workspace):
        return find_workspace(chosen)
    there = path_status(chosen.outputs)
    return chosen if there.is_there or there.trouble else None
