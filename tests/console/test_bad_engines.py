"""After an engine misbehaves, the console reports what happened and can start the next run."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest
from screen_helpers import shows, wait_for

from medtui.client.own_engine import OwnEngine

SIZE = (120, 40)
# In the place of the interpreter: a process that greets, waits for `start`, and then does something bad.
DOUBLE = """#!{python}
import os, signal, sys, time
out = sys.stdout.buffer
hello = b'{{"event":"hello","time":1,"seq":1,"engine":"e","pid":%d,"started":1,"host":"h","boot":"b","versions":{{}}}}'
out.write(hello % os.getpid() + b"\\n"); out.flush()
sys.stdin.readline()
open({mark!r}, "a").write("started\\n")
phase = b'{{"event":"phase.changed","time":2,"seq":2,"phase":"preparing"}}\\n'
{what}
out.flush()
"""
BAD = {
    "killed": ("out.write(phase); out.flush(); os.kill(os.getpid(), signal.SIGKILL)", "signal 9"),
    "garbage": ("out.write(b'not json\\n[]\\n\\0\\1\\n' * 100 + phase); sys.exit(3)", "exit code 3"),
    "half a line": ('out.write(phase + b\'{"event": "epoch.fini\'); sys.exit(3)', "exit code 3"),
    "10 MB line": ("out.write(b'x' * 10_000_000 + b'\\n' + phase); sys.exit(3)", "exit code 3"),
    "invalid UTF-8": ("out.write(b'\\xff\\xfe\\xc3\\n' * 50 + phase); sys.exit(3)", "exit code 3"),
    "flood": ("sys.stderr.write('noise\\n' * 2_000_000 + 'the end'); out.write(phase); sys.exit(3)", "the end"),
    "closed pipe": ("out.write(phase); out.flush(); os.close(1); time.sleep(0.5); os._exit(3)", "The engine died"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("what", BAD)
async def test_it_is_reported_and_the_next_run_can_start(console, tmp_path: Path, monkeypatch, what: str) -> None:
    bad, words = BAD[what]
    mark = tmp_path / "starts"
    double = tmp_path / "python"
    double.write_text(textwrap.dedent(DOUBLE).format(python=sys.executable, mark=str(mark), what=bad))
    double.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(double))
    app = console(make_engine=OwnEngine)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await wait_for(pilot, lambda: getattr(app.base_screen, "checked", None) and app.base_screen.checked.recipe)
        await pilot.press("r")
        await shows(pilot, "✗ crashed", "The engine died")
        assert words in (app.view.died or "")
        await wait_for(pilot, lambda: app.view.after.checkpoint)
        await pilot.press("1", "r")
        await wait_for(pilot, lambda: mark.read_text().count("started") == 2)
        await shows(pilot, "✗ crashed")
