"""What exploring says of a source: numbers that others compute too, the traps that were put in, and a safe page."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from hashlib import blake2b
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from own_pictures import converted, own_images_folder, speckled, write_class_folders
from PIL import Image, ImageEnhance

from engine.contract.data.datasets import SPLITS, datasets
from engine.contract.data.exploration import Exploration
from engine.data.archive import ArchiveSpec
from engine.data.cache import Decoded, decode
from engine.data.explore.findings import doubtful_labels, explored, image
from engine.data.explore.survey import BATCH, Survey, batches, survey
from engine.data.own.contents import duplicates_of_pool
from engine.data.own.duplicates import find_duplicates
from engine.data.own.source import OwnDecoded
from engine.data.own.thumbs import inner_of, thumbs_of
from engine.report.data_page import data_page, pictured
from engine.run.doubting_model import skill
from engine.run.explore_job import png
from medtui.client.explored_text import findings


def no_progress(activity: str, done: int, total: int) -> None:
    pass


def official(folder: Path, name: str) -> Decoded:
    return decode(ArchiveSpec(datasets()[name], 28), [folder], print)


def surveyed(data: Decoded) -> Survey:
    return survey(data, no_progress)


def exploration(data: Decoded) -> Exploration:
    found = surveyed(data)
    if isinstance(data, OwnDecoded):
        rows = [row for split in SPLITS for row in data.rows(split).tolist()]
        duplicates = duplicates_of_pool(data.converted, no_progress).among(rows)
    else:
        duplicates = find_duplicates(found.digests, found.thumbs)
    return explored(found, data.source, duplicates, None)


# ---- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["breastmnist", "retinamnist"])
def test_counts_mean_and_deviation_are_what_numpy_finds_in_the_official_file(real_data: Path, name: str) -> None:
    found, arrays = exploration(official(real_data, name)), np.load(real_data / f"{name}.npz")
    pixels = (0, 1, 2)  # the axes
    for split in SPLITS:
        images = arrays[f"{split}_images"] / 255
        assert found.splits[split].images == len(images)
        assert np.allclose(found.splits[split].mean, images.mean(axis=pixels))
        assert np.allclose(found.splits[split].deviation, images.std(axis=pixels))
    for number, one in enumerate(found.classes):
        own = [arrays[f"{split}_images"][arrays[f"{split}_labels"][:, 0] == number] for split in SPLITS]
        assert one.images == {split: len(images) for split, images in zip(SPLITS, own, strict=True)}
        assert np.allclose(one.mean, (np.concatenate(own) / 255).mean(axis=pixels))
    assert sum(one.fraction for one in found.classes) == pytest.approx(1)
    assert (found.how_split, found.groups, found.damaged.count, found.constant.count) == ("as given", None, 0, 0)


def test_a_rare_class_is_one_with_less_than_a_fifth_of_the_mean_number_of_training_images(tmp_path: Path) -> None:
    for split, counts in {"train": (90, 88, 2), "val": (2, 2, 2), "test": (2, 2, 2)}.items():
        for label, count in zip("abc", counts, strict=True):
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(count):
                seed = number + 1000 * "abc".index(label) + 10_000 * SPLITS.index(split)
                Image.fromarray(speckled(seed)).save(tmp_path / split / label / f"{number}.png")
    found = exploration(converted(folder=str(tmp_path)))
    assert [one.rare for one in found.classes] == [False, False, True]  # the mean is 60
    assert found.classes[2].fraction == pytest.approx(2 / 180)
    assert any(
        remark.startswith("Rare in training: c; the most frequent class is 45 times") for remark in found.remarks
    )


def test_no_more_images_than_a_few_megabytes_are_read_at_once() -> None:
    images = np.zeros((1000, 224, 224, 3), np.uint8)
    sizes = [part.nbytes for _, part in batches(images)]
    assert sum(sizes) == images.nbytes and max(sizes) <= BATCH <= 16 * 2**20


# ---- traps -----------------------------------------------------------------------------------------------------------


def test_the_traps_of_the_blood_cells_are_found_as_their_readme_counts_them() -> None:
    found = exploration(converted(folder=str(own_images_folder() / "blood_cells"), group=r"BloodImage_(\d{5})"))
    assert sum(split.images for split in found.splits.values()) == 1144
    assert {one.file for one in found.damaged.listed} == {"WBC/truncated.jpg", "RBC/empty.png", "WBC/notes.txt"}
    duplicates = found.duplicates
    assert (duplicates.exact, duplicates.near, duplicates.other_label, duplicates.across_splits) == (6, 5, 1, 0)
    named = {one.name for each in duplicates.listed for one in each.images}
    planted = {f"RBC/copy_{n}.png" for n in range(5)} | {f"Platelets/reencoded_{n}.jpg" for n in range(5)}
    assert planted | {"Platelets/misplaced.png"} <= named
    (wrong,) = [each for each in duplicates.listed if each.other_label]
    assert {one.label for one in wrong.images} == {"RBC", "Platelets"}
    assert found.groups is not None and (found.groups.count, found.groups.across_splits) == (361, 0)
    assert (found.widths[::2], found.heights[::2]) == ((19, 338), (23, 286))


def test_images_of_one_colour_are_found_whatever_their_shape(tmp_path: Path) -> None:
    write_class_folders(tmp_path, per_class=12)
    Image.new("RGB", (40, 40), (200, 10, 10)).save(tmp_path / "a" / "square.png")
    Image.new("RGB", (90, 20), (200, 200, 200)).save(tmp_path / "a" / "ribbon.png")  # padded with black
    Image.new("L", (20, 20), 0).save(tmp_path / "b" / "black.png")
    found = exploration(converted(folder=str(tmp_path)))
    assert {one.name for one in found.constant.listed} == {"a/square.png", "a/ribbon.png", "b/black.png"}


def test_patients_in_several_given_splits_are_named(tmp_path: Path) -> None:
    rows = ["file,label,split,patient"]
    for number in range(24):
        Image.fromarray(speckled(number)).save(tmp_path / f"{number}.png")
        split = ("train", "train", "val", "test")[number % 4]
        rows.append(f"{number}.png,{'ab'[number // 4 % 2]},{split},p{number if number > 3 else 0}")
    (tmp_path / "mine.csv").write_text("\n".join(rows))
    found = exploration(converted(csv=str(tmp_path / "mine.csv")))
    assert found.groups is not None and (found.groups.count, found.groups.across_splits) == (21, 1)
    assert [(one.group, one.images) for one in found.groups.listed] == [("p0", {"train": 2, "val": 1, "test": 1})]
    assert any("1 group with images in more than one split" in remark for remark in found.remarks)


# ---- duplicates ------------------------------------------------------------------------------------------------------


def encoded(picture: Image.Image) -> Image.Image:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=75)
    return Image.open(io.BytesIO(content.getvalue()))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "re-encoded": encoded,
    "made smaller": lambda picture: picture.resize((20, 20), Image.Resampling.BICUBIC).resize((28, 28)),
    "made larger": lambda picture: picture.resize((45, 45), Image.Resampling.LANCZOS).resize((28, 28)),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.15),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.7),
    "mirrored": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "upside down": lambda picture: picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
}
PLANTED = 60  # of each kind


@pytest.mark.parametrize(("name", "sets", "more"), [("breastmnist", 138, 168), ("retinamnist", 31, 31)])
def test_planted_duplicates_of_official_images_are_found_and_little_else(
    real_data: Path, name: str, sets: int, more: int
) -> None:
    """Recall of 0.95 or more for each change. What is found without them was looked at: docs/data.md."""
    arrays = np.load(real_data / f"{name}.npz")
    images = list(np.concatenate([arrays[f"{split}_images"] for split in SPLITS]))
    n = len(images)
    chosen = np.random.default_rng(1).choice(n, PLANTED * len(CHANGES), replace=False).reshape(len(CHANGES), -1)
    planted = [
        np.asarray(change(Image.fromarray(images[number])))
        for row, change in zip(chosen, CHANGES.values(), strict=True)
        for number in row.tolist()
    ]

    def found(pictures: list[np.ndarray]) -> list[list[int]]:
        digests = [blake2b(picture.tobytes()).hexdigest() for picture in pictures]
        return find_duplicates(digests, thumbs_of(pictures, [(28, 28)] * len(pictures))).sets

    alone = found(images)
    assert (len(alone), sum(len(members) - 1 for members in alone)) == (sets, more)
    set_of = {number: at for at, members in enumerate(found([*images, *planted])) for number in members}
    for row, (change, originals) in enumerate(zip(CHANGES, chosen.tolist(), strict=True)):
        copies = [n + row * PLANTED + at for at in range(PLANTED)]
        together = [set_of.get(one, -1) == set_of.get(other, -2) for one, other in zip(originals, copies, strict=True)]
        assert sum(together) / PLANTED >= 0.95, change


def test_images_that_share_a_frame_and_little_else_are_no_duplicates() -> None:
    """Eyes are all bright discs on black: what all have in common says nothing of two of them."""
    random, side = np.random.default_rng(3), 28
    axis = np.linspace(-1, 1, side)
    disc = 180.0 * (axis[:, None] ** 2 + axis[None, :] ** 2 < 0.8)
    spots = [speckled(int(seed), side, channels=1).astype(float) for seed in random.integers(0, 10**6, 100)]
    eyes = [np.clip(disc + 0.12 * (one - one.mean()) * (disc > 0), 0, 255).astype(np.uint8) for one in spots]
    digests = [str(number) for number in range(len(eyes))]
    assert find_duplicates(digests, thumbs_of(eyes, [(side, side)] * len(eyes))).sets == []


# ---- labels that a model doubts --------------------------------------------------------------------------------------


def test_the_least_probable_labels_are_named_first(tmp_path: Path) -> None:
    write_class_folders(tmp_path, per_class=12)
    found = surveyed(converted(folder=str(tmp_path)))
    numbers = np.arange(len(found))
    probabilities = np.eye(2)[found.labels] * 0.9 + 0.05
    for number, of_label in ((3, 0.2), (5, 0.01)):
        probabilities[number, found.labels[number]] = of_label
        probabilities[number, 1 - found.labels[number]] = 1 - of_label
    doubt = doubtful_labels(found, numbers, probabilities, "a model")
    assert (doubt.scored, doubt.doubted) == (24, 2)
    assert [one.name for one in doubt.listed] == [found.names[5], found.names[3]]
    first = doubt.listed[0]
    assert (first.label, first.predicted) == (found.label(5), "ab"["ba".index(found.label(5))])
    assert (first.probability, first.confidence) == (pytest.approx(0.01), pytest.approx(0.99))


def test_labels_of_a_class_that_the_model_never_predicts_are_not_doubted_but_counted_apart(tmp_path: Path) -> None:
    """It predicts `a` for every image, so it knows nothing of `b`."""
    write_class_folders(tmp_path, per_class=12)
    data = converted(folder=str(tmp_path))
    found = surveyed(data)
    numbers = np.arange(len(found))
    doubt = doubtful_labels(found, numbers, np.tile([0.9, 0.1], (24, 1)), "a model")
    assert (doubt.scored, doubt.doubted, doubt.listed, doubt.never_predicted) == (24, 0, (), {"b": 12})
    result = explored(found, data.source, find_duplicates(found.digests, found.thumbs), doubt)
    said = " ".join(findings(result, "in the JSON"))
    assert "The model predicts b for no image: 12 labels" in said
    assert "(another class is more probable): 0 of 24" in said and "not judged: 12 of b" in said
    assert "12" in Page(data_page(result, {}, {})).text
    once = np.tile([0.9, 0.1], (24, 1))
    once[np.nonzero(found.labels == 1)[0][0]] = [0.2, 0.8]  # predicted once, so the other eleven are doubted
    known = doubtful_labels(found, numbers, once, "a model")
    assert (known.doubted, known.never_predicted) == (11, {})


def test_doubts_of_a_model_that_predicts_no_better_than_chance_say_so() -> None:
    """Of 40 images per class: scores that order them, and scores that have nothing to do with them."""
    facts, rng = datasets()["breastmnist"], np.random.default_rng(3)
    labels = np.arange(80) % 2
    of_class = np.clip(0.3 + 0.4 * labels + rng.normal(0, 0.1, 80), 0, 1)
    at_random = rng.uniform(0, 1, 80)
    assert skill(labels, np.stack([1 - of_class, of_class], axis=1), facts)[1] is False
    auc, at_chance = skill(labels, np.stack([1 - at_random, at_random], axis=1), facts)
    assert at_chance and auc == pytest.approx(0.5, abs=0.15)
    assert skill(np.zeros(8, np.int64), np.full((8, 2), 0.5), facts) == (None, False)  # of one class it is not defined


def test_the_summary_and_the_page_say_that_a_model_is_at_chance(tmp_path: Path) -> None:
    write_class_folders(tmp_path, per_class=12)
    data = converted(folder=str(tmp_path))
    found, numbers = surveyed(data), np.arange(8)
    doubt = doubtful_labels(found, numbers, np.tile([[0.4, 0.6], [0.6, 0.4]], (4, 1)), "a model")
    for at_chance in (True, False):
        marked = doubt.model_copy(update={"auc": 0.51, "at_chance": at_chance})
        result = explored(found, data.source, find_duplicates(found.digests, found.thumbs), marked)
        said = (
            " ".join(result.remarks),
            " ".join(findings(result, "in the JSON")),
            Page(data_page(result, {}, {})).text,
        )
        assert ["no better than chance" in text for text in said] == [at_chance] * 3


def test_a_list_that_ends_says_how_many_more_there_are_and_the_page_names_both_sizes(tmp_path: Path) -> None:
    write_class_folders(tmp_path, per_class=12)
    for number in range(7):  # 7 sets of two
        shutil.copy(tmp_path / "a" / f"{number:03}.png", tmp_path / "a" / f"again_{number}.png")
        (tmp_path / "b" / f"broken_{number}.png").write_bytes(b"no image")
    found = exploration(converted(folder=str(tmp_path), size=28, max_unreadable=1.0))
    said = list(findings(found, "in the JSON"))
    assert [line for line in said if "more sets" in line] == ["  and 2 more sets: in the JSON"]
    assert any(line.startswith("  and 2 more unusable files") for line in said)
    assert "24 × 24 px, used at 28 px" in Page(data_page(found, {}, {})).text


# ---- the page --------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_each_class_and_needs_neither_network_nor_trust(tmp_path: Path) -> None:
    """Names of folders are text, whatever they look like."""
    bad = "<script>alert(1)<!--&\"'"
    write_class_folders(tmp_path, per_class=12, classes=("plain", bad.replace("/", "")))
    Image.fromarray(speckled(0)).save(tmp_path / "plain" / "<img src=x onerror=alert(2)>.png")
    data = converted(folder=str(tmp_path))
    found, measured = exploration(data), surveyed(data)
    samples = {name: [image(measured, number)] for number, name in enumerate(found.classes[0].images)}
    places = pictured(found, samples)
    pictures = {(split, number): png(data.images(split)[number]) for split, number in places}
    page = Page(data_page(found, samples, pictures))
    names = {tag for tag, _ in page.tags}
    assert "script" not in names and {"link", "iframe", "object", "base"} & names == set()
    assert bad in page.text and "<img src=x onerror=alert(2)>.png" in page.text
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert sources and all(source is not None and source.startswith("data:image/png;base64,") for source in sources)
    assert not any(name.startswith("on") or name == "href" for _, attributes in page.tags for name in attributes)
    (policy,) = [attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes]
    assert policy is not None and policy.startswith("default-src 'none'")


# ---- archives of images that were padded -----------------------------------------------------------------------------


def test_bars_are_padding_and_a_black_frame_is_of_the_picture() -> None:
    """As `pictures` centres an oblong image: of 8 rows, 3 begin at (8 - 3) // 2 = 2."""
    squares = np.zeros((6, 8, 8), np.uint8)
    squares[0, 2:5] = 9  # 3 rows of 8
    squares[1, :, 3:5] = 9  # 2 columns
    squares[2, 1:7, 1:7] = 9  # black on all sides
    squares[3] = 9
    squares[4, 3] = 9  # one row: (8 - 1) // 2 = 3
    assert inner_of(squares).tolist() == [[3, 8], [8, 2], [8, 8], [8, 8], [1, 8], [8, 8]]
    assert inner_of(np.stack([squares] * 3, axis=3)).tolist() == inner_of(squares).tolist()


def test_an_archive_of_padded_oblong_images_has_the_duplicates_of_its_folder_and_not_those_of_its_bars(
    tmp_path: Path,
) -> None:
    """Flat pictures in black bars are alike by their bars; between these they are not. One is there twice."""
    rng = np.random.default_rng(7)
    pictures: dict[str, list[np.ndarray]] = {"a": [], "b": []}
    for number in range(40):
        low = Image.fromarray(rng.integers(110, 140, (6, 16), np.uint8))
        pictures["ab"[number % 2]].append(np.asarray(low.resize((64, 24), Image.Resampling.BICUBIC)))
    pictures["a"][3] = np.clip(pictures["a"][4].astype(int) + 2, 0, 255).astype(np.uint8)
    pictures["b"][5] = np.full((24, 64), 120, np.uint8)
    squares, labels = [], []
    for name, images in pictures.items():
        (tmp_path / "folder" / name).mkdir(parents=True)
        for number, pixels in enumerate(images):
            Image.fromarray(pixels).save(tmp_path / "folder" / name / f"{number:02}.png")
            squares.append(np.pad(pixels, ((20, 20), (0, 0))))
            labels.append(name)
    np.savez(tmp_path / "packed.npz", images=np.stack(squares), labels=np.array(labels))
    of_folder = exploration(converted(folder=str(tmp_path / "folder"), size=64))
    of_archive = exploration(converted(npz=str(tmp_path / "packed.npz"), size=64))
    for found in (of_folder, of_archive):
        assert (found.duplicates.sets, found.duplicates.near, found.constant.count) == (1, 1, 1)
