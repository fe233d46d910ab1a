"""Shared by all tests: the location of real data, isolated caches, and the count of tests skipped for lack of data."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from warm_starts import AT_LOADING, WarmStarts

ROOT = Path(__file__).resolve().parents[1]
IN_CI = os.environ.get("CI", "").lower() == "true"

hypothesis.settings.register_profile("medtui", deadline=None)  # on a busy machine any example may take a second
hypothesis.settings.load_profile("medtui")


def real_data_folder() -> Path | None:
    """`$MEDTUI_TEST_DATA`, else `../shared/data` next to the project; None if neither holds BreastMNIST."""
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


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system in memory with these options; skips, with the reason, where that is not allowed."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"cannot mount a small file system here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache of decoded data for the whole suite, separate from the user's; no weights, no data of the user's."""
    cache = tmp_path_factory.mktemp("cache")
    os.environ["MEDTUI_CACHE"] = str(cache)
    os.environ["TORCH_HOME"] = str(tmp_path_factory.mktemp("torch_home"))
    os.environ.pop("MEDTUI_DATA", None)
    os.environ["MEDTUI_SETTINGS"] = str(cache / "no_settings.yaml")  # the user's would notify somebody of tests
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    os.environ["MEDTUI_OFFLINE"] = "1"  # no test depends on the internet; those of fetching have a server of their own
    return cache


LEFT_OUT = pytest.StashKey[int]()  # slow tests that this run leaves out
starts = WarmStarts()  # engines and commands start by a fork


def pytest_configure() -> None:
    """Also in worker processes, where this file is loaded after the start of the session."""
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # tests run side by side; read when a child starts, as the servers do
    starts.install()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture. `cold`: from nothing, as a user's start; `figures`: with the pixels of its figures."""
    starts.background = {name: value for name, value in os.environ.items() if name.startswith(AT_LOADING)}
    starts.cold = item.get_closest_marker("cold") is not None
    starts.figures = item.get_closest_marker("figures") is not None


def pytest_sessionfinish(session: pytest.Session) -> None:
    starts.close()
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What a worker process left out, as the process that reports knows of no tests itself."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    left_out = 0 if hasattr(config, "workerinput") else config.stash.get(LEFT_OUT, 0)
    if left_out:
        others = "the speed guards (make test-all), the exhaustive faults (make faults) and models (make models)"
        print(f"Left out: {left_out} slow tests, {others}.")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("medtui")
    group.addoption("--all", action="store_true", help="also the tests marked slow: make test-all")
    group.addoption("--exhaustive", action="store_true", help="only the tests marked so: make faults, make models")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Millions of objects, of torch and of the tests, stay until the end: no garbage is looked for among them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(collector: pytest.Collector) -> Iterator[None]:
    """A parameter set that is named and does not exist would leave all others out."""
    made = yield
    for name in ("everyday", "usual") if isinstance(made, list) and made else ():
        named = made[0].get_closest_marker(name)
        if named is not None and (unknown := set(named.args) - {item.callspec.id for item in made}):
            raise collector.CollectError(
                f"{made[0].name}: `{name}` names what is none of its parameter sets: {unknown}"
            )
    return made


def pytest_itemcollected(item: pytest.Item) -> None:
    """`everyday`: the parameter sets that it does not name are slow. `usual`: those are exhaustive."""
    for name, others in (("everyday", pytest.mark.slow), ("usual", pytest.mark.exhaustive)):
        named = item.get_closest_marker(name)
        if named is not None and item.callspec.id not in named.args:  # type: ignore[attr-defined]
            item.add_marker(others)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`exhaustive`: for `make faults` and `make models`; `slow`: for `make test-all`; `gpu`: needs a GPU."""
    exhaustive = config.getoption("--exhaustive")
    chosen, left_out = divided(items, lambda item: bool(item.get_closest_marker("exhaustive")) == exhaustive)
    if not (exhaustive or config.getoption("--all")):
        chosen, slow = divided(chosen, lambda item: item.get_closest_marker("slow") is None)
        config.stash[LEFT_OUT] = len(slow)
        left_out += slow
    config.hook.pytest_deselected(items=left_out)
    items[:] = waiting_beside_working(chosen)
    _skip_without_gpu([item for item in items if item.get_closest_marker("gpu")])


# A minute or more each with `--all`, in this order: where one of them began last, all but its process would wait for it
LONGEST = ("test_suites_on_cluster.py", "test_main_job.py", "test_two_users.py", "test_wheel.py")


def divided(
    items: list[pytest.Item], belongs: Callable[[pytest.Item], bool]
) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Those that belong, and the others."""
    chosen: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for item in items:
        (chosen if belongs(item) else others).append(item)
    return chosen, others


def waiting_beside_working(items: list[pytest.Item]) -> list[pytest.Item]:
    """In the order in which worker processes take files: the longest; then one of the console's, which wait more than
    they compute, and one of those that start engines, in turns; then all others, which are short."""
    folders: dict[str, dict[Path, list[pytest.Item]]] = {}
    longest: dict[str, list[pytest.Item]] = {name: [] for name in LONGEST}
    for item in items:
        if item.path.name in longest:
            longest[item.path.name].append(item)
        else:
            folders.setdefault(item.path.parent.name, {}).setdefault(item.path, []).append(item)
    working = [*folders.pop("end_to_end", {}).values(), *folders.pop("faults", {}).values()]
    waiting = list(folders.pop("console", {}).values())
    others = [tests for files in folders.values() for tests in files.values()]
    turns = [tests for turn in zip_longest(waiting, working, fillvalue=[]) for tests in turn]
    return [item for tests in (*longest.values(), *turns, *others) for item in tests]


def _skip_without_gpu(marked: list[pytest.Item]) -> None:
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
    """Small archives in the layout of official sets that are not available here, as `--set` arguments, by data set."""
    import hashlib

    import numpy as np

    from engine.contract.data.datasets import datasets

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
