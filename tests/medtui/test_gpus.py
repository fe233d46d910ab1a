"""What is shown of GPUs: what NVML answered, and where it answered nothing, that and why; never "none" instead.

NVML's library is NVIDIA's driver's. A library in C with the same interface stands in for it (`doubles/nvml.c`), loaded
by nvidia-ml-py in a process of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medtui.console.live.machine import machine_text
from medtui.console.machine.hardware_text import hardware_text
from medtui.console.shell.load_history import LoadSample
from medtui.machine.checks import Check, check_gpus
from medtui.machine.gpu import NO_DRIVER, NOT_INSTALLED, Gpu, Gpus, format_gpus
from medtui.machine.hardware import Hardware

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = "libnvidia-ml.so.1"
# One console's polls: for each line of input one, as JSON.
POLLS = """
import dataclasses, json, sys
from medtui.machine import gpu
gpu.RETRY = 0.0
for line in sys.stdin:
    found = gpu.read_gpus()
    print(json.dumps({**dataclasses.asdict(found), "words": found.words, "line": gpu.format_gpus(found)}), flush=True)
"""
NOT_SUPPORTED, DRIVER_NOT_LOADED, GPU_IS_LOST, VERSION_MISMATCH, UNKNOWN = 3, 9, 15, 18, 999  # of nvml.h


class Console:
    """A process that polls where the library of this folder is found first."""

    def __init__(self, folder: Path, scenario: Path) -> None:
        environment = {"LD_LIBRARY_PATH": str(folder), "NVML_STAND_IN": str(scenario), "PYTHONPATH": str(ROOT)}
        self.scenario = scenario
        self.process = subprocess.Popen(
            [sys.executable, "-c", POLLS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def poll(self, *scenario: str) -> dict[str, Any]:
        """With these lines for the library."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.scenario.write_text("".join(f"{line}\n" for line in scenario))
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a compiled library."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C compiler, for a library that stands in for NVML")
    folder = tmp_path_factory.mktemp("nvml")
    source = ROOT / "tests" / "doubles" / "nvml.c"
    command = [compiler, "-shared", "-fPIC", "-o", str(folder / LIBRARY), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def console_with(folder: Path, tmp_path: Path) -> Iterator[Console]:
    console = Console(folder, tmp_path / "scenario")
    try:
        yield console
    finally:
        console.process.kill()
        console.process.communicate()


@pytest.fixture
def console(library: Path, tmp_path: Path) -> Iterator[Console]:
    yield from console_with(library, tmp_path)


@pytest.fixture
def console_without_driver(tmp_path: Path) -> Iterator[Console]:
    """What is found under the library's name is none, also on a machine that has one."""
    if sys.platform != "linux":
        pytest.skip("nvidia-ml-py is a dependency on Linux")
    (tmp_path / LIBRARY).write_bytes(b"")
    yield from console_with(tmp_path, tmp_path)


def test_every_value_of_every_device_is_as_nvml_gives_it(console: Console) -> None:
    first, second = console.poll()["devices"]
    assert (first["name"], first["load"], first["temperature"], first["power"]) == ("Stand-in A", 30, 60, 250.5)
    assert (second["name"], second["load"], second["temperature"], second["power"]) == ("Stand-in B", 31, 61, 250.5)
    assert (first["memory_used"], first["memory_total"]) == (6_100_000_000, 80_000_000_000)
    assert first["processes"] == [{"pid": 4711, "memory": 5_100_000_000}, {"pid": 4712, "memory": None}]
    assert second["processes"] == [] and console.poll()["line"] == "gpu0 30% 6.1G gpu1 31% 6.1G"


def test_what_a_device_does_not_support_is_unknown_and_the_rest_is_known(console: Console) -> None:
    first, second = console.poll(f"nvmlDeviceGetPowerUsage 1 {NOT_SUPPORTED}")["devices"]
    assert (first["power"], second["power"], second["temperature"], second["trouble"]) == (250.5, None, 61, "")
    functions = ("UtilizationRates", "MemoryInfo", "Temperature", "PowerUsage", "ComputeRunningProcesses_v3")
    found = console.poll(*(f"nvmlDeviceGet{name} 0 {NOT_SUPPORTED}" for name in functions))
    unknown = {name: value for name, value in found["devices"][0].items() if name not in ("name", "trouble")}
    assert set(unknown.values()) == {None} and found["devices"][1]["load"] == 31
    assert found["line"] == "gpu0 gpu1 31% 6.1G"


@pytest.mark.parametrize("function", ["nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetTemperature"])
def test_a_device_that_is_lost_while_it_is_watched_is_shown_as_lost_and_the_other_as_before(
    console: Console, function: str
) -> None:
    assert all(one["trouble"] == "" for one in console.poll()["devices"])
    first, second = console.poll(f"{function} 1 {GPU_IS_LOST}")["devices"]
    assert (first["load"], first["trouble"]) == (30, "")
    assert (second["load"], second["trouble"]) == (None, "GPU is lost")
    assert console.poll(f"{function} 1 {GPU_IS_LOST}")["line"] == "gpu0 30% 6.1G gpu1 lost"


def test_without_a_driver_nvml_is_not_available(console_without_driver: Console) -> None:
    found = console_without_driver.poll()
    assert (found["words"], found["failed"], found["line"]) == ("NVML not available: no NVIDIA driver", False, "")


def test_a_library_that_does_not_start_says_why_and_is_started_again(console: Console) -> None:
    mismatch = console.poll(f"nvmlInitWithFlags -1 {VERSION_MISMATCH}")
    assert mismatch["words"] == "NVML failed: RM has detected an NVML/RM version mismatch"
    assert (mismatch["failed"], mismatch["line"]) == (True, "gpu: NVML failed")
    assert console.poll(f"nvmlInitWithFlags -1 {DRIVER_NOT_LOADED}")["words"] == "NVML failed: Driver Not Loaded"
    assert console.poll()["line"] == "gpu0 30% 6.1G gpu1 31% 6.1G"


def test_a_driver_that_goes_away_is_not_an_absence_of_gpus_and_comes_back(console: Console) -> None:
    assert len(console.poll()["devices"]) == 2
    gone = console.poll(f"nvmlDeviceGetCount_v2 -1 {UNKNOWN}", f"nvmlInitWithFlags -1 {DRIVER_NOT_LOADED}")
    assert (gone["devices"], gone["words"]) == ([], "NVML failed: Unknown Error")
    again = console.poll(f"nvmlInitWithFlags -1 {DRIVER_NOT_LOADED}")
    assert again["words"] == "NVML failed: Driver Not Loaded", "the library was let go of"
    assert len(console.poll()["devices"]) == 2


def test_none_is_what_nvml_answers_where_there_is_none(console: Console) -> None:
    found = console.poll("devices 0")
    assert (found["words"], found["trouble"], found["line"]) == ("none", "", "")


# ---- what the screens and doctor say of it


def hardware(gpus: Gpus) -> Hardware:
    return Hardware((12.0, 87.0), 6 * 10**9, 25 * 10**9, 77 * 10**9, 270 * 10**9, gpus)


SILENT = [
    Gpus(trouble=NO_DRIVER),
    Gpus(trouble=NOT_INSTALLED),
    Gpus(trouble="Driver Not Loaded", failed=True),
]


@pytest.mark.parametrize("gpus", SILENT, ids=lambda gpus: gpus.trouble)
def test_where_nvml_has_not_answered_no_screen_says_that_there_is_no_gpu(gpus: Gpus) -> None:
    machine = hardware_text([hardware(gpus)], 36, 12).plain
    live = machine_text((LoadSample(50.0, 1, gpus),), 24, 6).plain
    for text in (machine, live, check_gpus(gpus, has_driver=False).found, check_gpus(gpus, has_driver=True).found):
        words = " ".join(text.split())
        assert gpus.trouble in words and "NVML" in words and "none" not in words
    answered = hardware_text([hardware(Gpus())], 36, 12).plain.splitlines()
    assert [line for line in answered if line.startswith("GPU")] == ["GPU    none"]


def test_unknown_values_are_shown_as_unknown_and_a_lost_device_with_the_reason() -> None:
    gpus = Gpus((Gpu("H100", 0, 0, 80 * 10**9, 40, None), Gpu("H100", trouble="GPU is lost")))
    lines = hardware_text([hardware(gpus)] * 5, 60, 30).plain.splitlines()
    at = lines.index(next(line for line in lines if line.startswith("GPU 0  H100")))
    text = "\n".join(lines[at:])
    assert "0 %, 40 °C, power unknown" in text and "0.0 of 80.0 GB" in text
    assert "GPU 1  H100" in text and "cannot be reached: GPU is lost" in text
    bare = hardware_text([hardware(Gpus((Gpu("T4"),)))], 60, 30).plain
    assert (
        "load unknown, temperature unknown, power unknown" in bare and "memory unknown" in bare and " 0 %" not in bare
    )
    assert format_gpus(gpus) == "gpu0 0% 0.0G gpu1 lost"


def level(check: Check) -> tuple[str, bool]:
    return check.level, bool(check.remedy)


def test_doctor_warns_where_gpus_should_be_seen_and_are_not() -> None:
    assert level(check_gpus(Gpus(trouble=NO_DRIVER), has_driver=False)) == ("skip", False)
    assert level(check_gpus(Gpus(), has_driver=True)) == ("pass", False)
    assert level(check_gpus(Gpus((Gpu("H100", 1),)), has_driver=True)) == ("pass", False)
    hidden = check_gpus(Gpus(trouble=NO_DRIVER), has_driver=True)
    assert level(hidden) == ("warn", True) and LIBRARY in hidden.found, "as in a container without --gpus"
    assert level(check_gpus(Gpus(trouble=NOT_INSTALLED), has_driver=True)) == ("warn", True)
    assert level(check_gpus(Gpus(trouble="Driver Not Loaded", failed=True), has_driver=True)) == ("warn", True)
    lost = check_gpus(Gpus((Gpu("H100", 1), Gpu("H100", trouble="GPU is lost"))), has_driver=True)
    assert level(lost) == ("warn", True) and "GPU 1, H100: GPU is lost" in lost.found
