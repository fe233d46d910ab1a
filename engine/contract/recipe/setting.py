"""What the sections of a recipe are made of."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


def setting(
    default: Any, *, title: str, help: str, unit: str | None = None, expected: str | None = None, identity: bool = True
) -> Any:
    """A recipe field. `identity`: does a change of it make another run (another hash)?

    `expected` describes the allowed values where the bounds of the type cannot.
    """
    extra: JsonDict = {"identity": identity, "unit": unit, "expected": expected}
    return Field(default, title=title, description=help, json_schema_extra=extra)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("control_characters", "control characters")
    return text


Text = Annotated[str, AfterValidator(_printable)]
