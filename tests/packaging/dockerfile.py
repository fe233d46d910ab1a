"""A Dockerfile as instructions and stages, read from its text."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    name: str  # upper case
    rest: str

    @property
    def exec_form(self) -> list[str] | None:
        """The words of `["a", "b"]`; None for the shell form."""
        return json.loads(self.rest) if self.rest.startswith("[") else None


@dataclass(frozen=True)
class Stage:
    base: str
    name: str | None
    instructions: tuple[Instruction, ...]

    def all(self, name: str) -> list[Instruction]:
        return [instruction for instruction in self.instructions if instruction.name == name]

    def one(self, name: str) -> Instruction:
        (only,) = self.all(name)
        return only

    def copied(self) -> list[tuple[str, str]]:
        """What comes from the build context, each with where it goes."""
        pairs = []
        for instruction in self.all("COPY"):
            words = instruction.rest.split()
            if not words[0].startswith("--from="):
                pairs += [(source, words[-1]) for source in words[:-1]]
        return pairs

    def environment(self, arguments: dict[str, str] | None = None) -> dict[str, str]:
        """The variables of ENV; `${NAME}` stands for a build argument, here or with its default."""
        defaults = dict(word.partition("=")[::2] for arg in self.all("ARG") for word in shlex.split(arg.rest))
        given = {**defaults, **(arguments or {})}
        values = {}
        for instruction in self.all("ENV"):
            for word in shlex.split(instruction.rest):
                name, _, value = word.partition("=")
                values[name] = re.sub(r"\$\{(\w+)\}", lambda match: given[match[1]], value)
        return values

    def open_folders(self) -> list[str]:
        """The folders that the stage makes writable for every user."""
        return [
            folder
            for instruction in self.all("RUN")
            for made in re.findall(r"install -d -m 1777 ([^&;]+)", instruction.rest)
            for folder in made.split()
        ]


@dataclass(frozen=True)
class Dockerfile:
    stages: tuple[Stage, ...]

    @property
    def final(self) -> Stage:
        return self.stages[-1]

    def stage(self, name: str) -> Stage:
        (only,) = [stage for stage in self.stages if stage.name == name]
        return only

    @property
    def instructions(self) -> list[Instruction]:
        return [instruction for stage in self.stages for instruction in stage.instructions]


def read_dockerfile(path: Path) -> Dockerfile:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    stages: list[Stage] = []
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        name, _, rest = line.strip().partition(" ")
        instruction = Instruction(name.upper(), " ".join(rest.split()))
        if instruction.name == "FROM":
            base, _, stage = instruction.rest.partition(" AS ")
            stages.append(Stage(base, stage or None, ()))
        else:
            last = stages[-1]
            stages[-1] = Stage(last.base, last.name, (*last.instructions, instruction))
    return Dockerfile(tuple(stages))
