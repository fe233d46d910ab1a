"""The console over SSH, with a real OpenSSH server on 127.0.0.1: a connection that is cut or stalls ends no run."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from driving import PATIENCE, json_lines, tiny, yaml_of

from engine.contract.store.run_directory import RunDirectory, list_runs
from engine.contract.store.status import read_status
from engine.contract.store.workspace import Workspace

SSHD = Path("/usr/sbin/sshd")
MISSING = [name for name in ("ssh", "ssh-keygen", "tmux") if shutil.which(name) is None]
MISSING += [] if SSHD.exists() else ["sshd"]
RECIPE = tiny(training={"epochs": 3000, "batch_size": 16, "patience": None})
ROOT = Path(__file__).resolve().parents[2]


class Server:
    """A separate sshd: port, keys, configuration; ended by its pid."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("host", "user"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True, timeout=60
            )
        shutil.copy(folder / "user.pub", folder / "authorized")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where a root's sshd drops its privileges
        (folder / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\n"
            f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            f"PermitRootLogin prohibit-password\nPidFile {folder}/pid\nPrintMotd no\n"
        )
        self.process = subprocess.Popen([str(SSHD), "-D", "-f", str(folder / "config"), "-E", str(folder / "log")])
        deadline = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", self.port)) != 0:
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)

    def command(self, remote: str, *, terminal: bool = True) -> str:
        """An ssh command line for a shell; `terminal`: with one on the other side."""
        options = {
            "UserKnownHostsFile": f"{self.folder}/known",
            "StrictHostKeyChecking": "accept-new",
            "IdentitiesOnly": "yes",
            "LogLevel": "ERROR",
            "EscapeChar": "none",
        }
        words = ["ssh", "-tt" if terminal else "-T", "-F", "none", "-p", str(self.port), "-i", f"{self.folder}/user"]
        words += [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return shlex.join([*words, f"{getpass.getuser()}@127.0.0.1", remote])

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(10)


class Session:
    """`ssh` in a terminal of 120 × 40 (a separate tmux), as on somebody's laptop."""

    def __init__(self, server: Server, remote: str) -> None:
        self._name = f"medtui-ssh-{uuid.uuid4().hex[:8]}"
        command = f"exec {server.command(remote)}"
        self._tmux("-f", "/dev/null", "new-session", "-d", "-s", "t", "-x", "120", "-y", "40", command)
        self._tmux("set-option", "-t", "t", "remain-on-exit", "on")
        self.client = psutil.Process(int(self._tmux("display", "-p", "-t", "t", "#{pane_pid}")))

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(["tmux", "-L", self._name, *words], capture_output=True, text=True, check=True)
        return done.stdout

    def keys(self, *keys: str) -> None:
        for key in keys:
            self._tmux("send-keys", "-t", "t", key)
            time.sleep(0.08)  # as a quick typist does

    def shows(self, *words: str) -> str:
        deadline = time.monotonic() + PATIENCE
        while True:
            text = self._tmux("capture-pane", "-p", "-t", "t")
            if all(word in text for word in words):
                return text
            assert time.monotonic() < deadline, f"not within {PATIENCE:.0f} s: {words}\n{text}"
            time.sleep(0.05)

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self._name, "kill-server"], capture_output=True, check=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    if MISSING:
        reason = f"needs {', '.join(MISSING)}; Debian's packages openssh-server, openssh-client and tmux have them"
        pytest.fail(reason) if os.environ.get("CI", "").lower() == "true" else pytest.skip(reason)
    folder = tmp_path / "ssh"
    folder.mkdir()
    started = Server(folder)
    yield started
    started.end()


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    root = tmp_path / "work"
    root.mkdir()
    (root / "tiny.yaml").write_text(yaml_of(RECIPE))
    yield Workspace(root)
    for process in psutil.process_iter(["cmdline"]):
        if str(root) in (process.info["cmdline"] or []):
            process.kill()


def remote(workspace: Workspace, *words: str) -> str:
    """A command line on the server: a login there has none of the test's environment."""
    kept = {name: os.environ[name] for name in ("MEDTUI_CACHE", "TORCH_HOME", "OMP_WAIT_POLICY", "PATH")}
    settings = [f"{name}={value}" for name, value in kept.items()]
    settings += [f"PYTHONPATH={ROOT}", "LC_ALL=C.UTF-8", f"MEDTUI_SETTINGS={workspace.root}/settings.yaml"]
    program = [sys.executable, "-c", "from medtui.cli import main; main()"]
    return shlex.join(["env", *settings, *program, *words, "--workspace", str(workspace.root)])


def epochs_done(run: RunDirectory) -> int:
    status = read_status(run)
    return status.epochs_done if status is not None else 0


def wait_for_epochs(run: RunDirectory, more: int) -> None:
    """Until it has trained on by so many epochs."""
    wanted, deadline = epochs_done(run) + more, time.monotonic() + PATIENCE
    while epochs_done(run) < wanted:
        assert time.monotonic() < deadline, "the engine does not go on"
        time.sleep(0.1)


@pytest.mark.parametrize("link", ["cut", "stalled"])
@pytest.mark.slow
def test_a_run_started_over_ssh_outlives_the_connection_and_is_attached_to_by_a_new_one(
    server: Server, workspace: Workspace, link: str
) -> None:
    first = Session(server, remote(workspace))
    second = events_there = None
    try:
        first.shows("quickstart", "before you run", "steps")
        first.keys("/", *"tiny", "Enter", "Down")
        first.shows("tiny.yaml", "steps 12,000")
        first.keys("r")
        first.shows("● training", "lock: this console")
        (run,) = list_runs(workspace.outputs)
        if link == "cut":
            first.client.send_signal(signal.SIGKILL)
        else:
            first.client.suspend()
        wait_for_epochs(run, 3)

        command = server.command(remote(workspace, "attach", "--json"), terminal=False)
        events_there = subprocess.Popen(
            shlex.split(command), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        second = Session(server, remote(workspace, "attach"))
        second.shows("● training", f"Attached to {run.name}")
        second.keys("p")
        second.shows("‖ paused", "paused; p resumes")
        second.keys("p")
        second.shows("● training")
        wait_for_epochs(run, 1)
        second.keys("S")
        second.shows("kill switch", "y stop")
        second.keys("y")
        second.shows("✓ stop requested", "✓ accepted", "✓ stopped", "✓ process gone", "✓ its lock free")
        events = json_lines(events_there.communicate(timeout=PATIENCE)[0])
    finally:
        if events_there is not None:
            events_there.kill()
        if link == "stalled":
            first.client.resume()
        first.close()
        if second is not None:
            second.close()
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1)), "every state event, without a gap"
    commands = [(event["command"], event["via"]) for event in events if event["event"] == "command.accepted"]
    assert commands == [("start", "stdin"), ("pause", "control"), ("resume", "control"), ("stop", "control")]
    assert (events[-1]["outcome"], events_there.returncode) == ("stopped", 6)
