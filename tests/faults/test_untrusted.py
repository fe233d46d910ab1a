"""Files of a run are anybody's: what is damaged or hostile is refused with a sentence, and never executed."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from driving import medtui, tiny
from kit import Fault, ForkServer, go_on, new_run, only_run

from engine.contract.store.run_directory import RunDirectory
from medtui.client.journal import replay


@pytest.fixture(scope="module")
def killed(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a run that was killed in its second epoch."""
    workspace = tmp_path_factory.mktemp("killed")
    fault = Fault("rename", "*/last.safetensors", 2, "kill")
    assert fork_server.run(workspace, new_run(tiny()), fault=fault).status == -9
    run = only_run(workspace)
    run.previous.path.rename(run.last)
    return workspace


@pytest.fixture
def run(killed: Path, tmp_path: Path) -> RunDirectory:
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    return only_run(tmp_path)


class Disguised:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


def test_a_pickle_disguised_as_a_checkpoint_is_refused_and_not_executed(
    fork_server: ForkServer, run: RunDirectory, tmp_path: Path
) -> None:
    run.last.path.write_bytes(pickle.dumps(Disguised(tmp_path / "executed")))
    assert fork_server.run(tmp_path, go_on(run)).status == 5
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("length", [2**40, 2**63 - 1], ids=["a terabyte", "the largest"])
def test_an_oversized_header_is_refused_without_being_read(
    length: int, fork_server: ForkServer, run: RunDirectory, tmp_path: Path
) -> None:
    run.last.path.write_bytes(length.to_bytes(8, "little") + b"{" * 4096)
    assert fork_server.run(tmp_path, go_on(run)).status == 5


HOSTILE_MANIFESTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no object": lambda manifest: [manifest],
    "attempts that are text": lambda manifest: manifest | {"attempts": "many"},
    "attempts of numbers": lambda manifest: manifest | {"attempts": [1, None, []]},
    "what must match is a list": lambda manifest: manifest | {"attempts": [{"must_match": ["\x1b[2J"]}]},
    "values of other types": lambda manifest: (
        manifest | {"attempts": [{"must_match": {name: {"\x1b]0;owned\x07": 1} for name in ("recipe", "threads")}}]}
    ),
}


@pytest.mark.parametrize("hostile", HOSTILE_MANIFESTS)
def test_a_hostile_manifest_is_a_refusal_and_changes_nothing(
    hostile: str, fork_server: ForkServer, run: RunDirectory, tmp_path: Path
) -> None:
    manifest = json.loads(run.manifest.path.read_text())
    run.manifest.path.write_text(json.dumps(HOSTILE_MANIFESTS[hostile](manifest)))
    before = run.manifest.path.read_bytes(), run.journal.path.read_bytes()
    assert fork_server.run(tmp_path, go_on(run)).status == 2
    assert (run.manifest.path.read_bytes(), run.journal.path.read_bytes()) == before


def test_hostile_names_in_a_manifest_are_shown_without_control_characters(run: RunDirectory, tmp_path: Path) -> None:
    manifest = json.loads(run.manifest.path.read_text())
    manifest["attempts"][0]["must_match"]["\x1b]0;owned\x07"] = "\x1b[2J"
    run.manifest.path.write_text(json.dumps(manifest))
    done = medtui("run", "--resume", run.name, cwd=tmp_path)
    assert done.returncode == 2
    assert "owned" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_a_hostile_status_and_a_torn_journal_do_not_prevent_a_resume(
    fork_server: ForkServer, run: RunDirectory, tmp_path: Path
) -> None:
    run.status.path.write_text(json.dumps({"pid": -1, "outcome": "completed", "seq": 10**400}))
    whole = run.journal.path.read_bytes()
    garbage = b"\xff\xfe\n" + b"x" * 3_000_000 + b"\n" + b'{"event":"mood.changed","time":1,"seq":9}\n'
    run.journal.path.write_bytes(whole + garbage + b'{"event":"epoch.finished","epoch":2,"ti')
    assert fork_server.run(tmp_path, go_on(run)).status == 0
    content = run.journal.path.read_bytes()
    assert content.startswith(whole + garbage), "what was whole stays"
    said = [json.loads(line) for line in content.removeprefix(whole + garbage).splitlines()]
    assert said[0]["event"] == "hello", "the half line is cut"
    numbers = [event["seq"] for event in said]
    first = whole.count(b"\n") + 1
    assert numbers == list(range(first, first + len(numbers)))
    assert replay(run.journal).summary.outcome == "completed"
