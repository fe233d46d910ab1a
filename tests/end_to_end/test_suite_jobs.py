"""One run of a suite as a scheduler's job: what its engine locks and reports, and that a warning requeues it."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from driving import PATIENCE, medtui, tiny

from engine.contract.files.folders import Folder
from engine.contract.recipe.reader import build_recipe
from engine.contract.store.lock import LockState, WorkspaceLock
from engine.contract.store.run_directory import list_runs
from engine.contract.store.slots import ItemLock
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import WorkspaceLocked
from engine.contract.wire.jobs import SuiteItem
from medtui.client.run_summary import summary
from medtui.cluster.job import MOST_IDLE, SuiteJob
from medtui.cluster.schedulers import Local
from medtui.cluster.submit import begin, submit, work_on_cluster
from medtui.plain.headless import JsonLines
from medtui.plain.suite_job import do_item, refuse_living
from medtui.suites.job_record import read_record
from medtui.suites.job_template import JobTemplate
from medtui.suites.plan import planned
from medtui.suites.store import Store

RECIPE = build_recipe(tiny(training={"epochs": 1, "batch_size": 32}, runtime={"threads": None}))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "README.md").touch()
    made = Store(Workspace(tmp_path), "study")
    items = [item.values() for item in planned("study", [RECIPE]).items]
    claim = {"event": "submitting", "ids": [], "name": "n", "scheduler": "slurm", "template": {"cpus": 1}}
    made.make_for_jobs().write({"event": "planned", "items": items}, claim)
    return made


def only(store: Store) -> str:
    return next(iter(store.journal().work.items))


def wait_until(true: Callable[[], Any], why: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline, why
        time.sleep(0.02)
    return found


def test_an_engine_of_a_job_owns_its_run_and_leaves_the_workspace_to_others(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    item, workspace = only(store), store.workspace
    other = WorkspaceLock(workspace.lock_file, "another")
    other.acquire()  # as of a run on another node
    lock = ItemLock(workspace.folder, SuiteItem(suite=store.name, item=item))
    lock.acquire()
    assert do_item(store, item, None, JsonLines(), []) == WorkspaceLocked.exit_code
    assert "This run of suite study is already being trained by engine" in capsys.readouterr().out
    assert list_runs(workspace.outputs) == []
    lock.release()

    assert do_item(store, item, "/shared/4711_0_0_log.out", JsonLines(), ["medtui"]) == 0
    (run,) = list_runs(workspace.outputs)
    manifest = json.loads(run.manifest.content())
    assert manifest["suite"] == {"owner": "suite study", "item": item} and manifest["threads"] == 1
    assert summary(run)["job_logs"] == ["/shared/4711_0_0_log.out"]
    assert LockState.read(workspace.lock_file).is_of("another")
    other.release()
    assert do_item(store, item, None, JsonLines(), []) == 0  # nothing runs twice
    assert len(list_runs(workspace.outputs)) == 1
    shown = medtui("show", run.name, cwd=workspace.root)
    assert "job's output  /shared/4711_0_0_log.out" in shown.stdout


def test_a_run_whose_engine_beats_on_a_lost_node_is_not_started_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.contract.store.run_directory import RunDirectory, make_parts

    run = RunDirectory(store.workspace.outputs / "20261126_cells")
    run.root.mkdir()
    make_parts(run)
    beats = iter(range(1, 1000))

    def beat(_: float = 0) -> None:
        hello = {"engine": "e1", "pid": 1, "started": 1.0, "host": "node7", "boot": "b"}
        run.status.write(json.dumps({**hello, "phase": "training", "updated": float(next(beats)), "seq": 1, "v": 1}))

    beat()
    monkeypatch.setattr("medtui.plain.suite_job.time.sleep", beat)
    with pytest.raises(WorkspaceLocked, match="is already being trained, on node7"):
        refuse_living(run)


STUB = """\
import signal, sys, time
from pathlib import Path
calls = Path(sys.argv[0] + ".calls")
with calls.open("a") as file:
    print(*sys.argv[1:], file=file)
signal.signal(signal.SIGUSR2, lambda *_: sys.exit(7))
print("the output of the run", flush=True)
if len(calls.read_text().splitlines()) == 1:
    time.sleep(600)
"""


@pytest.fixture
def stub(tmp_path: Path) -> Path:
    """In place of a container with medtui: the first call waits for a warning, the next is done."""
    path = tmp_path / "stub.py"
    path.write_text(STUB)
    return path


def test_a_warned_job_is_requeued_and_continues_in_the_next_one(store: Store, stub: Path) -> None:
    journal, item = store.journal(), only(store)
    begin(store, None, journal)
    template = JobTemplate(container=f"{sys.executable} {stub}", minutes=60)
    ((job, log),) = submit(store, journal, Local(), template).submitted.values()
    calls = stub.with_name("stub.py.calls")
    wait_until(calls.is_file, "the run did not begin")
    assert [one.state for one in work_on_cluster(store).items.values()] == ["submitted"]
    controller = psutil.Process(int(job))
    (process,) = controller.children()
    wait_until(lambda: process.children(), "the run's process is not there")
    process.send_signal(signal.SIGUSR2)
    record = wait_until(
        lambda: found if (found := read_record(store.job_record(item))) and found.phase == "ended" else None,
        "the job did not end",
    )
    assert (record.job, record.code) == (job, 0)
    command = f"medtui suite job study {item} --workspace {store.workspace.root} --log {log}"
    assert calls.read_text().splitlines() == [command, command]
    assert Path(log).read_text().count("the output of the run") == 2
    wait_until(lambda: job not in Local().queue([]).states, "the job did not leave")  # type: ignore[union-attr]


def test_a_run_that_saves_nothing_before_its_time_limit_is_not_requeued_forever(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("submitit")
    job = SuiteJob(str(store.workspace.root), store.name, only(store))
    for _ in range(MOST_IDLE - 1):
        job = job.checkpoint().function
    with pytest.raises(SystemExit, match="3 jobs in a row saved no checkpoint"):
        job.checkpoint()
    record = read_record(store.job_record(only(store)))
    assert record is not None and (record.phase, record.code) == ("ended", 1)


def test_two_engines_of_a_suite_lock_two_runs_and_never_one(store: Store) -> None:
    folder = Folder(store.workspace.outputs)
    first, second = (SuiteItem(suite=store.name, item=item) for item in ("a1", "b2"))
    lock = ItemLock(folder, first)
    lock.acquire()
    with pytest.raises(WorkspaceLocked, match="already being trained by engine"):
        ItemLock(folder, first).acquire(patience=0)
    ItemLock(folder, second).acquire(patience=0)
    Store(store.workspace, store.name, is_search=True).make_for_jobs()
    ItemLock(folder, SuiteItem(suite=store.name, item="a1", search=True)).acquire(patience=0)  # a search of that name
    lock.release()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("suite run short.yaml --slurm gpus=1", "--slurm is for jobs of a scheduler."),
        ("suite run short.yaml --on slurm --slots 2", "--slots is for runs on this machine."),
        ("search short.yaml --slurm gpus=1", "--slurm is for jobs of a scheduler."),
        ("search resume --on slurm --slots 2", "--slots is for runs on this machine."),
        ("suite run short.yaml --on slurn", "There is no scheduler 'slurn'; did you mean slurm?"),
        ("run quickstart --slots 2", "--slots needs --seeds: one run takes one slot."),
        ("run quickstart --on slurm --resume last", "--on cannot be combined with --resume."),
        (
            "run quickstart --on slurm --slurm minute=3",
            "--slurm: minute is not a field of `slurm`",
        ),
        ("run quickstart --on slurm --seeds 1-3", "There is no Slurm here: sbatch and srun cannot be found."),
    ],
)
def test_what_cannot_be_submitted_is_refused_and_nothing_is_begun(
    tmp_path: Path, arguments: str, expected: str
) -> None:
    (tmp_path / "README.md").touch()
    (tmp_path / "short.yaml").write_text("recipe: quickstart\nseeds: 1-3\n")
    refused = medtui(*arguments.split(), cwd=tmp_path, environment={"PATH": "/nowhere"})
    assert refused.returncode == 2 and expected in refused.stderr, refused.stdout + refused.stderr
    assert not any((tmp_path / "outputs" / "suites").glob("*/journal.jsonl"))


def test_a_dry_run_says_what_would_be_submitted(tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    (tmp_path / "short.yaml").write_text("recipe: quickstart\nseeds: 1-3\nslurm: {at_once: 2}\n")
    shown = medtui("suite", "run", "short.yaml", "--on", "slurm", "--dry-run", cwd=tmp_path)
    assert shown.returncode == 0 and "Suite short: 3 runs, 2 at once" in shown.stdout
    assert not (tmp_path / "outputs").exists()
