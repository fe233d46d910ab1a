"""What of the cache must stay: for runs that can be resumed or evaluated, and for engines that work.

The one rule, for the console's Machine and for `medtui data prune`. Runs are those of the workspace, archived ones too,
and of each workspace of this machine in which an engine works; runs of other workspaces are not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from engine.contract.data.card import read_card
from engine.contract.data.sums import cache_folder
from engine.contract.files.folders import Folder
from engine.contract.machine.engines import RunningEngine, mapped_files, running_engine
from engine.contract.machine.process_identity import pids
from engine.contract.store.lock import LockState
from engine.contract.store.run_directory import RunDirectory, list_runs
from engine.contract.store.run_record import RunRecord, read_run, resolved_of_run
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import MedtuiError
from medtui.machine.caches import OWN_SPLITS, DecodedCopy, decoded_copies

Cancelled = Callable[[], bool]
Reasons = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Needs:
    """What must stay, and why. By MD5, fingerprint, or key of what is generated."""

    unfinished: Reasons = field(default_factory=dict)  # for runs that train, or can be resumed
    completed: Reasons = field(default_factory=dict)  # for runs that can be evaluated
    own: tuple[str, ...] = ()  # why all own images stay: it is not known which ones a run was trained on
    everything: tuple[str, ...] = ()  # why all of it stays: a run whose data are not known

    def __or__(self, other: Needs) -> Needs:
        return Needs(
            _joined(self.unfinished, other.unfinished),
            _joined(self.completed, other.completed),
            _distinct(self.own, other.own),
            _distinct(self.everything, other.everything),
        )

    def of(self, copies: Iterable[DecodedCopy]) -> list[DecodedCopy]:
        """The copies, each with why it stays. Pure."""
        copies = list(copies)
        splits = [copy for copy in copies if copy.key.startswith(OWN_SPLITS)]
        pools = [(copy.content, copy.images) for copy in splits if copy.content and copy.images]
        # images are kept under the digest of the images alone; a run, and its splits, have that of images and table
        unfinished = _joined(self.unfinished, *({images: self.unfinished.get(one, ())} for one, images in pools))
        completed = _joined(self.completed, *({images: self.completed.get(one, ())} for one, images in pools))

        def reasons(copy: DecodedCopy, known: Reasons) -> tuple[str, ...]:
            return _distinct(known.get(copy.content or "", ()), known.get(copy.key, ()))

        return [
            replace(
                copy,
                needed_by=_distinct(self.everything, reasons(copy, unfinished), self.own if copy.is_own else ()),
                completed_runs=reasons(copy, completed),
            )
            for copy in copies
        ]


def _joined(*found: Reasons) -> Reasons:
    names = dict.fromkeys(name for reasons in found for name in reasons)
    return {name: _distinct(*(reasons.get(name, ()) for reasons in found)) for name in names}


def _distinct(*found: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reason for reasons in found for reason in reasons))


# ---- of runs --------------------------------------------------------------------------------------------------------


def needs_of_run(record: RunRecord, *, may_begin: bool = False) -> Needs:
    """What one run was trained on. `may_begin`: it holds a lock, and may not have written yet what its data are."""
    reason = (f"{record.run.name}, {record.state}",)
    resolved, _ = resolved_of_run(record)
    data = resolved.data if resolved is not None else None
    if data is None:
        lives = record.outcome is None and (may_begin or record.alive is not False)
        return Needs(everything=reason) if lives else Needs()
    contents: Reasons = {data: reason}
    own: tuple[str, ...] = ()
    if ((record.manifest or {}).get("data") or {}).get("fingerprint"):
        card = read_card(record.run.metrics / "data_card.json")
        if card is not None:
            contents[card.fingerprint] = reason
        else:
            own = reason
    if record.outcome == "completed":
        return Needs(completed=contents)
    return Needs(unfinished=contents, own=own)


def needs_of_runs(workspace: Workspace, cancelled: Cancelled = lambda: False) -> Needs:
    """Of all runs of a workspace, those too that were archived. What cannot be listed has none."""
    needs = Needs()
    for outputs in (workspace.outputs, workspace.archive):
        for run in _listed(outputs):
            if cancelled():
                return needs
            needs |= needs_of_run(read_run(run))
    return needs


def _listed(outputs: Path) -> list[RunDirectory]:
    try:
        return list_runs(outputs)
    except (MedtuiError, OSError):
        return []


# ---- of engines -----------------------------------------------------------------------------------------------------


def needs_of_engines(workspace: Workspace) -> Needs:
    """Of every engine of this machine that holds a workspace and uses this cache; and of the one, anywhere, that holds
    this workspace."""
    needs = Needs()
    for there in (workspace, *_workspaces_in_use(workspace)):
        for lock in map(LockState.read, there.locks):  # engines whose runner is gone hold a slot's
            if lock.held is False:
                continue
            if lock.run is None:
                holder = str(lock) if lock.held else "a lock that cannot be read"
                return replace(needs, everything=(f"{holder} in {there.root}",))
            needs |= needs_of_run(read_run(RunDirectory(there.outputs / lock.run)), may_begin=True)
    return needs


def _workspaces_in_use(workspace: Workspace) -> Iterator[Workspace]:
    """Other workspaces in which engines work that use this cache."""
    roots = dict.fromkeys(Path(engine.root) for engine in _engines() if engine.root and _holds_one(engine))
    yield from (Workspace(root) for root in roots if root != workspace.root)


def _engines() -> Iterator[RunningEngine]:
    yield from (engine for pid in pids() if (engine := running_engine(pid)) is not None)


def _holds_one(engine: RunningEngine) -> bool:
    return engine.holds_lock is not False and _uses_this_cache(engine.pid)


def _uses_this_cache(pid: int) -> bool:
    """Does that engine use the same cache folder? True where its environment cannot be seen."""
    try:
        theirs = cache_folder(psutil.Process(pid).environ())
    except (psutil.Error, OSError):
        return True
    ours = cache_folder()
    found = Folder(ours).identity
    return theirs == ours or (found is not None and Folder(theirs).identity == found)


def mapped_keys() -> Reasons:
    """The copies that an engine of this machine maps now, by key, with which engine that is."""
    arrays = Folder(cache_folder() / "arrays").identity
    found: Reasons = {}
    for engine in _engines():
        for path in map(Path, mapped_files(engine.pid)):
            if path.suffix == ".npy" and arrays is not None and Folder(path.parent.parent).identity == arrays:
                found[path.parent.name] = (f"engine {engine.pid}, which reads it",)
    return found


# ---- of both --------------------------------------------------------------------------------------------------------


def with_needs(copies: Iterable[DecodedCopy], runs: Needs, workspace: Workspace) -> list[DecodedCopy]:
    """The copies, each with why it stays. `runs`: `needs_of_runs` of the workspace."""
    needs = runs | needs_of_engines(workspace)
    for other in _workspaces_in_use(workspace):
        needs |= needs_of_runs(other)
    return _with_readers(needs.of(copies))


def copies_and_needs(workspace: Workspace) -> list[DecodedCopy]:
    """What the cache holds, each with why it stays."""
    return with_needs(decoded_copies(), needs_of_runs(workspace), workspace)


def needed_by_engines(copy: DecodedCopy, workspace: Workspace) -> tuple[str, ...]:
    """Why it must stay right now: an engine may have begun since the copies were examined."""
    found = _with_readers(needs_of_engines(workspace).of([copy, *decoded_copies()]))
    return next((other.needed_by for other in found if other.key == copy.key), ())


def _with_readers(copies: list[DecodedCopy]) -> list[DecodedCopy]:
    readers = mapped_keys()
    return [replace(copy, needed_by=_distinct(copy.needed_by, readers.get(copy.key, ()))) for copy in copies]
