"""Untrusted entries are not followed: whatever somebody else puts in place of a file, nothing elsewhere is changed.

Any file of a run, of a workspace, of the cache is replaced by a link, a pipe, a device … and then any command is run.
In `make test` the cases are a seeded choice: commands with kinds of things in pairs, the files dealt out among them; in
`make faults` the whole product.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, product
from pathlib import Path

import pytest
from forked import CommandOutput, Commands
from kit import ForkServer, go_on
from scenes import AT_WORK, BROKEN, DONE, OLD, Scene
from unexpected_entries import KINDS, UNEXPECTED, digest, plant

SEED = 10

READING = {
    "runs": ["runs"],
    "runs --json": ["runs", "--json"],
    "runs --archived": ["runs", "--archived"],
    "show": ["show", "{run}"],
    "show --json": ["show", "{run}", "--json"],
    "attach": ["attach", "{run}"],
    "attach --json": ["attach", "{run}", "--json"],
    "data list": ["data", "list"],
    "recipe validate": ["recipe", "validate", "outputs/{run}/recipe.yaml"],
}
COMMANDING = {name: [name, "{run}"] for name in ("pause", "stop", "abort", "kill")}
KEEPING = {
    "runs tag": ["runs", "tag", "{run}", "seen"],
    "runs note": ["runs", "note", "{run}", "looked at"],
    "runs archive": ["runs", "archive", "{run}"],
    "runs unarchive": ["runs", "unarchive", OLD],
    "runs delete": ["runs", "delete", "{run}", "--yes"],
    "runs prune": ["runs", "prune", "{run}", "--resumable", "--yes"],
}
WORKING = {
    "run --resume": ["run", "--resume", "{run}"],
    "evaluate": ["evaluate", "{run}"],
}
LIGHT = {**READING, **COMMANDING, **KEEPING, **WORKING}  # these refuse before an engine is started
HEAVY = {"run": ["run", "tiny.yaml"], "data verify": ["data", "verify"], "doctor": ["doctor"]}
REFUSING = {
    "runs archive",
    "runs delete",
    "runs prune",
    "run --resume",
    "evaluate",
}  # every unexpected entry in the run's folder


@dataclass(frozen=True)
class Case:
    place: str  # below the folder that holds workspace, cache and settings
    kind: str
    command: str

    @property
    def run(self) -> str:
        return next((run for run in (DONE, BROKEN, AT_WORK) if run in self.place), BROKEN)

    @property
    def in_run(self) -> bool:
        return f"/{self.run}/" in self.place

    def __str__(self) -> str:
        return f"{self.command}, with {self.kind} for {self.place}"


def places(pristine: Path) -> list[str]:
    """Everything that can be replaced: every file and folder of the runs, and what lies around them."""
    around = ["outputs/.medtui.lock", "outputs/.medtui.control.jsonl", "outputs/archive", "outputs/archive/" + OLD]
    outputs = pristine / "workspace/outputs"
    found = [path for run in (DONE, BROKEN) for path in (outputs / run, *sorted((outputs / run).rglob("*")))]
    assert len(found) > 40, "a finished run has files"
    found += [outputs / AT_WORK / "control.jsonl", *(pristine / "workspace" / place for place in around)]
    found += [pristine / "settings.yaml", pristine / "cache/verified.json", *sorted((pristine / "cache").rglob("*"))]
    return [str(path.relative_to(pristine)) for path in dict.fromkeys(found)]


def is_slow(case: Case) -> bool:
    """Does nothing refuse it before an engine is started, or an engine waited for, or followed?"""
    if case.command in WORKING:
        return not case.in_run or case.kind not in UNEXPECTED
    if AT_WORK in case.place and case.command.startswith("attach"):
        return True
    return AT_WORK in case.place and case.command in COMMANDING and "control" not in case.place


def chosen(pristine: Path) -> list[Case]:
    """Every command that writes with every kind, every one that reads with every other kind, by seed.

    The places are dealt out so that each comes equally often.
    """
    draws = random.Random(SEED)
    deck = places(pristine)
    draws.shuffle(deck)
    in_runs = cycle([place for place in deck if f"/{DONE}/" in place or f"/{BROKEN}/" in place])
    anywhere = cycle(deck)
    cases = [
        Case(next(in_runs if command in REFUSING else anywhere), kind, command)
        for at, (command, kind) in enumerate(product(LIGHT, KINDS))  # of an odd number of kinds
        if at % 2 or command in {*KEEPING, *WORKING}
    ]
    at_work = f"workspace/outputs/{AT_WORK}/control.jsonl"
    cases += [Case(at_work, kind, "stop") for kind in KINDS]
    return [case for case in cases if not is_slow(case)]


def output_of(scene: Scene, commands: Commands, case: Case, patience: float = 60.0) -> CommandOutput:
    words = [word.format(run=case.run) for word in {**LIGHT, **HEAVY}[case.command]]
    return commands(*words, cwd=scene.workspace, environment=scene.environment, patience=patience)


def faults_of(case: Case, said: CommandOutput) -> list[str]:
    """What is wrong with the way in which a command ended."""
    found = []
    names = (Path(case.place).name, case.run, OLD, "breastmnist")
    if said.code is None:
        found.append("it hung")
    elif not 0 <= said.code < 8 or "Traceback" in said.text:
        found.append(f"it ended with {said.code}")
    if said.code in (2, 3, 4) and not any(name in sentence for sentence in refusals(said) for name in names):
        found.append("its refusal is not one sentence that names the thing")
    if case.in_run and case.kind in UNEXPECTED and case.run != AT_WORK:  # which is refused because it seems to train
        if case.command in REFUSING and not (said.code == 2 and names[0] in said.err):
            found.append("it was not refused by the name of the unexpected entry")
        if case.command in ("show", "show --json") and names[0] not in said.out:
            found.append("the unexpected entry is not marked")
    return found


def refusals(said: CommandOutput) -> list[str]:
    """The sentence of a command that refused; what an engine refused is on standard output. None if there is more."""
    lines = [line for line in said.err.splitlines() if line.startswith("medtui: ")]
    return lines if len(lines) == 1 else [] if lines else [said.out]


def broken_promises(scene: Scene, commands: Commands, cases: list[Case]) -> list[str]:
    found = []
    before = digest(scene.guarded)
    for case in cases:
        plant(scene.root / case.place, case.kind, scene.guarded)
        said = output_of(scene, commands, case)
        faults = faults_of(case, said)
        if (after := digest(scene.guarded)) != before:
            changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
            faults.append(f"changed outside: {', '.join(changed)}")
            before = after
        found += [f"{case}: {fault}: {said.text[-300:]!r}" for fault in faults]
        scene.restore()
    return found


@pytest.mark.slow
def test_whatever_replaces_a_file_no_command_changes_anything_elsewhere(scene: Scene, commands: Commands) -> None:
    cases = chosen(scene.pristine)
    assert len(cases) > 100
    pairs = {(case.command, case.kind) for case in cases}
    assert pairs >= set(product(KEEPING, KINDS)), "every kind for every command that writes"
    assert {command for command, _ in pairs} == set(LIGHT)
    broken = broken_promises(scene, commands, cases)
    assert not broken, "\n".join(broken)


@pytest.mark.exhaustive
@pytest.mark.parametrize("command", LIGHT)
def test_the_same_for_every_file_and_every_kind(command: str, scene: Scene, commands: Commands) -> None:
    product_of_all = (Case(place, kind, command) for place, kind in product(places(scene.pristine), KINDS))
    broken = broken_promises(scene, commands, [case for case in product_of_all if not is_slow(case)])
    assert not broken, "\n".join(broken)


@pytest.mark.exhaustive
@pytest.mark.parametrize("command", [*HEAVY, *WORKING])
def test_the_same_for_commands_that_start_an_engine(command: str, scene: Scene, commands: Commands) -> None:
    """Forty of all pairs of path and kind, by seed."""
    pairs = list(product(places(scene.pristine), KINDS))
    cases = [Case(place, kind, command) for place, kind in random.Random(f"{SEED} {command}").sample(pairs, 40)]
    broken = broken_promises(scene, commands, cases)
    assert not broken, "\n".join(broken)


# ---- engines that nobody asked before --------------------------------------------------------------------------------

ENTRIES = [
    "run.log",
    "events.jsonl",
    "metrics",
    "checkpoints",
    "checkpoints/last.safetensors",
    "status.json",
    "reports",
]


@pytest.fixture
def clean(scene: Scene) -> Iterator[Scene]:
    """The scene, which is restored afterwards; nothing outside of it may have changed."""
    before = digest(scene.guarded)
    yield scene
    scene.restore()
    assert digest(scene.guarded) == before


@pytest.mark.parametrize(("place", "kind"), list(zip(cycle(ENTRIES), UNEXPECTED, strict=False)))
def test_an_engine_refuses_a_run_with_unexpected_entries_whoever_asks(
    place: str, kind: str, clean: Scene, scene_fork_server: ForkServer
) -> None:
    """The engine's check, for clients other than this project's."""
    plant(clean.run(BROKEN).root / place, kind, clean.guarded)
    for start in (go_on(clean.run(BROKEN)), {"job": "evaluate", "run": str(clean.run(BROKEN).root)}):
        assert scene_fork_server.run(clean.workspace, start, after=100).status == 2


full = pytest.mark.exhaustive
CACHED = [
    pytest.param("statistics.json", "a pipe"),
    pytest.param("..", "a link to a folder"),
    pytest.param("train_images.npy", "a pipe", marks=full),
    pytest.param("statistics.json", "a device", marks=full),
    pytest.param("test_labels.npy", "a link to a file", marks=full),
    pytest.param("", "a link to a folder", marks=full),
]


@pytest.mark.parametrize(("place", "kind"), CACHED)
def test_an_engine_follows_no_link_in_its_cache(
    place: str, kind: str, clean: Scene, scene_fork_server: ForkServer
) -> None:
    """It generates or decodes again, or refuses."""
    plant(Path(os.path.normpath(clean.root / "cache/arrays/cells-v1" / place)), kind, clean.guarded)
    ended = scene_fork_server.run(clean.workspace, {"job": "evaluate", "run": str(clean.run(DONE).root)}, after=100)
    assert ended.status in (0, 4)


@pytest.mark.parametrize("kind", ["a pipe", "a device", "a link to a file"])
def test_an_engine_follows_no_link_in_place_of_its_remembered_sums(
    kind: str, clean: Scene, scene_fork_server: ForkServer
) -> None:
    plant(clean.root / "cache/verified.json", kind, clean.guarded)
    start = {"job": "data.verify", "dataset": "breastmnist", "size": 28, "data": [str(clean.root / "data")]}
    assert scene_fork_server.run(clean.workspace, start, after=100).status == 4, "it is not the official file"


# ---- as they were reported -------------------------------------------------------------------------------------------


def test_a_run_whose_log_is_a_shell_startup_file_is_not_resumed(clean: Scene, commands: Commands) -> None:
    """A damaged checkpoint, whose alarm would put a line chosen by somebody else in that file."""
    run = clean.run(BROKEN)
    plant(run.log.path, "a link to a file", clean.guarded)
    run.last.path.write_bytes(run.last.path.read_bytes()[:1000])
    shutil.copyfile(run.best.path, run.previous.path)
    said = commands("run", "--resume", BROKEN, cwd=clean.workspace, environment=clean.environment)
    assert said.code == 2
    assert said.err.startswith(f"medtui: {BROKEN} cannot be resumed: {run.log} is a link.")
    assert run.log.path.is_symlink(), "nothing was changed in the run either"


@pytest.mark.parametrize("place", ["events.jsonl", "metrics", "checkpoints"])
def test_a_run_with_links_for_its_journal_and_folders_is_not_resumed(
    place: str, clean: Scene, commands: Commands
) -> None:
    path = clean.run(BROKEN).root / place
    plant(path, "a link to a file" if place == "events.jsonl" else "a link to a folder", clean.guarded)
    said = commands("run", "--resume", BROKEN, cwd=clean.workspace, environment=clean.environment)
    assert said.code == 2
    assert f"cannot be resumed: {path} is a link." in said.err


@pytest.mark.parametrize("kind", UNEXPECTED)
def test_a_lock_that_is_a_link_is_refused_and_its_target_is_kept(kind: str, clean: Scene, commands: Commands) -> None:
    lock = clean.workspace / "outputs/.medtui.lock"
    plant(lock, kind, clean.guarded)
    said = commands("run", "tiny.yaml", cwd=clean.workspace, environment=clean.environment, patience=100)
    assert said.code == 2
    assert str(lock) in said.text
    assert "Traceback" not in said.text


def test_a_marker_and_a_lock_planted_in_a_folder_above_are_not_used(tmp_path: Path, clean: Scene) -> None:
    """A README.md in a world-writable parent folder does not redirect to somebody else's lock."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to make files of another user")
    from unexpected_entries import SOMEBODY

    from engine.contract.store.workspace import find_workspace

    shared, mine = tmp_path / "shared", tmp_path / "shared/mine"
    (shared / "outputs").mkdir(parents=True)
    mine.mkdir()
    shared.chmod(0o1777)
    (shared / "outputs/.medtui.lock").symlink_to(clean.guarded / ".bashrc")
    (shared / "README.md").touch()
    for path in (shared / "README.md", shared / "outputs"):
        os.chown(path, SOMEBODY, SOMEBODY)
    assert find_workspace(start=mine).root == mine
