"""What a user writes on a run: tags and a note."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from engine.contract.files.inspection import describe_owner
from engine.contract.store.run_directory import RunDirectory, read_object
from engine.contract.wire.errors import OutputError, UsageError
from medtui.sentences import Tagging

TAG_LIMIT, NOTE_LIMIT = 60, 2000  # characters


@dataclass(frozen=True)
class Labels:
    tags: tuple[str, ...] = ()
    note: str = ""


def read_labels(run: RunDirectory) -> Labels:
    """No labels where there are none or the file is damaged."""
    values = read_object(run.labels) or {}
    tags, note = values.get("tags"), values.get("note")
    names = tuple(str(tag)[:TAG_LIMIT] for tag in tags) if isinstance(tags, list) else ()
    return Labels(names, note[:NOTE_LIMIT] if isinstance(note, str) else "")


def tags_of(text: str) -> list[str]:
    """As a person types several: spaces and commas separate them."""
    return text.replace(",", " ").split()


def set_tags(run: RunDirectory, tags: list[str]) -> Labels:
    """These and no others, each once; one that the run has already is kept. Raises UsageError or OutputError."""
    before = read_labels(run)
    for tag in (tag for tag in tags if tag not in before.tags):
        if not tag or len(tag) > TAG_LIMIT or not tag.isprintable() or " " in tag:
            raise UsageError(Tagging.TAG, limit=TAG_LIMIT, tag=tag)
        if "," in tag:
            raise UsageError(Tagging.COMMA, tag=tag)
    return _write(run, Labels(tuple(dict.fromkeys(tags)), before.note))


def set_note(run: RunDirectory, note: str) -> Labels:
    """One line of text; an empty one removes the note. Raises UsageError or OutputError."""
    if len(note) > NOTE_LIMIT:
        raise UsageError(Tagging.NOTE_TOO_LONG, limit=NOTE_LIMIT, found=len(note))
    try:
        note.encode()
    except UnicodeEncodeError:
        raise UsageError(Tagging.NOTE_ENCODING) from None
    return _write(run, Labels(read_labels(run).tags, note))


def _write(run: RunDirectory, labels: Labels) -> Labels:
    if run.labels.is_regular and read_object(run.labels) is None:  # what can still be read in it would be lost
        raise OutputError(Tagging.DAMAGED, path=run.labels)
    try:
        run.labels.write(json.dumps(asdict(labels), ensure_ascii=False) + "\n", durable=False)
    except OSError as error:
        owner = describe_owner(run.labels)
        raise OutputError(Tagging.UNWRITABLE, path=run.labels, owner=owner, reason=error.strerror) from None
    return labels
