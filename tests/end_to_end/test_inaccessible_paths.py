"""Homes and folders without search permission, broken links, `~`: each is skipped or refused with its reason.

As under `sudo -u`, in `docker run -u 1000` with HOME=/root, and in the workspace of somebody else.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from driving import MEDTUI, medtui, tiny, yaml_of
from forked import CommandOutput, Commands, User, why_no_users

from benchmarks.terminal import Terminal

REASON = why_no_users()
users = pytest.mark.skipif(REASON is not None, reason=REASON or "")
BOB = User(23002, 23002)
SLOW = 120.0  # seconds, for what starts an engine


class ClosedHome:
    """A machine on which bob's HOME belongs to another user and cannot be accessed."""

    def __init__(self, root: Path, commands: Commands) -> None:
        self.root, self.commands = root, commands
        self.home, self.workspace, self.closed = root / "home", root / "ws", root / "closed"
        for folder, mode, owner in (
            (self.home, 0o700, 0),
            (self.workspace, 0o755, BOB.uid),
            (self.closed, 0o755, 0),
            (self.closed / "outputs", 0o700, 0),
            (root / "cache", 0o755, BOB.uid),
        ):
            folder.mkdir()
            folder.chmod(mode)
            os.chown(folder, owner, owner)

    def __call__(self, *words: str | Path) -> CommandOutput:
        environment = {"HOME": str(self.home), "MEDTUI_CACHE": str(self.root / "cache")}
        return self.commands(*words, cwd=self.workspace, user=BOB, environment=environment, patience=SLOW)


@pytest.fixture(scope="module")
def closed_home() -> Iterator[ClosedHome]:
    root = Path(tempfile.mkdtemp(prefix="closed-home-"))  # pytest's own folders are root's alone
    root.chmod(0o755)
    commands = Commands(private=True)
    yield ClosedHome(root, commands)
    commands.close()
    shutil.rmtree(root)


@users
@pytest.mark.slow
def test_with_a_home_folder_that_cannot_be_searched_every_command_answers(closed_home: ClosedHome) -> None:
    answers = {
        ("data", "list"): (0, "which belongs to root"),
        ("data", "verify"): (4, "you may not enter"),
        ("data", "fetch", "breastmnist"): (4, "breastmnist.npz"),
        ("run", "breastmnist", "--offline"): (4, "breastmnist.npz"),
        ("runs",): (0, "No runs yet"),
        ("show", "~/run"): (2, "There is no run"),
        ("runs", "--workspace", "~/x"): (2, "you may not enter"),
        ("data", "list", "--data", "~/x"): (2, "you may not enter"),
        ("score", "~/breastmnist_test.csv"): (2, "you may not enter"),
        ("recipe", "validate", "~/x.yaml"): (2, "you may not enter"),
    }
    for words, (code, sentence) in answers.items():
        said = closed_home(*words)
        assert (said.code, sentence in said.text, "Traceback" in said.text) == (code, True, False), (words, said)
    said = closed_home("doctor")
    assert said.code in (0, 1) and "you may not enter" in said.text and "Traceback" not in said.text, said


@users
@pytest.mark.slow
def test_in_another_users_workspace_the_owner_is_named(closed_home: ClosedHome) -> None:
    for words in (("runs",), ("show",), ("stop", "last"), ("run", "quickstart"), ("doctor",)):
        said = closed_home(*words, "--workspace", closed_home.closed)
        assert "belongs to root" in said.text, (words, said)
        assert said.code in (1, 2) and "Traceback" not in said.text, (words, said)
        for wrong in ("No runs yet", "local disk", "the disk", "Mend"):
            assert wrong not in said.text, (words, said)


@users
def test_a_workspace_that_cannot_be_searched_is_refused_by_name(closed_home: ClosedHome) -> None:
    shut = closed_home.root / "shut"
    shut.mkdir(exist_ok=True)
    shut.chmod(0o700)
    for words in (("runs",), ("run", "quickstart"), ("doctor",)):
        said = closed_home(*words, "--workspace", shut)
        assert said.code == 2 and "Traceback" not in said.text, (words, said)
        assert f"you may not enter {shut}, which belongs to root" in said.text, (words, said)


def test_a_broken_link_is_reported_as_broken(tmp_path: Path) -> None:
    (tmp_path / "outputs").symlink_to("/none/there")
    (tmp_path / "dangling.yaml").symlink_to("/none/x.yaml")
    (tmp_path / "breastmnist_test.csv").symlink_to("/none/x.csv")
    (tmp_path / "dataset").symlink_to("/none/data")
    answers = {
        ("runs",): 2,
        ("run", "quickstart"): 2,
        ("show",): 2,
        ("stop", "last"): 2,
        ("recipe", "validate", "dangling.yaml"): 2,
        ("run", "dangling.yaml"): 2,
        ("score", "breastmnist_test.csv"): 2,
        ("data", "list"): 0,
        ("data", "list", "--data", "dataset"): 2,
        ("data", "verify", "breastmnist"): 4,
        ("doctor",): 1,
    }
    for words, code in answers.items():
        done = medtui(*words, cwd=tmp_path, environment={"PWD": str(tmp_path)})
        text = done.stdout + done.stderr
        assert (done.returncode, "which does not exist (unmounted, purged?)" in text) == (code, True), (words, text)
        assert "did you mean" not in text


def test_a_tilde_means_the_home_folder_wherever_a_path_is_named(tmp_path: Path, stand_in: dict[str, list[str]]) -> None:
    home = tmp_path / "home"
    for name in ("ws", "data", "cwd"):
        (home / name).mkdir(parents=True)
    (home / "settings.yaml").write_text("theme: nonsense\n")
    archive = Path(stand_in["bloodmnist"][1].partition("=")[2])
    shutil.copy(archive, home / "data/mine.npz")
    shutil.copy(archive, home / "data/breastmnist.npz")
    recipe = tiny(dataset={"name": "bloodmnist", "archive": "~/data/mine.npz", "limit": 64}, training={"epochs": 1})
    recipe["dataset"]["md5"] = stand_in["bloodmnist"][3].partition("=")[2].strip("'")
    (home / "mine.yaml").write_text("\ufeff" + yaml_of(recipe).replace("\n", "\r\n"))
    own = {"HOME": str(home), "MEDTUI_CACHE": "~/cache", "MEDTUI_SETTINGS": "~/settings.yaml", "MEDTUI_DATA": "~/data"}
    cwd = home / "cwd"

    done = medtui("run", "~/mine.yaml", "--workspace", "~/ws", "--data", "~/data", cwd=cwd, environment=own)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (home / "cache/arrays").is_dir() and (home / "ws/outputs").is_dir()
    (run,) = [path for path in (home / "ws/outputs").iterdir() if path.is_dir()]
    assert medtui("show", f"~/ws/outputs/{run.name}", cwd=cwd, environment=own).returncode == 0
    assert medtui("recipe", "init", "~/new.yaml", cwd=cwd, environment=own).returncode == 0
    assert (home / "new.yaml").is_file()
    listed = medtui("data", "list", cwd=cwd, environment=own).stdout
    assert str(home / "data/breastmnist.npz") in listed
    assert "theme" in medtui("doctor", cwd=cwd, environment=own).stdout
    assert not [path for path in (*cwd.iterdir(), *(home / "ws").iterdir()) if path.name[0] == "~"]


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"TERM": "dumb"}, "Set TERM"),
        ({"TERM": ""}, "Set TERM"),
        ({"PYTHONIOENCODING": "latin-1"}, "UTF-8"),
        ({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, "UTF-8"),
    ],
    ids=["dumb", "no TERM", "latin-1 streams", "C without coercion"],
)
def test_the_console_refuses_a_terminal_that_cannot_show_it_before_it_sends_an_escape(
    tmp_path: Path, variables: dict[str, str], sentence: str
) -> None:
    settings = [f"{name}={value}" for name, value in variables.items()]
    terminal = Terminal(["env", *settings, *MEDTUI], dict(os.environ), cwd=tmp_path)
    try:
        assert terminal.process.wait(60) == 2
        terminal.wait_for("The console cannot run", sentence)
        assert b"\x1b" not in terminal.received
    finally:
        terminal.close()
