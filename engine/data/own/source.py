"""A user's own images as a source: listed, converted where they are not in the cache, and split."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from engine.contract.data.card import DataCard, last_card_file, read_card
from engine.contract.data.datasets import SPLITS
from engine.contract.data.sums import checksum_file
from engine.contract.files.folders import File
from engine.contract.files.paths import absolute, path_status
from engine.contract.recipe.own_images import OwnImages as OwnSource
from engine.contract.wire.errors import DataError
from engine.data.access import Access
from engine.data.archive_file import ArchiveFile
from engine.data.cache import CacheEntry, Decoded, mapped_array
from engine.data.cache_entry import Damaged
from engine.data.own.arrays import class_names_of, extract, items_of, members_of
from engine.data.own.contents import ARRAYS, Contents, collected, write_contents
from engine.data.own.declared import Declared, declared_by
from engine.data.own.files import Files, stat_of
from engine.data.own.listing import Item, Listing, list_folder
from engine.data.own.pool import PART, Pool, Request, file_tasks, pool_of
from engine.data.own.report import check_card, log_card
from engine.data.own.table import list_table
from engine.data.own.worker import Task
from engine.sentences import OwnImages

CARD, FILES = "card.json", "images.csv"
VERSION = 2  # of how images are split: another one splits again


@dataclass(frozen=True)
class OwnDecoded(Decoded):
    """The converted images of a pool, and which of them are in each split."""

    pool: Pool | None = None

    def images(self, split: str) -> np.ndarray:
        """As of any data set; it is read from the pool when it is indexed."""
        rows: Any = PooledImages(self.converted.images(), self.rows(split))
        return rows  # type: ignore[no-any-return]

    def length(self, split: str) -> int:
        return len(self.rows(split))

    @property
    def converted(self) -> Pool:
        """All images, those too that are in no split."""
        assert self.pool is not None
        return self.pool

    def rows(self, split: str) -> np.ndarray:
        """int64 [N]: where the images of a split are in the pool."""
        return mapped_array(self.folder / f"{split}_rows.npy")


class PooledImages:
    """Rows of an array of images; what is indexed is read, and nothing else."""

    def __init__(self, pool: np.ndarray, rows: np.ndarray) -> None:
        self._pool, self._rows = pool, rows
        self.shape, self.dtype = (len(rows), *pool.shape[1:]), pool.dtype
        self.ndim = pool.ndim
        self.nbytes = len(rows) * (pool.nbytes // max(1, len(pool)))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: Any) -> np.ndarray:
        found: np.ndarray = np.asarray(self._pool[self._rows[key]])
        return found

    def take(self, rows: np.ndarray, axis: Any = None, out: Any = None, mode: Any = "raise") -> np.ndarray:
        """As `np.take` asks for it; without this it would read all images for each batch."""
        found: np.ndarray = np.take(self._pool, self._rows[rows], axis=axis, out=out, mode=mode)
        return found


def decoded_own_images(source: OwnSource, access: Access) -> Decoded:
    """Raises DataError, InstallationError, and what `access` raises."""
    path = source.path(access.search_paths)
    there = path_status(path)
    if not (there.is_folder if source.kind == "folder" else there.is_file):
        raise DataError(OwnImages.MISSING, what=source.what, path=path, why=there.why, key=source.kind)
    listing = listed(source, path, access)
    request = Request(source.kind, path, listing, source.size, str(source.options["fit"]))
    tasks = partial(file_tasks, request) if source.kind != "npz" else partial(_array_tasks, request, access)
    pool = pool_of(request, tasks, access)
    data = blake2b(f"{pool.fingerprint}{listing.table}".encode(), digest_size=16).hexdigest()
    fingerprint = data if listing.table else pool.fingerprint
    declared = declared_by(path, access) if source.kind == "npz" else Declared()
    entry = CacheEntry(_key(source, pool, listing, declared), fingerprint, access.on_read, ARRAYS, _check_files)

    def fill(folder: File) -> dict[str, str]:
        contents = _contents(source, path, listing, pool, declared, access)
        return write_contents(contents, folder / CARD, folder / FILES, access.on_read)

    digests = entry.ensure(fill, access.log, access.warn, "splitting the images")
    card = _card_of(entry.folder).model_copy(update={"path": str(absolute(path))})
    check_card(card, source.options)
    log_card(card, access.log, access.warn)
    with suppress(OSError):  # a read-only cache: the other side then knows less
        last_card_file(source.kind, path).write(card.model_dump_json(), durable=False)
    digests["train_images"] = pool.digests["images"] + digests["train_rows"]
    attachments = {"data_card.json": entry.folder / CARD, FILES: entry.folder / FILES}
    return OwnDecoded(
        entry.folder,
        card.facts(source.facts),
        str(absolute(path)),
        None,
        False,
        digests,
        access.on_read,
        fingerprint,
        attachments,
        pool,
    )


def listed(source: OwnSource, path: Path, access: Access) -> Listing:
    """The files, and what folders or the table say of each. Raises DataError."""
    if source.kind == "folder":
        return list_folder(path, source.options["group"])
    if source.kind == "csv":
        listing, columns = list_table(path, source.root(access.search_paths), source.options)
        access.log(f"{path.name}: {columns.description}")
        return listing
    try:
        found = stat_of(path.stat())
    except OSError as error:
        raise DataError(OwnImages.UNLISTED, path=path, reason=error.strerror) from None
    return Listing(path.parent, Files.of({"archive": found}), list)


def _array_tasks(request: Request, access: Access, folder: File) -> list[Task]:
    """The arrays of an archive, as files that can be mapped, and parts of their rows. Raises DataError."""
    with ArchiveFile(request.path, checksum_file(), access.on_read) as archive:
        digest = archive.hash()
        members = members_of(request.path, archive.content())
        images = [name for name in members if name.endswith("images")]
        marker = folder / "archive.json"
        if _digest_in(marker) != digest:
            for name in folder.names():
                (folder / name).delete()
            need = sum(members[name].bytes for name in images)
            activity, done = f"unpacking {request.path.name}", 0

            def on_bytes(size: int) -> None:
                nonlocal done
                done += size
                access.on_read(activity, done, need)

            extract(request.path, archive.content(), images, folder, on_bytes)
            marker.write(json.dumps({"digest": digest}), durable=False)
    parts = [(name, start) for name in images for start in range(0, members[name].rows, PART)]
    return [
        Task(
            str(folder),
            f"{number:06}",
            str((folder / f"{name}.npy").path),
            [],
            [start, min(start + PART, members[name].rows)],
            request.size,
            request.fit,
            {},
            False,
        )
        for number, (name, start) in enumerate(parts)
    ]


def _digest_in(marker: File) -> str | None:
    try:
        return str(json.loads(marker.content())["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _key(source: OwnSource, pool: Pool, listing: Listing, declared: Declared) -> str:
    """Of the splits: all that decides them."""
    decides = {name: value for name, value in source.options.items() if name not in ("root", "max_unreadable")}
    values = [VERSION, source.kind, pool.folder.name, listing.table, decides, listing.unusable, listing.ignored]
    if declared != Declared():
        values += [declared.class_names, declared.licence, declared.synthetic]
    return f"own-splits-{blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=16).hexdigest()}"


def _contents(
    source: OwnSource, path: Path, listing: Listing, pool: Pool, declared: Declared, access: Access
) -> Contents:
    items, label_names = listing.items, listing.label_names
    if source.kind == "npz":
        with ArchiveFile(path, checksum_file(), access.on_read) as archive:
            archive.hash()
            items, label_names = items_of(path, archive.content())
            names = class_names_of(path, archive.content()) or declared.class_names
        if _are_named(names, items, label_names):
            listing = replace(listing, class_names=names)
    listing = replace(listing, find_items=lambda: items, label_names=label_names)
    contents = collected(source, path, listing, pool, access.on_read)
    mark = {"licence": declared.licence, "synthetic": declared.synthetic}
    return replace(contents, card=contents.card.model_copy(update=mark))


def _are_named(names: tuple[str, ...], items: list[Item], label_names: tuple[str, ...]) -> bool:
    """Are these names of classes that fit the labels, which are their numbers?"""
    if label_names:
        return len(names) == len(label_names)
    return bool(names) and all(one.labels[0].isdecimal() and int(one.labels[0]) < len(names) for one in items)


def _card_of(folder: File) -> DataCard:
    """Raises DataError where it was damaged since it was checked."""
    card = read_card(folder / CARD)
    if card is None:
        raise DataError(OwnImages.CACHE_DAMAGED, folder=folder, reason=f"{CARD} cannot be read")
    return card


def _check_files(folder: File) -> None:
    """What no digest covers, and is made again with the arrays. Raises Damaged."""
    card = read_card(folder / CARD)
    if card is None:
        raise Damaged(f"{CARD} cannot be read")
    found = {split: len(mapped_array(folder / f"{split}_rows.npy")) for split in SPLITS}
    if card.images != found:
        raise Damaged(f"{CARD} has other numbers of images")
    if not (folder / FILES).is_regular:
        raise Damaged(f"{FILES} is not there")
