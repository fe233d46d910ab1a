"""Real engines and real commands for tests: started, spoken to and waited for without sleeping."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warm_starts import MEDTUI

if TYPE_CHECKING:
    import numpy as np

PATIENCE = 120.0  # seconds; a loaded machine may be slow to import torch


def tiny(**sections: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A recipe of seconds: synthetic cells, the small net. Sections are merged field by field.

    Where the engine starts from nothing, half of its time is for the figures of the test split, which a fork writes as
    dots: `evaluation={"test": False}` leaves that split out.
    """
    recipe: dict[str, dict[str, Any]] = {
        "dataset": {"name": "cells", "limit": 64},
        "model": {"name": "mini_cnn"},
        "training": {"epochs": 2, "batch_size": 16},
        "evaluation": {"tta": False},
        "runtime": {"threads": 1},  # two engines at once must not fight for two cores
    }
    for section, values in sections.items():
        recipe.setdefault(section, {}).update(values)
    return recipe


# Many training techniques at once, strict: whatever draws at random, or keeps something from step to step
EVERY_TECHNIQUE: dict[str, dict[str, Any]] = {
    "dataset": {"limit": 90},
    "model": {"name": "resnet18", "pretrained": False, "stochastic_depth": 0.3, "dropout": 0.2},
    "training": {
        "epochs": 3,
        "batch_size": 8,
        "accumulate": 3,
        "optimizer": "nadamw",
        "lr": 0.002,
        "mixup_alpha": 0.2,
        "cutmix_alpha": 1.0,
        "label_smoothing": 0.1,
        "focal_gamma": 1.0,
        "class_weights": "balanced",
        "sampling": "weighted",
        "swa_start": 2,
        "clip_norm": 1.0,
    },
    "augmentation": {"crop_area": 0.5, "trivial_augment": 1.0, "erasing": 0.3, "shift": 0.1},
    "runtime": {"reproducible": True, "threads": 1},
}


def yaml_of(recipe: dict[str, dict[str, Any]]) -> str:
    return json.dumps(recipe)  # JSON is YAML


class Engine:
    """`python -m engine`, driven over its pipes as any program may."""

    def __init__(
        self, workspace: Path, *arguments: str, environment: dict[str, str] | None = None, module: str = "engine"
    ) -> None:
        command = [sys.executable, "-P", "-m", module, "--workspace", str(workspace), *arguments]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
        self.events: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._ended = False
        self._reading = True
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not self._reading:
                self.process.stdout.close()
                return
            with self._changed:
                self.events.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def send(self, command: str, id: str = "1", **fields: Any) -> None:
        self.write(json.dumps({"command": command, "id": id, **fields}))

    def write(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def train(self, recipe: dict[str, Any], **fields: Any) -> None:
        self.send("start", id="start", job="train", recipe=recipe, **fields)

    def hang_up(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def stop_reading(self) -> None:
        """Close the engine's standard output at its next line."""
        self._reading = False

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool], after: int = 0) -> dict[str, Any]:
        """The first matching event, from number `after` on."""
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            seen = after
            while True:
                for event in self.events[seen:]:
                    seen += 1
                    if wanted(event):
                        return event
                assert not self._ended, f"the engine ended without it; its events: {self.names()}"
                assert time.monotonic() < deadline, f"not within {PATIENCE:.0f} s; its events: {self.names()}"
                self._changed.wait(1.0)

    def wait_for_event(self, name: str, after: int = 0, **fields: Any) -> dict[str, Any]:
        return self.wait_for(lambda e: e["event"] == name and all(e.get(k) == v for k, v in fields.items()), after)

    def wait_for_phase(self, phase: str) -> dict[str, Any]:
        return self.wait_for_event("phase.changed", phase=phase)

    def answer(self, id: str) -> dict[str, Any]:
        """The answer to the command with this id."""
        return self.wait_for(lambda e: e["event"].startswith("command.") and e.get("id") == id)

    def end(self) -> int:
        """Wait for the process; its exit code."""
        code = self.process.wait(PATIENCE)
        with self._changed:
            self._changed.wait_for(lambda: self._ended, 10)
        return code

    def names(self) -> list[str]:
        return [event["event"] for event in self.events if event["event"] != "progress"]

    def of(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


def medtui(
    *arguments: str | Path, cwd: Path, environment: dict[str, str] | None = None, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """The console script, run to its end."""
    return subprocess.run(
        [*MEDTUI, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        input=stdin,
        timeout=PATIENCE * 4,
        env={**os.environ, **(environment or {})},
        check=False,
    )


def graded_arrays() -> dict[str, np.ndarray]:
    """An archive in MedMNIST's layout: uint8 [N, 28, 28, 3], labels [N, 1] of eight classes, brighter and brighter."""
    import numpy as np

    random = np.random.default_rng(4)
    arrays: dict[str, np.ndarray] = {}
    for split, count in (("train", 64), ("val", 32), ("test", 40)):
        labels = np.arange(count, dtype=np.uint8)[:, None] % 8
        noise = random.integers(0, 120, (count, 28, 28, 3))
        arrays[f"{split}_images"] = (noise + 16 * labels[:, :, None, None]).astype(np.uint8)
        arrays[f"{split}_labels"] = labels
    return arrays


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]
