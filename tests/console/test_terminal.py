"""The console in a real terminal (tmux) with the real engine, by the keyboard alone; and how it leaves."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine.contract.store.workspace import Workspace
from medtui.client.run_index import run_rows

PATIENCE = 60.0  # seconds; a loaded machine may be slow to import torch
CURSOR = re.compile(r"││ ?(▸ ?\w[\w -]*?)  ")  # of the form: a field, or a section, which may have the same name
TRAINS = re.compile(r"● training .* epoch (?:[2-9]|\d\d+)/20000 ")  # one is over; which is shown first, nobody can say
TINY = """# a subset run
dataset:
  name: cells
  limit: 64
model: {name: mini_cnn}
training:
  epochs: 20000       # none of these tests waits for the last
  batch_size: 16
  lr: 0.01            # my note
  patience: null
evaluation:
  tta: false
runtime: {threads: 1}
"""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")]


class Terminal:
    """A separate tmux server with one window; what is read is what a person would see."""

    def __init__(self, folder: Path, environment: dict[str, str], size: tuple[int, int] = (120, 40)) -> None:
        self.socket = f"medtui-{uuid.uuid4().hex[:8]}"
        program = (
            f"env -u COLUMNS -u LINES {sys.executable} -c 'from medtui.cli import main; main()' --workspace {folder}"
        )
        settings = [word for name, value in environment.items() for word in ("-e", f"{name}={value}")]
        columns, lines = map(str, size)
        shell = f"{program}; echo ended with $?; exec cat"
        self._tmux("-f", "/dev/null", "new-session", "-d", "-s", "t", "-x", columns, "-y", lines, *settings, shell)

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(["tmux", "-L", self.socket, *words], capture_output=True, text=True, check=True)
        return done.stdout

    def keys(self, *keys: str) -> None:
        """One after another, as a quick typist does."""
        for key in keys:
            self._tmux("send-keys", "-t", "t", key)
            time.sleep(0.08)

    def click(self, words: str, at: int | None = None) -> None:
        """Press the mouse at a character of these words, the middle one, once they stand still."""
        place, before = self._position(words), None
        while place != before:
            time.sleep(0.2)
            place, before = self._position(words), place
        column, line = place
        self.mouse(column + (len(words) // 2 if at is None else at), line, "<0;{}M", "<0;{}m")

    def click_until(self, words: str, *signs: str) -> None:
        """Click, and once more where that went astray, as a person does, until one of these signs is there."""
        for _ in range(4):
            self.click(words)
            deadline = time.monotonic() + PATIENCE / 4
            while time.monotonic() < deadline:
                if any(sign in self.screen() for sign in signs):
                    return
                time.sleep(0.1)
        raise AssertionError(f"none of {signs} after clicks on {words}:\n{self.screen()}")

    def _position(self, words: str) -> tuple[int, int]:
        """Column and line of the first character, counted from 0."""
        lines = self.shows(words).splitlines()
        line = next(number for number, text in enumerate(lines) if words in text)
        return lines[line].index(words), line

    def mouse(self, column: int, line: int, *reports: str) -> None:
        """A mouse action at a position, counted from 0, as xterm reports it (SGR)."""
        for report in reports:
            keys = "\x1b[" + report.format(f"{column + 1};{line + 1}")
            self._tmux("send-keys", "-t", "t", "-H", *(f"{byte:02x}" for byte in keys.encode()))
        time.sleep(0.1)

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p", "-t", "t")

    def shows(self, *words: str, patience: float = PATIENCE) -> str:
        """Wait until the screen has all of these; the screen."""
        deadline = time.monotonic() + patience
        while True:
            text = self.screen()
            if all(word in text for word in words):
                return text
            assert time.monotonic() < deadline, f"not within {patience:.0f} s: {words}\n{text}"
            time.sleep(0.05)

    def chosen_field(self) -> str | None:
        """The form's field below the cursor."""
        found = CURSOR.search(self.screen())
        return found[1] if found else None

    def trains(self) -> None:
        """Wait until a first epoch is over."""
        deadline = time.monotonic() + PATIENCE
        while not TRAINS.search(text := self.screen()):
            assert time.monotonic() < deadline, f"no epoch within {PATIENCE:.0f} s:\n{text}"
            time.sleep(0.05)

    def lacks(self, word: str) -> None:
        """Wait until a word has disappeared."""
        deadline = time.monotonic() + PATIENCE
        while word in self.screen():
            assert time.monotonic() < deadline, f"{word!r} stays:\n{self.screen()}"
            time.sleep(0.05)

    def is_as_before(self) -> bool:
        """No alternate screen, no mouse reporting."""
        return self._tmux("display", "-p", "-t", "t", "#{alternate_on}#{mouse_any_flag}").strip() == "00"

    def console(self) -> psutil.Process:
        """The console's process."""
        shell = psutil.Process(int(self._tmux("display", "-p", "-t", "t", "#{pane_pid}")))
        return next(p for p in shell.children(recursive=True) if "medtui.cli" in " ".join(p.cmdline()))

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self.socket, "kill-server"], capture_output=True, check=False)


@pytest.fixture
def terminal(tmp_path: Path, shared_cache: Path) -> Iterator[Terminal]:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "tiny.yaml").write_text(TINY)
    environment = {
        "MEDTUI_SETTINGS": str(tmp_path / "settings.yaml"),
        "MEDTUI_CACHE": str(shared_cache),
        "TORCH_HOME": str(tmp_path / "torch"),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    opened = Terminal(folder, environment)
    yield opened
    for child in _engines(folder):
        child.kill()
    opened.close()


def _engines(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if "engine" in words and str(folder) in words and process.uids().real == os.getuid():
                found.append(process)
        except psutil.Error:
            continue
    return found


def _choose_tiny(terminal: Terminal) -> None:
    terminal.shows("quickstart", "before you run", "steps")
    terminal.keys("/", *"tiny", "Enter", "Down")
    terminal.shows("# my note", "steps 80,000")


def _to_learning_rate(terminal: Terminal) -> None:
    """From the list into the form, and down to that field, wherever it is; no key before the last one is answered."""
    terminal.keys("l")
    field = _field_other_than(terminal, None)
    for _ in range(40):
        if field == "▸ Learning rate":
            return
        terminal.keys("j")
        field = _field_other_than(terminal, field)
    raise AssertionError(f"no learning rate in 40 fields:\n{terminal.screen()}")


def _field_other_than(terminal: Terminal, before: str | None) -> str:
    """The field below the cursor, once it is another one."""
    deadline = time.monotonic() + PATIENCE
    while (field := terminal.chosen_field()) in (None, before):
        assert time.monotonic() < deadline, f"the cursor stays on {before}:\n{terminal.screen()}"
        time.sleep(0.05)
    return str(field)


def test_from_recipe_to_results_by_the_keyboard_alone(terminal: Terminal, tmp_path: Path) -> None:
    _choose_tiny(terminal)
    _to_learning_rate(terminal)
    terminal.keys("Enter", *"0.005", "Enter")
    terminal.shows("lr: 0.005            # my note", "training.lr 0.01 → 0.005")
    terminal.keys("r")
    terminal.trains()
    terminal.shows("cells · mini_cnn", "neutrophil", "val AUC", "★ best", "lock: this console")
    terminal.keys("p")
    terminal.shows("‖ paused", "paused; p resumes")
    terminal.keys("p")
    terminal.shows("● training")
    terminal.keys("S")
    terminal.shows("kill switch", "y stop")
    terminal.keys("y")
    terminal.shows("✓ stop requested", "✓ accepted", "✓ stopped", "✓ its lock free", "✓ checkpoint verified")
    terminal.keys("Escape")
    terminal.lacks("kill switch")
    terminal.keys("4")
    terminal.shows("stopped", "cells", "test       AUC")
    for _ in range(12):  # page down to the pictures
        if "▀▀▀▀▀▀" in terminal.screen():
            break
        terminal.keys("d")
        time.sleep(0.5)
    pictures = terminal.shows("▀▀▀▀▀▀")
    assert "✓ " in pictures or "✗ " in pictures
    terminal.keys("q")
    terminal.shows("Unsaved edits in tiny.yaml.")
    terminal.keys("y")
    terminal.shows("ended with 0")
    assert terminal.is_as_before()
    (run_row,) = run_rows(Workspace(tmp_path / "work").outputs)
    assert run_row.state == "stopped" and run_row.test_auc is not None
    assert (tmp_path / "work" / "tiny.yaml").read_text() == TINY, "nothing was saved that nobody asked to save"


def test_from_recipe_to_results_by_the_mouse_alone(terminal: Terminal, tmp_path: Path) -> None:
    terminal.shows("quickstart", "before you run", "steps")
    terminal.click("tiny.yaml")
    terminal.shows("# my note", "steps 80,000")
    terminal.click("Learning rate")
    terminal.click("− +")  # on the plus
    terminal.shows("lr: 0.02", "# my note", "training.lr 0.01 → 0.02")
    terminal.click("r run ^s")
    terminal.trains()
    terminal.shows("★ best")
    terminal.click("p pause")
    terminal.shows("‖ paused", "paused; p resumes")
    terminal.click("p resume S")
    terminal.shows("● training")
    terminal.click("S stop")
    terminal.click_until("y stop", "✓ accepted", "✓ stopped")
    terminal.shows("✓ stopped", "✓ its lock free", "✓ checkpoint verified")
    terminal.click("Close")
    terminal.lacks("kill switch")
    terminal.click("4 Results")
    terminal.shows("stopped", "test       AUC")
    for _ in range(20):  # down to the pictures
        if "▀▀▀▀▀▀" in terminal.screen():
            break
        terminal.mouse(60, 35, *["<65;{}M"] * 3)  # its wheel
    terminal.shows("▀▀▀▀▀▀")
    terminal.click("q quit")
    terminal.shows("Unsaved edits in tiny.yaml.")
    terminal.click("quit, keep drafts")
    terminal.shows("ended with 0")
    assert terminal.is_as_before()
    (run_row,) = run_rows(Workspace(tmp_path / "work").outputs)
    assert run_row.state == "stopped" and run_row.test_auc is not None


def test_leaving_a_run_running_leaves_it_running(terminal: Terminal, tmp_path: Path) -> None:
    _choose_tiny(terminal)
    terminal.keys("r")
    terminal.trains()
    terminal.keys("q")
    terminal.shows("A run is training.", "leave it running")
    terminal.keys("y")
    terminal.shows("ended with 0")
    assert terminal.is_as_before()
    (run_row,) = run_rows(Workspace(tmp_path / "work").outputs)
    assert run_row.state == "training"
    assert len(_engines(tmp_path / "work")) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_a_signal_restores_the_terminal_and_keeps_unsaved_edits(
    terminal: Terminal, tmp_path: Path, number: signal.Signals
) -> None:
    _choose_tiny(terminal)
    _to_learning_rate(terminal)
    terminal.keys("Enter", *"0.005", "Enter")
    terminal.shows("training.lr 0.01 → 0.005")
    terminal.console().send_signal(number)
    terminal.shows(f"ended with {128 + number}")
    assert terminal.is_as_before()
    (draft,) = (tmp_path / "drafts").iterdir()
    assert "0.005" in draft.read_text()


def test_a_stalled_terminal_does_not_keep_the_console_from_ending(terminal: Terminal) -> None:
    terminal.shows("quickstart")
    process = terminal.console()
    process.send_signal(signal.SIGSTOP)  # as deaf as a console whose link has stalled
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGCONT)
    assert process.wait(PATIENCE) is not None or not process.is_running()
