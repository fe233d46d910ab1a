"""Where suites, searches and the queue are kept: a folder each below `outputs/suites/`, which holds the journal."""

from __future__ import annotations

from dataclasses import dataclass

from engine.contract.files.file_system import remedy_for_writing
from engine.contract.files.folders import File
from engine.contract.recipe.names import alternatives
from engine.contract.sentences import RunsFolder
from engine.contract.store.lock import Holder, LockState, slot_locks
from engine.contract.store.run_directory import (
    ARCHIVE,
    SEARCHES,
    SUITES,
    RunDirectory,
    list_runs_and_manifests,
    mark_of,
    read_object,
)
from engine.contract.store.run_record import read_run
from engine.contract.store.slots import LOCKS
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import OutputError, UsageError
from engine.contract.wire.text import shortened
from medtui.sentences import Searches, Suites
from medtui.suites.job_record import JOBS
from medtui.suites.journal import WorkJournal
from medtui.suites.work import Work

QUEUE = ".queue"  # no suite's name begins with a dot
QUEUE_OWNER = "the queue"


@dataclass(frozen=True)
class Store:
    """Of one suite, of one search, or of the queue."""

    workspace: Workspace
    name: str
    is_search: bool = False

    @property
    def kind(self) -> str:
        """As the command line names it."""
        return "queue" if self.name == QUEUE else "search" if self.is_search else "suite"

    @property
    def owner(self) -> str:
        """As the lock names it."""
        return QUEUE_OWNER if self.name == QUEUE else f"{self.kind} {self.name}"

    @property
    def folder(self) -> File:
        return self.workspace.folder.file(f"{_folder(self.is_search)}/{self.name}")

    @property
    def journal_file(self) -> File:
        return self.folder / "journal.jsonl"

    @property
    def search_lock_file(self) -> File:
        """Held by what works on a search (`search_lock.py`)."""
        return self.folder / "search.lock"

    @property
    def start_command(self) -> str:
        return "medtui queue start" if self.name == QUEUE else f"medtui {self.kind} resume {self.name}"

    @property
    def status_command(self) -> str:
        return "medtui queue list" if self.name == QUEUE else f"medtui {self.kind} status"

    def continue_command(self, work: Work) -> str:
        """The same, for a suite that may be on a cluster."""
        return f"{self.start_command} --on {work.scheduler}" if work.scheduler is not None else self.start_command

    def journal(self) -> WorkJournal:
        """Raises OutputError."""
        return WorkJournal(self.journal_file)

    @property
    def jobs_folder(self) -> File:
        return self.folder / JOBS

    def job_record(self, item: str) -> File:
        return self.jobs_folder / f"{item}.json"

    def make(self) -> WorkJournal:
        """The journal, its folder made where it is missing. Raises OutputError."""
        self.workspace.make_outputs()
        above = (self.workspace.folder.file(name) for name in dict.fromkeys((SUITES, _folder(self.is_search))))
        self._make_folders(*above, self.folder)
        return self.journal()

    def make_for_jobs(self) -> WorkJournal:
        """As `make`, with what a scheduler's jobs need. Raises OutputError."""
        journal = self.make()
        self._make_folders(self.jobs_folder, self.folder / LOCKS)
        return journal

    def _make_folders(self, *folders: File) -> None:
        try:
            for folder in folders:
                folder.make_folder(exist_ok=True)
        except OSError as error:
            reason, remedy = error.strerror, remedy_for_writing(error)
            raise OutputError(RunsFolder.NOT_CREATED, folder=folder, reason=reason, remedy=remedy) from None

    def runner(self) -> Holder | None:
        """The runner that works on it now."""
        return self.runner_in(LockState.read(self.workspace.lock_file))

    def coordinator(self) -> Holder | None:
        """What submits its jobs now; None of a suite, and of a search that a runner of this machine works on."""
        if not self.is_search or self.runner() is not None:
            return None
        return LockState.read(self.search_lock_file).holder

    def worker(self) -> Holder | None:
        """The runner, or the coordinator, that works on it now."""
        return self.runner() or self.coordinator()

    def orphans(self) -> list[Holder]:
        """Engines of its that train although their runner is gone."""
        if self.runner() is not None:
            return []
        holders = (LockState.read(file).holder for file in slot_locks(self.workspace.folder))
        return [one for one in holders if one is not None and one.owner == self.owner]

    def runner_in(self, state: LockState) -> Holder | None:
        """Its runner, where that holds the workspace."""
        holder = state.holder
        return holder if holder is not None and holder.is_runner and holder.owner == self.owner else None


def _folder(of_searches: bool) -> str:
    return f"{SUITES}/{SEARCHES}" if of_searches else SUITES


def named_by(owner: str) -> str | None:
    """The suite, or the queue, that a lock calls by `Store.owner`; None of a search, or of what somebody made up."""
    if owner == QUEUE_OWNER:
        return QUEUE
    kind, _, name = owner.partition(" ")
    return name if kind == "suite" and name and "/" not in name else None


def queue_of(workspace: Workspace) -> Store:
    return Store(workspace, QUEUE)


def suites_of(workspace: Workspace, *, searches: bool = False) -> list[Store]:
    """Suites, or searches, by name. Raises OutputError."""
    folder = workspace.folder.file(_folder(searches))
    try:
        names = folder.names()
    except OSError as error:
        raise OutputError(Suites.UNREADABLE, path=folder, reason=error.strerror) from None
    stores = [Store(workspace, name, searches) for name in names if not name.startswith(".")]
    return [store for store in stores if store.journal_file.is_regular]


def find_suite(workspace: Workspace, name: str | None, *, search: bool = False) -> Store:
    """The suite, or search, that is named; without a name the one that is worked on, or the only one.

    Raises UsageError.
    """
    stores = suites_of(workspace, searches=search)
    if not stores:
        raise UsageError(Searches.NO_SEARCHES if search else Suites.NO_SUITES, folder=workspace.outputs)
    if name is not None:
        if (found := next((store for store in stores if store.name == name), None)) is not None:
            return found
        kind = stores[0].kind
        instead = alternatives(kind, name, [store.name for store in stores])
        given = {"kind": kind, "found": shortened(name), "folder": workspace.outputs, "alternatives": instead}
        raise UsageError(Suites.UNKNOWN, **given)
    running = [store for store in stores if store.worker() is not None]
    if len(found_ones := running or stores) == 1:
        return found_ones[0]
    names = ", ".join(store.name for store in stores[:10])
    raise UsageError(Suites.SEVERAL, count=len(stores), kinds="searches" if search else "suites", names=names)


def find_live(workspace: Workspace, name: str | None, *, search: bool = False) -> Store:
    """As `find_suite`, for what ends runs: without a name the one of several that has any. Raises UsageError."""
    stores = suites_of(workspace, searches=search)
    if name is not None or len(stores) < 2:
        return find_suite(workspace, name, search=search)
    live = [one for one in stores if one.worker() or one.orphans() or one.journal().work.of("submitted")]
    if len(live) == 1:
        return live[0]
    kinds = "searches" if search else "suites"
    if not live:
        raise UsageError(Suites.NONE_LIVE, count=len(stores), kinds=kinds, kind=stores[0].kind)
    raise UsageError(Suites.SEVERAL, count=len(live), kinds=f"live {kinds}", names=", ".join(one.name for one in live))


def run_directory(workspace: Workspace, name: str) -> RunDirectory:
    """A run of a suite, which may have been archived since."""
    archived = RunDirectory(workspace.outputs / ARCHIVE / name)
    run = RunDirectory(workspace.outputs / name)
    return archived if not run.folder.itself.is_folder and archived.folder.itself.is_folder else run


def runs_of(store: Store) -> dict[str, RunDirectory]:
    """The newest run that was started for each item of a suite, as manifests say. Reads those of the workspace."""
    marks = ((run, mark_of(manifest or {})) for run, manifest in list_runs_and_manifests(store.workspace.outputs))
    return {mark[1]: run for run, mark in marks if mark is not None and mark[0] == store.owner}


def newest_checkpoint(run: RunDirectory) -> tuple[int, int]:
    """What changes with every checkpoint: the epochs that are done, and when the newest was written."""
    found = run.last.info()
    return read_run(run).summary.epochs_done, found.st_mtime_ns if found is not None else 0


def store_of_run(run: RunDirectory, workspace: Workspace) -> Store | None:
    """The suite, or the queue, that a run belongs to, by its manifest."""
    mark = mark_of(read_object(run.manifest) or {})
    if mark is None:
        return None
    owner = mark[0]
    stores = [queue_of(workspace), *suites_of(workspace), *suites_of(workspace, searches=True)]
    return next((store for store in stores if store.owner == owner and store.journal_file.is_regular), None)


def note_kill(run: RunDirectory, workspace: Workspace) -> None:
    """The runner of its suite must not take the death of its engine for an accident, and resume it."""
    if (store := store_of_run(run, workspace)) is not None:
        store.journal().write({"event": "kill_asked", "run": run.name})
