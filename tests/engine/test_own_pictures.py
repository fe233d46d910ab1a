"""Pictures of a user's own, whatever they are: read right, or named with a reason; in bounded memory."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from own_pictures import FINE, NAMED, converted, speckled, write_class_folders, write_odd_pictures
from PIL import Image

from engine.contract.data.card import DataCard, read_card
from engine.contract.wire.errors import DataError, InstallationError
from engine.data.own.pictures import Picture, decode
from engine.data.own.worker import Task
from engine.data.own.workers import FATAL, Workers

MEMORY = 500  # MB of a worker: itself, and one picture


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DataCard, list[str]]:
    """A folder with every odd picture, converted once: the folder, its card, the log."""
    folder, log = tmp_path_factory.mktemp("odd"), []
    write_class_folders(folder)
    write_odd_pictures(folder / "a")
    (folder / "a" / ".hidden.png").write_bytes(b"")
    (folder / "stray.txt").write_text("not in a class")
    data = converted(log, folder=str(folder), max_unreadable=0.5)
    card = read_card(data.attachments["data_card.json"])
    assert card is not None
    return folder, card, log


def picture(folder: Path, name: str, size: int = 28, fit: str = "stretch") -> Picture:
    return decode((folder / "a" / name).read_bytes(), size, fit)


def test_each_odd_picture_is_read_or_named_with_the_reason(odd: tuple[Path, DataCard, list[str]]) -> None:
    folder, card, _ = odd
    assert len(FINE) + len(NAMED) >= 28 and len(os.listdir(folder / "a")) == 12 + len(FINE) + len(NAMED) + 1  # noqa: PTH208
    named = {one.file.removeprefix("a/"): one.reason for one in card.unusable_files}
    assert named.keys() == {*NAMED, "stray.txt"}
    for name, reason in NAMED.items():
        assert re.match(reason, named[name]), (name, named[name])
    assert sum(card.images.values()) == 24 + len(FINE)
    assert card.unusable == len(NAMED) + 1 and card.ignored == {"hidden files and folders": 1}


def test_what_is_special_about_a_picture_is_noted(odd: tuple[Path, DataCard, list[str]]) -> None:
    _, card, log = odd
    for note in {*FINE.values()} - {""}:
        assert card.notes[note] == [*FINE.values()].count(note), note
    assert (card.widths[0], card.widths[2], card.heights[0]) == (1, 30_000, 1)
    assert any("oblong images padded with black" in line for line in log)
    (summary,) = [line for line in log if "unusable files: " in line]
    assert ("12 unusable files" in summary and "bomb.png" in summary) or "other reason" in summary


def test_a_picture_with_sixteen_bits_keeps_its_order_of_brightness(tmp_path: Path) -> None:
    """A ramp of 12 bits: 0 stays 0, 4095 becomes 255, the middle half of it; also the pictures of 8 bits beside it."""
    write_class_folders(tmp_path, channels=1)
    ramp = np.tile(np.linspace(0, 4095, 28), (28, 1)).round().astype(np.uint16)
    for ending in ("tif", "png"):
        Image.fromarray(ramp).save(tmp_path / "a" / f"ramp.{ending}")
    data = converted(folder=str(tmp_path))
    everything = np.concatenate([data.images(split)[:] for split in ("train", "val", "test")])
    expected = np.rint(ramp * (255 / 4095)).astype(np.uint8)
    found = [image for image in everything if (image == expected).all()]
    assert len(found) == 2 and everything.dtype == np.uint8


def test_grey_pictures_keep_one_channel_and_one_coloured_picture_gives_all_three(tmp_path: Path) -> None:
    write_class_folders(tmp_path, channels=1)
    Image.fromarray(np.repeat(speckled(50, channels=1)[..., None], 3, 2)).save(tmp_path / "b" / "grey_as_rgb.png")
    assert converted(folder=str(tmp_path)).images("train").shape[1:] == (28, 28)
    Image.fromarray(speckled(51)).save(tmp_path / "b" / "coloured.png")
    data = converted(folder=str(tmp_path))
    assert data.images("train").shape[1:] == (28, 28, 3)
    assert (data.facts.channels, len(data.statistics()[0])) == (3, 3)


def test_a_picture_is_turned_upright_as_its_camera_says(odd: tuple[Path, DataCard, list[str]]) -> None:
    """Orientation 6: to be turned by 90 degrees clockwise, which is `rot90` with -1 in numpy."""
    found = picture(odd[0], "turned.jpg", 24).pixels.astype(int)
    assert np.abs(found - np.rot90(speckled(8), -1).astype(int)).mean() < 6  # it is a JPEG


def test_the_first_frame_or_page_is_used(odd: tuple[Path, DataCard, list[str]]) -> None:
    for name, seed in (("animated.webp", 10), ("pages.tif", 11)):
        assert (picture(odd[0], name, 24).pixels == speckled(seed)).all(), name
    assert np.abs(picture(odd[0], "animated.gif", 24).pixels.astype(int) - speckled(9)).mean() < 12  # of 256 colours


def test_transparent_is_black_and_opaque_is_as_it_was(odd: tuple[Path, DataCard, list[str]]) -> None:
    found = picture(odd[0], "alpha.png", 24).pixels
    assert (found[:, ::2] == 0).all() and (found[:, 1::2] == speckled(5)[:, 1::2]).all()


@pytest.mark.parametrize(
    ("fit", "expected"),
    [
        ("pad", [[0, 0, 0, 0], [10, 10, 200, 200], [10, 10, 200, 200], [0, 0, 0, 0]]),
        ("crop", [[10, 10, 200, 200]] * 4),
        ("stretch", [[10, 10, 200, 200]] * 4),
    ],
)
def test_an_oblong_picture_becomes_square_as_the_recipe_says(fit: str, expected: list[list[int]]) -> None:
    """16 × 8, left half 10, right half 200; cropped, its middle 8 × 8 are left."""
    pixels = np.full((8, 16), 10, np.uint8)
    pixels[:, 8:] = 200
    found = decode(png_of(pixels), 4, fit).pixels.astype(int)
    assert np.abs(found - np.array(expected)).max() <= 20  # the edge is antialiased


def test_pictures_of_the_right_size_are_not_touched() -> None:
    assert (decode(png_of(speckled(60, 28)), 28, "pad").pixels == speckled(60, 28)).all()


def test_resizing_is_pillows_own_with_antialiasing() -> None:
    large = Image.fromarray(speckled(61, 200))
    expected = np.asarray(large.resize((28, 28), Image.Resampling.BICUBIC))
    assert (decode(png_of(speckled(61, 200)), 28, "pad").pixels == expected).all()


def png_of(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def task(folder: Path, names: list[str], target: Path) -> Task:
    return Task(str(target), "part", str(folder), names, [], 28, "pad", {}, False)


@pytest.mark.cold  # a fork has the memory of what it was forked from
def test_the_memory_of_a_worker_is_bounded_whatever_it_reads(
    odd: tuple[Path, DataCard, list[str]], tmp_path: Path
) -> None:
    folder, _, _ = odd
    names = [f"a/{name}" for name in os.listdir(folder / "a")]  # noqa: PTH208
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "engine.data.own.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(asdict(task(folder, names, tmp_path))).encode() + b"\n")
    process.stdin.flush()
    for line in process.stdout:
        if b'"done"' in line:
            break
    # Its own peak: what `wait4` says includes the memory of the process that it was started from
    status = Path(f"/proc/{process.pid}/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]
    process.communicate()
    assert process.returncode == 0
    assert peak < MEMORY  # MB; the bomb alone would have 1,200


DEADLY = """
import os
from pathlib import Path
from engine.data.own import worker
plain, deadly = worker.decode, Path({deadly!r}).read_bytes()
worker.decode = lambda content, *rest: os._exit(9) if content == deadly else plain(content, *rest)
worker._run()
"""


def test_a_picture_that_ends_the_process_which_reads_it_is_named_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged file may crash a decoder. Here every worker dies of the third picture."""
    write_class_folders(tmp_path / "pictures", per_class=6)
    names = [f"a/{number:03}.png" for number in range(6)]
    (tmp_path / "parts").mkdir()
    code = DEADLY.format(deadly=str(tmp_path / "pictures" / names[2]))
    monkeypatch.setattr("engine.data.own.workers.COMMAND", ("-c", code))
    (done,) = Workers([task(tmp_path / "pictures", names, tmp_path / "parts")], lambda size: None).results()
    assert done[0].fatal == {names[2]: FATAL}
    records = json.loads((tmp_path / "parts" / "part.json").read_text())
    reasons = {record["name"]: record.get("reason") for record in records}
    assert reasons == {**dict.fromkeys(names), names[2]: FATAL}


def test_parts_that_cannot_be_written_are_one_error_and_no_images_fault(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "pictures", per_class=6)
    names = [f"a/{number:03}.png" for number in range(6)]
    with pytest.raises(DataError) as error:
        list(Workers([task(tmp_path / "pictures", names, tmp_path / "removed")], lambda size: None).results())
    assert error.value.code == "ownimages.cache_unwritable"
    assert error.value.fields["reason"] == "No such file or directory"


def test_rows_whose_processes_die_are_one_error_and_no_endless_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "from engine.data.own import worker\nworker._convert = lambda task: __import__('os')._exit(9)\nworker._run()"
    monkeypatch.setattr("engine.data.own.workers.COMMAND", ("-c", code))
    rows = Task(str(tmp_path), "part", str(tmp_path / "images.npy"), [], [0, 4], 28, "pad", {}, False)
    with pytest.raises(DataError) as error:
        list(Workers([rows], lambda size: None).results())
    assert (error.value.code, error.value.fields["code"]) == ("ownimages.worker_died", 9)


def test_workers_that_cannot_start_are_one_error_and_no_endless_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.data.own.workers.COMMAND", ("-c", "import no_such_module"))
    with pytest.raises(InstallationError, match="ended as it started"):
        list(Workers([task(tmp_path, ["a.png"], tmp_path)], lambda size: None).results())


def test_too_many_unusable_files_refuse_with_their_number_and_names(odd: tuple[Path, DataCard, list[str]]) -> None:
    with pytest.raises(DataError, match=r"12 of 55 files cannot be used \(21.8 %, at most 5 % allowed\): .*png"):
        converted(folder=str(odd[0]))
