"""Jobs about data set files: fetch an official one, verify one; and what a job does when its file is missing."""

from __future__ import annotations

import time
from pathlib import Path

from engine.contract.data_files import fetch_folder, find_file, offline
from engine.contract.datasets import datasets
from engine.contract.errors import DataError, UsageError
from engine.contract.protocol import Progress
from engine.data.archive import Wanted, by_hand, check_structure, find_archive, verify_archive
from engine.data.cache import md5_memory
from engine.events import now
from engine.run.job import Job, JobResult

SNAPSHOT = 0.2  # seconds between two


def fetch(job: Job) -> JobResult:
    """Raises UsageError for a data set that is none, DataError for what cannot be had or must not be replaced."""
    wanted = _wanted(job)
    there = find_file(wanted.facts.archives[wanted.size], job.data_folders())
    if there is not None:
        try:
            verify_archive(there, wanted, md5_memory(), _reading(job, there))
        except DataError:
            if not job.start.replace:
                raise
        else:
            job.stream.log(f"{there} is there already, MD5 ok.")
            return JobResult()
    folder = fetch_folder(job.start.data) if there is None else there.parent
    if not may_fetch(job):
        raise DataError("MEDTUI_OFFLINE is set: nothing is fetched.", f"Put {by_hand(wanted)} into {folder}.")
    _fetch(job, wanted, folder)
    return JobResult()


def verify(job: Job) -> JobResult:
    """MD5, read anew, and structure. Raises UsageError, or DataError for a file that is missing or damaged."""
    wanted = _wanted(job)
    path = find_archive(wanted, job.data_folders())
    verify_archive(path, wanted, md5_memory(), _reading(job, path), anew=True)
    check_structure(path, wanted)
    job.stream.log(f"{path}: MD5 and structure ok.")
    return JobResult()


def may_fetch(job: Job) -> bool:
    return not (job.start.offline or offline())


def fetch_if_missing(job: Job, wanted: Wanted) -> None:
    """The official file that a job needs. Where it must not be fetched, decoding says what is missing."""
    if not wanted.official or wanted.facts.synthetic or not may_fetch(job):
        return
    if find_file(wanted.facts.archives[wanted.size], job.data_folders()) is None:
        _fetch(job, wanted, fetch_folder(job.start.data))


def _wanted(job: Job) -> Wanted:
    name, size = job.start.dataset or "", job.start.size
    facts = datasets().get(name)
    if facts is None or facts.synthetic:
        names = ", ".join(facts.name for facts in datasets().values() if not facts.synthetic)
        raise UsageError(f"Expected a data set of MedMNIST, found {name[:60]!r}.", f"There are {names}.")
    if size not in facts.archives:
        sizes = ", ".join(map(str, facts.archives))
        raise UsageError(f"{facts.title} comes in {sizes} px, found {size}.", "Give one of these as --size.")
    return Wanted(facts, size)


def _fetch(job: Job, wanted: Wanted, folder: Path) -> None:
    from engine.data.fetch import fetch_archive  # with what speaks http, which most starts do not need

    tell = Telling(job, f"fetching {wanted.facts.archives[wanted.size].file_name}")
    fetch_archive(wanted, folder, tell, job.stream.log)


def _reading(job: Job, path: Path) -> Telling:
    tell = Telling(job, f"verifying {path.name}")
    tell.total = path.stat().st_size
    return tell


class Telling:
    """Told of bytes, tells watchers; ends the job when it was aborted."""

    def __init__(self, job: Job, activity: str) -> None:
        self.job, self.activity = job, activity
        self.total = 0  # bytes; 0 is not known yet
        self._told = 0.0

    def __call__(self, done: int, total: int | None = None) -> None:
        self.job.control.raise_if_aborted()
        self.total = total or self.total
        if time.monotonic() - self._told >= SNAPSHOT or done == self.total:
            self._told = time.monotonic()
            phase, activity = self.job.stream.phase, self.activity
            snapshot = Progress(time=now(), phase=phase, activity=activity, done=done, total=self.total, unit="bytes")
            self.job.stream.snapshot(snapshot)
