"""Two users of one machine: what each may do to the other's runs, as the table in docs/reliability.md has it.

ada owns the workspace and trains; bob tries each thing that the table names. The test is root and becomes either.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import pytest
from driving import tiny, yaml_of
from forked import CommandOutput, Commands, User, why_no_users

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/reliability.md"
REASON = why_no_users()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")

TEAM = 23100
ADA, BOB = User(23001, 23001, (TEAM,)), User(23002, 23002, (TEAM,))
LONG = tiny(training={"epochs": 100_000}, runtime={"checkpoint_minutes": 1e-6})
SHORT = tiny(training={"epochs": 1, "warmup_epochs": 0}, evaluation={"test": False})  # nor its figures
SLOW = 120.0  # seconds, for what starts an engine on a loaded machine


@dataclass
class Shared:
    """A workspace of ada's, and what came of what bob tried there."""

    root: Path
    commands: Commands
    ada: User
    bob: User
    came: dict[str, CommandOutput] = field(default_factory=dict)  # by row of the table

    def by(self, user: User, *words: str, patience: float = SLOW) -> CommandOutput:
        folder = self.root.parent / f"home-{user.uid}"
        environment = {"HOME": str(folder), "MEDTUI_CACHE": str(folder / "cache"), "MEDTUI_OFFLINE": "1"}
        where = () if words[0] == "recipe" else ("--workspace", str(self.root))
        return self.commands(*words, *where, cwd=self.root, user=user, environment=environment, patience=patience)

    def python(self, user: User, text: str) -> CommandOutput:
        return self.commands.python("exec", text, cwd=self.root, user=user)

    @property
    def lock(self) -> Path:
        return self.root / "outputs/.medtui.lock"


def made(folder: Path, kind: str) -> Path:
    """The workspace as its owner makes it."""
    root = folder / "workspace"
    (root / "outputs").mkdir(parents=True)
    (root / "README.md").touch()
    (root / "long.yaml").write_text(yaml_of(LONG))
    (root / "tiny.yaml").write_text(yaml_of(SHORT))
    for user in (ADA, BOB):
        home = folder / f"home-{user.uid}"
        home.mkdir()
        os.chown(home, user.uid, user.gid)
    modes = {"ordinary": 0o755, "open to all": 0o777}
    for path in (root, root / "outputs"):
        os.chown(path, ADA.uid, TEAM if kind.startswith("group") else ADA.gid)
        path.chmod(modes.get(kind, 0o2775))
    return root


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    commands = Commands(private=True)
    yield commands
    commands.close()


Scenes = Callable[[str], Shared]


@pytest.fixture(scope="module")
def scenes(commands: Commands) -> Iterator[Scenes]:
    """By kind of workspace; everything that bob tries there is tried once."""
    folders: list[Path] = []

    @cache
    def scene(kind: str) -> Shared:
        folder = Path(tempfile.mkdtemp(prefix="two-users-"))  # pytest's own folders are root's alone
        folders.append(folder)
        folder.chmod(0o755)
        umask = 0o002 if kind == "group, umask 002" else 0o022
        users = [replace(user, umask=umask) for user in (ADA, BOB)]
        scene = Shared(made(folder, kind), commands, *users)
        try:
            while_ada_trains(scene)
            when_her_run_has_ended(scene)
            with_her_lock(scene)
        finally:
            scene.by(scene.ada, "kill", "last", "--now")
        return scene

    yield scene
    for folder in folders:
        shutil.rmtree(folder)


def trains(scene: Shared) -> str:
    """A run of ada's, at work; its name."""
    started = scene.by(scene.ada, "run", "long.yaml", "--detach")
    assert started.code == 0, started
    return newest(scene)


def newest(scene: Shared) -> str:
    found = [path for path in (scene.root / "outputs").iterdir() if path.name[0] == "2"]
    return max(found, key=lambda path: path.stat().st_ctime_ns).name


def while_ada_trains(scene: Shared) -> None:
    run, came = trains(scene), scene.came
    came["list and show"] = scene.by(scene.bob, "runs", "--json")
    assert scene.by(scene.bob, "show", run).code == came["list and show"].code
    came["start a run while hers trains"] = scene.by(scene.bob, "run", "tiny.yaml")
    came["doctor"] = scene.python(scene.bob, DOCTOR.format(root=str(scene.root)))
    came["pause or stop it"] = scene.by(scene.bob, "pause", run)
    came["signal it (`kill --now`)"] = scene.by(scene.bob, "kill", run, "--now")
    came["delete it while it trains"] = scene.by(scene.bob, "runs", "delete", run, "--yes")
    came["end it (`kill`)"] = scene.by(scene.bob, "kill", run)
    scene.by(scene.ada, "kill", run)
    came["read it (`attach`)"] = scene.by(scene.bob, "attach", run, "--json")


def when_her_run_has_ended(scene: Shared) -> None:
    run, came = newest(scene), scene.came
    came["tag it, or add a note"] = scene.by(scene.bob, "runs", "tag", run, "seen")
    came["evaluate it"] = scene.by(scene.bob, "evaluate", run)
    short = ("--set", "runtime.max_minutes=0.001")
    came["resume it (`--resume`)"] = scene.by(scene.bob, "run", "--resume", run, *short)
    came["wait for the workspace (`--wait`)"] = scene.by(scene.bob, "run", "tiny.yaml", "--wait")
    came["archive it"] = scene.by(scene.bob, "runs", "archive", run)
    scene.by(scene.bob, "runs", "unarchive", run)
    came["delete it"] = scene.by(scene.bob, "runs", "delete", run, "--yes")


def held_by_bob(scene: Shared) -> CommandOutput:
    """A flock through a descriptor that can only read, as anybody may take it who may open the file."""
    return scene.python(
        scene.bob, f"import fcntl; fcntl.flock(open({str(scene.lock)!r}), fcntl.LOCK_SH | fcntl.LOCK_NB)"
    )


# doctor's own check of the lock, without the seconds that its engine takes
DOCTOR = """
from pathlib import Path
from engine.contract.store.workspace import Workspace
from medtui.machine.checks import check_locking
print(check_locking(Workspace(Path({root!r}))))
"""
REPLACE = "import os; from pathlib import Path; lock = Path({lock!r}); lock.unlink(missing_ok=True); {put}"


def with_her_lock(scene: Shared) -> None:
    came = scene.came
    came["hold the lock (`flock`)"] = held_by_bob(scene)
    for row, put in (
        ("replace the lock file", "lock.write_text('')"),
        ("put a link in its place", "lock.symlink_to('/etc/passwd')"),
    ):
        came[row] = scene.python(scene.bob, REPLACE.format(lock=str(scene.lock), put=put))
        came[f"{row}: ada"] = scene.by(scene.ada, "runs", "--json")
        if came[row].code == 0:
            came[f"{row}: ada"] = scene.by(scene.ada, "run", "tiny.yaml")
            came[f"{row}: ada's doctor"] = scene.python(scene.ada, DOCTOR.format(root=str(scene.root)))
            scene.lock.unlink(missing_ok=True)


# ---- the table -------------------------------------------------------------------------------------------------------


def table() -> tuple[list[str], dict[str, list[str]]]:
    """Its columns, and its rows: what bob tries, and whether he can."""
    section = DOCUMENT.read_text().partition("## Several users")[2].partition("\n## ")[0]
    lines = [re.split(r"\s*\|\s*", line.strip("| ")) for line in section.splitlines() if line.startswith("|")]
    assert len(lines) > 12, "docs/reliability.md has a table of what users may do to each other"
    return lines[0][1:], {line[0]: line[1:] for line in lines[2:]}


COLUMNS, ROWS = table()
USUAL = ("group, umask 022",)  # the other kinds of workspaces differ from it in a few rows


def rare(column: str) -> tuple[pytest.MarkDecorator, ...]:
    return (pytest.mark.slow,) if column in USUAL else (pytest.mark.exhaustive,)


EACH_COLUMN = [pytest.param(column, marks=rare(column), id=column) for column in COLUMNS]
CELLS = [
    pytest.param(column, row, ROWS[row][at], id=f"{column}: {row}", marks=rare(column))
    for at, column in enumerate(COLUMNS)
    for row in ROWS
    if row != "redirect her by a marker in a folder above"
]


@pytest.mark.parametrize(("column", "row", "cell"), CELLS)
def test_what_one_user_may_do_to_the_other_matches_the_table(column: str, row: str, cell: str, scenes: Scenes) -> None:
    said = scenes(column).came[row]
    assert "Traceback" not in said.text or row.startswith(("hold", "replace", "put")), said
    if cell == "yes":
        assert said.code == 0 or (row.startswith(("read", "resume")) and said.code in (6, 7)), said
        return
    assert cell == "no"
    assert said.code != 0 and said.code is not None, said
    if not row.startswith(("hold", "replace", "put")):  # those he tries without medtui
        assert names_the_reason(said), said


def names_the_reason(said: CommandOutput) -> bool:
    """Whose it is, or who holds it: never a dead engine's fault."""
    words = (f"user {ADA.uid}", "is held by engine", "holds the workspace: engine", "is running")
    return any(word in said.text for word in words) and "dead" not in said.text


@pytest.mark.parametrize("column", EACH_COLUMN)
def test_a_signal_that_the_kernel_refuses_is_reported_in_one_sentence(column: str, scenes: Scenes) -> None:
    said = scenes(column).came["signal it (`kill --now`)"]
    assert said.code == 1
    assert f"belongs to user {ADA.uid}" in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("column", EACH_COLUMN)
def test_doctor_names_the_lock_holder_to_a_user_who_cannot_read_the_lock(column: str, scenes: Scenes) -> None:
    said = scenes(column).came["doctor"]
    group = column.startswith("group")
    assert re.search(r"held by engine \d+ on " if group else rf"held by engine \d+ of user {ADA.uid}'", said.out), said


@pytest.mark.parametrize("column", EACH_COLUMN)
@pytest.mark.parametrize("row", ["replace the lock file", "put a link in its place"])
def test_the_owner_of_a_workspace_is_warned_of_a_foreign_lock_and_what_to_do(
    column: str, row: str, scenes: Scenes
) -> None:
    shared = scenes(column)
    if shared.came[row].code != 0:
        assert shared.came[f"{row}: ada"].code == 0, "nothing was replaced"
        return
    ada, doctor = shared.came[f"{row}: ada"], shared.came[f"{row}: ada's doctor"]
    if ada.code != 0:  # else the file is one that their group shares
        assert ada.code == 2 and str(shared.lock) in ada.text and "emove" in ada.text, ada
        assert "level='fail'" in doctor.out and "emove" in doctor.out, doctor


# a process that keeps the lock, in bob's name; its number is printed
KEEP = """
import fcntl, os, sys, time
file = open({lock!r})
fcntl.flock(file, fcntl.LOCK_EX)
if (pid := os.fork()) == 0:
    os.close(1), os.close(2), time.sleep(300), os._exit(0)
print(pid)
"""


@pytest.mark.slow
def test_who_holds_the_lock_of_a_group_without_training_is_named_and_so_is_the_remedy(scenes: Scenes) -> None:
    """A flock through a descriptor that can only read needs no more than the right to read."""
    shared = scenes("group, umask 022")
    assert shared.by(shared.ada, "run", "tiny.yaml").code == 0, "the lock is there, and free"
    held = shared.python(shared.bob, KEEP.format(lock=str(shared.lock)))
    holder = int(held.out)
    try:
        refused = shared.by(shared.ada, "run", "tiny.yaml")
        assert refused.code == 3
        words = " ".join(refused.text.split())
        assert f"is held by process {holder}" in words or "a child of process" in words
        assert "dead" not in words and "End that process" in words
        doctor = shared.python(shared.ada, DOCTOR.format(root=str(shared.root)))
        assert "level='fail'" in doctor.out and "End that process" in doctor.out
    finally:
        os.kill(holder, signal.SIGKILL)


PLANTED = {"ordinary": 0o755, "open to all": 0o1777, "group, umask 002": 0o2775, "group, umask 022": 0o2775}


@pytest.mark.parametrize("column", COLUMNS)
def test_nobody_is_redirected_by_a_marker_that_another_user_planted_above(column: str, commands: Commands) -> None:
    (cell,) = {ROWS["redirect her by a marker in a folder above"][COLUMNS.index(column)]}
    assert cell == "no"
    folder = Path(tempfile.mkdtemp(prefix="two-users-"))
    folder.chmod(0o755)
    try:
        above, hers = folder / "above", folder / "above/hers"
        hers.mkdir(parents=True)
        os.chown(above, 0, TEAM)
        above.chmod(PLANTED[column])
        os.chown(hers, ADA.uid, ADA.gid)
        plant = f"from pathlib import Path; Path({str(above)!r}, 'README.md').touch()"
        planted = commands.python("exec", plant, cwd=folder, user=BOB)
        assert (planted.code == 0) == (column != "ordinary")
        text = "from engine.contract.store.workspace import find_workspace; print(find_workspace().root)"
        found = commands.python("exec", text, cwd=hers, user=ADA)
        assert found.out.strip() == str(hers)
    finally:
        shutil.rmtree(folder)
