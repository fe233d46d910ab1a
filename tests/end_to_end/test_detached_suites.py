"""A suite that is left to a runner of its own: it goes on without whoever started it, and tells of its end once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from driving import PATIENCE, medtui, tiny, yaml_of
from receiving import Receiver

from engine.contract.store.lock import LockState
from engine.contract.store.workspace import Workspace
from medtui.suites.store import Store


@pytest.mark.slow
def test_a_detached_suite_goes_on_alone_and_tells_of_its_end_once(tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    (tmp_path / "short.yaml").write_text(
        yaml_of(tiny(training={"epochs": 2, "batch_size": 16}, evaluation={"test": False}))
    )
    (tmp_path / "pair.yaml").write_text("recipe: short.yaml\nseeds: 1-2\n")
    settings = tmp_path / "settings.yaml"
    with Receiver() as server:
        settings.write_text(f"notify: {{desktop: false, url: 'http://{server.host}/'}}\n")
        environment = {"MEDTUI_SETTINGS": str(settings), "no_proxy": "127.0.0.1"}
        begun = medtui("suite", "run", "pair.yaml", "--detach", "--json", cwd=tmp_path, environment=environment)
        assert begun.returncode == 0, begun.stdout + begun.stderr
        runner = json.loads(begun.stdout)
        holder = LockState.read(Workspace(tmp_path).lock_file).holder
        assert holder is not None and (holder.pid, holder.owner) == (runner["runner"], "suite pair")
        refused = medtui("suite", "resume", "pair", "--detach", cwd=tmp_path)
        assert refused.returncode == 3 and "has a runner already" in refused.stderr

        with server.changed:
            assert server.changed.wait_for(lambda: server.requests, PATIENCE)
        [(_, _, body)] = server.requests
    assert (body["event"], body["outcome"], body["exit_code"]) == ("end", "completed", 0)
    assert body["text"] == "Suite pair: 2 runs: 2 completed."
    assert [item.state for item in Store(Workspace(tmp_path), "pair").journal().work.items.values()] == [
        "completed"
    ] * 2
    log = Path(runner["log"]).read_text()
    assert "medtui suite resume pair" in log and "2 runs: 2 completed." in log

    again = medtui("suite", "resume", "--detach", cwd=tmp_path)
    assert again.returncode == 0 and "nothing was left to do" in again.stdout, again.stdout + again.stderr
