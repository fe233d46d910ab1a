"""Escalation against real engines that misbehave on request: each verified gone within the sum of the timeouts."""

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

from engine.contract.machine.process_identity import ProcessIdentity, start_of, this_process
from engine.contract.store.checkpoint_file import verified_digest
from engine.contract.store.lock import LockState
from engine.contract.store.run_directory import list_runs
from engine.contract.store.workspace import Workspace
from engine.contract.wire.protocol import CommandAccepted
from medtui.client.attached import AttachedRun
from medtui.client.escalation import Escalation, Escalator, Timeouts, escalator_for, steps_taken
from medtui.client.escalation_steps import format_step
from medtui.client.own_engine import OwnEngine
from medtui.client.process_group import EngineGroup
from medtui.sentences import Control

QUICK = Timeouts(abort=2.0, terminate=1.5, kill=5.0)  # seconds; the real ones are tested once, below
# where SIGTERM must suffice: a busy machine may take its time over it
PATIENT = Timeouts(abort=2.0, terminate=20.0, kill=2.0)
SLACK = 8.0  # seconds; looking at a process takes its time on a loaded machine; the real bounds are 17 s
# long enough to be in the middle, short enough to come to the end by itself
RECIPES = {
    "evaluating": tiny(training={"epochs": 1}),
    "reporting": tiny(training={"epochs": 1}),
    "finished": tiny(training={"epochs": 1}),
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
        for process in EngineGroup(engine.engine.pid, engine.engine.started, workspace.folder).living():
            os.kill(process.pid, signal.SIGKILL)


def group_of(leader: int) -> list[int]:
    """Live processes of a process group, from the kernel's table."""
    found = []
    for process in psutil.process_iter(["pid", "status"]):
        try:
            if os.getpgid(process.pid) == leader and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except ProcessLookupError:
            continue
    return found


def escalate_and_check(engine: OwnEngine, workspace: Workspace, timeouts: Timeouts = QUICK) -> Escalation:
    """A completed escalation, and what every escalation promises."""
    began = time.monotonic()
    escalation = escalator_for(engine, workspace, "test", timeouts=timeouts).escalate()
    took = time.monotonic() - began
    assert escalation.succeeded, steps_taken(escalation)
    assert took <= timeouts.abort + timeouts.terminate + timeouts.kill + SLACK
    assert group_of(engine.engine.pid) == []
    assert not LockState.read(workspace.lock_file).held
    for run in list_runs(workspace.outputs):
        if run.last.path.exists():
            verified_digest(run.last)
    return escalation


MISBEHAVIOURS = {
    # what it does: the last step that is needed
    "training:hang": "SIGTERM",
    "training:stop": "SIGKILL",
    "training:fork": "SIGKILL",
    "preparing:hang": "SIGTERM",
    "checkpoint:hang+deaf": "SIGKILL",
    "evaluating:stop": "SIGKILL",
    "reporting:hang": "SIGTERM",
}


@pytest.mark.parametrize(("how", "step"), MISBEHAVIOURS.items(), ids=MISBEHAVIOURS)
def test_a_misbehaving_engine_is_verified_gone_within_the_sum_of_the_bounds(
    workspace: Workspace, misbehaving: Callable[[str], OwnEngine], how: str, step: str
) -> None:
    engine = misbehaving(how)
    escalation = escalate_and_check(engine, workspace, QUICK if step == "SIGKILL" else PATIENT)
    assert escalation.requested_at is not None and escalation.terminated is not None
    assert (escalation.killed is not None) == (step == "SIGKILL")
    assert (escalation.answer is None) == ("stop" in how), (
        "a stopped engine does not answer; the others' heartbeat does"
    )
    if "preparing" not in how:
        assert "verified" in escalation.checkpoint_summary


def test_kill_now_starts_with_sigkill(workspace: Workspace, misbehaving: Callable[[str], OwnEngine]) -> None:
    engine = misbehaving("training:hang+deaf")
    escalation = escalator_for(engine, workspace, "test", now=True, timeouts=Timeouts()).escalate()
    assert (escalation.requested_at, escalation.terminated) == (None, None)
    assert escalation.succeeded and escalation.gone is not None and escalation.gone - escalation.began < SLACK


@pytest.mark.slow
def test_kill_of_a_run_that_has_just_ended_says_so_and_signals_nothing(
    workspace: Workspace, misbehaving: Callable[[str], OwnEngine]
) -> None:
    engine = misbehaving("finished:slow")  # it exits 6 s later
    (run,) = list_runs(workspace.outputs)
    done = medtui("kill", run.name, "--json", "--workspace", workspace.root, cwd=workspace.root)
    assert done.returncode == 2, done.stdout
    error = json_lines(done.stdout)[-1]["error"]
    assert (error["kind"], error["code"]) == ("not_commanded", Control.RUN_OVER.code)
    assert f"Run {run.name} is over: completed." in done.stderr
    assert "abort" not in done.stdout + done.stderr
    assert engine.view.after.process_gone is not None or engine.engine.is_alive() is False


def test_an_engine_that_hangs_after_its_run_has_ended_is_terminated(
    workspace: Workspace, misbehaving: Callable[[str], OwnEngine]
) -> None:
    misbehaving("finished:hang")
    (run,) = list_runs(workspace.outputs)
    handle = AttachedRun(run, workspace)
    try:
        escalation = escalator_for(handle, workspace, "test", timeouts=PATIENT).escalate()
    finally:
        handle.close()
    assert (escalation.outcome, escalation.abort_error, escalation.requested_at) == ("completed", "", None)
    assert escalation.terminated is not None and escalation.succeeded and not escalation.unneeded
    assert [step.title for step in steps_taken(escalation)][:2] == ["run had already ended", "SIGTERM to group"]


def test_an_engine_that_was_silent_until_it_was_signalled_gave_no_answer() -> None:
    waiting, silent = (steps_taken(Escalation(began=0.0, requested_at=0.0, terminated=at))[1] for at in (None, 10.0))
    assert (waiting.title, waiting.state) == ("engine's answer", "waiting")
    assert format_step(silent).strip() == "no answer from the engine: FAILED"


@pytest.mark.slow
def test_medtui_kill_escalates_with_the_real_bounds_and_prints_each_step(
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
        "SIGTERM to group",
        "SIGKILL to group",
        "process gone",
        "its lock free",
        "checkpoint verified",
    ]
    assert 10.0 + 5.0 <= took <= 10.0 + 5.0 + 2.0 + 8.0, "the command's own start is in it"
    assert group_of(engine.engine.pid) == []


@pytest.mark.slow
def test_a_slow_but_healthy_batch_is_not_escalated_against(
    workspace: Workspace, misbehaving: Callable[[str], OwnEngine]
) -> None:
    engine = misbehaving("training:slow")  # 6 seconds
    escalation = escalate_and_check(engine, workspace, Timeouts())
    assert (escalation.terminated, escalation.killed) == (None, None)
    assert escalation.gone is not None and escalation.gone - escalation.began > 4
    assert "verified" in escalation.checkpoint_summary
    (run,) = list_runs(workspace.outputs)
    assert json_lines(run.journal.path.read_text())[-1]["outcome"] == "aborted"


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
    timeouts = Timeouts(abort=0.2, terminate=0.2, kill=1.0)
    escalator = Escalator(
        identity(busy.pid), workspace, abort=lambda: 0, answer=lambda: accepted(30.0), timeouts=timeouts
    )
    escalation = escalator.escalate()
    assert (escalation.terminated, escalation.killed) == (None, None)
    assert busy.wait(5) == 0, "it ended by itself"


def test_a_process_that_got_a_reused_pid_is_never_signalled(
    workspace: Workspace, child: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    other_holder = child("trap 'echo signalled' TERM; while :; do sleep 0.05; done")
    me = this_process()
    gone = ProcessIdentity(other_holder.pid, identity(other_holder.pid).started - 60, me.host, me.boot)
    escalation = Escalator(gone, workspace, abort=lambda: 0, timeouts=QUICK).escalate()
    assert escalation.gone is not None and escalation.killed is None
    assert EngineGroup(gone.pid, gone.started, workspace.folder).signal(signal.SIGKILL) == []
    assert other_holder.poll() is None


def test_an_unrelated_process_in_a_group_whose_leader_is_gone_is_never_signalled(
    workspace: Workspace, child: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    leader = child("sleep 60 & echo $!")
    started = identity(leader.pid).started
    assert leader.stdout is not None
    other_holder = int(leader.stdout.readline())
    leader.wait(5)
    assert group_of(leader.pid) == [other_holder], "it is in the group that an engine with that pid would have had"
    assert EngineGroup(leader.pid, started, workspace.folder).signal(signal.SIGKILL) == []
    assert psutil.Process(other_holder).status() != psutil.STATUS_ZOMBIE
    os.kill(other_holder, signal.SIGKILL)


def test_the_wait_for_the_next_step_can_be_skipped(
    workspace: Workspace, child: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    deaf = child("trap '' TERM; echo; while :; do sleep 0.05; done")
    assert deaf.stdout is not None and deaf.stdout.readline()
    escalators: list[Escalator] = []

    def skip_wait(escalation: Escalation) -> None:
        if escalation.next_at is not None and not escalation.over and escalation.killed is None:
            escalators[0].skip_wait()

    escalators.append(
        Escalator(identity(deaf.pid), workspace, abort=lambda: 0, on_change=skip_wait, timeouts=Timeouts())
    )
    began = time.monotonic()
    escalation = escalators[0].escalate()
    assert escalation.terminated is not None and escalation.killed is not None and escalation.gone is not None
    assert time.monotonic() - began < 3


def test_an_unkillable_process_is_reported_as_still_running(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Like one in an uninterruptible wait: it survives every signal."""
    me = this_process()
    monkeypatch.setattr("medtui.client.process_group.send_signal", lambda process, number: True)
    escalation = Escalator(me, workspace, abort=None, timeouts=Timeouts(kill=0.2)).escalate()
    assert not escalation.succeeded
    assert [(step.title, step.state) for step in steps_taken(escalation)][-1] == ("still alive", "failed")


def test_the_third_ctrl_c_prints_the_escalation_steps(workspace: Workspace) -> None:
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
    for title in ("SIGKILL to group: done", "process gone: done", "its lock free: done"):
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
