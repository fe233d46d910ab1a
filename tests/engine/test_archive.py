"""Archives and their decoded arrays: nothing is believed before it is checked, nothing is allocated before that."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine import sentences
from engine.contract.data.datasets import Archive, DatasetFacts, datasets
from engine.contract.data.sums import cache_folder, known_md5
from engine.contract.sentence import Sentence
from engine.contract.wire.errors import DataError
from engine.data.archive import ArchiveSpec, check_structure, find_archive, verify_archive
from engine.data.cache import Decoded, channel_statistics, decode

Arrays = dict[str, np.ndarray]
SIZES = {"train": 7, "val": 3, "test": 4}
BREAST, PATH, CHEST = (datasets()[name] for name in ("breastmnist", "pathmnist", "chestmnist"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("MEDTUI_CACHE", str(folder))
    return folder


def arrays_like(facts: DatasetFacts, size: int = 28) -> Arrays:
    draws = np.random.default_rng(5)
    arrays = {}
    for split, n in SIZES.items():
        shape = (n, size, size, 3) if facts.channels == 3 else (n, size, size)
        arrays[f"{split}_images"] = draws.integers(0, 256, shape, dtype=np.uint8)
        labels = (n, facts.classes) if facts.task == "multi_label" else (n, 1)
        arrays[f"{split}_labels"] = draws.integers(0, 2, labels).astype(np.uint8)
    return arrays


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def saved(path: Path, arrays: Mapping[str, np.ndarray], *, compressed: bool = False) -> Path:
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


def zipped(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about duplicates, which are wanted here
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members:
                archive.writestr(name, data)
    return path


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def members_of(arrays: Mapping[str, np.ndarray]) -> list[tuple[str, bytes]]:
    return [(f"{name}.npy", npy(array)) for name, array in arrays.items()]


def custom(path: Path, facts: DatasetFacts = BREAST, size: int = 28) -> ArchiveSpec:
    return ArchiveSpec(facts, size, path, md5(path))


def as_official(path: Path, facts: DatasetFacts = BREAST) -> ArchiveSpec:
    """The data set as if this file were the published one."""
    archive = Archive(path.name, f"https://example.org/{path.name}?download=1", md5(path))
    return ArchiveSpec(replace(facts, splits=dict(SIZES), archives={28: archive}), 28)


def decoded(spec: ArchiveSpec, *folders: Path, log: Callable[[str], None] = lambda words: None) -> Decoded:
    return decode(spec, folders, log)


# of a file that has the expected MD5 and is refused for what it holds
CONTENT = (
    *(sentence.code for sentence in vars(sentences.Arrays).values() if isinstance(sentence, Sentence)),
    sentences.Archive.DAMAGED.code,
    sentences.Archive.NOT_AN_ARCHIVE.code,
    sentences.Archive.UNREADABLE.code,
)


def refusal(path: Path, facts: DatasetFacts = BREAST) -> DataError:
    with pytest.raises(DataError) as error:
        decoded(custom(path, facts))
    assert error.value.exit_code == 4
    assert error.value.code in CONTENT
    assert error.value.fields["path"] == path
    return error.value


# Finding


def test_a_missing_official_file_is_reported_with_every_folder_url_name_and_md5(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two", tmp_path / "three"]
    with pytest.raises(DataError) as error:
        find_archive(ArchiveSpec(PATH, 64), folders)
    words = str(error.value)
    assert error.value.exit_code == 4
    # copied from medmnist/info.py
    for part in (
        *map(str, folders),
        "pathmnist_64.npz",
        "https://zenodo.org/records/10519652/files/pathmnist_64.npz",
        "55aa9c1e0525abe5a6b9d8343a507616",
    ):
        assert part in words


def test_the_first_folder_that_has_the_file_wins(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("none", "first", "second")]
    for folder in folders[1:]:
        folder.mkdir()
        (folder / "breastmnist.npz").touch()
    assert find_archive(ArchiveSpec(BREAST, 28), folders) == folders[1] / "breastmnist.npz"


def test_a_folder_with_the_archives_name_is_not_mistaken_for_it(tmp_path: Path) -> None:
    (tmp_path / "breastmnist.npz").mkdir()
    with pytest.raises(DataError):
        find_archive(ArchiveSpec(BREAST, 28), [tmp_path])


def test_a_missing_custom_archive_is_reported_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        find_archive(ArchiveSpec(BREAST, 28, tmp_path / "mine.npz", "0" * 32), [tmp_path])
    assert error.value.code == sentences.Archive.MISSING.code
    assert error.value.fields["path"] == tmp_path / "mine.npz"


# Verifying


def test_another_md5_is_refused_naming_both(tmp_path: Path) -> None:
    path = saved(tmp_path / "breastmnist.npz", arrays_like(BREAST))
    with pytest.raises(DataError) as error:
        decoded(ArchiveSpec(BREAST, 28), tmp_path)
    fields = error.value.fields
    assert (error.value.code, fields["path"]) == (sentences.Archive.NOT_OFFICIAL.code, path)
    assert (fields["expected"], fields["found"]) == ("750601b1f35ba3300ea97c75c52ff8f6", md5(path))  # the published one


def test_a_custom_archive_with_another_md5_is_refused_and_the_hint_has_the_right_one(tmp_path: Path) -> None:
    path = saved(tmp_path / "mine.npz", arrays_like(BREAST))
    for stated, sentence in (
        ("0" * 32, sentences.Archive.NOT_THE_RECIPES),
        (None, sentences.Archive.UNIDENTIFIED),
    ):
        with pytest.raises(DataError) as error:
            decoded(ArchiveSpec(BREAST, 28, path, stated))
        assert (error.value.code, error.value.fields.get("expected")) == (sentence.code, stated)
        assert f"md5: {md5(path)}" in error.value.hint
    decoded(ArchiveSpec(BREAST, 28, path, md5(path)))


def test_the_md5_is_remembered_and_computed_again_when_the_file_changes(tmp_path: Path) -> None:
    path = saved(tmp_path / "mine.npz", arrays_like(BREAST))
    memory = tmp_path / "memory" / "verified.json"
    first = verify_archive(path, custom(path), memory)
    (place,) = json.loads(memory.read_text())
    assert str(path) in place
    memory.write_text(json.dumps({place: "1" * 32}))
    # an unchanged file is not read: what is remembered counts
    assert verify_archive(path, replace(custom(path), md5="1" * 32), memory) == "1" * 32
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))
    assert verify_archive(path, custom(path), memory) == first == md5(path)
    assert list(json.loads(memory.read_text()).values()) == [first], "the old entry of a path goes"


def test_a_replaced_file_is_read_again(tmp_path: Path) -> None:
    path, memory = saved(tmp_path / "mine.npz", arrays_like(BREAST)), tmp_path / "verified.json"
    stated = custom(path)
    verify_archive(path, stated, memory)
    other = tmp_path / "other"
    other.write_bytes(path.read_bytes()[:-1] + b"x")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)  # size and mtime as before
    with pytest.raises(DataError):
        verify_archive(path, stated, memory)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"a": 1}', "\x00"])
def test_a_damaged_cache_of_sums_does_no_harm(content: str, tmp_path: Path) -> None:
    path, memory = saved(tmp_path / "mine.npz", arrays_like(BREAST)), tmp_path / "verified.json"
    memory.write_text(content)
    assert verify_archive(path, custom(path), memory) == md5(path)


# Structure


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("facts", [BREAST, PATH, CHEST], ids=lambda facts: facts.name)
def test_decoded_arrays_are_those_of_numpys_reader(facts: DatasetFacts, compressed: bool, tmp_path: Path) -> None:
    path = saved(tmp_path / f"{facts.name}.npz", arrays_like(facts), compressed=compressed)
    data = decoded(as_official(path, facts), tmp_path)
    assert (data.source, data.md5, data.official) == (str(path), md5(path), True)
    with np.load(path) as expected:
        for split, n in SIZES.items():
            images = data.images(split)
            assert isinstance(images, np.memmap)
            assert images.dtype == np.uint8
            np.testing.assert_array_equal(images, expected[f"{split}_images"])
            labels = expected[f"{split}_labels"].astype(np.int64)
            np.testing.assert_array_equal(data.labels(split), labels if facts is CHEST else labels[:, 0])
            assert data.labels(split).dtype == np.int64
            assert data.length(split) == n


def test_fortran_order_and_other_integer_labels_decode_to_the_same_values(tmp_path: Path) -> None:
    arrays = arrays_like(PATH)
    odd = arrays | {
        "train_images": np.asfortranarray(arrays["train_images"]),
        "train_labels": arrays["train_labels"].astype(">i4"),
    }
    data = decoded(custom(saved(tmp_path / "odd.npz", odd), PATH))
    np.testing.assert_array_equal(data.images("train"), arrays["train_images"])
    np.testing.assert_array_equal(data.labels("train"), arrays["train_labels"][:, 0])


def without(arrays: Arrays, name: str) -> Arrays:
    return {key: value for key, value in arrays.items() if key != name}


GOOD = arrays_like(BREAST)
NO_IMAGE = {"val_images": np.zeros((0, 28, 28), np.uint8), "val_labels": np.zeros((0, 1), np.uint8)}
# the arrays, the sentence that refuses them, and some of its fields
WRONG: dict[str, tuple[Arrays, Sentence, dict[str, object]]] = {
    "no validation images": (without(GOOD, "val_images"), sentences.Arrays.MISSING, {"array": "val_images"}),
    "no test labels": (without(GOOD, "test_labels"), sentences.Arrays.MISSING, {"array": "test_labels"}),
    "an array too many": (GOOD | {"extra": np.zeros(3)}, sentences.Arrays.UNKNOWN, {"found": "extra.npy"}),
    "images of 27 px": (
        GOOD | {"train_images": np.zeros((7, 27, 28), np.uint8)},
        sentences.Arrays.IMAGES_SHAPE,
        {"array": "train_images", "expected": "N×28×28", "found": "7×27×28"},
    ),
    "colour for grey": (
        GOOD | {"train_images": np.zeros((7, 28, 28, 3), np.uint8)},
        sentences.Arrays.IMAGES_SHAPE,
        {"found": "7×28×28×3"},
    ),
    "float images": (
        GOOD | {"val_images": np.zeros((3, 28, 28), np.float32)},
        sentences.Arrays.NOT_INTEGERS,
        {"array": "val_images", "found": np.float32},
    ),
    "wide images": (
        GOOD | {"val_images": np.zeros((3, 28, 28), np.uint16)},
        sentences.Arrays.IMAGES_TYPE,
        {"array": "val_images", "found": np.uint16},
    ),
    "float labels": (
        GOOD | {"val_labels": np.zeros((3, 1), np.float64)},
        sentences.Arrays.NOT_INTEGERS,
        {"array": "val_labels", "found": np.float64},
    ),
    "text labels": (
        GOOD | {"val_labels": np.array([["a"], ["b"], ["c"]])},
        sentences.Arrays.NOT_INTEGERS,
        {"array": "val_labels"},
    ),
    "complex labels": (
        GOOD | {"val_labels": np.zeros((3, 1), np.complex64)},
        sentences.Arrays.NOT_INTEGERS,
        {"array": "val_labels"},
    ),
    "fewer labels": (
        GOOD | {"test_labels": np.zeros((3, 1), np.uint8)},
        sentences.Arrays.LABELS_SHAPE,
        {"array": "test_labels", "found": (3, 1)},
    ),
    "labels of two columns": (
        GOOD | {"test_labels": np.zeros((4, 2), np.uint8)},
        sentences.Arrays.LABELS_SHAPE,
        {"array": "test_labels", "found": (4, 2)},
    ),
    "no image": (GOOD | NO_IMAGE, sentences.Arrays.IMAGES_SHAPE, {"array": "val_images", "found": "0×28×28"}),
    "a number for images": (
        GOOD | {"val_images": np.array(3, np.uint8)},
        sentences.Arrays.IMAGES_SHAPE,
        {"found": "a scalar"},
    ),
}


@pytest.mark.parametrize(("arrays", "sentence", "fields"), WRONG.values(), ids=WRONG)
def test_an_archive_of_another_structure_is_refused_saying_what_was_found(
    arrays: Arrays, sentence: Sentence, fields: dict[str, object], tmp_path: Path
) -> None:
    error = refusal(saved(tmp_path / "mine.npz", arrays))
    assert error.code == sentence.code
    assert {name: error.fields[name] for name in fields} == fields


def test_object_arrays_are_refused_and_their_pickles_not_executed(tmp_path: Path) -> None:
    marker = tmp_path / "executed"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(marker),)

    labels = np.empty((7, 1), dtype=object)
    labels[:] = Trap()
    path = saved(tmp_path / "mine.npz", GOOD | {"train_labels": labels})
    error = refusal(path)
    assert (error.code, error.fields["array"]) == (sentences.Arrays.NOT_INTEGERS.code, "train_labels")
    assert not marker.exists()
    with np.load(path, allow_pickle=True) as armed:  # the trap does work
        _ = armed["train_labels"]
    assert marker.exists()


@pytest.mark.parametrize("name", ["../x.npy", "/tmp/x.npy", "train_images.npy/../../x.npy", "a/../../train_images.npy"])
def test_member_names_that_leave_the_folder_are_refused_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    path = zipped(inside / "mine.npz", [*members_of(GOOD), (name, npy(GOOD["val_labels"]))])
    error = refusal(path)
    assert (error.code, error.fields["found"]) == (sentences.Arrays.UNKNOWN.code, name)
    assert sorted(file.name for file in tmp_path.rglob("*") if file.is_file()) == ["mine.npz", "verified.json"]


def test_a_duplicate_member_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "mine.npz", [*members_of(GOOD), ("train_images.npy", npy(GOOD["train_images"] + 1))])
    assert refusal(path).code == sentences.Arrays.TWICE.code


def with_header(shape: tuple[int, ...], text: str | None = None) -> bytes:
    header = text if text is not None else f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
    padded = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded


HUGE = [(10**9, 28, 28), (10**12, 28, 28), (2**62, 28, 28), (10**30, 28, 28)]


def refused_without_allocating(path: Path) -> None:
    spec = custom(path)
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            decoded(spec)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20e6  # bytes; the header promises 784 GB and more


@pytest.mark.parametrize("shape", HUGE, ids=str)
def test_a_terabyte_header_over_few_bytes_is_refused_without_allocating(shape: tuple[int, ...], tmp_path: Path) -> None:
    parts = dict(members_of(GOOD)) | {
        "train_images.npy": with_header(shape) + bytes(100),
        "train_labels.npy": with_header((shape[0], 1)) + bytes(100),
    }
    refused_without_allocating(zipped(tmp_path / "mine.npz", list(parts.items())))


@pytest.mark.parametrize("shape", HUGE[:2], ids=str)
def test_a_terabyte_header_with_a_zip_that_agrees_is_refused_without_allocating_or_writing(
    shape: tuple[int, ...], tmp_path: Path, cache: Path
) -> None:
    """The central directory declares as many bytes as the array's header does; labels agree too."""
    n = shape[0]
    label_header = with_header((n, 1))
    image_header = with_header(shape)
    parts = dict(members_of(GOOD)) | {
        "train_images.npy": image_header + bytes(100),
        "train_labels.npy": label_header + bytes(100),
    }
    path = tmp_path / "mine.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
        for info in archive.infolist():  # written into the central directory at the end
            if info.filename.startswith("train"):
                info.file_size = 128 + (n * 28 * 28 if "images" in info.filename else n)
    refused_without_allocating(path)
    assert sum(file.stat().st_size for file in cache.rglob("*") if file.is_file()) < 1e6


NO_HEADERS = {
    "nothing": "",
    "a zero byte": "\x00",
    "an open brace": "{",
    "cut off": "{'descr': '|u1'",
    "deep": "[" * 100,
    "an open string": "'''",
    "a shape of text": "{'descr': '|u1', 'fortran_order': False, 'shape': (7, 28, '28')}",
}


@pytest.mark.parametrize("header", NO_HEADERS.values(), ids=NO_HEADERS)
def test_an_invalid_header_is_refused_in_one_sentence(header: str, tmp_path: Path) -> None:
    parts = dict(members_of(GOOD)) | {"train_images.npy": with_header((), header) + bytes(7 * 28 * 28)}
    refusal(zipped(tmp_path / "mine.npz", list(parts.items())))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_archive_is_refused_in_one_sentence(kept: float, compressed: bool, tmp_path: Path) -> None:
    path = saved(tmp_path / "mine.npz", GOOD, compressed=compressed)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    refusal(path)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 0.75, 0.9])
def test_an_archive_with_damaged_bytes_is_refused_in_one_sentence(
    share: float, compressed: bool, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 7, (7, 28, 28), dtype=np.uint8)  # can be compressed
    whole = saved(tmp_path / "whole.npz", GOOD | {"train_images": pixels}, compressed=compressed)
    with zipfile.ZipFile(whole) as archive:
        info = archive.getinfo("train_images.npy")
    data = whole.read_bytes()
    name_length, extra_length = struct.unpack_from("<HH", data, info.header_offset + 26)
    start = info.header_offset + 30 + name_length + extra_length + int(share * info.compress_size)
    for number, damage in enumerate((b"\xff" * 40, bytes(40), bytes(range(100, 140)))):
        path = tmp_path / f"mine{number}.npz"
        path.write_bytes(data[:start] + damage + data[start + 40 :])
        refusal(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"hello" * 100, npy(np.zeros(3))], ids=["empty", "two", "text", "npy"])
def test_a_file_that_is_not_an_archive_is_refused_in_one_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    path.write_bytes(content)
    refusal(path)


def test_an_official_archive_must_have_the_published_number_of_images(tmp_path: Path) -> None:
    path = saved(tmp_path / "breastmnist.npz", GOOD)
    spec = as_official(path)
    check_structure(path, spec, path.open("rb"))
    more = replace(spec, facts=replace(spec.facts, splits=SIZES | {"val": 5}))
    with pytest.raises(DataError) as error:
        check_structure(path, more, path.open("rb"))
    assert error.value.code == sentences.Arrays.IMAGES.code
    assert error.value.fields == {"path": path, "split": "val", "expected": 5, "found": 3}


@pytest.mark.parametrize(
    ("facts", "label"),
    [(BREAST, 2), (BREAST, -1), (PATH, 9), (CHEST, 2), (CHEST, -1)],
    ids=lambda value: str(value)[:20],
)
def test_labels_out_of_range_are_refused_with_the_range(facts: DatasetFacts, label: int, tmp_path: Path) -> None:
    arrays = arrays_like(facts)
    labels = arrays["val_labels"].astype(np.int16)
    labels[1, 0] = label
    data = decoded(custom(saved(tmp_path / "mine.npz", arrays | {"val_labels": labels}), facts))
    assert data.labels("train").min() >= 0
    with pytest.raises(DataError) as error:
        data.labels("val")
    fields = error.value.fields
    assert (error.value.code, fields["array"]) == (sentences.Arrays.LABELS_RANGE.code, "val_labels")
    assert fields["highest"] == (1 if facts is CHEST else facts.classes - 1)
    assert label in (fields["lowest_found"], fields["highest_found"])


# Real files


@pytest.mark.real_data
def test_the_relabelled_breastmnist_is_refused_as_the_official_one_with_a_clear_reason(
    real_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "breastmnist.npz").symlink_to(real_data / "breastmnist_relabelled.npz")
    with pytest.raises(DataError) as error:
        decoded(ArchiveSpec(BREAST, 28), tmp_path)
    fields = error.value.fields
    assert error.value.code == sentences.Archive.NOT_OFFICIAL.code
    assert (fields["expected"], fields["found"]) == (
        "750601b1f35ba3300ea97c75c52ff8f6",
        "098de56cd2d92ef2f7170e6153c02849",
    )


@pytest.mark.real_data
def test_the_relabelled_breastmnist_as_a_custom_archive_gives_the_official_arrays(real_data: Path) -> None:
    official = decoded(ArchiveSpec(BREAST, 28), real_data)
    path = real_data / "breastmnist_relabelled.npz"
    edition = decoded(ArchiveSpec(BREAST, 28, path, "098de56cd2d92ef2f7170e6153c02849"))
    assert official.official
    assert not edition.official
    for split, n in {"train": 546, "val": 78, "test": 156}.items():
        assert edition.length(split) == official.length(split) == n
        np.testing.assert_array_equal(edition.labels(split), official.labels(split))
        np.testing.assert_array_equal(edition.images(split), official.images(split))
        assert edition.labels(split).shape == (n,)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["breastmnist", "retinamnist"])
def test_official_files_decode_to_what_numpy_reads(name: str, real_data: Path) -> None:
    data = decoded(ArchiveSpec(datasets()[name], 28), real_data)
    with np.load(real_data / f"{name}.npz") as expected:
        for split in ("train", "val", "test"):
            np.testing.assert_array_equal(data.images(split), expected[f"{split}_images"])
            np.testing.assert_array_equal(data.labels(split), expected[f"{split}_labels"][:, 0])
        pixels = expected["train_images"].astype(np.float64) / 255
    axes = tuple(range(3))
    mean, std = data.statistics()
    np.testing.assert_allclose(mean, np.atleast_1d(pixels.mean(axis=axes)), rtol=0, atol=1e-12)
    np.testing.assert_allclose(std, np.atleast_1d(pixels.std(axis=axes)), rtol=0, atol=1e-12)


# Statistics


@pytest.mark.parametrize("shape", [(50, 9, 9), (50, 9, 9, 3), (1, 1, 1), (1, 2, 2, 3)], ids=str)
@pytest.mark.parametrize("chunk", [7, 4096])
def test_channel_statistics_are_numpy_s_in_float64(shape: tuple[int, ...], chunk: int) -> None:
    images = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    channels = images.reshape(-1, 3 if len(shape) == 4 else 1).astype(np.float64) / 255
    mean, std = channel_statistics(images, chunk)
    np.testing.assert_allclose(mean, channels.mean(axis=0), rtol=0, atol=1e-12)
    if channels.std(axis=0).min() > 0:
        np.testing.assert_allclose(std, channels.std(axis=0), rtol=0, atol=1e-12)


def test_images_of_one_colour_have_a_nonzero_standard_deviation() -> None:
    mean, std = channel_statistics(np.full((4, 5, 5), 51, dtype=np.uint8))
    assert mean == [pytest.approx(0.2, abs=1e-12)]
    assert 0 < std[0] < 1e-6


def test_statistics_are_computed_once_and_again_when_their_file_is_damaged(tmp_path: Path) -> None:
    data = decoded(custom(saved(tmp_path / "mine.npz", arrays_like(PATH)), PATH))
    first = data.statistics()
    kept = data.folder.path / "statistics.json"
    values = json.loads(kept.read_text())
    kept.write_text(json.dumps(values | {"mean": [0.5] * 3, "std": [0.25] * 3}))
    assert data.statistics() == ([0.5] * 3, [0.25] * 3)
    of_others = json.dumps(values | {"mean": [0.5] * 3, "train_images": "0" * 32})
    not_numbers = json.dumps(values | {"mean": [float("nan")] * 3})
    for damaged in ("", "{", '{"mean": [0.5, 0.5, 0.5]}', "\x00", "[" * 100_000, of_others, not_numbers):
        kept.write_text(damaged)
        assert data.statistics() == first


# The cache


def test_a_second_start_takes_the_arrays_from_the_cache_silently(tmp_path: Path, cache: Path) -> None:
    spec = custom(saved(tmp_path / "mine.npz", GOOD))
    said: list[str] = []
    first = decoded(spec, log=said.append)
    assert len(said) == 1
    assert cache in first.folder.path.parents
    assert decoded(spec, log=said.append).folder.path == first.folder.path
    assert len(said) == 1


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def cut_in_the_header(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:60])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def garbled(file: Path) -> None:
    file.write_bytes(b"garbage" * 1000)


DAMAGES = [cut_short, cut_in_the_header, emptied, garbled, Path.unlink]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("member", ["train_images", "test_labels"])
def test_a_damaged_cache_entry_is_recreated(damage: Callable[[Path], None], member: str, tmp_path: Path) -> None:
    spec = custom(saved(tmp_path / "mine.npz", GOOD))
    folder = decoded(spec).folder.path
    damage(folder / f"{member}.npy")
    said: list[str] = []
    again = decoded(spec, log=said.append)
    assert len(said) == 1
    np.testing.assert_array_equal(np.load(again.folder.path / f"{member}.npy"), GOOD[member])
    np.testing.assert_array_equal(again.images("train")[:], GOOD["train_images"])
    assert [entry.name for entry in again.folder.path.parent.iterdir()] == [again.folder.path.name], (
        "nothing is left behind"
    )


def test_a_failed_decoding_leaves_no_half_entry(tmp_path: Path, cache: Path) -> None:
    path = saved(tmp_path / "mine.npz", GOOD)
    data = bytearray(path.read_bytes())
    spot = data.find(GOOD["test_images"].tobytes())
    assert spot > 0
    data[spot] ^= 1  # the header is right, the checksum is not
    path.write_bytes(data)
    refusal(path)
    assert list((cache / "arrays").iterdir()) == []


def test_different_archives_have_separate_entries(tmp_path: Path) -> None:
    one = decoded(custom(saved(tmp_path / "one.npz", GOOD)))
    changed = GOOD | {"val_labels": 1 - GOOD["val_labels"]}
    two = decoded(custom(saved(tmp_path / "two.npz", changed)))
    assert one.folder.path != two.folder.path
    np.testing.assert_array_equal(one.labels("val"), 1 - two.labels("val"))


def test_a_cache_that_cannot_be_created_is_reported_by_name(tmp_path: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(DataError) as error:
        decoded(custom(saved(tmp_path / "mine.npz", GOOD)))
    assert error.value.code == sentences.Cache.READ_ONLY.code
    assert str(error.value.fields["folder"]).startswith(str(cache))


# Data are what their digest says


def changed_in_place(path: Path, old: bytes, new: bytes) -> None:
    """Other bytes of the same number, size and mtime as before."""
    stat = path.stat()
    content = path.read_bytes()
    assert old in content and len(old) == len(new)
    with path.open("rb+") as file:
        file.write(content.replace(old, new))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)


PIXELS = GOOD["test_images"].tobytes()
OTHER_PIXELS = bytes(255 - value for value in PIXELS)


def test_an_archive_rewritten_in_place_with_its_times_restored_is_read_again(tmp_path: Path) -> None:
    path = saved(tmp_path / "mine.npz", GOOD)
    spec = custom(path)
    decoded(spec)
    changed_in_place(path, PIXELS, OTHER_PIXELS)
    with pytest.raises(DataError) as error:
        decoded(spec)
    assert error.value.code == sentences.Archive.NOT_THE_RECIPES.code
    with pytest.raises(DataError) as error:
        verify_archive(path, spec, cache_folder() / "verified.json")
    assert error.value.code == sentences.Archive.NOT_THE_RECIPES.code


def test_data_added_to_an_archive_after_hashing_do_not_enter_the_cache(tmp_path: Path, cache: Path) -> None:
    path = saved(tmp_path / "mine.npz", GOOD)
    spec = custom(path)

    def tamper(activity: str, done: int, total: int) -> None:
        if activity.startswith("verifying") and done == total:
            changed_in_place(path, PIXELS, OTHER_PIXELS)

    with pytest.raises(DataError) as error:
        decode(spec, [], lambda words: None, tamper)
    assert error.value.code == sentences.Archive.CHANGED.code
    assert list((cache / "arrays").iterdir()) == []
    changed_in_place(path, OTHER_PIXELS, PIXELS)
    np.testing.assert_array_equal(decoded(spec).images("test"), GOOD["test_images"])


def test_a_remembered_sum_is_not_trusted_for_decoding(tmp_path: Path, cache: Path) -> None:
    path = saved(tmp_path / "mine.npz", GOOD)
    spec = replace(custom(path), md5="1" * 32)
    verify_archive(path, custom(path), cache / "verified.json")
    memory = json.loads((cache / "verified.json").read_text())
    (cache / "verified.json").write_text(json.dumps(dict.fromkeys(memory, "1" * 32)))
    with pytest.raises(DataError) as error:
        decoded(spec)
    assert (error.value.code, error.value.fields["expected"]) == (sentences.Archive.NOT_THE_RECIPES.code, "1" * 32)


def test_a_changed_cached_array_is_recreated_with_a_warning(tmp_path: Path) -> None:
    spec = custom(saved(tmp_path / "mine.npz", GOOD))
    folder = decoded(spec).folder.path
    changed_in_place(folder / "test_images.npy", PIXELS, OTHER_PIXELS)
    warnings_: list[str] = []
    again = decode(spec, [], lambda words: None, warn=warnings_.append)
    (warning,) = warnings_
    assert "test_images" in warning and str(folder) in warning
    np.testing.assert_array_equal(again.images("test"), GOOD["test_images"])


def test_an_array_that_was_only_touched_or_copied_is_kept_and_hashed_once(tmp_path: Path) -> None:
    spec = custom(saved(tmp_path / "mine.npz", GOOD))
    array = decoded(spec).folder.path / "train_images.npy"
    (tmp_path / "copy").write_bytes(array.read_bytes())
    (tmp_path / "copy").replace(array)  # another inode, other times
    hashed: list[str] = []
    for _ in range(2):
        decode(spec, [], pytest.fail, lambda activity, done, total: hashed.append(activity))
    assert [activity for activity in hashed if "checking" in activity] == ["checking the decoded train_images.npy"]


@pytest.mark.parametrize("content", [None, "", "{}", "[" * 50_000, '{"format": 1, "archive": "0", "arrays": {}}'])
def test_a_cache_entry_without_its_record_is_recreated(content: str | None, tmp_path: Path) -> None:
    spec = custom(saved(tmp_path / "mine.npz", GOOD))
    folder = decoded(spec).folder.path
    changed_in_place(folder / "test_images.npy", PIXELS, OTHER_PIXELS)
    (folder / "entry.json").unlink() if content is None else (folder / "entry.json").write_text(content)
    said: list[str] = []
    np.testing.assert_array_equal(decoded(spec, log=said.append).images("test"), GOOD["test_images"])
    assert len(said) == 1


def test_the_slower_of_two_decoders_leaves_the_entry_of_the_faster_one_alone(tmp_path: Path) -> None:
    spec = custom(saved(tmp_path / "mine.npz", GOOD))
    faster: list[Decoded] = []
    inodes: list[int] = []

    def overtaken(activity: str, done: int, total: int) -> None:
        if activity.startswith("decoding") and done == total and not faster:
            faster.append(decoded(spec))
            inodes.append(faster[0].folder.path.stat().st_ino)

    slower = decode(spec, [], lambda words: None, overtaken)
    assert [slower.folder.path.stat().st_ino] == inodes
    assert [entry.name for entry in slower.folder.path.parent.iterdir()] == [slower.folder.path.name], (
        "nothing is left behind"
    )
    np.testing.assert_array_equal(faster[0].images("train"), GOOD["train_images"])


def test_the_temporary_folder_of_a_live_decoder_is_kept_and_that_of_a_dead_one_deleted(
    tmp_path: Path, cache: Path
) -> None:
    spec = custom(saved(tmp_path / "mine.npz", GOOD))
    other = custom(saved(tmp_path / "other.npz", arrays_like(PATH)), PATH)
    dead = cache / "arrays" / ".of-a-killed-one.abcdefgh"
    dead.mkdir(parents=True)
    os.utime(dead, (0, 0))

    def late(activity: str, done: int, total: int) -> None:
        if activity.startswith("decoding") and done == total:
            (own,) = (folder for folder in (cache / "arrays").glob(".*") if spec.facts.name in folder.name)
            os.utime(own, (0, 0))
            decoded(other)
            assert own.is_dir()

    np.testing.assert_array_equal(decode(spec, [], lambda words: None, late).images("train"), GOOD["train_images"])
    assert not dead.exists()


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("pipe", "a pipe"),
        ("folder", "a folder"),
        ("empty", "empty"),
        ("/dev/zero", "a device"),
        ("/proc/kmsg", "a pseudo-file"),
        ("/proc/kcore", "a pseudo-file"),
        ("/proc/self/mem", "a pseudo-file"),
        ("/sys/kernel/uevent_seqnum", "a pseudo-file"),
    ],
)
def test_an_archive_that_is_not_a_regular_file_is_refused_in_one_sentence(
    what: str, named: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.npz"
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "empty":
        path.touch()
    elif Path(what).exists():
        path.symlink_to(what)
    else:
        pytest.skip(f"there is no {what} here")
    with pytest.raises(DataError) as error:
        decoded(ArchiveSpec(BREAST, 28, path, "0" * 32))
    assert named in error.value.message and error.value.fields["path"] == path
    assert known_md5(path) is None, "nor does the console read it"


def test_what_is_appended_while_an_archive_is_read_is_not_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "mine.npz", GOOD)
    spec = custom(path)

    def append(activity: str, done: int, total: int) -> None:
        with path.open("ab") as file:
            file.write(b"more" * 1000)

    np.testing.assert_array_equal(decode(spec, [], lambda words: None, append).images("test"), GOOD["test_images"])
