"""How far each run of a suite or of the queue is, by the journal and by the run's own files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.contract.store.run_directory import is_run
from engine.contract.store.run_record import RunRecord, read_run
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import ABORTED, COMPLETED, STOPPED, RunFailed
from medtui.sentences import Suites
from medtui.suites.store import Store, run_directory
from medtui.suites.work import ENDED_ON_REQUEST, Item, Work

_WORDS = {"pending": "waiting", "claimed": "starting"}  # of a state, where a person says another word than scripts
_LINES_SHOWN = 5  # of a damaged journal


@dataclass(frozen=True)
class ItemStatus:
    """One run. None is unknown, or has not been measured yet."""

    item: Item
    shown: str  # its state in a word: of one that lives what it does, `interrupted` of one that is to be resumed
    epochs_done: int | None = None
    epochs_planned: int | None = None
    validation_auc: float | None = None  # of the best epoch so far
    test_auc: float | None = None
    test_acc: float | None = None
    has_engine: bool = False  # of one that is submitted: as far as its files say

    @property
    def lives(self) -> bool:
        """Has it an engine, and a directory to be followed in?"""
        works = self.item.state == "running" or (self.item.state == "submitted" and self.has_engine)
        return works and self.item.run is not None

    @property
    def epochs(self) -> str:
        """`3/30`; empty where nothing is known."""
        return f"{self.epochs_done or 0}/{self.epochs_planned}" if self.epochs_planned else ""

    @property
    def auc(self) -> float | None:
        """Of the test split, once there is one."""
        return self.test_auc if self.test_auc is not None else self.validation_auc

    def values(self) -> dict[str, Any]:
        """For scripts."""
        item = self.item
        values: dict[str, Any] = {"id": item.id, "label": item.label, "state": item.state, "run": item.run}
        values |= {"detail": item.detail, "slot": item.slot, "shown": self.shown, "epochs": self.epochs or None}
        values |= {"job": item.job, "log": item.log}
        scores = {"validation_auc": self.validation_auc, "test_auc": self.test_auc, "test_acc": self.test_acc}
        return values | scores


def word_of(state: str) -> str:
    """For a person, of a run's state or of what is shown of it."""
    return _WORDS.get(state, state)


def status_of(item: Item, workspace: Workspace) -> ItemStatus:
    """Reads the files of its run."""
    if item.run is None:
        return ItemStatus(item, item.state)
    record = read_run(run_directory(workspace, item.run))
    found = record.summary
    shown: str = item.state
    if item.state in ("running", "pending") or (item.state == "submitted" and found.outcome is None):
        shown = _shown(record)
    if item.state == "pending" and record.alive is not True:
        shown = "interrupted" if _is_interrupted(item, workspace) else "pending"
    if item.pruned is not None and item.over:
        shown = "pruned"
    return ItemStatus(
        item,
        shown,
        epochs_done=found.epochs_done,
        epochs_planned=found.epochs_planned,
        validation_auc=found.validation.auc if found.validation else None,
        test_auc=found.test.auc if found.test is not None else None,
        test_acc=found.test.acc if found.test is not None else None,
        has_engine=record.alive is True or _is_seen(record),
    )


def _shown(record: RunRecord) -> str:
    """A word; of an engine on another host, whose heartbeat is fresh, the phase that it is in."""
    if _is_seen(record) and record.status is not None:
        return record.status.phase
    if record.state.startswith("not seen"):
        return "not seen"
    return {"crashed": "interrupted"}.get(record.state, record.state)[:11]


def _is_seen(record: RunRecord) -> bool:
    """Has its engine, on another host, a fresh heartbeat?"""
    return record.alive is None and record.outcome is None and record.state.startswith("last seen")


def statuses_of(items: Iterable[Item], workspace: Workspace) -> list[ItemStatus]:
    return [status_of(item, workspace) for item in items]


def as_queued(found: ItemStatus) -> ItemStatus:
    """In a list of the queue: what was ended together with it is to be resumed, unlike what was stopped alone."""
    continues = found.item.with_all and found.item.state in ENDED_ON_REQUEST
    return replace(found, shown="interrupted") if continues else found


def status_values(store: Store, work: Work) -> dict[str, Any]:
    """As `--json` prints it."""
    holder = store.worker()
    runner = {"pid": holder.pid, "host": holder.host, "id": holder.engine} if holder is not None else None
    runs = [one.values() for one in statuses_of(work.items.values(), store.workspace)]
    return {"name": store.name, "runner": runner, "scheduler": work.scheduler, "counts": work.counts(), "runs": runs}


def describe_counts(work: Work, workspace: Workspace) -> str:
    """`12 runs: 10 completed, 1 interrupted, 1 failed.`, in the words of each run."""
    n = len(work.items)
    pruned = [item for item in work.items.values() if item.pruned is not None and item.over]
    left = {state: count - sum(item.state == state for item in pruned) for state, count in work.counts().items()}
    interrupted = sum(_is_interrupted(item, workspace) for item in work.items.values())
    counts = counts_text({**left, "pruned": len(pruned)}, interrupted)
    return f"{n} run{'s' * (n != 1)}: {counts}." if n else "No runs."


def counts_text(counts: Mapping[Any, int], interrupted: int) -> str:
    """`2 waiting, 1 interrupted, 3 completed`. `interrupted`: of those that wait, begun before."""
    words: dict[str, int] = {}
    for state, count in counts.items():
        if state == "pending":
            words |= {word_of(state): count - interrupted, "interrupted": interrupted}
        else:
            words[word_of(state)] = count
    return ", ".join(f"{count} {word}" for word, count in words.items() if count)


def _is_interrupted(item: Item, workspace: Workspace) -> bool:
    """Does it wait to be resumed? Its run may have been deleted."""
    return item.state == "pending" and item.run is not None and is_run(run_directory(workspace, item.run).root)


def describe_damage(store: Store, work: Work) -> str | None:
    """That its journal has lines that cannot be read; None where it has none."""
    if not (lines := work.unreadable):
        return None
    shown = ", ".join(str(line) for line in lines[:_LINES_SHOWN])
    more = f" and {len(lines) - _LINES_SHOWN:,} more" if len(lines) > _LINES_SHOWN else ""
    given = {"lines": f"line{'s' * (len(lines) > 1)} {shown}{more}", "path": store.journal_file}
    return " ".join(Suites.DAMAGED.text(**given))


def exit_code_of(work: Work, ended_before: Collection[str] = ()) -> int:
    """As of one run: the worst of what its runs came to. Of a search a trial may fail, and runs are pruned.

    `ended_before`: ids of entries of the queue that had ended before this start of it, and do not count.
    """
    counted = [item for id_, item in work.items.items() if id_ not in ended_before]
    states = {item.state for item in counted if item.pruned is None or not item.over}
    is_search = bool(work.definition)
    if "failed" in states and not (is_search and work.of("completed")):
        return RunFailed.exit_code
    if states & {"aborted", "killed"}:
        return ABORTED
    return COMPLETED if states <= {"completed", "failed"} else STOPPED
