"""docs/protocol.md shows a session typed into an engine by hand; this types it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from driving import Engine

from engine.contract.wire.jobs import JOBS, Start

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"


def shown(line: str) -> dict[str, Any]:
    """The fields that a shortened line of the document fixes; `…` stands for anything."""
    text = re.sub(r'"[a-z_]+": …,?\s*', "", line)
    text = re.sub(r'"[a-z_]+": "…",?\s*', "", text)
    text = re.sub(r'"facts": \{[^}]*\}', '"facts": {}', text).replace(", …", "").replace("…", "")
    text = re.sub(r",\s*\}", "}", text)
    return {key: value for key, value in json.loads(text).items() if key != "facts"}


@pytest.mark.slow
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


def test_the_table_of_jobs_has_every_job_and_its_fields() -> None:
    section = DOCUMENT.read_text().split("## Jobs\n")[1].split("\n## ")[0]
    rows = [row.split(" | ") for row in section.splitlines() if row.startswith("| `")]
    assert [row[0].strip("| `") for row in rows] == list(JOBS)
    common = set(Start.model_fields) - {"command", "job", "id", "by", "engine"}
    assert common <= set(re.findall(r"`(\w+)`", section.split("Every job takes")[1]))
    for name, row in zip(JOBS, rows, strict=True):
        own = set(JOBS[name].model_fields) - set(Start.model_fields)
        named = set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", row[2])))
        assert named == own, name
