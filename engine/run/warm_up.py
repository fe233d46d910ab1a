"""What the first job of a process would have to wait for, made while nobody waits."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from engine.contract.recipe.schema import fields
from engine.contract.wire.protocol import build_parsers
from engine.run.manifest import versions


def warm_up() -> None:
    """Schemas of recipes, commands and events, and the versions of packages."""
    fields()  # the hash of every recipe takes them
    build_parsers()
    for model in _unfinished(BaseModel):
        model.model_rebuild()
    versions()


def _unfinished(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Ours below this one whose schema waits for the first use."""
    for one in model.__subclasses__():
        if one.__module__.startswith("engine.") and not one.__pydantic_complete__:
            yield one
        yield from _unfinished(one)
