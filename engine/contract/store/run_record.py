"""A run as its files describe it, read in one way everywhere: from whatever of them is complete.

The journal is the truth. `status.json` says the same and sooner, where its engine lives or has written its last one;
`manifest.json` adds what was found out before training. Any of them may be missing, damaged or untrusted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal

from engine.contract.files.folders import File
from engine.contract.files.inspection import age, untrusted_entry
from engine.contract.files.paths import is_link
from engine.contract.machine.process_identity import ProcessIdentity
from engine.contract.store.journal import describe_damage, looks_complete, read_journal
from engine.contract.store.lacking import describe_lacking, why_unread
from engine.contract.store.run_directory import RunDirectory, read_object
from engine.contract.store.starting_weights import starting_weights
from engine.contract.store.status import RunSummary, Status, fold_summary, read_status
from engine.contract.wire.errors import RecipeError
from engine.contract.wire.protocol import AnyEvent, Hello, parse_event
from engine.contract.wire.resolved import Resolved

if TYPE_CHECKING:
    from engine.contract.recipe.recipe import Recipe

UNNAMED = "somebody"
_LAST = 65_536  # bytes at the end of a journal, more than its last line has
FRESH = 15.0  # seconds without a heartbeat, after which an engine that cannot be seen from here is not seen


@dataclass(frozen=True)
class RunRecord:
    run: RunDirectory
    manifest: dict[str, Any] | None  # None: missing or damaged
    status: Status | None  # likewise
    summary: RunSummary
    engine: ProcessIdentity | None  # of its newest attempt
    engine_id: str | None  # likewise, in the protocol
    damage: tuple[str, ...]  # what of it cannot be read or trusted, each in a few words

    @property
    def alive(self) -> bool | None:
        """Does its engine live? None where that cannot be known: another host or boot."""
        return self.engine.is_alive() if self.engine is not None else False

    @property
    def weights(self) -> str | None:
        """What it started from. The manifest says it too, also of runs whose status file does not."""
        return self.summary.weights or starting_weights((self.manifest or {}).get("decisions"))

    @property
    def outcome(self) -> str | None:
        """As its engine reported; `crashed` for one that ended without reporting; None while it runs, or may run."""
        if self.summary.outcome is not None:
            return self.summary.outcome
        return "crashed" if self.alive is False and self.engine is not None else None

    @property
    def killed_by(self) -> str | None:
        """Who killed its newest engine on request, before it could report its end; None where nobody did."""
        if self.outcome != "crashed" or self.engine is None:
            return None
        found = read_object(self.run.killed) or {}
        same = (found.get("pid"), found.get("started")) == (self.engine.pid, self.engine.started)
        return str(found.get("by", "")) or UNNAMED if same else None

    @property
    def state(self) -> str:
        """One word or so for a person: `completed`, `training`, `crashed`, or when it was last seen; `killed` for a run
        that crashed because somebody asked for that."""
        if self.outcome is not None:
            return "killed" if self.killed_by is not None else self.outcome
        if self.engine is None:  # nothing that identifies an engine can be read
            return "unreadable"
        if self.alive:
            return self.status.phase if self.status is not None else "running"
        seconds = age(self.run.status) if self.status is not None else None
        if seconds is not None and seconds <= FRESH:  # written each second while the engine lives
            return f"last seen {seconds:.0f} s ago"
        return format_last_seen(self.status.updated if self.status is not None else None)


def read_run(
    run: RunDirectory,
    scan: Literal["nothing", "links", "untrusted"] = "nothing",
    manifest: dict[str, Any] | None = None,
) -> RunRecord:
    """Never raises. `scan`: look through all of its files for `links` and the like, or for anything `untrusted`.

    `manifest`: where it was read just now.
    """
    manifest, status = manifest or read_object(run.manifest), read_status(run)
    identity, engine_id = _engine_of(status)
    if status is not None and (status.outcome is not None or (identity is not None and identity.is_alive())):
        summary = RunSummary(**{name: getattr(status, name) for name in RunSummary.model_fields})
    else:
        summary, hello = _from_journal(run)
        if hello is not None and (status is None or status.engine != hello.engine):
            identity = ProcessIdentity(hello.pid, hello.started, hello.host, hello.boot)
            engine_id = hello.engine
        worked = [seconds for seconds in (summary.worked, status.worked if status else None) if seconds is not None]
        summary = summary.model_copy(update={"worked": max(worked, default=None)})
    damage = tuple(_damage(run, manifest, status, scan))
    if scan != "nothing" and not is_link(run.root):
        damage += tuple(describe_lacking(run, summary))
    return RunRecord(run, manifest, status, summary, identity, engine_id, damage)


def resolved_of_run(record: RunRecord) -> tuple[Resolved | None, str | None]:
    """What the `auto`s of a run became, and its `resolved_hash`; of a run of an older medtui by manifest and recipe.

    None: not known. Never raises.
    """
    summary = record.summary
    if summary.resolved is not None or record.manifest is None:
        return summary.resolved, summary.resolved_hash
    from engine.contract.recipe.recorded import resolved_hash_of, resolved_of  # for runs of before alone, and slow

    recipe = own_recipe(record.run)
    resolved = resolved_of(record.manifest, recipe)
    return resolved, resolved_hash_of(record.manifest, recipe) if recipe is not None else None


def own_recipe(run: RunDirectory) -> Recipe | None:
    """The run's own; None when it cannot be read."""
    from engine.contract.recipe.reader import read_recipe  # slow, and lists of runs need no recipe

    try:
        return read_recipe(run.recipe)
    except RecipeError:
        return None


def format_last_seen(updated: float | None) -> str:
    """`not seen since 2026-11-26 01:23`."""
    if updated is None:
        return "never seen"
    return f"not seen since {time.strftime('%Y-%m-%d %H:%M', time.localtime(updated))}"


def _engine_of(status: Status | None) -> tuple[ProcessIdentity | None, str | None]:
    if status is None:
        return None, None
    return ProcessIdentity(status.pid, status.started, status.host, status.boot), status.engine


def _from_journal(run: RunDirectory) -> tuple[RunSummary, Hello | None]:
    """The summary, and the newest engine that introduced itself."""
    hello: Hello | None = None

    def fold(summary: RunSummary, event: AnyEvent) -> RunSummary:
        nonlocal hello
        if isinstance(event, Hello):
            hello = event
            summary = summary.model_copy(update={"outcome": None})  # a new attempt has begun
        return fold_summary(summary, event)

    try:
        return reduce(fold, read_journal(run.journal), RunSummary()), hello
    except OSError:
        return RunSummary(), None


def _damage(run: RunDirectory, manifest: dict[str, Any] | None, status: Status | None, scan: str) -> Iterator[str]:
    if is_link(run.root):
        yield f"{run.name} is a link, which is not followed"
        return
    for file, read in ((run.manifest, manifest is not None), (run.status, status is not None)):
        if not read:
            yield f"{file.name} is {why_unread(file)}"
    if not run.journal.is_regular:
        yield f"{run.journal.name} is {why_unread(run.journal)}"
    elif status is not None and status.seq and not _seems_complete(run.journal, status):
        yield f"{run.journal.name} is damaged"
    elif scan != "nothing" and (found := _damaged_lines(run.journal)):
        yield found
    if scan != "nothing":
        try:
            untrusted = untrusted_entry(run.folder.itself, kinds_only=scan == "links")
        except OSError as error:
            untrusted = str(error)
        if untrusted:
            yield untrusted


def _seems_complete(journal: File, status: Status) -> bool:
    """Does it begin with an event, and of a run that has reported its end, reach as far as its status file?

    By its ends alone.
    """
    try:
        with journal.reading() as opened:
            if opened.read(1) != b"{":
                return False
            if status.outcome is None:  # a kill may have torn the last line, or its engine be writing it
                return True
            opened.seek(max(0, opened.seek(0, 2) - _LAST))
            last = opened.read()
    except OSError:
        return False
    return last.endswith(b"\n") and _seq_of(last[:-1].rpartition(b"\n")[2]) >= status.seq


def _damaged_lines(journal: File) -> str:
    """In words; "" where there are none, or it cannot be read, which the caller reports."""
    try:
        return "" if looks_complete(journal) else describe_damage(journal)
    except OSError:
        return ""


def _seq_of(line: bytes) -> int:
    """Of an event; 0 of what is none."""
    event = parse_event(line)
    return event.seq or 0 if event is not None else 0
