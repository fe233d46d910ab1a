"""`medtui runs FILTER…` and `medtui show`, as commands, in pipes and on terminals of some widths."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
from driving import medtui
from stand_ins import make_run
from warm_starts import MEDTUI

from engine.contract.store.workspace import Workspace
from medtui.client.labels import set_tags
from medtui.sentences import CommandLine, Filter, Listing

OLD = "20261120_breastmnist_resnet18-adapted_1a2b3c"
NEW = "20261121_breastmnist_resnet18-adapted_0d1e2f"


@pytest.fixture
def runs(workspace: Workspace) -> Path:
    """Two runs that look alike: other seeds and rates; the newer one failed and is tagged."""
    make_run(workspace, OLD, started="2026-11-20T20:26:40+00:00")
    recipe = {"dataset": {"name": "breastmnist"}, "training": {"lr": 0.004, "seed": 7}}
    set_tags(make_run(workspace, NEW, "failed", recipe=recipe), ["bad"])
    return workspace.root


def on_a_terminal(*arguments: str, cwd: Path, columns: int) -> list[str]:
    """The lines that a terminal of this width receives."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "LINES": "60", "TERM": "xterm", "NO_COLOR": "1"}
    done = subprocess.Popen([*MEDTUI, *arguments], cwd=cwd, stdout=theirs, stdin=subprocess.DEVNULL, env=environment)
    os.close(theirs)
    received = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        received += part
    os.close(ours)
    assert done.wait(60) == 0
    text = re.sub(r"\x1b\[\d*m", "", received.decode())
    return [line.rstrip() for line in text.splitlines()]


def names(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    return [one["run"] for one in json.loads(done.stdout)]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("dataset:breast",), [OLD, NEW]),
        (("lr>=0.005", "seed:42"), [OLD]),
        (("lr<0.005 seed:7",), [NEW]),
        (("-tag:bad",), [OLD]),
        (("--archived", "seed:42"), []),
        (("list", "resnet18", "-failed"), [OLD]),
        (("outcome:failed,crashed",), [NEW]),
        (("hash:0d1e",), [NEW]),
    ],
    ids=lambda value: " ".join(value),
)
def test_runs_lists_what_matches_the_filter(runs: Path, words: tuple[str, ...], found: list[str]) -> None:
    assert names(medtui("runs", *words, "--json", cwd=runs)) == found
    assert names(medtui("runs", "--json", *words, cwd=runs)) == found


def test_a_filter_that_matches_nothing_says_among_how_many(runs: Path) -> None:
    done = medtui("runs", "seed:99", cwd=runs)
    assert (done.returncode, done.stdout) == (0, "No matches in 2 runs.\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("seeds:1",), Filter.UNKNOWN_NAME),
        (("auc>high",), Filter.NUMBER),
        (("--columns", "run,sed"), Listing.NO_SUCH_COLUMN),
        (("--csv", "seed:1"), Listing.CSV_OR_JSON),
        (("nosuch",), CommandLine.UNKNOWN_RUNS_COMMAND),
        (("list", "--jsno", "seed:1"), CommandLine.UNKNOWN_OPTION),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_understood_is_refused_in_one_sentence(
    runs: Path, words: tuple[str, ...], sentence: object
) -> None:
    done = medtui("runs", *words, "--json", cwd=runs)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert json.loads(done.stdout)["error"]["code"] == sentence.code  # type: ignore[attr-defined]


def test_csv_has_what_json_has(runs: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(medtui("runs", "--csv", cwd=runs).stdout)))
    objects = json.loads(medtui("runs", "--json", cwd=runs).stdout)
    for values, one in zip(rows, objects, strict=True):
        assert values["run"] == one["run"]
        assert values["seed"] == str(one["seed"]) and float(values["lr"]) == one["lr"]
        assert values["test_auc"] == ("" if one["test_auc"] is None else repr(one["test_auc"]))
    chosen = medtui("runs", "--csv", "--columns", "lr,run", cwd=runs).stdout.splitlines()
    assert chosen == ["lr,run", f"0.008,{OLD}", f"0.004,{NEW}"]


@pytest.mark.parametrize("columns", [60, 80, 110, 160])
def test_on_a_terminal_no_line_is_wider_than_it_and_no_value_is_cut(runs: Path, columns: int) -> None:
    lines = on_a_terminal("runs", cwd=runs, columns=columns)
    assert [len(line) for line in lines if len(line) > columns] == []
    assert lines[1].startswith(f"{OLD}  completed") and lines[2].startswith(f"{NEW}  failed")
    assert ("0.9014" in lines[1]) == (columns >= 80)
    assert not any("…" in line for line in lines)
    wide = on_a_terminal("runs", "--wide", cwd=runs, columns=columns)
    assert wide[1].split()[-1] == "1a2b3c" and "0.835–0.968" in wide[1]


@pytest.mark.parametrize("columns", [60, 80])
def test_show_names_the_folder_once_and_breaks_no_word(runs: Path, columns: int) -> None:
    piped = medtui("show", OLD, cwd=runs).stdout
    lines = on_a_terminal("show", OLD, cwd=runs, columns=columns)
    text = "\n".join(lines)
    assert text.count(str(runs)) == 1 and f"{runs}/outputs/{OLD}" in text
    assert words_of(lines) == words_of(piped.splitlines())


def words_of(lines: list[str]) -> list[str]:
    """All but the tables."""
    return " ".join(line for line in lines if not line.startswith(("┏", "┃", "┡", "│", "└"))).split()
