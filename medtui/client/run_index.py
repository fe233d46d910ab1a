"""The list of runs, however many: rows of runs that are over are kept in an index, and read again where a file changed.

The index is a file in the cache folder, one for each workspace and user. It may be deleted or damaged at any time: its
first line says which code and Python wrote it and has the digest of the rest; what does not fit is made again.
The rest is in the form of `marshal`, which is read several times as quickly as JSON. A row is taken from it only while
the stamp of everything that it was made of (`engine.contract.files.stamps`) is the same.
Rows that depend on more than files, as those of live runs do, are read each time, and so are those that tell of
damage.
"""

from __future__ import annotations

import contextlib
import json
import marshal
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import contract
from engine.contract.data.sums import cache_folder
from engine.contract.files.folders import File, Folder
from engine.contract.files.paths import absolute
from engine.contract.files.stamps import Stamper
from engine.contract.machine.process_identity import ProcessIdentity
from engine.contract.store.run_directory import RunDirectory, order_and_manifest, run_names
from engine.contract.wire.resolved import Resolved
from medtui.client.forks import shared_out
from medtui.client.labels import Labels
from medtui.client.run_row import RunRow

if TYPE_CHECKING:
    from engine.contract.store.run_record import RunRecord

SMALLEST = 50  # runs; fewer are read as quickly as an index of them
STAMPED_PER_PROCESS, READ_PER_PROCESS = 1000, 50  # runs that are worth one
LIMIT = 512 * 1024 * 1024  # bytes; a larger file is no index
FILES = ("manifest.json", "status.json", "events.jsonl", "labels.json", "killed.json")  # what a row is made of
_BY_FILES_ALONE = "-"
_LOADED = time.time_ns()
_APART = ("run", "run_dir", "resolved", "settings")  # of a row: not among the values of its entry
_NO_LABELS = Labels()
_VALUES = tuple(one.name for one in fields(RunRow) if one.name not in _APART)
_set_values = object.__setattr__  # of a frozen dataclass
# Order, name, `resolved` as JSON, and the other values; or the row itself, where it is not in the index
Packed = tuple[str, str, bytes, "bytes | RunRow"]
# A run in the index: what has to be the same for the row to count, and the row. Which names are stamped, each without
# that of the run that it begins with; the stamp; as JSON the engine whose death the row tells of, or `_BY_FILES_ALONE`;
# then as in `Packed`: order, `resolved`, the other values.
_Entry = tuple[tuple[str, ...], str, str, str, bytes, bytes]


def run_rows(outputs: Path) -> list[RunRow]:
    """Every run of a workspace, oldest first."""
    return unpacked(outputs, packed_rows(outputs))


def packed_rows(outputs: Path) -> list[Packed]:
    """The same in a form that one process passes on to another quickly, for `unpacked`."""
    names = run_names(outputs)
    if len(names) < SMALLEST:
        return _in_order(_unindexed(outputs, name) for name in names)
    try:
        stamper = Stamper(outputs)
    except OSError:
        return _in_order(_unindexed(outputs, name) for name in names)
    with stamper:
        return _IndexedRuns(outputs, stamper).read(names)


def unpacked(outputs: Path, packed: list[Packed]) -> list[RunRow]:
    known: dict[bytes, Resolved] = {}
    found = []
    for _, name, resolved, one in packed:
        if isinstance(one, RunRow):
            found.append(one)
            continue
        if resolved not in known:
            known[resolved] = Resolved.model_validate_json(resolved)
        found.append(_row(outputs, name, known[resolved], one))
    return found


def index_file(outputs: Path) -> File:
    """Of this user alone: in a cache that several share, none relies on what another wrote."""
    digest = blake2b(os.fsencode(absolute(outputs)), digest_size=16).hexdigest()
    return Folder(cache_folder()).file(f"runs/{digest}-{os.geteuid()}.index")


class _IndexedRuns:
    """One look at the runs of a workspace."""

    def __init__(self, outputs: Path, stamper: Stamper) -> None:
        self._outputs, self._stamper = outputs, stamper
        self._file = index_file(outputs)
        self._known = _read_index(self._file, outputs)  # by name
        self._kept: dict[str, _Entry] = {}

    def read(self, names: list[str]) -> list[Packed]:
        same = self._unchanged(names)
        others = [name for name in names if name not in same]
        began = self._stamper.began if others else 0
        read = shared_out(lambda part: [self._read(name, began) for name in part], others, READ_PER_PROCESS)
        self._kept |= {name: entry for name, (_, entry) in zip(others, read, strict=True) if entry is not None}
        found = _in_order([*same.values(), *(packed for packed, _ in read)])
        if self._kept != self._known:
            _write_index(self._file, self._outputs, self._kept)
        return found

    def _unchanged(self, names: list[str]) -> dict[str, Packed]:
        """Of the runs in the index, those of which everything that the row was made of is the same."""
        known = [(name, self._known[name]) for name in names if name in self._known]
        digests = shared_out(
            lambda part: [self._stamper.digest(name, parts) for name, (parts, *_) in part], known, STAMPED_PER_PROCESS
        )
        same: dict[str, Packed] = {}
        for (name, entry), digest in zip(known, digests, strict=True):
            _, stamp, engine, order, resolved, values = entry
            if digest == stamp and _still_holds(engine):
                same[name], self._kept[name] = (order, name, resolved, values), entry
        return same

    def _read(self, name: str, began: int) -> tuple[Packed | None, _Entry | None]:
        """The run, unless there is none any more; and what is kept of it in the index, unless it may not be.

        began: whatever changes later shows in the stamp, or makes it an unsettled one.
        """
        from engine.contract.store.run_record import read_run  # slow, and most runs are in the index
        from medtui.client.runs import row_of

        run = RunDirectory(self._outputs / name)
        parts = self._parts_of(name)
        stamp = self._stamper.stamp([name + part for part in parts])
        if stamp is None or not stamp.is_settled(began):
            return _unindexed(self._outputs, name), None
        listed = order_and_manifest(run)
        if listed is None:
            return None, None
        order, manifest = listed
        record = read_run(run, "links", manifest)
        engine = _decided_by(record)
        if engine is not None and engine != _BY_FILES_ALONE:
            record = read_run(run, "links", manifest)  # it may have died while the run was read
        row, entry = row_of(record), None
        if engine is not None and _shows_in_folders(row.damage) and row.resolved is not None:
            entry = _entry(parts, stamp.digest, engine, order, row)
        return (order, name, b"", row), entry

    def _parts_of(self, name: str) -> list[str]:
        """What a row is made of: all folders of the run, as a link in any of them is told, and files. None that may
        not be listed."""
        try:
            folders = [folder.removeprefix(name) for folder in self._stamper.folders(name)]
        except OSError:
            return [""]
        return [*folders, *(f"/{file}" for file in FILES if self._stamper.is_there(f"{name}/{file}"))]


def _unindexed(outputs: Path, name: str) -> Packed | None:
    from medtui.client.runs import read_run_row  # likewise

    run = RunDirectory(outputs / name)
    if (listed := order_and_manifest(run)) is None:
        return None
    order, manifest = listed
    return order, name, b"", read_run_row(run, manifest)


def _in_order(found: Iterable[Packed | None]) -> list[Packed]:
    return sorted((one for one in found if one is not None), key=lambda one: one[:2])


def _still_holds(engine: str) -> bool:
    """Is the engine whose death a row tells of dead, as far as this machine can see?"""
    return engine == _BY_FILES_ALONE or ProcessIdentity(*json.loads(engine)).is_alive() is False


def _decided_by(record: RunRecord) -> str | None:
    """What a run's row depends on besides its files: nothing, or the death of an engine of this machine.

    None: on more, such as who else can see its engine, its recipe and what that names, or a clock.
    """
    from medtui.client.runs import recorded_seed_and_lr  # likewise

    status = record.status
    if status is None or record.summary.resolved is None or recorded_seed_and_lr(record) is None:
        return None
    if status.outcome is not None and status.outcome != "crashed":
        return _BY_FILES_ALONE
    identity, same = record.engine, (status.engine == record.engine_id)
    if identity is None or not same or identity.is_alive() is not False:
        return None
    return json.dumps([identity.pid, identity.started, identity.host, identity.boot])


def _shows_in_folders(damage: tuple[str, ...]) -> bool:
    """Can it not end without a change to a folder? What is wrong within a file may be repaired there."""
    return all(what.endswith(" is missing") for what in damage)


def _entry(parts: list[str], stamp: str, engine: str, order: str, row: RunRow) -> _Entry | None:
    """None where it would not give the same row back."""
    own = {name: getattr(row, name) for name in _VALUES}
    own["labels"] = (row.labels.tags, row.labels.note) if row.labels != _NO_LABELS else None
    try:
        resolved = row.resolved.model_dump_json().encode() if row.resolved is not None else b""
        values = marshal.dumps(tuple(own.values()))
        again = _row(row.run_dir.parent, row.run, Resolved.model_validate_json(resolved), values)
    except ValueError:
        return None
    if repr(again) != repr(row):  # in which a NaN equals itself
        return None
    return tuple(parts), stamp, engine, order, resolved, values


def _row(outputs: Path, name: str, resolved: Resolved, values: bytes) -> RunRow:
    own: dict[str, Any] = dict(zip(_VALUES, marshal.loads(values), strict=False))
    labels = own["labels"]
    own["labels"] = Labels(*labels) if labels else _NO_LABELS
    own["run"], own["outputs"], own["resolved"], own["settings"] = name, outputs, resolved, {}  # `run_dir` of these
    row = RunRow.__new__(RunRow)  # its `__init__` sets one field after the other, which takes long for thousands
    _set_values(row, "__dict__", own)
    return row


# ---- the file -------------------------------------------------------------------------------------------------------


def _read_index(file: File, outputs: Path) -> dict[str, _Entry]:
    """Its entries by the names of the runs; none where it is damaged, or another code wrote it."""
    try:
        with os.fdopen(file.descriptor(os.O_RDONLY), "rb") as opened:
            own = os.fstat(opened.fileno()).st_uid == os.geteuid()
            first, content = opened.readline(LIMIT), opened.read(LIMIT)
    except OSError:
        return {}
    if not own or first != _first_line(outputs, _code(), content):
        return {}
    known: dict[str, _Entry] = marshal.loads(content)
    return known


def _write_index(file: File, outputs: Path, entries: dict[str, _Entry]) -> None:
    """Where it cannot be written, the runs are read again the next time."""
    if (code := _code()) is None:
        return
    once: dict[Any, Any] = {}  # what is equal in many runs is written once, and passed on once
    content = marshal.dumps(
        {name: tuple(once.setdefault(one, one) for one in entry) for name, entry in entries.items()}
    )
    with contextlib.suppress(OSError):
        Folder(file.path.parent).make()
        with file.replacing(durable=False, private=True) as written:
            written.write(_first_line(outputs, code, content) + content)


def _first_line(outputs: Path, code: str | None, content: bytes) -> bytes:
    """Which code made the rest, for which Python, of which runs, and its digest."""
    digest = blake2b(content, digest_size=16).hexdigest()
    python = sys.implementation.cache_tag  # the form of `marshal` is that of compiled modules
    return f"medtui runs\t{code} {python}\t{json.dumps(str(absolute(outputs)))}\t{digest}\n".encode()


@cache
def _code() -> str | None:
    """Of the modules that make rows: another version of medtui, or a changed file, may make others of the same runs.

    None where they were replaced since this process began, which runs the old ones.
    """
    digest = blake2b(digest_size=12)
    for folder in (Path(contract.__file__).parent, Path(__file__).parent):
        for file, found in Folder(folder).itself.walk():
            if file.suffix in (".py", ".json"):
                digest.update(f"{file.name_below} {found.st_size} {found.st_mtime_ns}\n".encode())
                if found.st_ctime_ns > _LOADED:
                    return None
    return digest.hexdigest()
