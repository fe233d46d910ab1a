"""The list of runs, however many: rows of runs that are over are kept in an index, and read again where a file changed.

The index is a file of lines in the cache folder, one for each workspace and user. It may be deleted or damaged at any
time: its first line says which code wrote it and has the digest of the rest, and what does not fit is made again. A row
is taken from it only while the stamp of everything that it was made of (`engine.contract.files.stamps`) is the same.
Rows that depend on more than files, as those of live runs do, are read each time, and so are those that tell of
damage.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine import contract
from engine.contract.data.sums import cache_folder
from engine.contract.files.folders import File, Folder
from engine.contract.files.paths import absolute
from engine.contract.files.stamps import Stamper
from engine.contract.machine.process_identity import ProcessIdentity
from engine.contract.store.run_directory import RunDirectory, order_and_manifest, run_names
from engine.contract.wire.resolved import Resolved
from medtui.client.labels import Labels
from medtui.client.run_row import RunRow

if TYPE_CHECKING:
    from engine.contract.store.run_record import RunRecord

SMALLEST = 50  # runs; fewer are read as quickly as an index of them
LIMIT = 512 * 1024 * 1024  # bytes; a larger file is no index
FILES = ("manifest.json", "status.json", "events.jsonl", "labels.json", "killed.json")  # what a row is made of
_BY_FILES_ALONE = b"-"
_LOADED = time.time_ns()
_APART = ("run", "run_dir", "labels", "resolved", "damage", "settings")  # of a row: not among the values of its line
_PAIRS = ("test_auc_ci95", "test_acc_ci95")  # of its values: intervals
_NO_LABELS = Labels()
_VALUES = (*(one.name for one in fields(RunRow) if one.name not in (*_APART, *_PAIRS)), *_PAIRS)
_set_values = object.__setattr__  # of a frozen dataclass
# Order, name, `resolved`, and the other values, both as JSON; or the row itself, where it is not in the index
Packed = tuple[str, str, bytes, "bytes | RunRow"]


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
    values = iter(json.loads(b"[%s]" % b",".join(one for *_, one in packed if isinstance(one, bytes))))
    known: dict[bytes, Resolved] = {}
    found = []
    for _, name, resolved, one in packed:
        if isinstance(one, RunRow):
            found.append(one)
            continue
        if resolved not in known:
            known[resolved] = Resolved.model_validate_json(resolved)
        found.append(_row(outputs, name, known[resolved], next(values)))
    return found


def index_file(outputs: Path) -> File:
    """Of this user alone: in a cache that several share, none relies on what another wrote."""
    digest = blake2b(os.fsencode(absolute(outputs)), digest_size=16).hexdigest()
    return Folder(cache_folder()).file(f"runs/{digest}-{os.geteuid()}.index")


class _Line(NamedTuple):
    """A run in the index: what has to be the same for the row to count, and the row."""

    name: bytes
    parts: bytes  # JSON: what of the run's folder is stamped, each as it follows the run's name
    stamp: bytes
    engine: bytes  # JSON: the engine whose death the row tells of; else `_BY_FILES_ALONE`
    order: bytes
    resolved: bytes  # JSON
    values: bytes  # JSON


def _escaped(text: str) -> bytes:
    """In one line, without a tab."""
    return json.dumps(text).encode()[1:-1]


def _unescaped(text: bytes) -> str:
    return str(json.loads(b'"%s"' % text)) if b"\\" in text else text.decode()


class _IndexedRuns:
    """One look at the runs of a workspace."""

    def __init__(self, outputs: Path, stamper: Stamper) -> None:
        self._outputs, self._stamper = outputs, stamper
        self._parts: dict[bytes, list[str]] = {}  # as JSON has them, of which there are few
        self._resolved: dict[bytes, bytes] = {}  # likewise: the same of two runs is passed on once
        self._file = index_file(outputs)
        self._known = _read_index(self._file, outputs)  # by name, each in its line
        self._kept: dict[str, bytes] = {}

    def read(self, names: list[str]) -> list[Packed]:
        same = self._unchanged(names)
        found = _in_order(self._packed(same[name]) if name in same else self._read(name) for name in names)
        if self._kept != self._known:
            _write_index(self._file, self._outputs, self._kept.values())
        return found

    def _unchanged(self, names: list[str]) -> dict[str, _Line]:
        """Of the runs in the index, those of which everything that the row was made of is the same."""
        lines = {name: _Line._make(self._known[name].split(b"\t")) for name in names if name in self._known}
        digests = self._stamper.digests([self._parts_in(name, line) for name, line in lines.items()])
        same: dict[str, _Line] = {}
        for (name, line), digest in zip(lines.items(), digests, strict=True):
            if digest.encode() == line.stamp and _still_holds(line.engine):
                same[name], self._kept[name] = line, self._known[name]
        return same

    def _parts_in(self, name: str, line: _Line) -> list[str]:
        if line.parts not in self._parts:
            self._parts[line.parts] = json.loads(line.parts)
        return [name + part for part in self._parts[line.parts]]

    def _packed(self, line: _Line) -> Packed:
        resolved = self._resolved.setdefault(line.resolved, line.resolved)
        return _unescaped(line.order), _unescaped(line.name), resolved, line.values

    def _read(self, name: str) -> Packed | None:
        from engine.contract.store.run_record import read_run  # slow, and most runs are in the index
        from medtui.client.runs import row_of

        run = RunDirectory(self._outputs / name)
        began = self._stamper.began  # whatever changes later shows in the stamp, or makes it an unsettled one
        parts = self._parts_of(name)
        stamp = self._stamper.stamp([name + part for part in parts])
        if stamp is None or not stamp.is_settled(began):
            return _unindexed(self._outputs, name)
        listed = order_and_manifest(run)
        if listed is None:
            return None
        order, manifest = listed
        record = read_run(run, "links", manifest)
        engine = _decided_by(record)
        if engine is not None and engine != _BY_FILES_ALONE:
            record = read_run(run, "links", manifest)  # it may have died while the run was read
        row = row_of(record)
        if engine is not None and _shows_in_folders(row.damage) and row.resolved is not None:
            line = _line(parts, stamp.digest, engine, order, row)
            if line is not None:
                self._kept[name] = b"\t".join(line)
        return order, name, b"", row

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


def _still_holds(engine: bytes) -> bool:
    """Is the engine whose death a row tells of dead, as far as this machine can see?"""
    return engine == _BY_FILES_ALONE or ProcessIdentity(*json.loads(engine)).is_alive() is False


def _decided_by(record: RunRecord) -> bytes | None:
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
    return json.dumps([identity.pid, identity.started, identity.host, identity.boot]).encode()


def _shows_in_folders(damage: tuple[str, ...]) -> bool:
    """Can it not end without a change to a folder? What is wrong within a file may be repaired there."""
    return all(what.endswith(" is missing") for what in damage)


def _line(parts: list[str], stamp: str, engine: bytes, order: str, row: RunRow) -> _Line | None:
    """None where JSON would not give the same row back."""
    values = [*(getattr(row, name) for name in _VALUES), row.labels.tags, row.labels.note, row.damage]
    try:
        resolved = row.resolved.model_dump_json().encode() if row.resolved is not None else b""
        text = json.dumps(values).encode()
        again = _row(row.run_dir.parent, row.run, Resolved.model_validate_json(resolved), json.loads(text))
    except (TypeError, ValueError):
        return None
    if repr(again) != repr(row):  # in which a NaN equals itself
        return None
    places = json.dumps(parts).encode()
    return _Line(_escaped(row.run), places, stamp.encode(), engine, _escaped(order), resolved, text)


def _row(outputs: Path, name: str, resolved: Resolved, values: list[Any]) -> RunRow:
    *_, auc_ci95, acc_ci95, tags, note, damage = values
    own: dict[str, Any] = dict(zip(_VALUES, values, strict=False))
    own["test_auc_ci95"] = tuple(auc_ci95) if auc_ci95 is not None else None
    own["test_acc_ci95"] = tuple(acc_ci95) if acc_ci95 is not None else None
    own["labels"] = Labels(tuple(tags), note) if tags or note else _NO_LABELS
    own["run"], own["outputs"], own["resolved"] = name, outputs, resolved  # `run_dir` is made of these
    own["settings"], own["damage"] = {}, tuple(damage)
    row = RunRow.__new__(RunRow)  # its `__init__` sets one field after the other, which takes long for thousands
    _set_values(row, "__dict__", own)
    return row


# ---- the file -------------------------------------------------------------------------------------------------------


def _read_index(file: File, outputs: Path) -> dict[str, bytes]:
    """Its lines by the names of the runs; none where it is damaged, or another code wrote it."""
    try:
        with os.fdopen(file.descriptor(os.O_RDONLY), "rb") as opened:
            own = os.fstat(opened.fileno()).st_uid == os.geteuid()
            first, lines = opened.readline(LIMIT), opened.read(LIMIT)
    except OSError:
        return {}
    if not own or first != _first_line(outputs, _code(), lines):
        return {}
    return {_unescaped(line.partition(b"\t")[0]): line for line in lines.split(b"\n")} if lines else {}


def _write_index(file: File, outputs: Path, lines: Iterable[bytes]) -> None:
    """Where it cannot be written, the runs are read again the next time."""
    if (code := _code()) is None:
        return
    content = b"\n".join(lines)
    with contextlib.suppress(OSError):
        Folder(file.path.parent).make()
        with file.replacing(durable=False, private=True) as written:
            written.write(_first_line(outputs, code, content) + content)


def _first_line(outputs: Path, code: str | None, lines: bytes) -> bytes:
    """Which code made the rest, of which runs, and its digest."""
    digest = blake2b(lines, digest_size=16).hexdigest()
    return f"medtui runs\t{code}\t{json.dumps(str(absolute(outputs)))}\t{digest}\n".encode()


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
