"""How a headless run prints its events, in plain lines."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from engine.contract.wire.protocol import CommandAccepted
from medtui.client.state import RunState
from medtui.plain.progress import PlainLines


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
