"""What `predict` is given, as images and their labels: tables with a root, and why labels are not evaluated."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from own_pictures import speckled
from PIL import Image

from engine.contract.store.model_bundle import ModelBundle
from engine.contract.wire.errors import DataError
from engine.data.own.pictures import Picture, Unreadable
from engine.run.images import Listed, entry_of, list_images
from medtui.client.predict import described

BUNDLE = cast(
    ModelBundle, SimpleNamespace(class_names=("malignant", "benign"), task="binary", size=28, fit="pad", channels=1)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scans").mkdir()
    (tmp_path / "tables").mkdir()
    for number in range(3):
        Image.fromarray(speckled(number, channels=1)).save(tmp_path / "scans" / f"{number}.png")
    return tmp_path


def listed(folder: Path, table: str, root: Path | None = None) -> Listed:
    (folder / "tables" / "new.csv").write_text(table)
    return list_images(["tables/new.csv"], folder, BUNDLE, root)


def test_paths_of_a_table_are_below_its_folder_or_below_the_root(folder: Path) -> None:
    table = "file\n0.png\n1\n"
    below = listed(folder, table, folder / "scans")
    assert [entry.name for entry in below.entries] == [str(folder / "scans" / name) for name in ("0.png", "1")]
    assert all(isinstance(entry.read(), Picture) for entry in below.entries)
    for entry in listed(folder, table).entries:
        with pytest.raises(Unreadable, match=r"no such file \(--root"):
            entry.read()


@pytest.mark.parametrize(
    ("rows", "labels", "why"),
    [
        ("0.png,benign\n1.png,malignant\n", [1, 0], None),
        ("0.png,1\n1.png,0\n", [1, 0], None),
        ("0.png,dragon\n1.png,knight\n", None, r"the classes of the model \(malignant, benign\), or .* found dragon"),
        ("0.png,benign\n1.png,7\n", None, r"\(malignant, benign\).* found 7"),
        ("0.png,7\n1.png,8\n", None, r"\(malignant, benign\), or their numbers, in label; found 7"),
        ("0.png,benign\n1.png,\n", None, "found a row without one"),
        ("0.png,\n1.png,\n", None, None),
    ],
)
def test_labels_that_do_not_fit_are_named_beside_the_classes_of_the_model(
    rows: str, labels: list[int] | None, why: str | None, folder: Path
) -> None:
    found = listed(folder, f"file,label\n{rows}", folder / "scans")
    assert [entry.label for entry in found.entries] == (labels or [None, None])
    (reason,) = found.unevaluated or [""]
    assert (reason == "") == (why is None)
    if why is not None:
        assert re.search(why, reason), reason


@pytest.mark.parametrize(
    ("table", "labels", "columns", "why"),
    [
        ("file,cell type\n0.png,benign\n1.png,malignant\n", [1, 0], ["cell type"], ""),
        ("file,site,cell type\n0.png,x,benign\n1.png,y,malignant\n", [1, 0], ["cell type"], ""),
        ("file,split,kind\n0.png,test,benign\n1.png,test,benign\n", [1, 1], ["kind"], ""),
        ("file,old,new\n0.png,benign,benign\n1.png,benign,malignant\n", None, [], "columns old, new holds classes"),
        ("file,smoker\n" + "0.png,0\n1.png,1\n" * 4, None, [], "the values of smoker are not the classes"),
        ("file,kind\n" + "0.png,cat\n1.png,dog\n" * 4, None, [], r"kind are not the classes .*malignant, benign"),
        ("file,age\n0.png,40\n1.png,50\n", None, [], ""),
    ],
)
def test_the_column_of_labels_is_recognised_by_its_values_too(
    table: str, labels: list[int] | None, columns: list[str], why: str, folder: Path
) -> None:
    """As in training, but only by names of the classes: 0 and 1 may be anything."""
    found = listed(folder, table, folder / "scans")
    assert [entry.label for entry in found.entries] == (labels or [None] * len(found.entries))
    assert found.label_columns == columns
    (reason,) = found.unevaluated or [""]
    assert bool(reason) == bool(why) and re.search(why, reason)


def test_labels_of_some_images_alone_are_said_to_be_too_few(folder: Path) -> None:
    (folder / "tables" / "new.csv").write_text("file,label\n0.png,benign\n1.png,benign\n")
    found = list_images(["tables/new.csv", "scans/2.png"], folder, BUNDLE, folder / "scans")
    assert found.unevaluated == ["2 of 3 images have a label, and all must have one"]
    summary: dict[str, Any] = {"unreadable": {}, "predicted": 3, "ignored": 0, "unlike": 0, "temperature": 1.0}
    summary |= {"metrics": None, "labels_unused": found.unevaluated}
    assert "Not evaluated: 2 of 3 images have a label, and all must have one." in list(described(summary))


def test_a_table_given_to_a_program_as_a_picture_says_who_reads_tables(folder: Path) -> None:
    for name, what in (("new.csv", "a table"), ("new.npz", "an archive")):
        with pytest.raises(Unreadable, match=f"{what}, which `medtui predict` reads"):
            entry_of(folder / name, BUNDLE, 0).read()


@pytest.mark.parametrize(
    ("names", "evaluated"),
    [(None, True), (("malignant", "benign"), True), (("a", "b"), False), (("benign", "malignant"), False)],
)
def test_labels_of_an_archive_are_those_of_the_model_or_none(
    folder: Path, names: tuple[str, ...] | None, evaluated: bool
) -> None:
    arrays = {"images": np.zeros((2, 28, 28), np.uint8), "labels": np.array([0, 1])}
    if names is not None:
        arrays["class_names"] = np.array(names)
    np.savez(folder / "new.npz", **arrays)
    found = list_images(["new.npz"], folder, BUNDLE)
    assert found.labels == evaluated
    if not evaluated:
        (why,) = found.unevaluated
        assert "(malignant, benign)" in why and ", ".join(names or ()) in why


@pytest.mark.parametrize("pattern", ["**", "**/*", "**/*.png", "scans/**", "scans/*", "s*", "s*/*.png", "link/*.png"])
def test_a_pattern_follows_no_link_to_a_folder_and_counts_no_image_twice(folder: Path, pattern: str) -> None:
    (folder / "scans" / "loop").symlink_to(folder)
    (folder / "link").symlink_to(folder / "scans")
    (folder / "scans" / ".hidden.png").write_bytes(b"")
    below = "link" if pattern.startswith("link") else "scans"
    names = [entry.name for entry in list_images([pattern], folder, BUNDLE).entries]
    assert sorted(map(os.path.normpath, names)) == [f"{below}/{number}.png" for number in range(3)]


def test_a_pattern_works_in_a_folder_whose_name_looks_like_one(folder: Path) -> None:
    odd = folder / "[new]"
    odd.mkdir()
    (folder / "scans" / "0.png").rename(odd / "0.png")
    assert [entry.name for entry in list_images(["*.png"], odd, BUNDLE).entries] == ["0.png"]


@pytest.mark.parametrize("first", ["0.png", "../scans/0.JPG", "readme"])
def test_a_list_without_a_header_says_so_and_does_not_lose_its_first_image(folder: Path, first: str) -> None:
    (folder / "scans" / "readme").write_text("")  # a file of any name
    with pytest.raises(DataError, match=f"expected a first line with the names of its columns.*found {first}"):
        listed(folder, f"{first}\n1.png\n", folder / "scans")


@pytest.mark.parametrize("table", ["", "file,label\n0.png\n"])
def test_a_table_to_predict_names_no_setting_of_recipes(folder: Path, table: str) -> None:
    with pytest.raises(DataError) as caught:
        listed(folder, table, folder / "scans")
    assert "dataset." not in str(caught.value)


@pytest.mark.parametrize("words", [["http://x/y.png"], ["tables/new.csv"]])
def test_an_address_is_shown_as_typed_and_said_not_to_be_fetched(folder: Path, words: list[str]) -> None:
    (folder / "tables" / "new.csv").write_text("file\nhttp://x/y.png\n")
    (entry,) = list_images(words, folder, BUNDLE).entries
    assert entry.name == "http://x/y.png"
    with pytest.raises(Unreadable, match="address, and none is fetched"):
        entry.read()


def test_a_table_with_two_columns_of_files_says_which_is_taken(folder: Path) -> None:
    found = listed(folder, "image,path\n1.png,0.png\n", folder / "scans")
    assert [Path(entry.name).name for entry in found.entries] == ["0.png"] and found.file_columns == ["path"]
    summary: dict[str, Any] = {"unreadable": {}, "predicted": 1, "ignored": 0, "unlike": 0, "temperature": 1.0}
    summary |= {"metrics": None, "file_columns": found.file_columns}
    assert "The files are those named in path; other columns could name files too." in list(described(summary))
    assert listed(folder, "image,label\n1.png,benign\n", folder / "scans").file_columns == []
