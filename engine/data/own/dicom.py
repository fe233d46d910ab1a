"""A DICOM file's first frame as it would be shown: 8 bits, in the window that the file names. By pydicom, an extra."""

from __future__ import annotations

import io
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

PREAMBLE = slice(128, 132)  # where a file of this kind says so
MAGIC = b"DICM"
GREY = ("MONOCHROME1", "MONOCHROME2")


class NotShown(Exception):
    """Why it has no picture here."""


@cache
def can_be_read() -> bool:
    """Is the extra installed?"""
    return find_spec("pydicom") is not None


def is_dicom(content: bytes) -> bool:
    return content[PREAMBLE] == MAGIC


def size_of(dataset: Dataset) -> tuple[int, int]:
    """Width and height in pixels. Raises NotShown where there are none."""
    if "PixelData" in dataset and not dataset.PixelData:
        raise NotShown("a DICOM file whose image is empty")
    if "PixelData" not in dataset or not dataset.get("Rows") or not dataset.get("Columns"):
        raise NotShown("a DICOM file without an image")
    return int(dataset.Columns), int(dataset.Rows)


def opened(content: bytes) -> Dataset:
    """The file's header; its pixels are decoded later. Raises NotShown."""
    if not can_be_read():
        raise NotShown("a DICOM image, which needs the extra medtui[dicom]")
    from pydicom import dcmread

    return dcmread(io.BytesIO(content))


def first_frame(dataset: Dataset) -> tuple[np.ndarray, list[str]]:
    """uint8 [H, W], or [H, W, 3] in RGB; and what is worth knowing about it. Raises NotShown."""
    from pydicom.pixels import get_decoder, pixel_array

    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_compressed and syntax.is_encapsulated and not get_decoder(syntax).is_available:
        raise NotShown(f"a DICOM image compressed as {syntax.name}, which pydicom needs another package for")
    notes = []
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        notes.append("several frames or pages, of which the first is used")
    values = pixel_array(dataset, index=0)
    if dataset.PhotometricInterpretation in GREY:
        return _grey(values, dataset, notes), notes
    return _colour(values, dataset), notes


def _grey(values: np.ndarray, dataset: Dataset, notes: list[str]) -> np.ndarray:
    """By PS3.3 C.11: the modality's scale, then the window or table of values of interest, then white or black at 0."""
    from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing

    scaled = apply_modality_lut(values, dataset)
    shown: np.ndarray
    if dataset.get("VOILUTSequence"):
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        shown = apply_voi(scaled, dataset) * (255 / (2**bits - 1))
    elif dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        shown = apply_windowing(scaled, _window(dataset))
    else:
        notes.append("DICOM without a window, shown from its lowest to its highest value")
        low, high = float(scaled.min()), float(scaled.max())
        shown = (scaled - low) * (255 / max(high - low, 1e-9))
    grey = np.rint(shown).clip(0, 255).astype(np.uint8)
    return 255 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey


def _window(dataset: Dataset) -> Dataset:
    """The file's window, whose result is to lie in 0 … 255."""
    from pydicom.dataset import Dataset

    window: Any = Dataset()
    window.PhotometricInterpretation = dataset.PhotometricInterpretation
    window.WindowCenter, window.WindowWidth = dataset.WindowCenter, dataset.WindowWidth
    window.VOILUTFunction = dataset.get("VOILUTFunction") or "LINEAR"
    window.BitsStored, window.PixelRepresentation = 8, 0
    return window


def _colour(values: np.ndarray, dataset: Dataset) -> np.ndarray:
    """RGB; pydicom has converted YBR already."""
    from pydicom.pixels import apply_color_lut

    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
    if values.dtype == np.uint16:
        values = values >> 8
    if values.ndim != 3 or values.shape[2] != 3:
        raise NotShown(f"a DICOM image in {dataset.PhotometricInterpretation}, which is not read")
    return values.astype(np.uint8)
