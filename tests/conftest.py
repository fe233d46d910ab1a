"""What tests share: where real data lies, isolated caches, and the count of what was skipped for want of data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
IN_CI = os.environ.get("CI", "").lower() == "true"


def real_data_folder() -> Path | None:
    """`$MEDTUI_TEST_DATA`, else `../shared/data` beside the project; None where neither holds BreastMNIST."""
    given = os.environ.get("MEDTUI_TEST_DATA")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    return folder if (folder / "breastmnist.npz").is_file() else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the official files. Without it the test skips, or fails in CI."""
    folder = real_data_folder()
    if folder is None:
        reason = "needs the official MedMNIST files: ../shared/data or $MEDTUI_TEST_DATA"
        pytest.fail(reason) if IN_CI else pytest.skip(reason)
    return folder


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache of decoded data for the whole suite, away from the user's own; no weights, no data of the user's."""
    cache = tmp_path_factory.mktemp("cache")
    os.environ["MEDTUI_CACHE"] = str(cache)
    os.environ["TORCH_HOME"] = str(tmp_path_factory.mktemp("torch_home"))
    os.environ.pop("MEDTUI_DATA", None)
    os.environ["MEDTUI_OFFLINE"] = "1"  # no test depends on the internet; those of fetching have a server of their own
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # tests run side by side; read when a child starts
    return cache


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", action="store_true", help="only the tests marked exhaustive: make faults")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked `gpu` skip with the reason where there is none; `exhaustive` ones are for `make faults`."""
    wanted = config.getoption("--faults")
    config.hook.pytest_deselected(items=[i for i in items if bool(i.get_closest_marker("exhaustive")) != wanted])
    items[:] = [item for item in items if bool(item.get_closest_marker("exhaustive")) == wanted]
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device; this machine has none"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many tests were skipped because the real data are not here."""
    skipped = [
        report for report in terminalreporter.stats.get("skipped", []) if "MedMNIST files" in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.write_line(f"{len(skipped)} real-data tests skipped: the official files are not here")


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Small archives in the layout of official sets that cannot be had here, as `--set` arguments, by data set."""
    import hashlib

    import numpy as np

    from engine.contract.datasets import datasets

    folder = tmp_path_factory.mktemp("stand_in")
    settings = {}
    for name in ("bloodmnist", "dermamnist", "pathmnist"):
        facts = datasets()[name]
        draws = np.random.default_rng(7)
        arrays = {}
        for split, n in (("train", 256), ("val", 64), ("test", 64)):
            labels = np.arange(n, dtype=np.uint8)[:, None] % facts.classes
            noise = draws.integers(0, 100, (n, 28, 28, 3))
            arrays[f"{split}_images"] = (noise + 15 * labels[:, :, None, None]).astype(np.uint8)
            arrays[f"{split}_labels"] = labels
        path = folder / f"{name}_stand_in.npz"
        np.savez(path, **arrays)
        md5 = hashlib.md5(path.read_bytes()).hexdigest()
        settings[name] = ["--set", f"dataset.archive={path}", "--set", f"dataset.md5='{md5}'"]
    return settings
