"""Official archives fetched from where they are published, or from the user's mirror, and verified."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.contract.data.archives import address
from engine.contract.data.sums import checksum_file, remember_checksum
from engine.contract.wire.errors import DataError
from engine.contract.wire.text import format_bytes
from engine.data.archive import ArchiveSpec, manual_download
from engine.download import Download, DownloadFailed, OnProgress, download
from engine.sentences import Archive


def fetch_archive(spec: ArchiveSpec, folder: Path, on_progress: OnProgress, log: Callable[[str], None]) -> Path:
    """The official archive in `folder`, its MD5 verified. Raises DataError, and what `on_progress` raises.

    `on_progress`: called several times a second with the bytes done, and of how many where that is known.
    """
    archive = spec.facts.archives[spec.size]
    target = folder / archive.file_name
    source, largest = address(archive.url, archive.file_name), spec.facts.largest(spec.size)
    log(f"Fetching {archive.file_name} (at most {format_bytes(largest)}) from {source} into {folder}.")
    try:
        download(Download(source.url, target, "md5", archive.md5, largest, source.authorization), on_progress, log)
    except DownloadFailed as failed:
        raise DataError(
            Archive.NOT_FETCHED,
            file=archive.file_name,
            source=source,
            reason=failed,
            download=manual_download(spec),
            folder=folder,
        ) from None
    remember_checksum(target, target.stat(), archive.md5, checksum_file())
    log(f"Fetched {target} ({format_bytes(target.stat().st_size)}), MD5 ok.")
    return target
