"""What cannot be done is refused as a user meets it: by `medtui run`, in time, in little memory, leaving nothing."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from driving import MEDTUI, medtui

MB = 1e6
TRIES = 3

RECIPES: dict[str, tuple[str | None, str]] = {  # text (None: a path of its own), what the sentence names
    "unknown key": ("training:\n  epoch: 3\n", "did you mean training.epochs"),
    "wrong type": ("training:\n  lr: fast\n", "training.lr"),
    "out of range": ("model:\n  dropout: 1.0\n", "model.dropout"),
    "nan": ("training:\n  lr: .nan\n", "training.lr"),
    "inf": ("training:\n  clip_norm: .inf\n", "training.clip_norm"),
    "negative": ("training:\n  momentum: -0.5\n", "training.momentum"),
    "duplicate key": ("training:\n  lr: 1\n  lr: 2\n", "twice"),
    "alias bomb": ("a: &a [lol]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n", "aliases"),
    "merge key": ("training:\n  <<: {lr: 1}\n", "merge keys"),
    "1 MB file": ("# recipe\n" + "#" * 1_000_000, "256 KiB"),
    "python object": ("training: !!python/object:os.system {}\n", "tags"),
    "empty file": ("", "empty"),
    "a list": ("- training\n", "a list"),
    "a directory": (None, "directory"),
    "control characters in a name": ("model:\n  name: 'a\x1b[2J'\n", "control characters"),
    "min_lr above lr": ("training:\n  lr: 0.1\n  min_lr: 0.2\n", "min_lr"),
    "mixup_until above epochs": ("training:\n  epochs: 2\n  mixup_until: 3\n", "mixup_until"),
    "flips on OrganA": ("dataset:\n  name: organamnist\naugmentation:\n  hflip: 0.5\n", "organamnist"),
    "a device that does not exist": ("runtime:\n  device: cuda:7\n", "CUDA"),
    "Metal, which has no float64": ("runtime:\n  device: mps\n", "float64"),
    "unknown data set": ("dataset:\n  name: bloodmist\n", "did you mean bloodmnist"),
    "unknown model": ("model:\n  name: resnet19\n", "did you mean resnet18"),
}


def _processor_seconds(arguments: list[str], folder: Path) -> tuple[float, int, str]:
    """Of one command: CPU time, as other tests run at the same time; its exit code and output."""
    with subprocess.Popen(
        [*MEDTUI, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime, process.returncode, said


@pytest.mark.parametrize("name", RECIPES)
def test_a_refused_recipe_costs_less_than_a_second_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    text, named = RECIPES[name]
    recipe = tmp_path / "mine.yaml"
    recipe.mkdir() if text is None else recipe.write_text(text)
    taken = []
    for _ in range(TRIES):
        seconds, code, said = _processor_seconds(["run", str(recipe)], tmp_path)
        taken.append(seconds)
        if seconds < 1:
            break
    assert min(taken) < 1, taken
    assert (code, "Traceback" in said) == (2, False), said
    assert named in said
    assert not (tmp_path / "outputs").exists()


# ---- data ---------------------------------------------------------------------------------------------------------


@cache
def _sound() -> dict[str, np.ndarray]:
    """A small archive in the layout of BloodMNIST."""
    arrays = {}
    for split, n in (("train", 64), ("val", 16), ("test", 16)):
        arrays[f"{split}_images"] = np.full((n, 28, 28, 3), 7, np.uint8)
        arrays[f"{split}_labels"] = np.arange(n, dtype=np.uint8)[:, None] % 8
    return arrays


def _written(**changed: np.ndarray | bytes | None) -> bytes:
    """The archive's bytes with members replaced, or left out for None; bytes are written as they are."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in {**_sound(), **changed}.items():
            if array is None:
                continue
            member = io.BytesIO()
            np.save(member, array) if isinstance(array, np.ndarray) else member.write(array)
            archive.writestr(f"{name}.npy", member.getvalue())
    return content.getvalue()


def _claiming_terabytes() -> bytes:
    member = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (2**30, 28, 28, 3)}
    np.lib.format.write_array_header_1_0(member, header)  # type: ignore[attr-defined]
    return _written(train_images=member.getvalue() + b"\0" * 1000)


def _with_member(name: str) -> bytes:
    content = io.BytesIO(_written())
    with zipfile.ZipFile(content, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of a name that is there already
        archive.writestr(name, b"\0")
    return content.getvalue()


ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "truncated": (lambda: _written()[:-300], "zip"),
    "object arrays": (lambda: _written(train_labels=np.array([["a"], [None]], dtype=object)), "object"),
    "terabytes": (_claiming_terabytes, "train_images"),
    "a path that leaves the folder": (lambda: _with_member("../train_images.npy"), ".."),
    "a member twice": (lambda: _with_member("train_labels.npy"), "twice"),
    "wrong shape": (lambda: _written(val_images=np.zeros((16, 29, 28, 3), np.uint8)), "val_images"),
    "wrong type": (lambda: _written(val_images=np.zeros((16, 28, 28, 3), np.float32)), "float32"),
    "label out of range": (lambda: _written(test_labels=np.full((16, 1), 8, np.uint8)), "test_labels"),
    "a missing split": (lambda: _written(val_images=None, val_labels=None), "val_"),
}

_WITH_PEAK = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps([done.returncode, peak, done.stdout, done.stderr]))
"""


def _refused(workspace: Path, *arguments: str) -> str:
    """The sentence; asserts the exit code, and that nothing is left."""
    done = medtui("run", *arguments, "--json", cwd=workspace)
    return _sentence(workspace, done.returncode, done.stdout, done.stderr)


def _refused_within(workspace: Path, *arguments: str) -> tuple[float, str]:
    """Also the peak memory in bytes of the largest process; they start from nothing, as a fork's is not its own."""
    command = [sys.executable, "-c", _WITH_PEAK, *MEDTUI, "run", *arguments, "--json"]
    asked = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=True)
    code, peak, output, errors = json.loads(asked.stdout)
    return peak, _sentence(workspace, code, output, errors)


def _sentence(workspace: Path, code: int, output: str, errors: str) -> str:
    assert "Traceback" not in output + errors
    error = json.loads(output.splitlines()[-1])["error"]
    outputs = workspace / "outputs"
    assert not outputs.exists() or [path.name for path in outputs.iterdir()] == [".medtui.lock"]
    said = f"{error['message']} {error['hint']}"
    assert code == 4, said
    return said


def _with_archive(name: str, folder: Path) -> tuple[list[str], str]:
    """A run's arguments for one of the archives, and its path."""
    archive = folder / "mine.npz"
    archive.write_bytes(ARCHIVES[name][0]())
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    settings = (f"dataset.archive={archive}", f"dataset.md5='{md5}'")
    return ["bloodmnist", *[word for s in settings for word in ("--set", s)]], str(archive)


@pytest.fixture(scope="module")
def without_data(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Peak memory in bytes of a run that finds no data at all."""
    workspace = tmp_path_factory.mktemp("without_data")
    peak, said = _refused_within(workspace, "bloodmnist", "--data", str(workspace))
    assert "bloodmnist.npz" in said
    return peak


@pytest.mark.parametrize("name", ARCHIVES)
def test_invalid_data_are_refused_in_one_sentence_that_names_what_is_wrong(name: str, tmp_path: Path) -> None:
    arguments, archive = _with_archive(name, tmp_path)
    said = _refused(tmp_path, *arguments)
    assert archive in said
    assert ARCHIVES[name][1] in said


LARGEST = "terabytes"  # the header of a thousand bytes claims them; the others hold what they say
SMALL = (pytest.param(name, marks=pytest.mark.slow) for name in ARCHIVES if name != LARGEST)


@pytest.mark.parametrize("name", [LARGEST, *SMALL])
@pytest.mark.slow
def test_invalid_data_are_refused_within_200_mb(name: str, tmp_path: Path, without_data: float) -> None:
    arguments, _ = _with_archive(name, tmp_path)
    peak, _ = _refused_within(tmp_path, *arguments)
    assert peak <= without_data + 200 * MB


def test_the_relabelled_breastmnist_is_refused_as_breastmnist(tmp_path: Path, real_data: Path) -> None:
    shutil.copyfile(real_data / "breastmnist_relabelled.npz", tmp_path / "breastmnist.npz")
    said = _refused(tmp_path, "breastmnist", "--data", str(tmp_path))
    assert "750601b1f35ba3300ea97c75c52ff8f6" in said  # the official file's MD5, as medmnist publishes it
