"""What jobs ask a scheduler for: the `slurm` section of a suite's file, `--slurm`, and what submitit is given."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

import pytest

from engine.contract.recipe.yaml_reader import read_yaml
from engine.contract.wire.errors import RecipeError
from medtui.cluster.schedulers import _parameters
from medtui.suites.job_template import JobTemplate, template_of, with_assignments
from medtui.suites.suite_file import suite_from

SUITE = "recipe: quickstart\nseeds: 1-3\n"
EVERY_FIELD = """slurm:
  partition: gpu
  account: lab
  qos: long
  constraint: a100
  gpus: 2
  cpus: 6
  memory: 1.5
  minutes: 90
  warning: 120
  at_once: 4
  modules: [cuda/12.4, python]
  setup: source env.sh
  container: apptainer exec --nv /shared/medtui.sif
"""


def template(section: str) -> JobTemplate:
    return suite_from(read_yaml(SUITE + section, "suite.yaml"), "suite", Path("/nowhere")).template


def test_every_field_of_the_section_reaches_the_job() -> None:
    found = template(EVERY_FIELD)
    assert set(found.values()) == {field.name for field in fields(JobTemplate)}
    given = _parameters("study-1a2b", found)
    assert given == {
        "job_name": "study-1a2b",
        "time": 90,
        "signal_delay_s": 120,
        "array_parallelism": 4,
        "partition": "gpu",
        "account": "lab",
        "qos": "long",
        "constraint": "a100",
        "gpus_per_node": 2,
        "cpus_per_task": 6,
        "mem": "1536M",
        "setup": ["module load cuda/12.4", "module load python", "source env.sh"],
        "srun_args": ["--open-mode=append", "--cpus-per-task=6"],
        "stderr_to_stdout": True,
        "additional_parameters": {"requeue": True},
    }


def test_without_a_section_only_what_the_cluster_decides_is_left_out() -> None:
    assert template("") == JobTemplate()
    assert set(_parameters("x", JobTemplate())) == {
        *("job_name", "time", "signal_delay_s", "array_parallelism", "srun_args", "stderr_to_stdout"),
        "additional_parameters",
    }


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("slurm: gpu", "line 3: slurm must have fields, as `partition: gpu`, found 'gpu'"),
        (
            "slurm:\n  partitoin: gpu",
            "line 4: slurm partitoin is not a field of `slurm`; did you mean partition?",
        ),
        ("slurm:\n  gpus: -1", "line 4: slurm gpus must be a whole number of GPUs for each job, found -1"),
        ("slurm:\n  minutes: 0", "line 4: slurm minutes must be a whole number from 1, found 0"),
        ("slurm:\n  cpus: true", "line 4: slurm cpus must be a whole number from 1, found True"),
        ("slurm:\n  memory: 16GB", "line 4: slurm memory must be a number of GB for each job, found '16GB'"),
        ("slurm:\n  warning: 70000", "line 4: slurm warning must be a whole number of seconds from 1 to 65535"),
        ("slurm:\n  partition:", "line 4: slurm partition must be a line of text, found None"),
        ('slurm:\n  setup: ["a", 2.5]', "line 4: slurm setup must be a line of text or a list of lines"),
        ("slurm:\n  gpus: 1\n  minutes: 3", "line 5: slurm minutes must leave time: 180 s of warning do not fit"),
    ],
)
def test_a_mistake_is_named_with_its_line(section: str, expected: str) -> None:
    with pytest.raises(RecipeError) as refused:
        template(section)
    assert expected in str(refused.value)


def test_assignments_override_the_section_and_are_checked_as_it_is() -> None:
    base = template(EVERY_FIELD)
    changed = with_assignments(base, ["partition=cpu", "gpus=0", "modules=[a, b]", "at-once=2"])
    expected = {"partition": "cpu", "gpus": 0, "modules": ("a", "b"), "at_once": 2}
    assert asdict(changed) == asdict(base) | expected
    for wrong, words in {
        "gpus=x": "gpus must be",
        "gpus": "must be FIELD=VALUE",
        "gpu=1": "did you mean gpus?",
    }.items():
        with pytest.raises(RecipeError, match=words.replace("?", r"\?")):
            with_assignments(base, [wrong])


def test_a_journal_brings_back_what_was_asked_for_and_ignores_damage() -> None:
    found = template(EVERY_FIELD)
    assert template_of(found.values()) == found
    assert template_of({**found.values(), "gpus": "many", "unheard": 1}).gpus == 0
