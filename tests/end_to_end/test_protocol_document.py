"""docs/protocol.md shows a session typed into an engine by hand; this types it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from driving import Engine

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"


def shown(line: str) -> dict[str, Any]:
    """The fields that a shortened line of the document fixes; `…` stands for anything."""
    text = re.sub(r'"[a-z_]+": …,?\s*', "", line)
    text = re.sub(r'"[a-z_]+": "…",?\s*', "", text)
    text = re.sub(r'"facts": \{[^}]*\}', '"facts": {}', text).replace(", …", "").replace("…", "")
    text = re.sub(r",\s*\}", "}", text)
    return {key: value for key, value in json.loads(text).items() if key != "facts"}


def test_the_documented_session_can_be_typed_by_hand(tmp_path: Path) -> None:
    block = re.search(r"```session\n(.*?)```", DOCUMENT.read_text(), re.S)
    assert block
    lines = block[1].splitlines()
    assert len([line for line in lines if line.startswith("<")]) > 15
    engine = Engine(tmp_path)
    try:
        seen = 0
        for line in lines:
            if line.startswith("> "):
                engine.write(line[2:])
                continue
            expected = shown(line[2:])
            found = engine.wait_for(lambda e, wanted=expected: wanted.items() <= e.items(), after=seen)
            seen = engine.events.index(found) + 1
        assert engine.end() == 0
    finally:
        engine.kill()
