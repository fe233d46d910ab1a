"""A source of images as one portable `.npz` in MedMNIST's layout, with a card; written in steps, whatever its size.

Its labels are numbers; `class_names` is a seventh array, which a reader of MedMNIST's six ignores.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.contract.data.archive_card import SYNTHETIC, ArchiveCard, card_of
from engine.contract.data.card import read_card
from engine.contract.data.datasets import SPLITS, DatasetFacts
from engine.contract.files.folders import File, Folder, file_at
from engine.contract.files.inspection import free_space
from engine.contract.files.paths import path_status
from engine.contract.wire.errors import OutputError
from engine.contract.wire.text import format_bytes
from engine.data.archive_file import OnRead
from engine.data.cache import Decoded
from engine.data.own.arrays import NAMES
from engine.data.own.source import CARD, OwnDecoded
from engine.sentences import Packing

STEP = 4 * 1024 * 1024  # bytes of images that are in memory at once
_DATE = (1980, 1, 1, 0, 0, 0)  # of each member: equal images give equal archives


@dataclass(frozen=True)
class Array:
    """One array, part by part."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    parts: Iterable[np.ndarray]


def packed(data: Decoded, target: Path, on_read: OnRead, *, replace: bool) -> ArchiveCard:
    """Write the archive of all splits to `target`, and its card next to it. Raises OutputError, DataError."""
    images = {split: data.images(split) for split in SPLITS}
    labels = {split: _labels(data, split) for split in SPLITS}
    need, done = sum(found.nbytes for found in images.values()), 0

    def parts(split: str) -> Iterator[np.ndarray]:
        nonlocal done
        found = images[split]
        step = max(1, STEP // max(1, found.nbytes // max(1, len(found))))
        for start in range(0, len(found), step):
            part = np.asarray(found[start : start + step])
            yield part
            done += part.nbytes
            on_read(f"packing the {split} images", done, need)

    arrays = []
    for split in SPLITS:
        arrays.append(Array(f"{split}_images", images[split].shape, np.dtype(np.uint8), parts(split)))
        arrays.append(_small(f"{split}_labels", labels[split]))
    arrays.append(_small(NAMES, np.array(data.facts.class_names)))
    refuse_full(target, need)
    comment = SYNTHETIC + f", packed from {data.facts.name}".encode() if data.facts.synthetic else b""
    md5 = write_archive(target, arrays, comment, replace=replace)
    card = card_for(data.facts, images["train"].shape[1], {split: _hot(data, split) for split in SPLITS}, md5)
    own = read_card(data.folder / CARD) if isinstance(data, OwnDecoded) else None
    how = own.how_split if own is not None else "as given"
    card = card.model_copy(update={"made_from": Path(data.source).name, "how_split": how})
    write_card(target, card)
    return card


def _labels(data: Decoded, split: str) -> np.ndarray:
    """uint8 [N, 1] or [N, K], as MedMNIST has them; wider where there are more classes."""
    found = data.labels(split)
    narrow = found.astype(np.uint8 if data.facts.classes <= 256 else np.uint16)
    return narrow if narrow.ndim == 2 else narrow[:, None]


def _hot(data: Decoded, split: str) -> np.ndarray:
    """int64 [K]: how many images of each class."""
    labels = data.labels(split)
    if labels.ndim == 2:
        counts: np.ndarray = labels.sum(axis=0)
        return counts
    return np.bincount(labels, minlength=data.facts.classes)


def card_for(facts: DatasetFacts, size: int, counts: dict[str, np.ndarray], md5: str) -> ArchiveCard:
    """counts: int64 [K] per split, of the images of each class; of single labels they add up to the images."""
    per_class = {split: dict(zip(facts.class_names, of.tolist(), strict=True)) for split, of in counts.items()}
    return ArchiveCard(
        name=facts.name,
        title=facts.title,
        made_from=facts.name,
        task=facts.task,
        class_names=facts.class_names,
        symmetry=facts.symmetry,
        licence=facts.licence,
        synthetic=facts.synthetic,
        channels=1 if facts.channels == 1 else 3,
        size=size,
        images=dict(facts.splits),
        per_class=per_class,
        how_split="as given",
        md5=md5,
    )


# ---- the file --------------------------------------------------------------------------------------------------------


def refuse_full(target: Path, need: int) -> None:
    """Raises OutputError where that many bytes may not fit. Deflated they are fewer."""
    folder = next(above for above in target.absolute().parents if path_status(above).is_folder)  # the rest is made
    free = free_space(Folder(folder).itself)
    if need > free:
        raise OutputError(
            Packing.NO_SPACE, path=target, need=format_bytes(need), free=format_bytes(free), folder=target.parent
        )


def write_archive(target: Path, arrays: Iterable[Array], comment: bytes, *, replace: bool) -> str:
    """The MD5 of the archive. Raises OutputError; a file that is there stays, unless `replace`."""
    file = file_at(target)
    if file.is_there and not replace:
        raise OutputError(Packing.EXISTS, path=target)
    try:
        file.folder.make()
        with file.replacing() as opened:
            with zipfile.ZipFile(opened, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                archive.comment = comment
                for array in arrays:
                    _add(archive, array)
            opened.flush()
        return _md5(file)
    except OSError as error:
        raise OutputError(Packing.UNWRITABLE, path=target, reason=error.strerror or error) from None


def _add(archive: zipfile.ZipFile, array: Array) -> None:
    info = zipfile.ZipInfo(f"{array.name}.npy", _DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(info, "w", force_zip64=True) as member:
        header: dict[str, Any] = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False}
        text = io.BytesIO()
        np.lib.format.write_array_header_1_0(text, header | {"shape": array.shape})
        member.write(text.getvalue())
        for part in array.parts:
            member.write(np.ascontiguousarray(part, dtype=array.dtype).tobytes())


def _small(name: str, values: np.ndarray) -> Array:
    return Array(name, values.shape, values.dtype, [values])


def _md5(file: File) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with file.reading() as content:
        while chunk := content.read(STEP):
            digest.update(chunk)
    return digest.hexdigest()


def write_card(target: Path, card: ArchiveCard) -> None:
    """Raises OutputError."""
    file = file_at(target.with_name(card_of(target)))
    try:
        file.write(card.model_dump_json(indent=1) + "\n", durable=False)
    except OSError as error:
        raise OutputError(Packing.UNWRITABLE, path=file, reason=error.strerror or error) from None
