"""Archives in MedMNIST's layout as a source: the official ones, and those of users."""

from __future__ import annotations

from pathlib import Path

from engine.contract.data.archives import fetch_folder, find_file
from engine.contract.recipe.data_source import ArchiveSource, OfficialSource
from engine.data.access import Access
from engine.data.archive import ArchiveSpec
from engine.data.cache import Decoded, decode


def decoded_official(source: OfficialSource, access: Access) -> Decoded:
    """Where it must not be fetched, decoding says what is missing. Raises DataError, and what `access` raises."""
    spec = ArchiveSpec(source.facts, source.size)
    if access.may_fetch and find_file(source.archive, access.search_paths.folders) is None:
        fetch(spec, fetch_folder(access.given), access)
    _report_last_folder(source, access)
    return _decoded(spec, access)


def decoded_own(source: ArchiveSource, access: Access) -> Decoded:
    """Raises DataError, and what `access` raises."""
    return _decoded(ArchiveSpec(source.facts, source.size, source.path(access.search_paths), source.md5), access)


def fetch(spec: ArchiveSpec, folder: Path, access: Access) -> None:
    """The official archive, into a folder. Raises DataError, and what `access` raises."""
    from engine.data.fetch import fetch_archive  # with what speaks http, which most starts do not need

    on_fetch = access.on_fetch(f"fetching {spec.facts.archives[spec.size].file_name}")
    fetch_archive(spec, folder, on_fetch, access.log)


def _decoded(spec: ArchiveSpec, access: Access) -> Decoded:
    return decode(spec, access.search_paths.folders, access.log, access.on_read, access.warn)


def _report_last_folder(source: OfficialSource, access: Access) -> None:
    """A file that is in none of the usual folders is used where the run had it before, and that is logged."""
    archive = source.archive
    path = find_file(archive, access.search_paths.folders)
    if path is not None and find_file(archive, access.usual) is None:
        access.log(f"{archive.file_name} is in none of the usual folders; using the run's previous location: {path}")
