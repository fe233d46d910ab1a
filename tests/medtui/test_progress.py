"""How a headless run prints its events, in plain lines."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from engine.contract.wire.protocol import CommandAccepted, ErrorInfo, RunFinished, RunStarted
from medtui.client.state import RunState
from medtui.plain.progress import PlainLines, print_results
from medtui.rich_output import CleanConsole


@pytest.mark.parametrize(
    ("note", "expected", "said"),
    [
        ("", 3.0, "resume accepted (root@vm): takes about 3 s\n"),
        ("no effect", 3.0, "resume accepted (root@vm): no effect; takes about 3 s\n"),
        ("no effect", 0.2, "resume accepted (root@vm): no effect\n"),
        ("", 0.2, "resume accepted (root@vm)\n"),
    ],
)
def test_an_accepted_command_is_one_sentence_whatever_its_fields(note: str, expected: float, said: str) -> None:
    output = io.StringIO()
    event = CommandAccepted(
        time=0.0, seq=1, id="c", command="resume", expected=expected, by="root@vm", via="control", note=note
    )
    PlainLines(Console(file=output)).event(b"", event, RunState())
    assert output.getvalue() == said


@pytest.mark.parametrize("width", [60, 80, 100])
def test_on_a_terminal_no_word_is_broken_and_a_file_has_one_line_per_sentence(width: int) -> None:
    facts = {"train": 64, "val": 64, "test": 64}
    event = RunStarted(
        time=0.0, seq=1, attempt=1, resumed_from=None, run="20261126_cells_mini-cnn_dc4827", run_dir="/w",
        dataset="cells", recipe_hash="0" * 32, size=28, task="multi-class", synthetic=True, class_names=["a", "b"],
        model="mini_cnn", parameters=25_000, epochs=12, steps_per_epoch=18, batch_size=16, images=facts,
        patience=None, device="cpu",
        decisions={"weights": "from scratch (there are no ImageNet weights for mini_cnn)"},
    )  # fmt: skip
    written, shown = io.StringIO(), io.StringIO()
    PlainLines(CleanConsole(written, width=width)).event(b"", event, RunState())
    PlainLines(CleanConsole(shown, width=width, force_terminal=True, color_system=None)).event(b"", event, RunState())
    assert len(written.getvalue().splitlines()) == 3
    assert "12 epochs of 18 steps" in written.getvalue()
    assert max(map(len, shown.getvalue().splitlines())) <= width
    assert shown.getvalue().split() == written.getvalue().split()


@pytest.mark.parametrize(("code", "word"), [(2, "refused"), (3, "refused"), (4, "failed"), (5, "failed")])
def test_a_run_that_was_refused_says_refused_and_not_that_it_failed(code: int, word: str) -> None:
    output, error = io.StringIO(), ErrorInfo(kind="locked", message="It is held.", hint="Wait for it.")
    end = RunFinished(time=0.0, seq=1, outcome="failed", exit_code=code, metrics={}, run_dir=None, error=error)
    print_results(CleanConsole(output), end, RunState())
    assert output.getvalue() == f"{word} (exit code {code})\n"
