"""The recipe: everything that decides what a run does, one frozen pydantic model.

Its fields are in `sections`. Reading from YAML is `reader`'s job, describing the fields to people and forms is
`schema`'s.
"""

from __future__ import annotations

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from engine.contract.recipe.conflicts import conflicts
from engine.contract.recipe.sections import Sections


class Recipe(Sections):
    """What a run does. Frozen: a decision taken later (AMP off, scratch weights) is recorded elsewhere."""

    @model_validator(mode="after")
    def _fields_agree(self) -> Recipe:
        if found := conflicts(self):
            raise PydanticCustomError("conflicts", "the fields do not agree", {"problems": found, "recipe": self})
        return self
