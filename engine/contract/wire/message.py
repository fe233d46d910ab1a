"""What every line of the protocol is built on."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field

SafeInt = Annotated[int, Ge(-(2**53)), Le(2**53)]  # what JSON's readers carry exactly, and a float can hold


class Message(BaseModel):
    # Built at first use: the console's first picture needs none. Since pydantic 2.14 that is under a lock
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings", defer_build=True)

    def line(self) -> bytes:
        """One line of the protocol, newline included."""
        return self.model_dump_json().encode() + b"\n"


class Command(Message):
    id: str = Field(max_length=200)
    by: str = Field("unknown", max_length=200)  # information, not authority
    engine: str | None = None  # the engine that is meant; required in control.jsonl
