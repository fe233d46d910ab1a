"""What is asked of Slurm's own commands, and how their answers are read: by stand-ins that honour their interface."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import InstallationError, OutputError, UsageError
from medtui.cli.cluster import refuse_only_on_cluster
from medtui.cluster.job import SuiteJob, _is_preempted
from medtui.cluster.schedulers import Slurm
from medtui.sentences import Cluster
from medtui.suites.job_template import JobTemplate
from medtui.suites.settling import Queue

Install = Callable[[str, str], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """A stand-in for a command: lines of shell; its arguments are kept in the file that is returned."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def made(name: str, body: str) -> Path:
        calls = tmp_path / f"{name}.calls"
        (tmp_path / name).write_text(f'#!/bin/sh\necho "$*" >> {calls}\n{body}\n')
        (tmp_path / name).chmod(0o755)
        return calls

    return made


def test_the_queue_is_asked_by_the_names_of_submissions(install: Install) -> None:
    lines = "11_0|RUNNING|study-a1\n11_1|PENDING|study-a1\n15|COMPLETING|study-b2\n"
    calls = install("squeue", f"printf '{lines}'")
    states = {"11_0": "RUNNING", "11_1": "PENDING", "15": "COMPLETING"}
    assert Slurm().queue(["study-b2", "study-a1"]) == Queue(states, {"study-a1": "11", "study-b2": "15"})
    assert calls.read_text() == "--noheader --array --format=%i|%T|%j --name=study-a1,study-b2\n"


def test_a_queue_that_does_not_answer_is_not_an_empty_one(install: Install) -> None:
    install("squeue", "exit 1")
    assert Slurm().queue(["study-a1"]) is None
    assert Slurm().queue([]) == Queue({}, {})


def test_jobs_are_cancelled_and_a_refusal_is_passed_on(install: Install) -> None:
    calls = install("scancel", "exit 0")
    Slurm().cancel(["11_1", "11_2"], waiting=True)
    Slurm().cancel(["11_0"], waiting=False)
    assert calls.read_text() == "--quiet --state=PENDING 11_1 11_2\n--quiet 11_0\n"
    install("scancel", "echo 'scancel: error: Access denied.' >&2; exit 1")
    with pytest.raises(OutputError, match=r"did not cancel the jobs: scancel: error: Access denied\. Cancel"):
        Slurm().cancel(["11_0"], waiting=False)


@pytest.mark.parametrize(
    ("body", "expected"), [("echo RUNNING", True), ("echo COMPLETING", False), ("exit 1", False), ("", False)]
)
def test_after_sigterm_a_job_that_still_counts_as_running_is_preempted(
    install: Install, monkeypatch: pytest.MonkeyPatch, body: str, expected: bool
) -> None:
    calls = install("squeue", body)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert not _is_preempted() and not calls.exists()
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert _is_preempted() is expected
    assert calls.read_text() == "--noheader --jobs=17 --format=%T\n"


def test_without_submitit_one_sentence_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(InstallationError) as refused:
        Slurm().check()
    assert str(refused.value) == "Cluster jobs need the extra medtui[slurm]. `pip install 'medtui[slurm]'`."
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("Invalid partition specified", Cluster.NOT_SUBMITTED.code),
        ("Socket timed out on send/recv operation", Cluster.UNCONFIRMED.code),
    ],
)
def test_a_submission_that_sbatch_ends_with_an_error_is_refused_unless_only_its_answer_was_lost(
    install: Install, tmp_path: Path, words: str, code: str
) -> None:
    install("srun", "exit 0")
    install("sbatch", f"echo 'sbatch: error: Batch job submission failed: {words}' >&2; exit 1")
    folder = Workspace(tmp_path).folder.file("jobs")
    with pytest.raises(OutputError, match=words) as failed:
        Slurm().submit("study-a1", [SuiteJob(str(tmp_path), "study", "one")], JobTemplate(), folder)
    assert failed.value.code == code


def test_jobs_are_not_detached_too() -> None:
    with pytest.raises(UsageError, match="--on cannot be combined with --detach"):
        refuse_only_on_cluster("slurm", None, None, detach=True)
