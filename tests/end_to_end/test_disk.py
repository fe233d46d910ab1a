"""A small real file system: no room before the start, and none left during the run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from driving import Engine, tiny

from engine.contract.checkpoint_file import verified_digest
from medtui.client.journal import replay

LONG = tiny(training={"epochs": 500, "batch_size": 8, "patience": None})


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a small file system; skips, with the reason, where that is not allowed."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"cannot mount a small file system here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_no_room_is_refused_before_the_start_and_leaves_nothing(disk: Callable[[str], Path]) -> None:
    workspace = disk("2m")
    engine = Engine(workspace)
    engine.train(tiny())
    finished = engine.wait_for_event("run.finished")
    assert (engine.end(), finished["run_dir"], finished["error"]["kind"]) == (2, None, "outputs")
    assert "MB free" in finished["error"]["message"]
    assert [path.name for path in (workspace / "outputs").iterdir()] == [".medtui.lock"]


def test_a_disk_that_fills_up_fails_the_run_and_keeps_the_last_good_checkpoint(disk: Callable[[str], Path]) -> None:
    workspace = disk("24m")
    engine = Engine(workspace)
    try:
        engine.train(LONG)
        run = Path(engine.wait_for_event("run.started")["run_dir"])
        engine.wait_for_event("epoch.finished", epoch=2)
        with (workspace / "somebody_else").open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(b"\0" * 65536)
                except OSError:
                    break
        finished = engine.wait_for_event("run.finished")
        assert engine.end() == 5
    finally:
        engine.kill()
    assert (finished["outcome"], finished["exit_code"]) == ("failed", 5)
    assert "disk is full" in finished["error"]["message"]
    assert finished["error"]["kind"] == "disk_full"
    assert [event["kind"] for event in engine.of("alarm")] == ["disk_full"]
    newest = [run / "checkpoints" / name for name in ("last.safetensors", "previous.safetensors", "best.safetensors")]
    good = [path for path in newest if path.exists()]
    assert good
    for path in good:
        assert verified_digest(path)
    assert not list(run.rglob(".*")), "half files are left"
    assert (run / "events.jsonl").read_bytes().endswith(b"\n"), "a half line is left"
    assert len(replay(run / "events.jsonl").epochs) >= 2

    (workspace / "somebody_else").unlink()
    again = Engine(workspace)
    try:
        again.send("start", id="s", job="train", resume=str(run))
        assert again.wait_for_event("run.started")["resumed_from"]["epoch"] >= 1
        again.wait_for_event("epoch.finished")
    finally:
        again.kill()
