"""One thing that stands out: which sentence of the catalogue, and the evidence it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from engine.contract.sentence import Sentence


class Names(tuple[str, ...]):
    """Class names; a sentence has them in a row. A name may hold a comma."""

    def __format__(self, _: str) -> str:
        return "; ".join(self)


@dataclass(frozen=True)
class Finding:
    code: str  # `findings.overfitting`; it stays when the sentence is reworded
    message: str  # what stands out
    hint: str  # what to try
    evidence: Mapping[str, Any] = field(hash=False)  # the sentence's fields, as JSON values

    @classmethod
    def of(cls, sentence: Sentence, **evidence: Any) -> Self:
        return cls(sentence.code, *sentence.text(**evidence), evidence)

    @property
    def name(self) -> str:
        """A word or two, where there is no room for more."""
        return self.message.partition(":")[0]

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def values(self) -> dict[str, Any]:
        """As `show --json` prints it."""
        return {"code": self.code, "message": self.message, "hint": self.hint, "evidence": dict(self.evidence)}
