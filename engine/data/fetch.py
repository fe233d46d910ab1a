"""Official archives fetched from where they are published, or from the user's mirror, and verified."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.contract.data_files import address, bytes_words
from engine.contract.errors import DataError
from engine.data.archive import Wanted, by_hand, remember_md5
from engine.data.cache import md5_memory
from engine.download import Between, Download, DownloadFailed, download


def fetch_archive(wanted: Wanted, folder: Path, between: Between, say: Callable[[str], None]) -> Path:
    """The official archive in `folder`, its MD5 verified. Raises DataError, and what `between` raises.

    `between`: called several times a second with the bytes done, and of how many where that is known.
    """
    archive = wanted.facts.archives[wanted.size]
    target = folder / archive.file_name
    url, largest = address(archive.url, archive.file_name), wanted.facts.largest(wanted.size)
    say(f"Fetching {archive.file_name} (at most {bytes_words(largest)}) from {url} into {folder}.")
    try:
        download(Download(url, target, "md5", archive.md5, largest), between, say)
    except DownloadFailed as failed:
        raise DataError(
            f"{archive.file_name} could not be fetched from {url}: {failed}.",
            f"Try again, or by hand, on another machine if need be: {by_hand(wanted)} into {folder}.",
        ) from None
    remember_md5(target, archive.md5, md5_memory())
    say(f"Fetched {target} ({bytes_words(target.stat().st_size)}), MD5 ok.")
    return target
