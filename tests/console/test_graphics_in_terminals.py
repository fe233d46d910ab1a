"""The console in terminals that answer as kitty, xterm with sixel graphics, iTerm2, or not at all; and in tmux."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from graphics_decoders import ITERM, SIXEL, decoded, enlarged, kitty_pictures, placeholder_cells, sixel_picture
from PIL import Image
from screen_helpers import ENGINELESS
from stand_ins import make_run
from test_terminal import Terminal as TmuxTerminal

from benchmarks.terminal import Terminal, console
from engine.contract.store.workspace import Workspace
from medtui.console.graphics.terminal import QUERIES

NAME = "20261121_breastmnist_resnet18-adapted_1a2b3c"
PATIENCE = 60.0  # seconds
SIZE = (120, 160)  # the detail of a run fits as a whole: its pictures are seen without scrolling
ROOT = Path(__file__).resolve().parents[2]
CELL = "\x1b[6;20;10t"  # 10 × 20 pixels
TERMINALS = {
    "kitty": f"\x1bP>|kitty(0.35.2)\x1b\\{CELL}\x1b[?62;c",
    "sixel": f"\x1bP>|XTerm(390)\x1b\\{CELL}\x1b[?63;1;2;4;22c",
    "iterm": f"\x1bP>|iTerm2 3.5.0\x1b\\{CELL}\x1b[?62;4c",
    "plain": "\x1b[?1;2c",
}


def with_samples(workspace: Workspace) -> np.ndarray:
    """A run with two sample images: uint8 [2, 28, 28]; and a figure of its confusion matrix, 300 × 400 pixels."""
    images = np.stack([np.add.outer(np.arange(28), np.arange(28)) * step for step in (2, 4)]).astype(np.uint8)
    values = {
        "shape": list(images.shape),
        "images": base64.b64encode(images.tobytes()).decode(),
        "truth": ["benign", "benign"],
        "said": ["benign", "malignant"],
        "scores": [0.9, 0.6],
    }
    run = make_run(workspace, NAME)
    (run.metrics.path / "samples.json").write_text(json.dumps(values))
    Image.fromarray(np.full((300, 400, 3), (20, 90, 160), np.uint8)).save(run.figures.path / "confusion.png")
    return images


@contextmanager
def opened(workspace: Workspace, cache: Path, answer: str | None, delay: float = 0.0) -> Iterator[Terminal]:
    """Results with the run in detail; the terminal answers `delay` seconds after it was asked, in two writes."""
    kept = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE", "LC_TERMINAL")}
    environment = {**kept, "MEDTUI_CACHE": str(cache), "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}
    with console(workspace.root, environment, size=SIZE, program=ENGINELESS) as terminal:
        terminal.wait_for(QUERIES, patience=PATIENCE)
        if answer is not None:
            threading.Timer(
                delay, lambda: (terminal.write(answer[:9].encode()), terminal.write(answer[9:].encode()))
            ).start()
        terminal.wait_for("before you run", "steps", patience=PATIENCE)
        terminal.type("4")
        terminal.wait_for("by date", patience=PATIENCE)
        terminal.write(b"\r")
        yield terminal


def first_pictures(protocol: str, sent: bytes) -> list[np.ndarray]:
    if protocol == "kitty":
        return list(kitty_pictures(sent).values())
    if protocol == "iterm":
        return [decoded(payload) for _, payload in ITERM.findall(sent)]
    return [sixel_picture(body) for body in SIXEL.findall(sent)]


@pytest.mark.parametrize(
    ("protocol", "sign"),
    [
        ("kitty", "\U0010eeee"),
        *(
            pytest.param(*one, marks=pytest.mark.slow)
            for one in (("sixel", '\x1bP0;1;0q"'), ("iterm", "\x1b]1337;File="))
        ),
    ],
)
def test_a_terminal_with_graphics_is_sent_the_samples_themselves(
    workspace: Workspace, shared_cache: Path, protocol: str, sign: str
) -> None:
    """And it is asked once; its answers, one of them in parts, type nothing."""
    images = with_samples(workspace)
    with opened(workspace, shared_cache, TERMINALS[protocol]) as terminal:
        terminal.wait_for(sign, patience=PATIENCE)
        terminal.wait_for("1 of 2 correct", patience=PATIENCE)
        terminal.type("q")
        terminal.process.wait(PATIENCE)
        sent = bytes(terminal.received)
    found = first_pictures(protocol, sent)
    assert len(found) >= 2
    for image in images:
        rgb = np.repeat(image[..., None], 3, axis=2)
        assert any(np.abs(enlarged(rgb, shown.shape).astype(int) - shown).max() <= 3 for shown in found)
    figures = [shown for shown in found if shown.shape[0] < shown.shape[1]]
    assert figures and all(np.abs(shown.astype(int) - (20, 90, 160)).max() <= 3 for shown in figures)
    assert sent.count(QUERIES.encode()) == 1
    if protocol == "kitty":
        assert len(placeholder_cells(sent)) >= 2 * 16 * 8
        assert sent.rfind(b"a=d,d=I") > sent.rfind(b"a=T"), "the terminal's memory is free again"
    no_keys = re.sub(rb"\x1b\[\?|\x1b_G[^\x1b]*|\x1bP[^\x1b]*", b"", sent)
    assert b"kitty(0" not in no_keys and b"XTerm(" not in no_keys and b"iTerm2" not in no_keys


@pytest.mark.parametrize("answer", [None, "plain"])
@pytest.mark.everyday("plain")
def test_a_terminal_without_graphics_gets_half_blocks(workspace: Workspace, shared_cache: Path, answer) -> None:
    """Also one that never answers: it is not waited for."""
    with_samples(workspace)
    with opened(workspace, shared_cache, answer and TERMINALS[answer]) as terminal:
        terminal.wait_for("▀", "1 of 2 correct", patience=PATIENCE)
        sent = bytes(terminal.received)
    assert sent.count("▀".encode()) >= 16 * 8
    assert (
        b"\x1b_G" not in sent
        and b"\x1bP" not in sent
        and b"\x1b]1337" not in sent
        and "\U0010eeee".encode() not in sent
    )


@pytest.mark.slow
def test_an_answer_that_comes_late_improves_the_pictures_and_types_nothing(
    workspace: Workspace, shared_cache: Path
) -> None:
    with_samples(workspace)
    with opened(workspace, shared_cache, TERMINALS["sixel"], delay=4.0) as terminal:
        terminal.wait_for("1 of 2 correct", patience=PATIENCE)
        terminal.wait_for('\x1bP0;1;0q"', patience=PATIENCE)


@pytest.mark.slow
def test_another_font_size_gets_pictures_of_another_size(workspace: Workspace, shared_cache: Path) -> None:
    with_samples(workspace)
    with opened(workspace, shared_cache, TERMINALS["sixel"]) as terminal:
        terminal.wait_for('\x1bP0;1;0q"1;1;156;156', patience=PATIENCE)  # 16 cells, whole bands of six
        mark = len(terminal.received)
        terminal.resize(120, 170)
        terminal.wait_for("\x1b[16t", after=mark, patience=PATIENCE)
        terminal.write(b"\x1b[6;10;5t")
        terminal.wait_for('\x1bP0;1;0q"1;1;78;78', after=mark, patience=PATIENCE)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_inside_tmux_without_graphics_there_are_half_blocks_and_nothing_else(
    workspace: Workspace, tmp_path: Path
) -> None:
    """A real tmux, whose own terminal has no graphics: the screen has no codes on it, and its title is as it was."""
    with_samples(workspace)
    environment = {"COLORTERM": "truecolor", "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)}
    environment["MEDTUI_SETTINGS"] = str(tmp_path / "none.yaml")
    terminal = TmuxTerminal(workspace.root, environment, size=SIZE)
    try:
        title = terminal._tmux("display-message", "-p", "#{pane_title}")
        terminal.shows("before you run", "steps")
        terminal.keys("4")
        terminal.shows("by date")
        terminal.keys("Enter")
        screen = terminal.shows("▀" * 16, "1 of 2 correct")
        assert not re.search(r"Gi=|1337|\[\?|\[>|SIXEL|\\U|[\ue000-\uf8ff]|6;20;10t", screen), screen
        assert not any(ord(letter) >= 0xF0000 for letter in screen), "no placeholders"
        assert terminal._tmux("display-message", "-p", "#{pane_title}") == title
    finally:
        terminal.close()
