"""Images of a user's own, from a folder, a table or arrays: what is found in them, how they are split, the cache."""

from __future__ import annotations

import csv
import io
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from own_pictures import converted, own_images_folder, speckled, write_class_folders
from PIL import Image, ImageEnhance

from engine.contract.data.archive_card import ArchiveCard
from engine.contract.data.card import DataCard, read_card
from engine.contract.wire.errors import DataError, MedtuiError
from engine.data.cache import Decoded
from engine.data.own import pool
from engine.data.own.worker import Task
from engine.data.own.workers import Workers

SPLITS = ("train", "val", "test")
GROUP = r"BloodImage_(\d{5})"


def card_of(data: Decoded) -> DataCard:
    card = read_card(data.attachments["data_card.json"])
    assert card is not None
    return card


def rows_of(data: Decoded) -> list[dict[str, str]]:
    """images.csv: one row per image."""
    return list(csv.DictReader(io.StringIO(data.attachments["images.csv"].content().decode(), newline="")))


def pixels_of(data: Decoded) -> dict[str, bytes]:
    return {split: data.images(split)[:].tobytes() + data.labels(split).tobytes() for split in SPLITS}


def table(path: Path, rows: list[dict[str, str]], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def cells() -> Decoded:
    """The folder of real pictures, grouped by the photograph that each is cut from."""
    return converted(folder=str(own_images_folder() / "blood_cells"), group=GROUP)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 20 generated pictures. Not to be changed."""
    folder = tmp_path_factory.mktemp("pictures")
    write_class_folders(folder, per_class=20)
    return folder


# ---- real pictures ---------------------------------------------------------------------------------------------------


def test_every_trap_of_the_blood_cells_is_found_as_their_readme_counts_them(cells: Decoded) -> None:
    card = card_of(cells)
    assert sum(card.images.values()) == 1144 and card.unusable == 3
    assert {one.file for one in card.unusable_files} == {"WBC/truncated.jpg", "RBC/empty.png", "WBC/notes.txt"}
    assert (card.duplicates.exact, card.duplicates.near) == (6, 5)  # five copies and a misplaced one; five re-encoded
    assert card.duplicates.other_label == 1  # the misplaced one
    assert (card.groups, card.widths[::2], card.heights[::2]) == (361, (19, 338), (23, 286))


def test_cells_of_one_photograph_are_in_one_split_and_no_duplicate_crosses(cells: Decoded) -> None:
    where: dict[str, set[str]] = {}
    for row in rows_of(cells):
        where.setdefault(row["group"] or row["file"], set()).add(row["split"])
    assert len(where) > 361 and all(len(splits) == 1 for splits in where.values())
    assert card_of(cells).duplicates.across_splits == 0


def test_a_table_gives_labels_and_groups_by_its_columns_and_names_rows_without_a_file_or_a_label() -> None:
    folder, log = own_images_folder(), []
    data = converted(log, csv=str(folder / "blood_cells.csv"), root=str(folder / "blood_cells"), group="picture")
    card = card_of(data)
    assert (sum(card.images.values()), card.unusable, card.groups) == (1133, 4, 361)
    assert Counter(one.reason for one in card.unusable_files) == {"no label": 3, "no such file": 1}
    assert any("files from 'file', labels from 'cell type', groups from 'picture'" in line for line in log)
    totals = Counter({name: sum(card.per_class[split][name] for split in SPLITS) for name in card.class_names})
    assert totals == {"RBC": 400, "WBC": 372, "Platelets": 361}


def test_medmnists_own_archive_is_read_as_it_is(real_data: Path) -> None:
    official = np.load(real_data / "breastmnist.npz")
    data = converted(npz=str(real_data / "breastmnist.npz"), class_names="malignant, normal or benign")
    for split in SPLITS:
        assert (data.images(split)[:] == official[f"{split}_images"]).all()
        assert (data.labels(split) == official[f"{split}_labels"][:, 0]).all()
    assert (data.facts.task, data.facts.class_names) == ("binary", ("malignant", "normal or benign"))
    assert card_of(data).how_split == "as given"


# ---- folders ---------------------------------------------------------------------------------------------------------


def test_folders_of_splits_are_kept_and_validation_is_taken_from_training(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "test")):
        for label in range(2):
            (tmp_path / split / f"grade {10 if label else 2}").mkdir(parents=True)
            for seed in range(10):
                name = tmp_path / split / f"grade {10 if label else 2}" / f"{seed}.png"
                Image.fromarray(speckled(100 * number + 10 * label + seed, level=60 * label)).save(name)
    data = converted(folder=str(tmp_path), val_fraction=0.2, task="ordinal-regression")
    assert {split: data.length(split) for split in SPLITS} == {"train": 16, "val": 4, "test": 20}
    assert data.facts.class_names == ("grade 2", "grade 10") and data.facts.task == "ordinal"
    assert {row["split"] for row in rows_of(data) if row["file"].startswith("test/")} == {"test"}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: (folder / "train").mkdir(), "expected a folder for each class"),
        (lambda folder: write_class_folders(folder, 3, classes=("train", "b")), "found train next to b"),
        (lambda folder: write_class_folders(folder, 4, classes=("a",)), "expected two classes or more, found only a"),
        (lambda folder: write_class_folders(folder, 2), "expected two images or more for each split"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_with_what_it_lacks(tmp_path: Path, make: Any, said: str) -> None:
    make(tmp_path)
    with pytest.raises(DataError, match=said):
        converted(folder=str(tmp_path))


def test_a_class_without_images_is_not_left_out_silently(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "pictures")
    (tmp_path / "pictures" / "void").mkdir()
    card = card_of(converted(folder=str(tmp_path / "pictures"), size=28))
    assert "void" not in card.class_names and card.ignored == {"folders without images": 1}


def test_a_folder_that_is_not_there_is_named_with_its_field(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Expected a folder at .*nowhere, found none. Correct dataset.folder."):
        converted(folder=str(tmp_path / "nowhere"))


# ---- tables ----------------------------------------------------------------------------------------------------------


def test_a_table_of_several_columns_of_zero_and_one_is_multi_label(tmp_path: Path, pictures: Path) -> None:
    rows = [
        {"image": f"{folder}/{n:03}", "oedema": str(n % 2), "nodule": str(int(n % 3 == 0))}
        for folder in ("a", "b")
        for n in range(20)
    ]
    data = converted(csv=str(table(tmp_path / "t.csv", rows, "\t")), root=str(pictures))
    assert (data.facts.task, data.facts.class_names) == ("multi_label", ("oedema", "nodule"))
    by_file = {row["file"]: row["label"] for row in rows_of(data)}
    assert by_file["a/003.png"] == "1 1" and by_file["b/002.png"] == "0 0"
    assert data.labels("train").shape[1] == 2


def test_given_splits_and_patients_of_a_table_are_kept_and_a_patient_in_two_is_reported(
    tmp_path: Path, pictures: Path
) -> None:
    rows = [
        {"file": f"a/{n:03}.png", "label": str(n % 2), "split": SPLITS[n % 3], "patient": str(n // 2)}
        for n in range(20)
    ]
    log: list[str] = []
    data = converted(log, csv=str(table(tmp_path / "t.csv", rows, ";")), root=str(pictures))
    assert Counter(row["split"] for row in rows_of(data)) == Counter(SPLITS[n % 3] for n in range(20))
    assert card_of(data).groups_across_splits == 10 and any("10 groups with images in more than one" in x for x in log)
    assert data.facts.class_names == ("0", "1")


@pytest.mark.parametrize("odd", ["tets", ""])
def test_a_row_with_a_misspelt_split_is_named_and_all_others_keep_theirs(
    odd: str, tmp_path: Path, pictures: Path
) -> None:
    rows = [{"file": f"a/{n:03}.png", "label": str(n % 2), "split": SPLITS[n // 7]} for n in range(20)]
    rows[19]["split"] = odd
    data = converted([], csv=str(table(tmp_path / "t.csv", rows)), root=str(pictures), max_unreadable=0.05)
    assert Counter(row["split"] for row in rows_of(data)) == {"train": 7, "val": 7, "test": 5}
    (unusable,) = card_of(data).unusable_files
    assert unusable.file == "a/019.png (line 21)" and f"no split: {odd or 'nothing'}" in unusable.reason


def test_a_name_of_a_split_that_is_not_known_refuses_rather_than_divide_anew(tmp_path: Path, pictures: Path) -> None:
    """With the column left out, images of the given test split would be trained on."""
    names = ("train", "val", "holdout")
    rows = [{"file": f"{'ab'[n % 2]}/{n // 2:03}.png", "label": str(n % 2), "split": names[n // 14]} for n in range(40)]
    with pytest.raises(DataError) as error:
        converted([], csv=str(table(tmp_path / "t.csv", rows)), root=str(pictures))
    assert "no split: holdout" in str(error.value)


@pytest.mark.parametrize(
    ("rows", "fields", "said"),
    [
        ([{"x": "a/000.png", "y": "1"}], {}, "expected a column that names the files"),
        ([{"file": "a/000.png", "x": "p", "z": "q"}], {}, "expected one column with the labels"),
        ([{"file": "a/000.png", "label": "1"}], {"label_columns": "grade"}, "expected a column 'grade'"),
        ([{"file": "a/000.png", "label": "1"}], {"group": "nobody"}, "expected dataset.group as one of the columns"),
        ([{"file": "../../etc/passwd", "label": "1"}], {}, "outside of the table's folder"),
        ([{"file": "a/000.png", "label": "1"}, {"file": "a/000.png", "label": "2"}], {}, "is named twice"),
        (
            [{"file": "a/000.png", "label": "x"}, {"file": "b/000.png", "label": "y"}],
            {"class_names": "x, z"},
            "also found y",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_what_was_expected(
    tmp_path: Path, pictures: Path, rows: list[dict[str, str]], fields: dict[str, str], said: str
) -> None:
    """What the recipe says and the table does not bear out is the recipe's fault: exit code 2, not 4."""
    with pytest.raises(MedtuiError, match=said) as refused:
        converted(csv=str(table(tmp_path / "t.csv", rows)), root=str(pictures), **fields)
    assert refused.value.exit_code == (2 if fields else 4)


# ---- arrays ----------------------------------------------------------------------------------------------------------


def test_arrays_of_any_size_and_text_labels_are_resized_and_split(tmp_path: Path) -> None:
    images = np.stack([speckled(seed, 40, level=60 * (seed % 3)) for seed in range(60)])
    np.savez(tmp_path / "mine.npz", images=np.asfortranarray(images), labels=np.array(["x", "y", "z"] * 20))
    data = converted(npz=str(tmp_path / "mine.npz"))
    assert data.facts.class_names == ("x", "y", "z") and sum(data.length(split) for split in SPLITS) == 60
    rows = [row for row in rows_of(data) if row["split"] == "train"]
    number = int(rows[0]["file"].partition("/")[2])
    expected = np.asarray(Image.fromarray(images[number]).resize((28, 28), Image.Resampling.BICUBIC))
    assert (data.images("train")[0] == expected).all()
    assert data.labels("train")[0] == number % 3


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"pictures": np.zeros((4, 8, 8), np.uint8)}, "found pictures"),
        ({"images": np.zeros((4, 8, 8), np.uint8)}, "expected labels next to images"),
        ({"images": np.zeros((4, 8, 8), np.uint8), "labels": np.zeros(3, np.int64)}, "a label for each of 4 images"),
        ({"images": np.zeros((4, 8, 8)), "labels": np.zeros(4, np.int64)}, "4×8×8 of float64"),
        ({"images": np.array([None] * 4), "labels": np.zeros(4, np.int64)}, "Python objects, which are not read"),
    ],
)
def test_arrays_that_are_no_labelled_images_are_refused(tmp_path: Path, arrays: Any, said: str) -> None:
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(DataError, match=said):
        converted(npz=str(tmp_path / "mine.npz"))


# ---- duplicates ------------------------------------------------------------------------------------------------------


def planted(folder: Path) -> None:
    """`train` and `test` of two classes, and in the test copies of ten training pictures, each changed in some way."""
    for number, split in enumerate(("train", "val", "test")):
        for label in ("a", "b"):
            (folder / split / label).mkdir(parents=True)
            for seed in range(10):
                picture = Image.fromarray(speckled(1000 * number + seed + (50 if label == "b" else 0), 64))
                picture.save(folder / split / label / f"{seed}.png")
    for seed in range(10):
        picture = Image.open(folder / "train" / "a" / f"{seed}.png")
        name = folder / "test" / "a" / f"planted_{seed}"
        if seed < 2:
            shutil.copy(folder / "train" / "a" / f"{seed}.png", f"{name}.png")
        elif seed < 4:
            picture.save(f"{name}.jpg", quality=75)
        elif seed < 6:
            picture.resize((45, 45), Image.Resampling.LANCZOS).save(f"{name}.png")
        elif seed < 8:
            ImageEnhance.Brightness(picture).enhance(1.2).save(f"{name}.png")
        else:
            picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(f"{name}.png")


def test_planted_duplicates_across_splits_are_all_found_and_nothing_else(tmp_path: Path) -> None:
    planted(tmp_path)
    log: list[str] = []
    found = card_of(converted(log, folder=str(tmp_path))).duplicates
    assert (found.exact, found.near, found.across_splits, found.dropped) == (2, 8, 10, 0)
    assert any("10 sets of duplicates, exact or near, with images in more than one split" in line for line in log)

    data = converted(folder=str(tmp_path), duplicates="drop")
    assert {split: data.length(split) for split in SPLITS} == {"train": 10, "val": 20, "test": 30}
    dropped = {row["file"] for row in rows_of(data) if "dropped" in row["split"]}
    assert dropped == {f"train/a/{seed}.png" for seed in range(10)}

    with pytest.raises(DataError, match="found 10 sets: "):
        converted(folder=str(tmp_path), duplicates="refuse")


# ---- the cache -------------------------------------------------------------------------------------------------------


def test_the_splits_do_not_depend_on_the_order_in_which_a_folder_is_listed(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = rows_of(converted(folder=str(pictures)))
    plain = os.scandir

    class Shuffled:
        def __init__(self, path: Any) -> None:
            with plain(path) as entries:
                self.entries = list(entries)
            random.Random(1).shuffle(self.entries)

        def __enter__(self) -> Any:
            return iter(self.entries)

        def __exit__(self, *error: object) -> None: ...

    monkeypatch.setenv("MEDTUI_CACHE", str(tmp_path))
    monkeypatch.setattr("engine.data.own.listing.os.scandir", Shuffled)
    assert rows_of(converted(folder=str(pictures))) == expected


def test_a_second_start_reads_no_picture_and_other_splits_need_no_conversion(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = converted(folder=str(pictures))
    expected = pixels_of(first)
    monkeypatch.setattr("engine.data.own.pool.Workers", None)  # whoever starts one now fails
    again = converted(folder=str(pictures))
    assert pixels_of(again) == expected and again.fingerprint == first.fingerprint
    folds = [converted(folder=str(pictures), folds=4, fold=fold) for fold in range(1, 5)]
    tested = Counter(row["file"] for data in folds for row in rows_of(data) if row["split"] == "test")
    assert tested == Counter(row["file"] for row in rows_of(first))


def test_one_changed_byte_is_another_fingerprint_and_a_touched_file_is_the_same(pictures: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(pictures, copy)
    first = converted(folder=str(pictures))
    assert converted(folder=str(copy)).fingerprint == first.fingerprint  # wherever it lies
    (copy / "a" / "000.png").touch()
    assert converted(folder=str(copy)).fingerprint == first.fingerprint
    content = bytearray((copy / "a" / "000.png").read_bytes())
    content[-1] ^= 1  # of the checksum of the last chunk: the picture stays the same
    (copy / "a" / "000.png").write_bytes(content)
    assert converted(folder=str(copy)).fingerprint != first.fingerprint


def test_a_damaged_conversion_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDTUI_CACHE", str(tmp_path / "cache"))
    write_class_folders(tmp_path / "pictures")
    expected = pixels_of(converted(folder=str(tmp_path / "pictures")))
    (images,) = (tmp_path / "cache").rglob("images.npy")
    content = bytearray(images.read_bytes())
    content[-1] ^= 1
    images.write_bytes(content)
    log: list[str] = []
    assert pixels_of(converted(log, folder=str(tmp_path / "pictures"))) == expected
    assert any("are damaged" in line for line in log)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("card.json", lambda content: content[: len(content) // 2]),
        ("card.json", lambda content: content.replace(b'"train": ', b'"train": 1')),
        ("images.csv", lambda content: None),
    ],
)
def test_a_damaged_data_card_is_named_and_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, damage: Callable[[bytes], bytes | None]
) -> None:
    """Cut, with other numbers, or gone; what a run keeps of it is as before."""
    monkeypatch.setenv("MEDTUI_CACHE", str(tmp_path / "cache"))
    write_class_folders(tmp_path / "pictures")
    converted(folder=str(tmp_path / "pictures"))
    (file,) = (tmp_path / "cache" / "arrays").rglob(name)
    before = file.read_bytes()
    file.unlink() if (after := damage(before)) is None else file.write_bytes(after)
    log: list[str] = []
    data = converted(log, folder=str(tmp_path / "pictures"))
    assert [line for line in log if name in line and "damaged" in line and "again" in line]
    assert data.attachments[{"card.json": "data_card.json"}.get(name, name)].content() == before
    log.clear()
    converted(log, folder=str(tmp_path / "pictures"))
    assert not [line for line in log if "damaged" in line]


@pytest.mark.parametrize(("content", "why"), [(b"{", "cannot be read"), (None, "is of another archive")])
def test_a_card_beside_an_archive_that_does_not_count_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, why: str
) -> None:
    monkeypatch.setenv("MEDTUI_CACHE", str(tmp_path / "cache"))
    images = np.stack([speckled(seed) for seed in range(24)])
    np.savez(tmp_path / "mine.npz", images=images, labels=np.arange(24) % 2)
    log: list[str] = []
    converted(log, npz=str(tmp_path / "mine.npz"))
    assert not [line for line in log if "data card" in line]
    card = ArchiveCard(
        name="mine", title="Mine", made_from="pictures", task="binary", class_names=("no", "yes"), symmetry="mirror",
        licence="CC0", synthetic=False, channels=3, size=28, images={}, per_class={}, how_split="as given",
        md5="0" * 32,
    )  # fmt: skip
    (tmp_path / "mine.card.json").write_bytes(card.model_dump_json().encode() if content is None else content)
    data = converted(log, npz=str(tmp_path / "mine.npz"))
    assert [line for line in log if str(tmp_path / "mine.card.json") in line and why in line]
    assert data.facts.class_names == ("0", "1")


class Ended(Exception):
    pass


def test_a_conversion_that_was_ended_goes_on_where_it_was_and_gives_the_same(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = pixels_of(converted(folder=str(pictures)))
    monkeypatch.setenv("MEDTUI_CACHE", str(tmp_path))
    monkeypatch.setattr(pool, "PART", 8)  # five parts
    plain = Workers.results

    def ended(self: Workers) -> Any:
        for number, result in enumerate(plain(self)):
            if number == 2:
                raise Ended
            yield result

    monkeypatch.setattr(Workers, "results", ended)
    with pytest.raises(Ended):
        converted(folder=str(pictures))
    monkeypatch.setattr(Workers, "results", plain)
    log: list[str] = []
    assert pixels_of(converted(log, folder=str(pictures))) == expected
    assert any(f"({done} of 5 parts were done before)" in line for line in log for done in (3, 4, 5))
    assert not list((tmp_path / "own").glob("*.parts")), "nothing is left of the parts"


@pytest.mark.cold
def test_an_abort_ends_every_worker_and_none_has_a_file_of_ours(tmp_path: Path) -> None:
    """The lock and the pipe of an engine are such files: whoever inherits them would keep them after its end."""
    write_class_folders(tmp_path / "pictures")
    names = [f"a/{number:03}.png" for number in range(12)]
    tasks = [Task(str(tmp_path), f"{n}", str(tmp_path / "pictures"), names, [], 28, "pad", {}, False) for n in range(2)]
    with (tmp_path / "lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        before = set(psutil.Process().children())  # servers of other tests
        seen: list[psutil.Process] = []

        def on_bytes(size: int) -> None:
            seen.extend(set(psutil.Process().children()) - before)
            found = {os.readlink(f"/proc/{one.pid}/fd/{fd}") for one in seen for fd in _open_files(one.pid)}  # noqa: PTH115
            assert str(tmp_path / "lock") not in found
            if found:
                raise Ended

        with pytest.raises(Ended):
            list(Workers(tasks, on_bytes).results())
    assert seen and not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in seen)


def _open_files(pid: int) -> list[str]:
    try:
        return [fd for fd in os.listdir(f"/proc/{pid}/fd") if os.path.lexists(f"/proc/{pid}/fd/{fd}")]  # noqa: PTH208
    except OSError:
        return []


def test_a_table_without_rows_says_so_once(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file,label\n")
    with pytest.raises(DataError) as refused:
        converted(csv=str(tmp_path / "t.csv"))
    expected = "t.csv: expected a row for each image, found a header without rows. Add the rows."
    assert str(refused.value).endswith(expected)
