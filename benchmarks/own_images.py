"""`python -m benchmarks.own_images`: 20,000 small PNGs converted, against Pillow alone with as many processes.

Pillow alone opens, decodes and resizes each file, and does nothing with it: the least that any converter must do. Both
read the same files, in turns, in one run; the numbers are images per second, and the ratio. On a busy machine the time
of the clock says little: the ratio of the processors' time, the start of our processes included, is printed too. At the
end: the seconds from the imports to the first batch of a run that finds these images converted.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.second_start import starts_on
from benchmarks.stand_in import tiny_recipe
from engine.contract.files.folders import Folder
from engine.contract.machine.limits import cores
from engine.data.own.listing import list_folder
from engine.data.own.pool import Request, file_tasks
from engine.data.own.workers import Workers

IMAGES, SIDE, SIZE, TURNS, STARTS = 20_000, 64, 28, 4, 5


def make(folder: Path, images: int) -> None:
    """Pictures of smooth spots, as PNG, in two folders of classes."""
    random = np.random.default_rng(0)
    for number in range(images):
        coarse = Image.fromarray(random.integers(0, 255, (8, 8, 3), dtype=np.uint8).astype(np.uint8))
        target = folder / "ab"[number % 2]
        target.mkdir(parents=True, exist_ok=True)
        coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(target / f"{number:06}.png")


def plain(paths: list[str]) -> int:
    """Decode and resize, by Pillow alone."""
    for path in paths:
        with Image.open(path) as image:
            np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    return len(paths)


def pillow_alone(folder: Path) -> float:
    paths = sorted(str(path) for path in folder.glob("*/*.png"))
    parts = [paths[start : start + 128] for start in range(0, len(paths), 128)]
    with ProcessPoolExecutor(cores()) as pool:
        list(pool.map(plain, parts[: cores()]))  # its processes are there, and have imported what they need
        started = time.perf_counter()
        done = sum(pool.map(plain, parts))
        return done / (time.perf_counter() - started)


def converted(folder: Path, parts: Path) -> float:
    """By our workers, their start included."""
    started = time.perf_counter()
    listing = list_folder(folder, None)
    request = Request("folder", folder, listing, SIZE, "pad")
    tasks = file_tasks(request, Folder(parts).itself)
    done = sum(task.items for task, _ in Workers(tasks, lambda size: None).results())
    return done / (time.perf_counter() - started)


def processor_time() -> float:
    """Seconds of this process and of those that it has waited for."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def main() -> None:
    images = int(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["MEDTUI_CACHE"] = str(Path(temporary) / "cache")
        folder = Path(temporary) / "pictures"
        make(folder, images)
        ratios, processor = [], []
        for turn in range(TURNS):
            ours, alone, ratio = _turn(folder, Path(temporary) / f"parts{turn}", ours_first=turn % 2 == 0)
            ratios.append(ours / alone)
            processor.append(ratio)
            rates = f"converted {ours:,.0f}/s, Pillow alone {alone:,.0f}/s"
            print(f"{rates}, ratio {ratios[-1]:.2f}, of the processors' time {processor[-1]:.2f}", flush=True)
        wall, cpu = statistics.median(ratios), statistics.median(processor)
        print(f"median ratio {wall:.2f}, of the processors' time {cpu:.2f}", flush=True)
        recipe = tiny_recipe(training={"batch_size": 128}) | {"dataset": {"folder": str(folder), "size": SIZE}}
        start = starts_on(recipe, Path(temporary))
        seconds = [start() for _ in range(STARTS)]
        print(f"second starts: {', '.join(f'{one:.2f}' for one in seconds)} s")


def _turn(folder: Path, parts: Path, *, ours_first: bool) -> tuple[float, float, float]:
    """Images per second, ours and Pillow's, and the ratio of processor time. Who reads first finds colder files."""
    parts.mkdir()
    rates, spent = {}, {}
    for ours in (ours_first, not ours_first):
        before = processor_time()
        rates[ours] = converted(folder, parts) if ours else pillow_alone(folder)
        spent[ours] = processor_time() - before
    return rates[True], rates[False], spent[False] / spent[True]


if __name__ == "__main__":
    main()
