"""The console in a bare pseudo-terminal: which bytes reach it, how it is left, how soon a key is answered."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from screen_helpers import ENGINELESS
from stand_ins import Story, make_run

from benchmarks.terminal import CONSOLE, Terminal, console
from engine.contract.store.workspace import Workspace

PATIENCE = 60.0  # seconds
# ESC and OSC 52 (clipboard), CSI as C1 in UTF-8, a right-to-left override, markup of Rich and Textual
HOSTILE = "evil\x1b]52;c;QUFB\x07\x1b[2J\x9b1m\u202e[/] [b [bold red]x[/bold red] \x1b]0;title\x07"
ROOT = Path(__file__).resolve().parents[2]
LEFT = (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l", b"\x1b[?1003l", b"\x1b[?2004l")  # screen, cursor, mouse, paste


@pytest.fixture
def isolated(tmp_path: Path, shared_cache: Path) -> dict[str, str]:
    return {
        **os.environ,
        "MEDTUI_SETTINGS": str(tmp_path / "settings.yaml"),
        "MEDTUI_CACHE": str(shared_cache),
        "PYTHONPATH": str(ROOT),
    }


@contextmanager
def opened(workspace: Workspace, isolated: dict[str, str], program: list[str] = CONSOLE) -> Iterator[Terminal]:
    with console(workspace.root, isolated, program=program) as terminal:
        terminal.wait_for("before you run", "steps", patience=PATIENCE)
        yield terminal


def hostile_run(workspace: Workspace) -> None:
    """A run whose every text is hostile: its folder, data set, classes, log, recipe, manifest, labels."""
    run = make_run(workspace, f"20261121_{HOSTILE.replace('/', '|')}_x_1a2b3c")
    story = Story(run.root, name=HOSTILE)
    rows = [row.model_copy(update={"name": f"{HOSTILE} {row.name}"}) for row in story.epoch(1).per_class]
    started = story.started(class_names=(HOSTILE, "b")).model_copy(update={"dataset": HOSTILE, "model": HOSTILE})
    events = [story.hello(), started, story.phase("training"), story.epoch(1, per_class=rows)]
    events += [story.log(HOSTILE, "error"), story.phase("finished"), story.finished("failed", 5)]
    run.journal.path.write_bytes(b"".join(event.line() for event in events))
    run.manifest.path.write_text(json.dumps({"run": HOSTILE, "started": "2026-11-21T20:26:40+00:00", HOSTILE: HOSTILE}))
    run.recipe.path.write_text(f"# {HOSTILE}\ndataset: {{name: breastmnist}}\n")
    run.labels.path.write_text(json.dumps({"tags": [HOSTILE], "note": HOSTILE}))
    (run.metrics.path / "confusion.csv").write_text(f"true,{HOSTILE},b\n{HOSTILE},1,2\nb,3,4\n")
    status = json.loads(run.status.path.read_text())
    status |= {"dataset": HOSTILE, "model": HOSTILE, "run": HOSTILE}
    run.status.path.write_text(json.dumps(status))


@pytest.mark.slow
def test_hostile_text_reaches_the_terminal_on_no_screen(workspace: Workspace, isolated: dict[str, str]) -> None:
    hostile_run(workspace)
    (workspace.root / f"{HOSTILE.replace('/', '|')}.yaml").write_text(f"# {HOSTILE}\ndataset: {{name: {HOSTILE!r}}}\n")
    (workspace.outputs / ".medtui.lock").write_text(json.dumps({"pid": 1, "host": HOSTILE, "run": HOSTILE}))
    with opened(workspace, isolated, ENGINELESS) as terminal:
        terminal.type("/", *"evil", "\r", "j")  # the recipe: in the list, as text, with what is wrong with it
        terminal.wait_for("evil·]52;c;QUFB··[2J·1m·", patience=PATIENCE)
        for keys, words in (
            ("2", "diagnostics"),
            ("4", "by date"),
            ("ddd", "provenance"),
            ("w", "exit code"),
            ("?", "everywhere"),
        ):
            mark = len(terminal.received)
            terminal.type(*keys)
            terminal.wait_for(words, after=mark, patience=PATIENCE)
        time.sleep(0.5)
        seen = bytes(terminal.received)
    assert seen.count(b"evil") > 10
    assert b"\x1b]52" not in seen and b"\x1b]0;" not in seen, "no clipboard, no title"
    assert b"\x1b[2J" not in seen.partition(b"evil")[2], "no clearing of the screen"
    assert not re.search(b"\xc2[\x80-\x9f]", seen), "no C1 control"
    assert "\u202e".encode() not in seen, "no bidi mark"
    assert b"Traceback" not in seen


CRASHING = """
import medtui.console.machine.screen as machine
def broken(self): raise RuntimeError("a bug in a screen")
machine.Machine.set_up = broken
from medtui.cli import main
main()
"""


@pytest.mark.parametrize(
    "how", ["q", "crash", *(pytest.param(how, marks=pytest.mark.slow) for how in ("SIGTERM", "SIGHUP"))]
)
def test_the_terminal_is_as_it_was_however_the_console_ends(workspace, isolated: dict[str, str], how: str) -> None:
    program = [sys.executable, "-P", "-c", CRASHING] if how == "crash" else CONSOLE
    with opened(workspace, isolated, program) as terminal:
        assert terminal.state() != terminal.first_state, "it reads single keys"
        mark = len(terminal.received)
        if how.startswith("SIG"):
            terminal.process.send_signal(getattr(signal, how))
        else:
            terminal.type("q" if how == "q" else "2")
        code = terminal.process.wait(PATIENCE)
        terminal.wait_for("\x1b[?1049l", after=mark, patience=PATIENCE)
        time.sleep(0.2)
        last = bytes(terminal.received[mark:])
        assert terminal.state() == terminal.first_state
    assert [code for code in LEFT if code not in last] == [], last[-2000:]
    assert b"\x1b[?1049h" not in last and b"\x1b[?1000h" not in last
    assert code == {"q": 0, "SIGTERM": 128 + 15, "SIGHUP": 128 + 1, "crash": 1}[how]
    if how == "crash":
        assert b"a bug in a screen" in last, "what happened is said"


BURST = """dataset:
  name: cells
  limit: null   # all
training:
  epochs: 5
  batch_size: 16
  seed: 42
  patience: null
"""


@pytest.mark.slow
def test_a_burst_of_keys_ends_as_it_was_typed_in_form_and_text(workspace: Workspace, isolated: dict[str, str]) -> None:
    """As a paste or a slow line brings them: all at once, and again what stood there before."""
    recipe = workspace.root / "mine.yaml"
    recipe.write_text(BURST)

    def saved(terminal: Terminal, keys: str) -> str:
        before = recipe.stat().st_ino  # a save is another file in its place
        terminal.write(keys.encode() + b"\x13")
        deadline = time.monotonic() + PATIENCE
        while recipe.stat().st_ino == before:
            assert time.monotonic() < deadline, bytes(terminal.received[-3000:])
            time.sleep(0.05)
        return recipe.read_text()

    with opened(workspace, isolated, ENGINELESS) as terminal:
        terminal.write(b"/mine\rl")  # find it, and into its form; two below the data set is the limit
        terminal.wait_for("mine.yaml", patience=PATIENCE)
        assert saved(terminal, "jj\rnull\r") == BURST
        # down past the two fields of the model and the titles of two sections, to epochs, batch size and seed
        text = saved(terminal, "\r64\r" + "j" * 5 + "\r7\r" + "j\r32\r" + "j\r1234567\r")
        assert yaml.safe_load(text) == {
            "dataset": {"name": "cells", "limit": 64},
            "training": {"epochs": 7, "batch_size": 32, "seed": 1234567, "patience": None},
        }
        # back, over other values, with a key that deletes and one that takes back
        back = "\r99\r\r42\r" + "k\r1\x7f16\r" + "k\r8\r\r5\r" + "k" * 5 + "\r128\r\rnull\r"
        assert saved(terminal, back) == BURST
        assert saved(terminal, "y# one\r# two\r") == "# one\n# two\n" + BURST


@pytest.mark.slow
def test_a_key_is_acknowledged_within_250_ms_while_training(workspace: Workspace, isolated: dict[str, str]) -> None:
    recipe = {
        "dataset": {"name": "cells", "limit": 256},
        "model": {"name": "mini_cnn"},
        "training": {"epochs": 1000, "batch_size": 16, "patience": None},
        "runtime": {"threads": 1},
    }
    (workspace.root / "tiny.yaml").write_text(json.dumps(recipe))
    with opened(workspace, isolated) as terminal:
        terminal.type("/", *"tiny", "\r", "j")
        terminal.wait_for("tiny.yaml", patience=PATIENCE)
        terminal.type("r")
        terminal.wait_for("★")
        taken = []
        for word in ("‖ paused", "● training") * 3:
            mark, began = len(terminal.received), time.perf_counter()
            terminal.write(b"p")
            taken.append(terminal.wait_for("sent, waiting", "accepted", after=mark, enough=any) - began)
            terminal.wait_for(word, after=mark)
        assert min(taken) < 0.25, taken


@pytest.mark.parametrize("wanted", [True, False], ids=["on", "off"])
@pytest.mark.slow
def test_the_end_of_a_run_rings_the_bell_and_notifies_unless_switched_off(
    workspace: Workspace, isolated: dict[str, str], wanted: bool
) -> None:
    recipe = {
        "dataset": {"name": "cells", "limit": 32},
        "model": {"name": "mini_cnn"},
        "training": {"epochs": 1, "batch_size": 16},
        "evaluation": {"test": False},
    }
    (workspace.root / "tiny.yaml").write_text(json.dumps(recipe))
    if not wanted:
        (workspace.root / "settings.yaml").write_text("bell: false\nnotify: false\n")
    with opened(workspace, isolated) as terminal:
        terminal.type("/", *"tiny", "\r", "j")
        terminal.wait_for("tiny.yaml", patience=PATIENCE)
        terminal.type("r")
        terminal.wait_for("✓ completed", patience=PATIENCE)
        time.sleep(0.5)
        seen = bytes(terminal.received)
    sequences = rb"\x1b\]([^\x07\x1b]*)\x07"  # these end with BEL as well
    notes = [words for words in re.findall(sequences, seen) if words.startswith(b"9;medtui: ")]
    assert (b"\x07" in re.sub(sequences, b"", seen)) == wanted
    assert [b"completed" in words for words in notes] == ([True] if wanted else [])


@pytest.mark.slow
def test_esc_and_a_key_in_one_read_are_esc_and_that_key(workspace: Workspace, isolated: dict[str, str]) -> None:
    with opened(workspace, isolated, ENGINELESS) as terminal:
        for keys, words in (
            (b"\x1b2", "diagnostics"),
            (b"\x1b?", "everywhere"),
            (b"\x1b\x1b3", "Nothing is training."),
        ):
            terminal.type("\x1b", "1", "/")  # into a field
            time.sleep(0.3)
            mark = len(terminal.received)
            terminal.write(keys)
            terminal.wait_for(words, after=mark, patience=PATIENCE)
