"""Pictures of a user's own, as tests need them: plain ones, odd ones, and a way to have them converted."""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.contract.recipe.data_source import SearchPaths
from engine.contract.recipe.sources import DatasetSection, data_source
from engine.data.access import Access
from engine.data.cache import Decoded
from engine.data.own.source import decoded_own_images

ROOT = Path(__file__).resolve().parents[1]
LONG_NAME = "n" * 251 + ".png"  # 255 bytes
FINE = {  # of the odd ones those that are read, with what is noted of them
    "one_pixel.png": "",
    "ribbon.png": "oblong",
    "deep.tif": "oblong",
    "deep.png": "",
    "cmyk.jpg": "oblong",
    "palette.png": "transparent, on black",
    "alpha.png": "transparent, on black",
    "grey_alpha.png": "transparent, on black",
    "turned.jpg": "turned upright by EXIF",
    "animated.gif": "several frames or pages, of which the first is used",
    "animated.webp": "several frames or pages, of which the first is used",
    "pages.tif": "several frames or pages, of which the first is used",
    "bits.png": "",
    "plain.bmp": "",
    "jpeg_inside.png": "",
    "血细胞.png": "",
    "two\nlines.png": "",
    LONG_NAME: "",
    "latin_\udcff.png": "",
}
NAMED = {  # those that are not, with how the reason begins
    "half.jpg": "damaged",
    "header_crc.png": "damaged|not an image",
    "data_crc.png": "damaged",
    "text.png": "not an image",
    "empty.png": "empty",
    "bomb.png": "has 20,000 × 20,000 pixels",
    "float.tif": "has floating-point values",
    "stub.gif": "damaged|not an image",
    "pipe.png": "not a regular file",
    "outside.png": "a link, which is not followed",
    "loop.png": "a link, which is not followed",
}


def own_images_folder() -> Path:
    """Real pictures next to the project; the test skips without them, or fails in CI."""
    folder = ROOT.parent / "shared" / "own_images"
    if not (folder / "blood_cells.csv").is_file():
        reason = "needs the pictures of ../shared/own_images"
        pytest.fail(reason) if os.environ.get("CI", "").lower() == "true" else pytest.skip(reason)
    return folder


def section(**fields: Any) -> DatasetSection:
    return DatasetSection.model_validate(fields)


def converted(log: list[str] | None = None, **fields: Any) -> Decoded:
    """The decoded images of a `dataset` section, without an engine. Raises DataError."""
    said = (log if log is not None else []).append
    here = SearchPaths(Path(), [], Path())
    access = Access(here, [], [], False, said, said, lambda *progress: None, lambda activity: lambda done, total: None)
    source = data_source(section(**fields))
    return decoded_own_images(source, access)  # type: ignore[arg-type]


def speckled(seed: int, side: int = 24, channels: int = 3, level: int = 0) -> np.ndarray:
    """uint8 [S, S] or [S, S, 3]: smooth random spots, so that no two are alike; `level` brightens it."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 180, (6, 6, channels)).astype(np.uint8)
    spots = np.asarray(Image.fromarray(coarse[..., 0] if channels == 1 else coarse).resize((side, side), 3))
    return (spots // 2 + level).astype(np.uint8)


def write_class_folders(
    folder: Path, per_class: int = 12, channels: int = 3, classes: tuple[str, ...] = ("a", "b")
) -> None:
    """`<class>/<number>.png`, a class brighter than the one before it."""
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for seed in range(per_class):
            pixels = speckled(1000 * number + seed, channels=channels, level=80 * number)
            Image.fromarray(pixels).save(folder / name / f"{seed:03}.png")


def write_odd_pictures(folder: Path) -> None:
    """Every one of `FINE` and `NAMED`, into an existing folder."""
    grey, colours = speckled(1, channels=1), Image.fromarray(speckled(2))
    Image.new("RGB", (1, 1), (9, 200, 30)).save(folder / "one_pixel.png")
    Image.new("L", (30_000, 4), 77).save(folder / "ribbon.png")
    ramp = np.linspace(0, 4095, 30 * 20).reshape(20, 30).astype(np.uint16)
    Image.fromarray(ramp).save(folder / "deep.tif")
    Image.fromarray((speckled(3, channels=1).astype(np.uint16)) * 15).save(folder / "deep.png")
    colours.resize((30, 20)).convert("CMYK").save(folder / "cmyk.jpg")
    palette = Image.fromarray(speckled(4, channels=1) // 64)
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255])
    palette.save(folder / "palette.png", transparency=0)
    alpha = np.dstack([speckled(5), np.tile(np.array([0, 255], np.uint8), (24, 12))])
    Image.fromarray(alpha).save(folder / "alpha.png")
    Image.fromarray(np.dstack([speckled(6, channels=1), speckled(7, channels=1)])).save(folder / "grey_alpha.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: shown upright when turned by 90 degrees clockwise
    Image.fromarray(speckled(8)).save(folder / "turned.jpg", exif=exif, quality=95)
    frames = [Image.fromarray(speckled(seed)) for seed in (9, 10, 11)]
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:])
    frames[1].save(folder / "animated.webp", save_all=True, append_images=frames[:1], lossless=True)
    frames[2].save(folder / "pages.tif", save_all=True, append_images=frames[:2])
    Image.fromarray(speckled(12, channels=1) > 60).save(folder / "bits.png")
    Image.fromarray(speckled(13)).save(folder / "plain.bmp")
    Image.fromarray(speckled(14)).save(folder / "jpeg_inside.png", format="JPEG")
    for seed, name in enumerate(("血细胞.png", "two\nlines.png", LONG_NAME, "latin_\udcff.png"), start=20):
        Image.fromarray(speckled(seed)).save(folder / name)
    _write_damaged(folder, colours, grey)


def _write_damaged(folder: Path, colours: Image.Image, grey: np.ndarray) -> None:
    jpeg, png = io.BytesIO(), io.BytesIO()
    colours.resize((200, 200)).save(jpeg, "JPEG")
    colours.save(png, "PNG")
    (folder / "half.jpg").write_bytes(jpeg.getvalue()[: len(jpeg.getvalue()) // 2])
    content = bytearray(png.getvalue())
    (folder / "header_crc.png").write_bytes(bytes([*content[:29], content[29] ^ 255, *content[30:]]))
    middle = len(content) // 2  # in the compressed pixels, whose checksum then fails
    (folder / "data_crc.png").write_bytes(bytes([*content[:middle], content[middle] ^ 255, *content[middle + 1 :]]))
    (folder / "text.png").write_text("no image\n")
    (folder / "empty.png").touch()
    (folder / "bomb.png").write_bytes(bomb(20_000))
    Image.fromarray(grey.astype(np.float32)).save(folder / "float.tif")
    (folder / "stub.gif").write_bytes(b"GIF89a\x10\x00\x10\x00")
    os.mkfifo(folder / "pipe.png")
    (folder / "outside.png").symlink_to("/etc/hostname")
    (folder / "loop.png").symlink_to("loop.png")


def bomb(side: int) -> bytes:
    """A small PNG of side × side black pixels, RGB: 1.2 GB for 20,000."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checked = name + content
        return len(content).to_bytes(4, "big") + checked + zlib.crc32(checked).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + 3 * side)) for _ in range(200)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
