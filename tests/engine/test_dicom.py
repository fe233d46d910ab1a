"""DICOM files as images: the first frame as it would be shown, by the definitions of PS3.3 C.11."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from driving import json_lines, medtui
from own_pictures import converted
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import get_decoder
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, SecondaryCaptureImageStorage

from engine.contract.data.card import read_card
from engine.data.own import dicom
from engine.data.own.pictures import MOST_PIXELS, Picture, Unreadable, decode


def file_of(values: np.ndarray, photometric: str = "MONOCHROME2", **fields: Any) -> bytes:
    """values: [H, W], [H, W, 3] or [frames, H, W] of 8 or 16 bits."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    colour = values.shape[-1] == 3
    dataset.Rows, dataset.Columns = values.shape[:2] if colour or values.ndim == 2 else values.shape[1:]
    if values.ndim == 3 and not colour:
        dataset.NumberOfFrames = len(values)
    dataset.SamplesPerPixel = 3 if colour else 1
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = dataset.BitsStored = 8 * values.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.PixelData = values.tobytes()
    for name, value in fields.items():
        setattr(dataset, name, value)
    content = io.BytesIO()
    pydicom.dcmwrite(content, dataset, enforce_file_format=True)
    return content.getvalue()


def read(content: bytes, size: int = 2) -> Picture:
    return decode(content, size, "stretch")


STORED = np.array([[0, 1024], [1064, 3000]], np.int16)


def test_the_window_of_the_file_decides_what_is_black_and_white() -> None:
    """Stored 0, 1024, 1064, 3000 with intercept −1024 are −1024, 0, 40, 1976; the window is 40 ± 200."""
    found = read(file_of(STORED, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400))
    grey = [0, *(round(((x - 39.5) / 399 + 0.5) * 255) for x in (0, 40)), 255]
    assert found.pixels.tolist() == [grey[:2], grey[2:]]
    assert (found.bits, found.notes) == (8, ())


def test_monochrome1_is_shown_with_its_lowest_value_white() -> None:
    fields = {"RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 400}
    upright, inverted = (read(file_of(STORED, kind, **fields)).pixels for kind in ("MONOCHROME2", "MONOCHROME1"))
    assert (inverted == 255 - upright).all()


def test_without_a_window_it_is_shown_from_its_lowest_to_its_highest_value() -> None:
    found = read(file_of(np.array([[100, 200], [300, 600]], np.uint16)))
    assert found.pixels.tolist() == [[0, 51], [102, 255]]
    assert found.notes == ("DICOM without a window, shown from its lowest to its highest value",)


def test_colour_and_the_first_of_several_frames() -> None:
    colours = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert (read(file_of(colours, "RGB")).pixels == colours).all()
    frames = np.array([[[0, 255], [0, 255]], [[9, 9], [9, 9]]], np.uint8)
    found = read(file_of(frames, WindowCenter=128, WindowWidth=256))
    assert (found.pixels == frames[0]).all()
    assert found.notes == ("several frames or pages, of which the first is used",)


def test_a_table_of_values_of_interest_is_followed() -> None:
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4, 0, 8], np.array([255, 10, 20, 0], np.uint16).tobytes()
    found = read(file_of(np.array([[0, 1], [2, 3]], np.uint16), VOILUTSequence=[table]))
    assert found.pixels.tolist() == [[255, 10], [20, 0]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda: file_of(STORED)[:-4], "damaged"),
        (lambda: file_of(STORED)[:150], "DICOM"),
        (lambda: file_of(STORED, PhotometricInterpretation="CMYK", SamplesPerPixel=1), "CMYK"),
        (lambda: bytes(128) + b"DICM", "DICOM"),
        (lambda: bytes(128) + b"DICM" + bytes(range(256)), ""),
    ],
    ids=["truncated", "half a header", "colours", "no header", "noise"],
)
def test_what_cannot_be_shown_says_why(content: Any, reason: str) -> None:
    with pytest.raises(Unreadable) as why:
        read(content())
    assert reason in str(why.value) and len(str(why.value)) < 150


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(Unreadable, match=f"more than {MOST_PIXELS // 1_000_000} million"):
        read(file_of(STORED, Rows=65_000, Columns=65_000))


def test_a_compression_that_nothing_here_decodes_is_named() -> None:
    if get_decoder(JPEGLSLossless).is_available:
        pytest.skip("JPEG-LS is decoded here")
    encapsulated = pydicom.dcmread(io.BytesIO(file_of(STORED)))
    encapsulated.file_meta.TransferSyntaxUID = JPEGLSLossless
    encapsulated.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
    encapsulated["PixelData"].is_undefined_length = True
    out = io.BytesIO()
    pydicom.dcmwrite(out, encapsulated)
    with pytest.raises(Unreadable, match="JPEG-LS"):
        read(out.getvalue())


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom, "can_be_read", lambda: False)
    with pytest.raises(Unreadable, match=r"medtui\[dicom\]"):
        read(file_of(STORED))


def test_a_file_whose_image_is_empty_is_named_in_plain_words() -> None:
    content = file_of(np.zeros((2, 2), np.uint8), PixelData=b"")
    with pytest.raises(Unreadable, match=r"^a DICOM file whose image is empty$"):
        read(content)


def test_a_folder_of_dicom_files_alone_is_read_whatever_they_are_called(tmp_path: Path) -> None:
    """As they come from an archive: without an ending, or with another one."""
    rng = np.random.default_rng(4)
    for number in range(24):
        name = ("{}.dcm", "{}", "IM-{}.DCM")[number % 3].format(number)
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        coarse = rng.integers(0, 4000, (6, 6), np.uint16)
        pixels = np.kron(coarse, np.ones((4, 4), np.uint16))
        (tmp_path / "ab"[number % 2] / name).write_bytes(file_of(pixels, WindowCenter=2000, WindowWidth=4000))
    (tmp_path / "a" / "none.dcm").write_bytes(file_of(pixels, PixelData=b""))
    data = converted(folder=str(tmp_path), size=28)
    card = read_card(data.folder / "card.json")
    assert card is not None and (sum(card.images.values()), card.channels, card.class_names) == (24, 1, ("a", "b"))
    assert [(one.file, one.reason) for one in card.unusable_files] == [
        ("a/none.dcm", "a DICOM file whose image is empty")
    ]


@pytest.mark.slow
def test_a_run_on_a_folder_of_dicom_files_and_a_prediction_by_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for number in range(40):
        folder = tmp_path / "scans" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 1000, (30, 24)).astype(np.uint16) + 2500 * (number % 2)
        (folder / f"{number}.dcm").write_bytes(file_of(pixels, WindowCenter=2000, WindowWidth=4000))
    settings = ["dataset.size=28", "model.name=mini_cnn", "training.batch_size=8", "training.epochs=1"]
    done = medtui("run", "scans", *settings, "runtime.threads=1", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json_lines(done.stdout)[-1]["outcome"] == "completed"
    found = medtui("predict", "last", "scans/a", cwd=tmp_path)
    assert found.returncode == 0 and "20 images predicted" in found.stderr
