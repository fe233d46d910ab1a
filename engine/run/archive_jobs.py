"""Jobs that make archives, or put one in place: import, export, and the synthetic ones."""

from __future__ import annotations

from pathlib import Path

from engine.contract.data.archives import fetch_folder, open_data_file
from engine.contract.data.datasets import Archive as OfficialArchive
from engine.contract.data.sums import checksum_file, remember_checksum
from engine.contract.files.folders import file_at
from engine.contract.recipe.sources import data_source, official_sets, official_source
from engine.contract.wire.errors import DataError, OutputError
from engine.contract.wire.jobs import ExportData, ImportData, Synthesise
from engine.contract.wire.text import counted
from engine.data.archive import ArchiveSpec, check_structure
from engine.data.archive_file import CHUNK, ArchiveFile
from engine.data.packing import packed
from engine.data.synthetic import synthesised
from engine.run.data_jobs import ReadProgress, all_images_of, decoded_data
from engine.run.job import Job, JobResult
from engine.sentences import Packing


def import_file(job: Job, command: ImportData) -> JobResult:
    """An official file that was brought by hand: checked, and put where it is looked for. Raises DataError."""
    with job.control.interruptible():
        path = Path(command.file)
        with ArchiveFile(path, checksum_file(), ReadProgress(job)) as archive:
            md5 = archive.hash()
            spec = _spec_of(md5)
            if spec is None:
                expected = _expected(path.name) or "the MD5 of one of them"
                raise DataError(Packing.NOT_OFFICIAL, path=path, found=md5, expected=expected)
            check_structure(path, spec, archive.content())
            target = fetch_folder(job.start.data) / spec.facts.archives[spec.size].file_name
            _put(archive, target, ReadProgress(job), replace=command.replace)
        remember_checksum(target, target.stat(), md5, checksum_file())
        job.stream.log(f"{path.name} is {spec.facts.title} at {spec.size} px, MD5 ok: {target}.")
    return JobResult()


def _spec_of(md5: str) -> ArchiveSpec | None:
    return next(
        (
            ArchiveSpec(facts, size)
            for facts in official_sets()
            for size, archive in facts.archives.items()
            if archive.md5 == md5
        ),
        None,
    )


def _expected(name: str) -> str | None:
    """The MD5 of the official file of that name."""
    archives: list[OfficialArchive] = [one for facts in official_sets() for one in facts.archives.values()]
    return next((archive.md5 for archive in archives if archive.file_name == name), None)


def _put(archive: ArchiveFile, target: Path, progress: ReadProgress, *, replace: bool) -> None:
    """A copy of the bytes that were hashed. Raises DataError where they changed, OutputError."""
    file = file_at(target)
    if file.is_there and _is_same(target, archive):
        return
    if file.is_there and not replace:
        raise OutputError(Packing.EXISTS, path=target)
    try:
        file.folder.make()
        with file.replacing() as opened:
            for number, start in enumerate(range(0, archive.size, CHUNK)):
                opened.write(archive.chunk(number))
                progress(f"copying {archive.path.name}", min(start + CHUNK, archive.size), archive.size)
    except OSError as error:
        raise OutputError(Packing.UNWRITABLE, path=target, reason=error.strerror or error) from None


def _is_same(target: Path, archive: ArchiveFile) -> bool:
    """Has the file that is there already these bytes?"""
    try:
        with open_data_file(target) as there:
            number = 0
            while chunk := there.read(CHUNK):
                if number * CHUNK >= archive.size or chunk != archive.chunk(number):
                    return False
                number += 1
            return number * CHUNK >= archive.size
    except OSError:
        return False


def export(job: Job, command: ExportData) -> JobResult:
    """Any source of images as one portable archive. Raises RecipeError, DataError, OutputError."""
    with job.control.interruptible():
        data = decoded_data(job, data_source(all_images_of(command.dataset, "data export")))
        card = packed(data, Path(command.output), ReadProgress(job), replace=command.replace)
        job.stream.log(f"{command.output}: {counted(sum(card.images.values()), 'image')}, MD5 {card.md5}.")
    return JobResult()


def synthesise(job: Job, command: Synthesise) -> JobResult:
    """Raises UsageError for a set that is none, DataError, OutputError."""
    with job.control.interruptible():
        facts = official_source(command.dataset, command.size).facts
        progress = ReadProgress(job)
        card = synthesised(
            facts, command.size, command.limit, Path(command.output), progress, replace_it=command.replace
        )
        job.stream.log(f"{command.output}: {counted(sum(card.images.values()), 'synthetic image')}, MD5 {card.md5}.")
    return JobResult()
