"""File systems that cannot do what a disk's can: network shares, memory cards, object stores, FUSE.

`limited.c` is preloaded and answers for one folder as they do. Skips where there is no C compiler.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from driving import json_lines, medtui, tiny, yaml_of
from preloading import LIMITED, library

from engine.contract.store.checkpoint_file import verified_digest
from engine.contract.store.run_directory import list_runs

Done = subprocess.CompletedProcess[str]
Limited = Callable[..., Done]
SHARE = {"fsyncdir": errno.EINVAL, "fsync": errno.ENOSYS, "chmod": errno.EPERM}
TOLD = {
    "fsyncdir": "folders cannot be flushed",
    "fsync": "files cannot be flushed",
    "chmod": "modes cannot be changed",
    "mmap": "files cannot be memory-mapped",
    "replace": "files cannot be replaced atomically",
    "flock": "files cannot be locked",
}


@pytest.fixture(scope="module")
def shim() -> Path:
    compiled = library(LIMITED)
    if compiled is None:
        pytest.skip("needs Linux and a C compiler")
    return compiled


@pytest.fixture
def limited(tmp_path: Path, shim: Path) -> Limited:
    """A command whose workspace and cache lie on such a file system."""
    share = tmp_path / "share"
    share.mkdir()
    (tmp_path / "tiny.yaml").write_text(yaml_of(tiny(training={"epochs": 1})))

    def command(*arguments: str | Path, **limits: int) -> Done:
        environment = {
            "LD_PRELOAD": str(shim),
            "LIMITED_FOLDER": str(share),
            "LIMITED": " ".join(f"{operation}:{number}" for operation, number in limits.items()),
            "MEDTUI_CACHE": str(share / "cache"),
        }
        return medtui(*arguments, "--workspace", share, cwd=tmp_path, environment=environment)

    return command


@pytest.mark.parametrize(
    "limits",
    [SHARE, pytest.param({"mmap": errno.ENODEV, "replace": errno.EEXIST}, marks=pytest.mark.slow)],
    ids=["a network share", "no shared maps, no replacing"],
)
def test_a_run_completes_and_logs_once_what_its_file_system_cannot_do(
    tmp_path: Path, limited: Limited, limits: dict[str, int]
) -> None:
    done = limited("run", tmp_path / "tiny.yaml", "--json", **limits)
    assert done.returncode == 0, done.stdout + done.stderr
    events = json_lines(done.stdout)
    assert events[-1]["outcome"] == "completed"
    (run,) = list_runs(tmp_path / "share/outputs")
    for checkpoint in (run.best, run.last):
        assert verified_digest(checkpoint)
    logs = [event["message"] for event in events if event["event"] == "log"]
    for operation in limits:
        of_outputs = [text for text in logs if TOLD[operation] in text and "outputs" in text]
        assert len(of_outputs) == 1, (operation, logs)
    diagnosis = limited("doctor", **limits)
    for operation in limits:
        lines = [line for line in diagnosis.stdout.splitlines() if TOLD[operation] in line]
        assert lines and all(line.startswith("warn") for line in lines), diagnosis.stdout


def test_where_files_cannot_be_locked_a_run_is_refused_with_doctors_message(tmp_path: Path, limited: Limited) -> None:
    done = limited("run", tmp_path / "tiny.yaml", flock=errno.ENOLCK)
    assert done.returncode in (2, 3) and "lock" in done.stdout + done.stderr
    assert not [path for path in (tmp_path / "share/outputs").iterdir() if path.is_dir()]
    diagnosis = limited("doctor", flock=errno.ENOLCK)
    assert diagnosis.returncode == 1 and "cannot lock" in diagnosis.stdout


OTHERS = (pytest.param(number, marks=pytest.mark.slow) for number in (errno.ESTALE, errno.EACCES, errno.ELOOP))


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.EIO, *OTHERS])
def test_a_data_folder_that_does_not_answer_is_skipped_with_the_reason(tmp_path: Path, shim: Path, number: int) -> None:
    environment = {"LD_PRELOAD": str(shim), "LIMITED_FOLDER": str(tmp_path / "lost"), "LIMITED": f"stat:{number}"}
    environment |= {"MEDTUI_DATA": str(tmp_path / "lost"), "MEDTUI_SETTINGS": str(tmp_path / "lost/settings.yaml")}
    environment["TORCH_HOME"] = str(tmp_path / "lost/torch")
    (tmp_path / "lost").mkdir()
    for command, code in ((("data", "list"), 0), (("data", "verify", "octmnist"), 4), (("runs",), 0)):
        done = medtui(*command, "--workspace", tmp_path, cwd=tmp_path, environment=environment)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
        assert command[0] == "runs" or "is skipped" in done.stderr
    done = medtui("run", "breastmnist", "--offline", "--workspace", tmp_path, cwd=tmp_path, environment=environment)
    assert (done.returncode, "breastmnist.npz" in done.stderr + done.stdout) == (4, True), done.stdout + done.stderr
    done = medtui("runs", "--workspace", tmp_path / "lost", cwd=tmp_path, environment=environment)
    assert done.returncode == 2 and "Expected a workspace folder" in done.stderr
    if number == errno.ENOTCONN:
        done = medtui("doctor", "--workspace", tmp_path, cwd=tmp_path, environment=environment)
        assert "is skipped" in done.stdout and "Traceback" not in done.stderr
        assert os.fspath(tmp_path / "lost") in done.stdout
