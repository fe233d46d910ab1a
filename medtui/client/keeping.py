"""What a person does with a run that is over: tag it, note something down, put it away, delete it."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.contract.errors import OutputError, UsageError
from engine.contract.files import write_text
from engine.contract.lock import is_locked, read_holder
from engine.contract.run_directory import RunDirectory, read_object
from engine.contract.status import read_status
from engine.contract.workspace import Workspace
from medtui.client.liveness import is_alive

ARCHIVE = "archive"  # folder in outputs/; what lies in it is not listed
TAG_LIMIT, NOTE_LIMIT = 60, 2000  # characters


@dataclass(frozen=True)
class Labels:
    tags: tuple[str, ...] = ()
    note: str = ""


def read_labels(run: RunDirectory) -> Labels:
    """None given, or a damaged file, is no labels."""
    values = read_object(run.labels) or {}
    tags, note = values.get("tags"), values.get("note")
    names = tuple(str(tag)[:TAG_LIMIT] for tag in tags) if isinstance(tags, list) else ()
    return Labels(names, note[:NOTE_LIMIT] if isinstance(note, str) else "")


def set_tags(run: RunDirectory, tags: list[str]) -> Labels:
    """These and no others, each once. Raises UsageError or OutputError."""
    for tag in tags:
        if not tag or len(tag) > TAG_LIMIT or not tag.isprintable() or " " in tag:
            raise UsageError(
                f"Expected a tag of 1 to {TAG_LIMIT} characters without spaces, found {tag!r}.", "Mend it."
            )
    return _write(run, Labels(tuple(dict.fromkeys(tags)), read_labels(run).note))


def set_note(run: RunDirectory, note: str) -> Labels:
    """One line of text; an empty one takes the note away. Raises UsageError or OutputError."""
    if len(note) > NOTE_LIMIT:
        raise UsageError(f"A note may have {NOTE_LIMIT:,} characters, found {len(note):,}.", "Shorten it.")
    try:
        note.encode()
    except UnicodeEncodeError:
        raise UsageError("Expected a note in UTF-8, found bytes that are none.", "Write it again.") from None
    return _write(run, Labels(read_labels(run).tags, note))


def _write(run: RunDirectory, labels: Labels) -> Labels:
    try:
        write_text(run.labels, json.dumps(asdict(labels), ensure_ascii=False) + "\n", durable=False)
    except OSError as error:
        raise OutputError(f"Cannot write {run.labels}: {error.strerror}.", "Free or mend the disk.") from None
    return labels


def archive(run: RunDirectory, workspace: Workspace) -> Path:
    """Move it to `outputs/archive/`, where it is not listed. Raises UsageError or OutputError."""
    refuse_living(run, workspace)
    return _moved(run, archive_of(workspace))


def unarchive(run: RunDirectory, workspace: Workspace) -> Path:
    """Move an archived run back to `outputs/`. Raises UsageError or OutputError."""
    if run.root.parent != archive_of(workspace).resolve():
        raise UsageError(f"{run.root} is not archived.", "`medtui runs --archived` lists what is.")
    return _moved(run, workspace.outputs)


def archive_of(workspace: Workspace) -> Path:
    """The folder of archived runs."""
    return workspace.outputs / ARCHIVE


def _moved(run: RunDirectory, folder: Path) -> Path:
    place = folder / run.name
    try:
        folder.mkdir(exist_ok=True)
        if place.exists():
            raise UsageError(f"{place} exists already.", "Rename one of the two.")
        run.root.rename(place)
    except OSError as error:
        raise OutputError(f"Cannot move {run.name} to {place}: {error.strerror}.", "Move it by hand.") from None
    return place


def delete(run: RunDirectory, workspace: Workspace) -> None:
    """Remove it and all that is in it, for ever. Raises UsageError or OutputError."""
    refuse_living(run, workspace)
    going = run.root.with_name(f".deleting-{run.name}")  # gone from every list at once, also if this is interrupted
    try:
        run.root.rename(going)
        shutil.rmtree(going)
    except OSError as error:
        raise OutputError(f"Cannot delete {run.root}: {error.strerror}.", "Delete what is left by hand.") from None


def refuse_living(run: RunDirectory, workspace: Workspace) -> None:
    """Raises UsageError for a run that trains, or of which that cannot be known."""
    status = read_status(run)
    holder = read_holder(workspace.lock_file) if is_locked(workspace.lock_file) else None
    if holder is not None and holder.run == run.name:
        raise UsageError(f"{run.name} holds the workspace: {holder}.", "Stop it first.")
    if status is not None and status.outcome is None and (alive := is_alive(status)) is not False:
        what = "is running" if alive else "may be running on another host"
        raise UsageError(f"{run.name} {what}.", "Stop it first.")


def size_of(run: RunDirectory) -> int:
    """Bytes of its files."""
    return sum(path.lstat().st_size for path in run.root.rglob("*") if not path.is_dir())
