"""What the sections of a recipe are made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


def setting(
    default: Any,
    *,
    title: str,
    help: str,
    unit: str | None = None,
    expected: str | None = None,
    identity: bool = True,
    path: bool = False,
    advanced: bool = False,
    examples: Callable[[], Sequence[str]] | None = None,
) -> Any:
    """A recipe field. `identity`: does a change of it make another run (another hash)?

    `expected` describes the allowed values where the bounds of the type cannot. `path`: of the value only the last part
    belongs to the identity, so that what it names can be moved. `advanced`: rarely used, so that a form folds it away.
    `examples`: values to choose among where the type allows more; asked for when the schema is made.
    """
    extra: JsonDict = {"identity": identity, "unit": unit, "expected": expected}
    extra |= {name: True for name, said in (("path", path), ("advanced", advanced)) if said}

    def extend(schema: JsonDict) -> None:
        schema |= extra
        if examples is not None:
            schema["examples"] = [*examples()]

    return Field(default, title=title, description=help, json_schema_extra=extend)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("control_characters", "control characters")
    return text


Text = Annotated[str, AfterValidator(_printable)]


_BRACKETS = re.compile(r"\s*\[(.*)\]\s*")


def joined(value: Any) -> Any:
    """A list of names as the text that a form shows: `normal, benign`. A text stays, but for `[normal, benign]`: that
    is how a list is written on a command line and in a form."""
    if isinstance(value, str) and (written := _BRACKETS.fullmatch(value)):
        value = [name.strip().strip("'\"") for name in written[1].split(",")]
    if not isinstance(value, list):
        return value
    names = [str(name) if isinstance(name, int | float) and not isinstance(name, bool) else name for name in value]
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise PydanticCustomError("names", "not a list of names")
    if any("," in name for name in names):
        raise PydanticCustomError("names", "a name with a comma")
    return ", ".join(names)


Names = Annotated[Text, BeforeValidator(joined)]


def names_of(text: str | None) -> tuple[str, ...]:
    """The names in a `Names` field."""
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()
