"""A suite, or a search, as jobs: of submitit's local executor, and of a real Slurm on 127.0.0.1."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import pytest
from driving import MEDTUI, medtui, tiny, yaml_of
from slurm_daemons import DoesNotStart, Slurm, missing

from engine.contract.store.journal import read_journal
from engine.contract.store.run_directory import RunDirectory, attempts_of, list_runs
from engine.contract.store.workspace import Workspace
from engine.contract.wire.protocol import EpochFinished
from medtui.cluster.submit import work_on_cluster
from medtui.suites.job_record import read_record
from medtui.suites.store import Store, runs_of

pytestmark = pytest.mark.slow
EPOCHS = 20  # of a tenth of a second: time enough to signal a job that has begun to train
PATIENCE = 240.0  # seconds; each job starts from nothing


def make(place: Path, suite: str, **training: Any) -> Path:
    place.mkdir(exist_ok=True)
    (place / "README.md").touch()
    training = {"epochs": EPOCHS, "batch_size": 8, "patience": None, **training}
    recipe = tiny(training=training, evaluation={"test": False})  # whose figures would take longer than the training
    (place / "short.yaml").write_text(yaml_of(recipe))
    (place / "study.yaml").write_text(suite)
    return place


def wait_until(true: Callable[[], Any], why: Callable[[], str]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline, why()
        time.sleep(0.1)
    return found


def results(place: Path) -> dict[str, tuple[str, str]]:
    """By seed: the digests of the weights and of the history of its only run."""
    found = {}
    for run in list_runs(place / "outputs"):
        seed = json.loads(run.manifest.content())["seed"]
        history = (run.metrics / "history.csv").content()
        assert seed not in found, "a run was started twice"
        found[seed] = (sha256(run.best.content()).hexdigest(), sha256(history).hexdigest())
    return found


def undisturbed(place: Path) -> dict[str, tuple[str, str]]:
    done = medtui("suite", "run", "study.yaml", cwd=place)
    assert done.returncode == 0, done.stdout + done.stderr
    return results(place)


def attempts(run: RunDirectory) -> int:
    return len(attempts_of(json.loads(run.manifest.content())))


def training(store: Store, item: str) -> RunDirectory | None:
    """The run of this item, once it has an epoch in its journal."""
    run = runs_of(store).get(item)
    if run is None or not run.journal.is_regular:
        return None
    return run if any(isinstance(event, EpochFinished) for event in read_journal(run.journal)) else None


def states(store: Store) -> list[str]:
    return sorted(item.state for item in work_on_cluster(store).items.values())


def job_logs(store: Store) -> str:
    logs = [store.jobs_folder / name for name in store.jobs_folder.names() if name.endswith(".out")]
    return "\n".join(f"{log}: {log.read_end(3000).decode(errors='replace')}" for log in logs)


def test_a_local_job_that_is_warned_ends_as_an_undisturbed_run(tmp_path: Path) -> None:
    suite = "recipe: short.yaml\nseeds: 1\nslurm: {minutes: 30, cpus: 1}\n"
    quiet, place = (make(tmp_path / name, suite) for name in ("quiet", "jobs"))
    expected = undisturbed(quiet)
    store = Store(Workspace(place), "study")
    with (tmp_path / "log.txt").open("wb") as log:
        command = [*MEDTUI, "suite", "run", "study.yaml", "--on", "local"]
        begun = subprocess.run(command, cwd=place, stdout=log, stderr=log, check=False)
    assert begun.returncode == 0, (tmp_path / "log.txt").read_text()
    (item,) = store.journal().work.items.values()
    run = wait_until(lambda: training(store, item.id), lambda: job_logs(store))
    (task,) = psutil.Process(int(item.job or 0)).children()
    task.send_signal(signal.SIGUSR2)
    refused = medtui("suite", "run", "study.yaml", cwd=place)
    assert refused.returncode == 3 and "suite study has 1 run on local" in refused.stderr
    by_hand = medtui("run", "--resume", run.name, cwd=place)
    assert by_hand.returncode == 3 and "suite study has 1 run on local" in by_hand.stderr
    wait_until(lambda: states(store) == ["completed"], lambda: job_logs(store))
    assert results(place) == expected and attempts(run) == 2


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    if (reason := missing()) is not None:
        pytest.skip(reason)
    try:
        daemons = Slurm(tmp_path_factory.mktemp("slurm"))
    except DoesNotStart as why:
        pytest.skip(f"Slurm is installed and does not run here: {why}")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in daemons.environment.items():
            patch.setenv(name, value)
        yield daemons
    daemons.close()


def test_jobs_of_slurm_that_are_warned_and_preempted_end_as_undisturbed_runs(slurm: Slurm, tmp_path: Path) -> None:
    suite = "recipe: short.yaml\nseeds: 1-3\nslurm: {partition: low, minutes: 30, cpus: 1, at_once: 2}\n"
    expected = undisturbed(make(tmp_path / "quiet", suite.replace("1-3", "1-2")))
    place = make(tmp_path / "jobs", suite)
    store = Store(Workspace(place), "study")
    submitted = medtui("suite", "run", "study.yaml", "--on", "slurm", cwd=place)
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    items = list(store.journal().work.items.values())
    array = (items[0].job or "").partition("_")[0]
    assert [item.job for item in items] == [f"{array}_{number}" for number in range(3)]
    assert f"Submitted to slurm: jobs {array}_0 to {array}_2." in submitted.stdout
    again = medtui("suite", "run", "study.yaml", "--on", "slurm", cwd=place)
    assert again.returncode == 0 and "Nothing to submit: 3 runs: 3 submitted." in again.stdout

    def why() -> str:
        return f"{slurm.jobs()}\n{job_logs(store)}\n{slurm.logs()}"

    begun = wait_until(lambda: [item for item in items[:2] if training(store, item.id)], why)[0]
    wait_until(lambda: list(slurm.jobs().values()).count("RUNNING") == 2, why)  # the cap
    slurm.run("scancel", "--signal=USR2", str(begun.job))  # what Slurm sends before a time limit
    (other,) = (item for item in items[:2] if item is not begun)
    wait_until(lambda: training(store, other.id), why)
    slurm.run("sbatch", "--partition=high", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")  # takes the node
    start = time.monotonic()
    while states(store) != ["completed"] * 3:
        assert time.monotonic() < start + PATIENCE, why()
        slurm.run("scontrol", "update", f"JobId={array}", "StartTime=now", check=False)  # else it waits two minutes
        time.sleep(0.5)
    assert {seed: found for seed, found in results(place).items() if seed in expected} == expected
    runs = runs_of(store)
    assert attempts(runs[begun.id]) >= 2 and attempts(runs[other.id]) >= 2
    done = medtui("suite", "run", "study.yaml", "--on", "slurm", cwd=place)
    assert done.returncode == 0 and "Nothing to submit: 3 runs: 3 completed." in done.stdout
    table = medtui("suite", "table", cwd=place)
    assert table.returncode == 0 and "3/3" in table.stdout


def test_stop_from_the_login_side_and_logs_that_are_found_from_the_run(slurm: Slurm, tmp_path: Path) -> None:
    suite = "recipe: short.yaml\nseeds: 1-3\nslurm: {partition: low, minutes: 30, cpus: 1, at_once: 1}\n"
    place = make(tmp_path / "jobs", suite, epochs=5000)
    store = Store(Workspace(place), "study")
    assert medtui("suite", "run", "study.yaml", "--on", "slurm", cwd=place).returncode == 0
    item = next(iter(store.journal().work.items.values()))
    run = wait_until(lambda: training(store, item.id), lambda: f"{job_logs(store)}\n{slurm.logs()}")

    def status() -> dict[str, Any]:
        return dict(json.loads(medtui("suite", "status", "--json", cwd=place).stdout))

    # Its status file is written once a second: after its first epoch it may still say what it did before
    wait_until(lambda: status()["runs"][0]["shown"] == "training", lambda: str(status()))
    assert status()["scheduler"] == "slurm"
    stopped = medtui("suite", "stop", cwd=place)
    assert stopped.returncode == 0, stopped.stderr
    assert "1 run asked to stop after the batch." in stopped.stdout and "2 runs cancelled" in stopped.stdout
    wait_until(lambda: states(store) == ["pending", "pending", "stopped"], lambda: job_logs(store))
    wait_until(lambda: not slurm.jobs(), lambda: str(slurm.jobs()))
    shown = json.loads(medtui("show", run.name, "--json", cwd=place).stdout)
    (log,) = shown["job_logs"]
    assert Path(log).parent == store.jobs_folder.path and "stopped" in Path(log).read_text()


@pytest.mark.exhaustive  # in `make test-all`: one that is preempted, above, and is told so by the same signal
def test_a_job_that_is_cancelled_saves_a_checkpoint_and_may_be_submitted_again(slurm: Slurm, tmp_path: Path) -> None:
    suite = "recipe: short.yaml\nseeds: 1\nslurm: {partition: low, minutes: 30, cpus: 1}\n"
    place = make(tmp_path / "jobs", suite)
    store = Store(Workspace(place), "study")

    def why() -> str:
        return f"{job_logs(store)}\n{slurm.logs()}"

    assert medtui("suite", "run", "study.yaml", "--on", "slurm", cwd=place).returncode == 0
    (item,) = store.journal().work.items.values()
    run = wait_until(lambda: training(store, item.id), why)
    slurm.run("scancel", str(item.job))
    wait_until(lambda: states(store) == ["pending"], why)
    record = read_record(store.job_record(item.id))
    assert record is not None and record.phase == "terminated" and run.last.is_regular
    again = medtui("suite", "resume", "--on", "slurm", cwd=place)
    assert again.returncode == 0 and "Submitted to slurm: job " in again.stdout
    wait_until(lambda: states(store) == ["completed"], why)
    assert attempts(run) == 2 and len(results(place)) == 1


# As `medtui`, but that it asks squeue each second
COORDINATOR = "from medtui.cluster.schedulers import Slurm; Slurm.poll = 1.0; from medtui.cli import main; main()"


def test_a_search_whose_coordinator_is_killed_submits_nothing_twice_and_is_stopped_and_done(
    slurm: Slurm, tmp_path: Path
) -> None:
    pytest.importorskip("optuna")
    place = make(tmp_path / "jobs", "", epochs=3)
    search = "recipe: short.yaml\nspace: {training.lr: {from: 0.0001, to: 0.1, log: true}}\nbudget: {runs: 3}\n"
    (place / "lr.yaml").write_text(f"{search}slurm: {{partition: low, minutes: 30, cpus: 1, at_once: 2}}\n")
    store = Store(Workspace(place), "lr", is_search=True)

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        with (place / "log.txt").open("ab") as log:
            command = [sys.executable, "-P", "-c", COORDINATOR, "search", *arguments, "--on", "slurm"]
            return subprocess.Popen(command, cwd=place, stdout=log, stderr=log)

    def why() -> str:
        return f"{(place / 'log.txt').read_text()}\n{job_logs(store)}\n{slurm.jobs()}\n{slurm.logs()}"

    def submitted() -> list[str]:
        items = store.journal().work.items.values() if store.journal_file.is_regular else ()
        return [item.job for item in items if item.job is not None]

    slurm.run("scontrol", "update", "PartitionName=low", "State=DOWN")  # jobs wait
    try:
        first = start("lr.yaml")
        jobs = wait_until(lambda: found if len(found := submitted()) == 2 else None, why)
        first.kill()
        first.wait()
        second = start("resume")
        wait_until(store.coordinator, why)
        stopped = medtui("search", "stop", cwd=place)
        assert stopped.returncode == 0 and f"search lr (coordinator {second.pid} on " in stopped.stdout, stopped.stderr
        assert second.wait(PATIENCE) == 6, why()
        assert slurm.jobs() == {} and len(jobs) == 2 and states(store) == ["pending"] * 2, why()
        assert [event for event in events_of(store) if event == "submitting"] == ["submitting"], why()
    finally:
        slurm.run("scontrol", "update", "PartitionName=low", "State=UP")
    third = start("resume")
    assert third.wait(PATIENCE) == 0, why()
    assert states(store) == ["completed"] * 3 and len(list_runs(place / "outputs")) == 3, why()
    table = json.loads(medtui("search", "table", "--json", cwd=place).stdout)
    assert [row["state"] for row in table] == ["completed"] * 3 and table[0]["mean"] >= table[2]["mean"]


def events_of(store: Store) -> list[str]:
    return [json.loads(line)["event"] for line in store.journal_file.content().splitlines()]
