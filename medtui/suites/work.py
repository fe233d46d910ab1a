"""The work of a suite or of the queue as a value: its runs in order, and how far each is, folded from a journal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from engine.contract.machine.process_identity import ProcessIdentity

# pending: to be started or resumed. claimed: given a slot, no run directory yet. killed: by `medtui kill`
# submitted: a job of a scheduler does it, waits to do so, or is about to be submitted
State = Literal["pending", "submitted", "claimed", "running", "completed", "stopped", "aborted", "killed", "failed"]
ENDED: tuple[State, ...] = ("completed", "stopped", "aborted", "killed", "failed")
ENDED_ON_REQUEST: tuple[State, ...] = ("stopped", "aborted", "killed")
Event = dict[str, Any]
_NUMBER = re.compile("[0-9]{1,9}")  # of an entry; in a suite an id is a longer hash


@dataclass(frozen=True)
class Submission:
    """Runs that were given to a scheduler together."""

    name: str  # the scheduler knows its jobs by it
    scheduler: str  # `slurm`, or `local`
    submitter: ProcessIdentity | None  # who asks, or asked, the scheduler
    at: float  # Unix seconds


@dataclass(frozen=True)
class Item:
    """One run of a suite or queue."""

    id: str  # in a suite the hash of its recipe, in the queue a number
    label: str
    recipe: Mapping[str, Any]  # sections of fields
    folder: str | None = None  # what relative paths are below
    data: tuple[str, ...] = ()  # folders to search first for data set files
    offline: bool = False
    state: State = "pending"
    run: str | None = None  # the name of its directory
    slot: int | None = None
    runner: str | None = None  # id of the runner that claimed it
    crashes: int = 0  # deaths of its engine in a row without progress
    at: tuple[int, int] | None = None  # epoch and step that were saved at the last of them
    after: str | None = None  # id of the engine that its run had before it was claimed
    kill_asked: bool = False  # by `medtui kill`
    with_all: bool = False  # it was ended together with all other runs, by a request to the runner
    pruned: int | None = None  # of a search: the epoch after which it was judged; 0 where another run of its trial was
    detail: str = ""  # why it ended so
    submission: Submission | None = None  # of a run that is submitted
    job: str | None = None  # the scheduler's id; None until that has answered
    log: str | None = None  # the file with the output of its newest job

    def values(self) -> Event:
        """As the journal has a new one."""
        plan = {"id": self.id, "label": self.label, "recipe": dict(self.recipe), "data": list(self.data)}
        return plan | {"folder": self.folder, "offline": self.offline}

    @property
    def over(self) -> bool:
        return self.state in ENDED

    @property
    def can_be_retried(self) -> bool:
        return self.state in ("failed", *ENDED_ON_REQUEST)


def item_from(values: Any) -> Item:
    """Raises ValueError, KeyError or TypeError for what is none."""
    recipe, folder = values["recipe"], values.get("folder")
    if not isinstance(recipe, dict):
        raise TypeError("a recipe is an object")
    data = tuple(str(one) for one in values.get("data") or [])
    folder = None if folder is None else str(folder)
    return Item(str(values["id"]), str(values["label"]), recipe, folder, data, bool(values.get("offline", False)))


@dataclass
class Work:
    """Every run in its order. `apply` is total: what an event names that is not there is passed over."""

    items: dict[str, Item] = field(default_factory=dict)
    planned: bool = False  # was a plan written?
    added: int = 0  # of the queue: the highest number that any line names, be its entry lost or gone
    asked: dict[str, str] = field(default_factory=dict)  # by a runner's id: to `finish`, `stop` or `abort`
    template: Event = field(default_factory=dict)  # what its newest jobs were asked for with
    scheduler: str | None = None  # that it was last submitted to
    definition: Event = field(default_factory=dict)  # of a search: what its runs are asked for by
    unreadable: list[int] = field(default_factory=list, compare=False)  # lines of its journal, from 1

    def apply(self, event: Any) -> bool:
        """One more event of the journal; false where that is none."""
        if not isinstance(event, dict) or not isinstance(event.get("event"), str):
            return False
        self.count(event.get("id"))
        try:
            self._apply(event)
        except KeyError:
            return event["event"] not in ("planned", "added")  # the others may name what is not there
        except (IndexError, AttributeError, TypeError, ValueError, OverflowError):  # damaged, or not to be trusted
            return False
        return True

    def count(self, id_: Any) -> None:
        """No later entry of the queue may have this number."""
        if isinstance(id_, str) and _NUMBER.fullmatch(id_):
            self.added = max(self.added, int(id_))

    def _apply(self, event: Event) -> None:
        match event.get("event"):
            case "planned":
                planned = [item_from(one) for one in event["items"]]
                self.items = {one.id: self._known(one) for one in planned}
                self.planned = True
            case "added":
                item = item_from(event["item"])
                self.items.setdefault(item.id, item)
                self.count(item.id)
            case "removed":
                if self.items[event["id"]].state == "pending":
                    del self.items[event["id"]]
            case "moved":
                self._move(str(event["id"]), int(event["to"]))
            case "claimed":
                given = {"slot": int(event["slot"]), "runner": str(event["runner"]), "after": event.get("after")}
                self._change(event, state="claimed", kill_asked=False, detail="", **given)
            case "started":
                self._change(event, state="running", run=_run_name(event["run"]))
            case "released":
                self._change(event, state="pending", **_NOBODYS)
                self._leave_out(event["id"])
            case "submitting":
                self._submit(event)
            case "submitted":
                for id_, (job, log) in event["jobs"].items():
                    if id_ in self.items and self.items[id_].state == "submitted":
                        self._change({"id": id_}, job=str(job), log=str(log))
            case "located":
                self._change(event, run=_run_name(event["run"]))
            case "interrupted":
                self._interrupt(event)
            case "ended":
                outcome = event["outcome"]
                if outcome not in get_args(State) or outcome not in ENDED:
                    raise ValueError(outcome)
                run = _run_name(event["run"]) if event.get("run") else self.items[event["id"]].run
                detail, with_all = str(event.get("detail", "")), bool(event.get("with_all", False))
                given = {**_NOBODYS, "detail": detail, "with_all": with_all}
                self._change(event, state=outcome, run=run, **given)
            case "asked":
                self.asked[str(event["runner"])] = str(event["what"])
            case "kill_asked":
                for one in self.of("claimed", "running"):
                    if one.run == event["run"]:
                        self.items[one.id] = replace(one, kill_asked=True)
            case "retried":
                for one in event["ids"]:
                    if one in self.items and self.items[one].over:
                        again = {"state": "pending", "crashes": 0, "at": None, "detail": "", "pruned": None}
                        self.items[one] = replace(self.items[one], **again)  # type: ignore[arg-type]
            case "defined":
                self.definition = dict(event["definition"])
            case "pruned":
                for one, epoch in ((event["id"], int(event["epoch"])), *((other, 0) for other in event["others"])):
                    if one in self.items:
                        self.items[one] = replace(self.items[one], pruned=epoch)
                        self._leave_out(one)

    def _known(self, item: Item) -> Item:
        """A planned run that was planned before keeps its state."""
        before = self.items.get(item.id)
        if before is None:
            return item
        plan = {"label": item.label, "recipe": item.recipe, "folder": item.folder}
        return replace(before, **plan, data=item.data, offline=item.offline)  # type: ignore[arg-type]

    def _change(self, event: Event, **what: Any) -> None:
        self.items[event["id"]] = replace(self.items[event["id"]], **what)

    def _interrupt(self, event: Event) -> None:
        item = self.items[event["id"]]
        at = None if event.get("at") is None else (int(event["at"][0]), int(event["at"][1]))
        crashes = item.crashes + 1 if at == item.at else 1
        self._change(event, state="pending", **_NOBODYS, crashes=crashes, at=at)
        self._leave_out(item.id)

    def _submit(self, event: Event) -> None:
        name, scheduler = str(event["name"]), str(event["scheduler"])
        submission = Submission(name, scheduler, _process(event.get("submitter")), float(event.get("time", 0)))
        for id_ in event["ids"]:
            if id_ in self.items and self.items[id_].state == "pending":
                self._change({"id": id_}, state="submitted", detail="", submission=submission, job=None, log=None)
        self.scheduler, self.template = submission.scheduler, dict(event.get("template") or {})

    def _leave_out(self, id_: str) -> None:
        """A run that was pruned is not begun, and not resumed."""
        item = self.items[id_]
        if item.pruned is None or item.state != "pending":
            return
        if item.run is None and item.pruned == 0:
            del self.items[id_]
        else:
            self.items[id_] = replace(item, state="stopped")

    def _move(self, id_: str, to: int) -> None:
        """To this place, from 1, among those that are not over."""
        item = self.items.pop(id_)
        order = list(self.items.values())
        waiting = [at for at, one in enumerate(order) if one.state == "pending"]
        at = waiting[to - 1] if 0 < to <= len(waiting) else len(order)
        order.insert(at, item)
        self.items = {one.id: one for one in order}

    # ---- questions ---------------------------------------------------------------------------------------------------

    @property
    def next(self) -> Item | None:
        """The run to start next: one that was interrupted before the others."""
        pending = [item for item in self.items.values() if item.state == "pending"]
        return next((item for item in pending if item.run is not None), pending[0] if pending else None)

    def of(self, *states: State) -> list[Item]:
        return [item for item in self.items.values() if item.state in states]

    def counts(self) -> dict[State, int]:
        """How many runs are in each state; those with none are left out."""
        found = {state: len(self.of(state)) for state in get_args(State)}
        return {state: count for state, count in found.items() if count}


_NOBODYS: Event = {"slot": None, "runner": None, "submission": None, "job": None}


def _run_name(name: Any) -> str:
    """Of a folder in `outputs/`, and nothing that leads elsewhere. Raises ValueError for another."""
    if not isinstance(name, str) or not name.isprintable() or "/" in name or name[:1] in ("", "."):
        raise ValueError(name)
    return name


def _process(values: Any) -> ProcessIdentity | None:
    if not isinstance(values, dict):
        return None
    return ProcessIdentity(int(values["pid"]), float(values["started"]), str(values["host"]), str(values["boot"]))


def replayed(events: Iterable[Any]) -> Work:
    work = Work()
    for event in events:
        work.apply(event)
    return work
