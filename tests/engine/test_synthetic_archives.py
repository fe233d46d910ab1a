"""A synthetic archive as a source of its own: it is marked, named and licensed as its card says, packed again too."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from own_pictures import converted

from engine.contract.data.archive_card import SYNTHETIC, read_archive_card
from engine.contract.data.card import last_card
from engine.contract.data.datasets import datasets
from engine.contract.wire.errors import OutputError
from engine.data.packing import packed, refuse_full
from engine.data.synthetic import synthesised
from medtui.client.archive_size import closest_size, image_sides


def no_progress(activity: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "made.npz"
    synthesised(datasets()["breastmnist"], 28, 12, path, no_progress, replace_it=False)
    return path


def test_it_has_the_classes_and_the_licence_of_its_card_and_is_marked(archive: Path) -> None:
    facts = converted(npz=str(archive), size=28).facts
    assert (facts.synthetic, facts.licence, facts.task) == (True, "MIT", "binary")
    assert facts.class_names == datasets()["breastmnist"].class_names
    card = last_card("npz", archive)  # as the console side knows it
    assert card is not None and card.facts(facts).synthetic and card.licence == "MIT"


def test_names_that_a_recipe_gives_come_before_those_of_the_card(archive: Path) -> None:
    assert converted(npz=str(archive), size=28, class_names=["bad", "good"]).facts.class_names == ("bad", "good")


def test_packed_again_it_stays_marked_without_its_card_too(archive: Path, tmp_path: Path) -> None:
    target = tmp_path / "again.npz"
    card = packed(converted(npz=str(archive), size=28), target, no_progress, replace=False)
    assert (card.synthetic, card.licence, card.size) == (True, "MIT", 28)
    assert card == read_archive_card(target)
    with zipfile.ZipFile(target) as opened:
        assert opened.comment.startswith(SYNTHETIC)
    shutil.move(target, tmp_path / "alone.npz")
    facts = converted(npz=str(tmp_path / "alone.npz"), size=28).facts
    assert (facts.synthetic, facts.class_names) == (True, datasets()["breastmnist"].class_names)


def test_the_card_of_another_archive_says_nothing(archive: Path, tmp_path: Path) -> None:
    arrays = dict(np.load(archive))
    arrays["train_images"][0] += 1
    np.savez(tmp_path / "made.npz", **arrays)
    shutil.copy(archive.with_name("made.card.json"), tmp_path)
    facts = converted(npz=str(tmp_path / "made.npz"), size=28).facts
    assert (facts.synthetic, facts.licence, facts.class_names) == (False, "not stated", ("0", "1"))


@pytest.mark.parametrize("shape", [(5, 28, 28), (5, 64, 64, 3), (5, 30, 70, 1)])
@pytest.mark.parametrize("name", ["images", "train_images"])
def test_the_size_of_the_images_is_known_from_a_header(shape: tuple[int, ...], name: str, tmp_path: Path) -> None:
    arrays = {name: np.zeros(shape, np.uint8), "labels": np.zeros(5)}
    np.savez(tmp_path / "plain.npz", **arrays)
    np.savez_compressed(tmp_path / "deflated.npz", **arrays)
    for archive in ("plain.npz", "deflated.npz"):
        assert image_sides(tmp_path / archive) == shape[1:3]


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x05\x06" + bytes(18)], ids=["empty", "text", "no arrays"])
def test_a_file_that_is_no_archive_has_no_size(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "odd.npz").write_bytes(content)
    assert image_sides(tmp_path / "odd.npz") is None


def test_the_size_that_is_trained_with_loses_no_pixel_where_there_is_one() -> None:
    assert [closest_size(sides) for sides in ((28, 28), (29, 10), (64, 20), (65, 65), (500, 300))] == [
        28, 64, 64, 128, 224
    ]  # fmt: skip


def test_an_archive_that_does_not_fit_on_the_disk_is_refused_as_other_outputs_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.data.packing.free_space", lambda folder: 10)
    with pytest.raises(OutputError, match=r"may need 1\.0 MB") as caught:
        refuse_full(tmp_path / "new.npz", 1_000_000)
    assert caught.value.exit_code == 2
