"""Jobs about data set files: fetch an official one, verify one; and what a job does when its file is missing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from engine.contract.data.archives import data_folders, fetch_folder, find_file, offline
from engine.contract.data.sums import checksum_file
from engine.contract.recipe.data_source import DataSource, SearchPaths
from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.sources import DatasetSection, official_source
from engine.contract.wire.errors import DataError
from engine.contract.wire.jobs import Fetch, Verify
from engine.contract.wire.protocol import Progress
from engine.data.access import Access
from engine.data.archive import ArchiveSpec, check_structure, expect_md5, find_archive, manual_download, verify_archive
from engine.data.archive_file import ArchiveFile
from engine.data.archive_source import fetch as fetch_into
from engine.data.cache import CacheEntry, Decoded, cache_key
from engine.data.cache_entry import Damaged, Unrecorded
from engine.data.filling import remove_folder
from engine.events import now
from engine.run.job import Job, JobResult
from engine.sentences import Archive, Cache

SNAPSHOT = 0.2  # seconds between two


def fetch(job: Job, command: Fetch) -> JobResult:
    """Raises UsageError for a data set that is none, DataError for what is unavailable or must not be replaced."""
    with job.control.interruptible():
        return _fetched(job, _archive_spec(command), overwrite=command.replace)


def _fetched(job: Job, spec: ArchiveSpec, *, overwrite: bool) -> JobResult:
    there = find_file(spec.facts.archives[spec.size], usual_folders(job))
    if there is not None:
        try:
            verify_archive(there, spec, checksum_file(), ReadProgress(job))
        except DataError:
            if not overwrite:
                raise
        else:
            job.stream.log(f"{there} already exists, MD5 ok.")
            return JobResult()
    folder = fetch_folder(job.start.data) if there is None else there.parent
    if not may_fetch(job):
        raise DataError(Archive.OFFLINE, download=manual_download(spec), folder=folder)
    fetch_into(spec, folder, access_of(job))
    return JobResult()


def verify(job: Job, command: Verify) -> JobResult:
    """MD5, read again, structure, and what was decoded from it. Raises UsageError, or DataError for what is missing or
    damaged."""
    with job.control.interruptible():
        return _verified(job, _archive_spec(command))


def _verified(job: Job, spec: ArchiveSpec) -> JobResult:
    path = find_archive(spec, usual_folders(job))
    with ArchiveFile(path, checksum_file(), ReadProgress(job)) as archive:
        md5 = expect_md5(archive.md5(reread=True), path, spec)
        check_structure(path, spec, archive.content())
    decoded = verify_decoded(job, spec, md5)
    job.stream.log(f"{path}: MD5 and structure ok{decoded}.")
    return JobResult()


def verify_decoded(job: Job, spec: ArchiveSpec, md5: str) -> str:
    """Hash the decoded arrays, where there are some; what to say of them. Damaged ones go. Raises DataError."""
    entry = CacheEntry(cache_key(spec, md5), md5, ReadProgress(job))
    try:
        entry.digests(reread=True)
    except Unrecorded:
        return ""
    except Damaged as damage:
        try:
            remove_folder(entry.folder)
        except OSError as error:
            raise DataError(Cache.DAMAGED_AND_KEPT, folder=entry.folder, damage=damage, reason=error.strerror) from None
        raise DataError(Cache.DAMAGED, folder=entry.folder, reason=damage) from None
    return ", decoded copy ok"


def may_fetch(job: Job) -> bool:
    return not (job.start.offline or offline())


def usual_folders(job: Job) -> list[Path]:
    """Where data set files are searched for, first to last, wherever an earlier run found its data."""
    return list(dict.fromkeys(data_folders(job.start.data, job.workspace.root)))


def decoded_data(job: Job, source: DataSource) -> Decoded:
    """The arrays of a source, fetched and decoded where they are missing. Raises DataError and Aborted."""
    found: Decoded = resolve_name(source.decoder)(source, access_of(job))
    return found


def all_images_of(dataset: Mapping[str, Any], by: str) -> DatasetSection:
    """The section of a source whose images are all looked at or packed. Raises RecipeError.

    `limit`, and what a recipe says of training, are of no account for that: neither may refuse it.
    """
    values = {"dataset": {**dataset, "limit": None}, "training": {"batch_size": 2}}
    return build_recipe(values, source=by).dataset


def access_of(job: Job) -> Access:
    """What decoding may use of a job: its folders, its log, and whatever ends it."""
    usual = usual_folders(job)
    folders = list(dict.fromkeys([*usual, *job.last_folders]))
    return Access(
        search_paths=SearchPaths(job.workspace.root, folders, job.here),
        usual=usual,
        given=job.start.data,
        may_fetch=may_fetch(job),
        log=job.stream.log,
        warn=partial(job.stream.log, level="warning"),
        on_read=ReadProgress(job),
        on_fetch=partial(FetchProgress, job),
    )


def _archive_spec(command: Fetch | Verify) -> ArchiveSpec:
    source = official_source(command.dataset, command.size)
    return ArchiveSpec(source.facts, source.size)


class ReadProgress:
    """Shows the progress of a long read now and then, and ends the job when it was aborted."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._shown = time.monotonic()  # a short read need not be shown

    def __call__(self, activity: str, done: int, total: int) -> None:
        self.job.control.raise_if_aborted()
        if time.monotonic() - self._shown >= SNAPSHOT:
            self._shown = time.monotonic()
            phase = self.job.stream.phase
            snapshot = Progress(time=now(), phase=phase, activity=activity, done=done, total=total, unit="bytes")
            self.job.stream.snapshot(snapshot)


class FetchProgress:
    """Shows the progress of a download; ends the job when it was aborted."""

    def __init__(self, job: Job, activity: str) -> None:
        self.job, self.activity = job, activity
        self.total = 0  # bytes; 0 is not known yet
        self._shown = 0.0

    def __call__(self, done: int, total: int | None = None) -> None:
        self.job.control.raise_if_aborted()
        self.total = total or self.total
        if time.monotonic() - self._shown >= SNAPSHOT or done == self.total:
            self._shown = time.monotonic()
            phase, activity = self.job.stream.phase, self.activity
            snapshot = Progress(time=now(), phase=phase, activity=activity, done=done, total=self.total, unit="bytes")
            self.job.stream.snapshot(snapshot)
