"""The ladder against real engines that misbehave on request: each verified gone within the sum of the bounds."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from driving import MEDTUI, PATIENCE, Engine, json_lines, medtui, tiny, yaml_of

from engine.contract.checkpoint_file import verified_digest
from engine.contract.lock import is_locked
from engine.contract.process_identity import ProcessIdentity, start_of, this_process
from engine.contract.protocol import CommandAccepted
from engine.contract.run_directory import list_runs
from engine.contract.workspace import Workspace
from medtui.client.climb import Ascent, Bounds, Climb, ascent_rungs, climb_of
from medtui.client.ladder import rung_line
from medtui.client.watch import OwnEngine
from medtui.machine.process_group import EngineGroup

DOUBLES = Path(__file__).resolve().parents[1] / "doubles" / "misbehaving"
ROOT = Path(__file__).resolve().parents[2]
QUICK = Bounds(abort=0.6, terminate=0.4, kill=2.0)  # seconds; the real ones are tested once, below
SLACK = 1.5  # seconds; looking at a process takes its time on a loaded machine
# long enough to be in the middle, short enough to come to the end by itself
RECIPES = {
    "evaluating": tiny(training={"epochs": 1}),
    "reporting": tiny(training={"epochs": 1}),
}
LONG = tiny(training={"epochs": 2000, "batch_size": 16, "patience": None})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def misbehaving(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], OwnEngine]]:
    """Starts an engine that misbehaves, and waits until it does."""
    engines: list[OwnEngine] = []

    def start(how: str) -> OwnEngine:
        mark = workspace.root / "mark"
        monkeypatch.setenv("MISBEHAVE", how)
        monkeypatch.setenv("MISBEHAVE_MARK", str(mark))
        monkeypatch.setenv("PYTHONPATH", f"{DOUBLES}{os.pathsep}{ROOT}")
        engine = OwnEngine(workspace, warm=False)
        engines.append(engine)
        engine.start(RECIPES.get(how.partition(":")[0], LONG), [], [], "test")
        deadline = time.monotonic() + PATIENCE
        while not mark.exists():
            assert time.monotonic() < deadline, engine.view
            time.sleep(0.02)
        return engine

    yield start
    for engine in engines:
        for process in EngineGroup(engine.engine.pid, engine.engine.started, workspace.root).living():
            os.kill(process.pid, signal.SIGKILL)


def group_of(leader: int) -> list[int]:
    """Living processes of a process group, as the kernel's table has them."""
    found = []
    for process in psutil.process_iter(["pid", "status"]):
        try:
            if os.getpgid(process.pid) == leader and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except ProcessLookupError:
            continue
    return found


def climbed(engine: OwnEngine, workspace: Workspace, bounds: Bounds = QUICK) -> Ascent:
    """The ladder climbed to its end, and what every climb promises."""
    began = time.monotonic()
    ascent = climb_of(engine, workspace, "test", bounds=bounds).climb()
    took = time.monotonic() - began
    assert ascent.succeeded, ascent_rungs(ascent)
    assert took <= bounds.abort + bounds.terminate + bounds.kill + SLACK
    assert group_of(engine.engine.pid) == []
    assert not is_locked(workspace.lock_file)
    for run in list_runs(workspace.outputs):
        if run.last.exists():
            verified_digest(run.last)
    return ascent


MISBEHAVIOURS = {
    # what it does: the last rung that is needed
    "training:hang": "SIGTERM",
    "training:stop": "SIGKILL",
    "training:fork": "SIGKILL",
    "preparing:hang": "SIGTERM",
    "checkpoint:hang+deaf": "SIGKILL",
    "evaluating:stop": "SIGKILL",
    "reporting:hang": "SIGTERM",
}


@pytest.mark.parametrize(("how", "rung"), MISBEHAVIOURS.items(), ids=MISBEHAVIOURS)
def test_a_misbehaving_engine_is_verified_gone_within_the_sum_of_the_bounds(
    workspace: Workspace, misbehaving: Callable[[str], OwnEngine], how: str, rung: str
) -> None:
    engine = misbehaving(how)
    ascent = climbed(engine, workspace)
    assert ascent.asked is not None and ascent.terminated is not None
    assert (ascent.killed is not None) == (rung == "SIGKILL")
    assert (ascent.answer is None) == ("stop" in how), "a stopped engine does not answer; the others' heartbeat does"
    if "preparing" not in how:
        assert "verified" in ascent.checkpoint_words


def test_kill_now_starts_with_sigkill(workspace: Workspace, misbehaving: Callable[[str], OwnEngine]) -> None:
    engine = misbehaving("training:hang+deaf")
    ascent = climb_of(engine, workspace, "test", now=True, bounds=Bounds()).climb()
    assert (ascent.asked, ascent.terminated) == (None, None)
    assert ascent.succeeded and ascent.gone is not None and ascent.gone - ascent.began < SLACK


def test_an_engine_that_said_nothing_until_it_was_signalled_gave_no_answer() -> None:
    waiting, silent = (ascent_rungs(Ascent(began=0.0, asked=0.0, terminated=at))[1] for at in (None, 10.0))
    assert (waiting.title, waiting.state) == ("engine's answer", "waiting")
    assert rung_line(silent).strip() == "no answer from the engine: FAILED"


def test_medtui_kill_climbs_with_the_real_bounds_and_prints_each_rung(
    workspace: Workspace, misbehaving: Callable[[str], OwnEngine]
) -> None:
    engine = misbehaving("training:hang+deaf")
    began = time.monotonic()
    done = medtui("kill", "last", "--workspace", workspace.root, cwd=workspace.root, environment={"MISBEHAVE": ""})
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    titles = [line[10:].split(":")[0] for line in done.stdout.splitlines()]  # after the clock
    answer = titles.pop(1)  # none when it happened to hang with the lock of its voice in hand
    assert answer in ("accepted", "no answer from the engine")
    assert titles == [
        "abort requested",
        "SIGTERM to its group",
        "SIGKILL to its group",
        "process gone",
        "lock free",
        "checkpoint verified",
    ]
    assert 10.0 + 5.0 <= took <= 10.0 + 5.0 + 2.0 + 8.0, "the command's own start is in it"
    assert group_of(engine.engine.pid) == []


def test_a_slow_but_healthy_batch_is_not_escalated_against(
    workspace: Workspace, misbehaving: Callable[[str], OwnEngine]
) -> None:
    engine = misbehaving("training:slow")  # 6 seconds
    ascent = climbed(engine, workspace, Bounds())
    assert (ascent.terminated, ascent.killed) == (None, None)
    assert ascent.gone is not None and ascent.gone - ascent.began > 4
    assert "verified" in ascent.checkpoint_words
    (run,) = list_runs(workspace.outputs)
    assert json_lines(run.journal.read_text())[-1]["outcome"] == "aborted"


# ---- against plain processes ----------------------------------------------------------------------------------------


@pytest.fixture
def child() -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    children: list[subprocess.Popen[bytes]] = []

    def start(program: str) -> subprocess.Popen[bytes]:
        children.append(subprocess.Popen(["bash", "-c", program], start_new_session=True, stdout=subprocess.PIPE))
        return children[-1]

    yield start
    for process in children:
        process.kill()
        process.wait()


def identity(pid: int) -> ProcessIdentity:
    me = this_process()
    return ProcessIdentity(pid, start_of(pid), me.host, me.boot)


def accepted(expected: float) -> CommandAccepted:
    return CommandAccepted(time=0.0, id="1", command="abort", expected=expected, by="me", via="stdin")


def test_what_the_engine_expects_prolongs_the_grace(
    workspace: Workspace, child: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    busy = child("sleep 1.2")
    bounds = Bounds(abort=0.2, terminate=0.2, kill=1.0)
    climb = Climb(identity(busy.pid), workspace, abort=lambda: 0, answer=lambda: accepted(30.0), bounds=bounds)
    ascent = climb.climb()
    assert (ascent.terminated, ascent.killed) == (None, None)
    assert busy.wait(5) == 0, "it ended by itself"


def test_a_process_that_got_a_reused_pid_is_never_signalled(
    workspace: Workspace, child: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    stranger = child("trap 'echo signalled' TERM; while :; do sleep 0.05; done")
    me = this_process()
    gone = ProcessIdentity(stranger.pid, identity(stranger.pid).started - 60, me.host, me.boot)
    ascent = Climb(gone, workspace, abort=lambda: 0, bounds=QUICK).climb()
    assert ascent.gone is not None and ascent.killed is None
    assert EngineGroup(gone.pid, gone.started, workspace.root).signal(signal.SIGKILL) == []
    assert stranger.poll() is None


def test_a_strangers_process_in_a_group_whose_leader_is_gone_is_never_signalled(
    workspace: Workspace, child: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    leader = child("sleep 60 & echo $!")
    started = identity(leader.pid).started
    assert leader.stdout is not None
    stranger = int(leader.stdout.readline())
    leader.wait(5)
    assert group_of(leader.pid) == [stranger], "it is in the group that an engine with that pid would have had"
    assert EngineGroup(leader.pid, started, workspace.root).signal(signal.SIGKILL) == []
    assert psutil.Process(stranger).status() != psutil.STATUS_ZOMBIE
    os.kill(stranger, signal.SIGKILL)


def test_the_next_rung_can_be_had_at_once(
    workspace: Workspace, child: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    deaf = child("trap '' TERM; echo; while :; do sleep 0.05; done")
    assert deaf.stdout is not None and deaf.stdout.readline()
    climbs: list[Climb] = []

    def hurry(ascent: Ascent) -> None:
        if ascent.next_at is not None and not ascent.over and ascent.killed is None:
            climbs[0].hurry()

    climbs.append(Climb(identity(deaf.pid), workspace, abort=lambda: 0, tell=hurry, bounds=Bounds()))
    began = time.monotonic()
    ascent = climbs[0].climb()
    assert ascent.terminated is not None and ascent.killed is not None and ascent.gone is not None
    assert time.monotonic() - began < 3


def test_an_unkillable_process_is_said_not_to_be_gone(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one in an uninterruptible wait: it lives on however it is signalled."""
    me = this_process()
    monkeypatch.setattr("medtui.machine.process_group.send_signal", lambda process, number: True)
    ascent = Climb(me, workspace, abort=None, bounds=Bounds(kill=0.2)).climb()
    assert not ascent.succeeded
    assert [(rung.title, rung.state) for rung in ascent_rungs(ascent)][-1] == ("still there", "failed")


def test_the_third_ctrl_c_prints_the_rungs(workspace: Workspace) -> None:
    recipe = workspace.root / "long.yaml"
    recipe.write_text(yaml_of(LONG))
    process = subprocess.Popen(
        [*MEDTUI, "run", str(recipe), "--workspace", str(workspace.root)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    next(line for line in process.stdout if line.startswith("epoch    2/"))  # the first one's checkpoint is told
    (engine,) = psutil.Process(process.pid).children()
    engine.suspend()
    for marker in ("Stopping after", "Aborting after", "Killing"):
        process.send_signal(signal.SIGINT)
        assert next(line for line in process.stdout if line.startswith(marker))
    rest = process.stdout.read()
    assert process.wait(PATIENCE) == 7
    for title in ("SIGKILL to its group: done", "process gone: done", "lock free: done"):
        assert title in rest
    assert not engine.is_running()


def test_sigusr1_as_a_scheduler_sends_it_checkpoints_and_exits_with_7(workspace: Workspace) -> None:
    engine = Engine(workspace.root)
    try:
        engine.train(LONG)
        engine.wait_for_event("epoch.finished", epoch=1)
        for _ in range(3):
            os.kill(engine.process.pid, signal.SIGUSR1)
        finished = engine.wait_for_event("run.finished")
        assert (finished["outcome"], finished["exit_code"], engine.end()) == ("aborted", 7, 7)
        assert engine.wait_for_event("command.accepted", command="abort")["by"] == "SIGUSR1"
        verified_digest(Path(finished["run_dir"]) / "checkpoints" / "last.safetensors")
    finally:
        engine.kill()
