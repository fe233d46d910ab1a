"""What jobs ask a scheduler for: the `slurm:` section of the file of a suite or search, and `--slurm FIELD=VALUE`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from engine.contract.recipe.names import alternatives
from engine.contract.recipe.reader import recipe_error
from engine.contract.recipe.yaml_reader import KeyPath, read_yaml
from engine.contract.sentence import Sentence
from engine.contract.wire.errors import Problem
from engine.contract.wire.text import shortened
from medtui.sentences import SlurmFields

SECTION = "slurm"
MOST_MINUTES = 525_600  # a year
Add = Callable[..., None]  # notes a problem: where, its sentence, its fields


@dataclass(frozen=True)
class JobTemplate:
    """Of one job, which does one run."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpus: int = 0
    cpus: int | None = None
    memory: float | None = None  # GB
    minutes: int = 240  # a run that takes longer continues in the next job
    warning: int = 180  # seconds before the time limit at which the job is to save a checkpoint
    at_once: int = 8  # jobs of an array that run at the same time
    modules: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()  # lines of shell, run before the job
    container: str | None = None  # the command that runs another one inside: `apptainer exec --nv IMAGE`

    def values(self) -> dict[str, Any]:
        """What differs from the defaults, as JSON."""
        defaults = asdict(JobTemplate())
        return {name: value for name, value in asdict(self).items() if value != defaults[name]}

    def __str__(self) -> str:
        """As `--slurm` has it, with the defaults that matter most."""
        always = {"minutes": self.minutes, "warning": self.warning}
        given = {name: value for name, value in self.values().items() if name not in ("at_once", *always)}
        return ", ".join(f"{name}={_plain(value)}" for name, value in {**given, **always}.items())

    @property
    def setup_lines(self) -> list[str]:
        return [*(f"module load {name}" for name in self.modules), *self.setup]


def template_from(values: Any, where: KeyPath, add: Add, base: JobTemplate = JobTemplate()) -> JobTemplate:
    """The section's fields over those of `base`; every problem is given to `add`."""
    if not isinstance(values, dict):
        add(where, SlurmFields.NOT_FIELDS, found=shortened(repr(values)))
        return base
    given: dict[str, Any] = {}
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name not in _CHECKS:
            add((*where, str(key)), SlurmFields.UNKNOWN, alternatives=alternatives("field", str(key), list(_CHECKS)))
            continue
        check, expected = _CHECKS[name]
        if value is None or (checked := check(value)) is None:
            add((*where, str(key)), expected, found=shortened(repr(value)))
        else:
            given[name] = checked
    template = replace(base, **given)
    if template.warning >= template.minutes * 60:
        name = "warning" if "warning" in given else "minutes"
        add((*where, name), SlurmFields.WARNING, warning=template.warning, minutes=template.minutes)
    return template


def template_of(values: Mapping[str, Any]) -> JobTemplate:
    """From what a journal has; what is no template there is left out."""
    return template_from(dict(values), (), lambda *_, **__: None)


def with_assignments(template: JobTemplate, assignments: Sequence[str]) -> JobTemplate:
    """`partition=gpu`, as `--slurm` has it. Raises RecipeError."""
    problems: list[Problem] = []
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise recipe_error("--slurm", [Problem.of((), SlurmFields.NO_ASSIGNMENT, found=shortened(assignment))])
        values = read_yaml(f"{name}: {text}", "--slurm").values

        def add(path: KeyPath, sentence: Sentence, **found: Any) -> None:
            problems.append(Problem.of((".".join(path),), sentence, **found))

        template = template_from(values, (), add, template)
    if problems:
        raise recipe_error("--slurm", problems)
    return template


def _plain(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _count(least: int, most: int) -> Callable[[Any], int | None]:
    def check(value: Any) -> int | None:
        return value if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most else None

    return check


def _text(value: Any) -> str | None:
    found = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return found if found.strip() and "\n" not in found else None


def _texts(value: Any) -> tuple[str, ...] | None:
    found = [_text(one) for one in (value if isinstance(value, list | tuple) else [value])]
    return tuple(one for one in found if one is not None) if all(found) else None


def _gigabytes(value: Any) -> float | None:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    return number if number is not None and 0 < number <= 1_000_000 else None


_Check = tuple[Callable[[Any], Any], Sentence]
_CHECKS: dict[str, _Check] = {
    **dict.fromkeys(("partition", "account", "qos", "constraint", "container"), (_text, SlurmFields.TEXT)),
    "gpus": (_count(0, 1024), SlurmFields.GPUS),
    "cpus": (_count(1, 4096), SlurmFields.COUNT),
    "memory": (_gigabytes, SlurmFields.MEMORY),
    "minutes": (_count(1, MOST_MINUTES), SlurmFields.COUNT),
    "warning": (_count(1, 65_535), SlurmFields.SECONDS),
    "at_once": (_count(1, 100_000), SlurmFields.COUNT),
    "modules": (_texts, SlurmFields.TEXTS),
    "setup": (_texts, SlurmFields.TEXTS),
}
