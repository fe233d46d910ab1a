"""The journal of a suite: whatever is torn at whatever moment, nothing that was written is lost, and replay agrees."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.contract.files.folders import Folder
from engine.contract.wire.errors import OutputError
from medtui.sentences import Suites
from medtui.suites.journal import WorkJournal
from medtui.suites.work import Work, replayed

IDS = ["a", "b", "c"]
ids = st.sampled_from([*IDS, "gone"])
item = st.builds(lambda id_: {"id": id_, "label": id_, "recipe": {}, "data": []}, st.sampled_from(IDS))
outcome = st.sampled_from(["completed", "failed", "stopped", "aborted", "killed", "running", "nonsense"])
Build = st.SearchStrategy[dict[str, Any]]


def event(name: str, **fields: st.SearchStrategy[Any]) -> Build:
    return st.fixed_dictionaries({"event": st.just(name), **fields})


events: Build = st.one_of(
    event("planned", items=st.lists(item, max_size=3)),
    event("added", item=item),
    event("removed", id=ids),
    event("moved", id=ids, to=st.integers(-1, 5)),
    event("claimed", id=ids, slot=st.integers(1, 3), runner=st.just("r")),
    event("started", id=ids, run=st.sampled_from(["run1", "run2"])),
    event("released", id=ids),
    event("interrupted", id=ids, at=st.one_of(st.none(), st.tuples(st.integers(0, 3), st.integers(0, 3)))),
    event("ended", id=ids, outcome=outcome, run=st.sampled_from(["run1", None])),
    event("retried", ids=st.lists(ids, max_size=3)),
    event("pruned", id=ids, epoch=st.integers(0, 3), others=st.lists(ids, max_size=2)),
    event("defined", definition=st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)),
    event("kill_asked", run=st.sampled_from(["run1", "run2"])),
    event("unheard"),
)
damage = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=5), one, max_size=3),
    max_leaves=5,
)


def journal(folder: Path) -> WorkJournal:
    return WorkJournal(Folder(folder).file("journal.jsonl"))


ADDED: dict[str, Any] = {"event": "added", "item": {"id": "c", "label": "c", "recipe": {}, "data": []}}


@given(st.lists(events, max_size=15), st.integers(0, 9999), st.lists(events, max_size=5))
@example([ADDED], 1, [{"event": "unheard"}])
@settings(max_examples=60, deadline=None)
def test_a_crash_in_any_write_loses_that_event_and_no_other(
    tmp_path_factory: pytest.TempPathFactory,
    written: list[dict[str, Any]],
    missing: int,
    later: list[dict[str, Any]],
) -> None:
    """The file is cut at any byte, as by a kill; another writer continues, and who reads sees what both wrote."""
    folder = tmp_path_factory.mktemp("journal")
    writer = journal(folder)
    for one in written:
        writer.write(one)
    assert writer.work == replayed(written)
    file = folder / "journal.jsonl"
    content = file.read_bytes() if file.exists() else b""
    content = content[: len(content) - missing % (len(content) + 1)]
    file.write_bytes(content)
    kept = written[: content.count(b"\n")]
    after = journal(folder)
    assert after.work == replayed(kept)
    for one in later:
        after.write(one)
    assert after.work == journal(folder).work == replayed([*kept, *later])


@given(st.lists(st.one_of(events, damage), max_size=10))
@settings(max_examples=25, deadline=None)
def test_a_damaged_journal_stops_nobody(lines: list[Any]) -> None:
    work = replayed(lines)
    work.counts()
    assert work.next is None or work.next.state == "pending"


PLANNED = {"event": "added", "item": {"id": "1", "label": "one", "recipe": {}, "data": []}}
CLAIMED = {"event": "claimed", "id": "1", "slot": 1, "runner": "r"}


@pytest.mark.parametrize(
    "damaged",
    [
        {"event": "interrupted", "id": "1", "at": [1]},
        {"event": "submitted", "jobs": [1]},
        {"event": "ended", "id": "1", "outcome": "failed", "run": {"a": 1}},
        {"event": "started", "id": "1", "run": "../../other/outputs/run"},
        {"event": "started", "id": "1", "run": ""},
        {"event": "started", "id": "1", "run": ".."},
        {"event": "started", "id": "1", "run": "a\0b"},
        {"event": "located", "id": "1", "run": "\ud800"},
        {"event": "pruned", "id": "1", "epoch": 1, "others": 3},
        {"event": "moved", "id": "1", "to": "first"},
        {"event": "defined", "definition": 3},
    ],
    ids=str,
)
def test_an_event_with_another_value_than_there_can_be_is_passed_over_and_counted(damaged: dict[str, Any]) -> None:
    before, after = replayed([PLANNED, CLAIMED]), replayed([PLANNED, CLAIMED])
    assert not after.apply(damaged)
    assert after.items == before.items


@given(st.lists(events, max_size=8), events, st.data())
@settings(max_examples=100, deadline=None)
def test_a_damaged_field_stops_nobody_and_names_no_other_folder(
    written: list[dict[str, Any]], one: dict[str, Any], data: st.DataObject
) -> None:
    field = data.draw(st.sampled_from(sorted(set(one) - {"event"}) or ["id"]))
    work = replayed([*written, {**one, field: data.draw(damage | st.text())}, *written])
    work.counts()
    assert all(item.run is None or Path("outputs", item.run).parent == Path("outputs") for item in work.items.values())


@pytest.mark.parametrize("loss", ["removed", "cut", "replaced"])
def test_a_journal_that_is_lost_while_it_is_in_use_is_an_error_and_is_not_begun_again(
    tmp_path: Path, loss: str
) -> None:
    used, file = journal(tmp_path), tmp_path / "journal.jsonl"
    used.write(PLANNED)
    if loss == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif loss == "removed":
        file.unlink()
    else:
        (tmp_path / "copy").write_bytes(file.read_bytes())
        (tmp_path / "copy").replace(file)
    assert used.was_replaced
    for use in (used.refresh, lambda: used.write(CLAIMED)):
        with pytest.raises(OutputError) as error:
            use()
        assert error.value.code == Suites.REPLACED.code
    assert file.exists() == (loss != "removed")
    assert b"claimed" not in (file.read_bytes() if file.exists() else b"")


def test_two_readers_of_a_growing_journal_agree_with_its_writers(tmp_path: Path) -> None:
    """Four threads, each with a journal of its own, add a hundred entries: each is there once, in one order."""
    start = journal(tmp_path)
    reader = journal(tmp_path)

    def add(name: int) -> None:
        own = journal(tmp_path)
        for _ in range(25):
            with own.writing() as writer:
                id_ = str(writer.work.added + 1)
                writer.add({"event": "added", "item": {"id": id_, "label": f"{name}", "recipe": {}, "data": []}})

    threads = [threading.Thread(target=add, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        reader.refresh()
    for thread in threads:
        thread.join()
    reader.refresh()
    start.refresh()
    assert list(reader.work.items) == list(start.work.items) == [str(number) for number in range(1, 101)]


def test_an_interrupted_run_comes_first_and_gives_up_only_without_progress() -> None:
    items = [{"id": id_, "label": id_, "recipe": {}, "data": []} for id_ in IDS]
    work = replayed([{"event": "planned", "items": items}])
    assert work.next is not None and work.next.id == "a"
    for at in ([1, 5], [2, 6], [2, 6], [2, 6]):
        work.apply({"event": "claimed", "id": "b", "slot": 1, "runner": "r"})
        work.apply({"event": "started", "id": "b", "run": "run1"})
        work.apply({"event": "interrupted", "id": "b", "at": at})
    assert (work.next.id, work.items["b"].crashes, work.items["b"].run) == ("b", 3, "run1")


def test_a_plan_that_is_written_again_keeps_the_states_of_its_runs() -> None:
    def plan(*ids: str) -> dict[str, Any]:
        return {"event": "planned", "items": [{"id": id_, "label": id_, "recipe": {}, "data": []} for id_ in ids]}

    work = replayed([plan("a", "b"), {"event": "ended", "id": "b", "outcome": "completed", "run": "run1"}])
    work.apply(plan("c", "b"))
    assert [(one.id, one.state, one.run) for one in work.items.values()] == [
        ("c", "pending", None),
        ("b", "completed", "run1"),
    ]


def test_places_in_the_queue_count_what_waits() -> None:
    added = [{"event": "added", "item": {"id": id_, "label": id_, "recipe": {}}} for id_ in "1234"]
    ended = {"event": "ended", "id": "1", "outcome": "completed", "run": "r"}
    work = replayed([*added, ended, {"event": "moved", "id": "4", "to": 1}])
    assert list(work.items) == ["1", "4", "2", "3"]
    work.apply({"event": "moved", "id": "4", "to": 99})
    assert list(work.items) == ["1", "2", "3", "4"]
    work.apply({"event": "removed", "id": "1"})
    work.apply({"event": "removed", "id": "2"})
    assert list(work.items) == ["1", "3", "4"] and work.added == 4


def test_a_journal_that_cannot_be_written_is_an_error_in_one_sentence(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "journal.jsonl")
    with pytest.raises(OutputError):
        journal(tmp_path)
    (tmp_path / "journal.jsonl").unlink()
    (tmp_path / "journal.jsonl").write_text(json.dumps({"event": "added"}) + "\n[]\n\x00\n")
    assert journal(tmp_path).work == Work()
