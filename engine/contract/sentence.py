"""Errors, alarms and problems as data: each kind has a code, fields, and a sentence that is made of them.

Code that finds something says which sentence applies and gives its fields; only a catalogue says how it reads. There
are three, each a module of groups of sentences: `engine/contract/sentences.py` for what both sides can find,
`engine/sentences.py` and `medtui/sentences.py`.
"""

from __future__ import annotations

import re
import shlex
import string
from collections.abc import Mapping

_COMMAND = re.compile(r"(`medtui [^`]*`)")
_WORDS = {"command"}  # fields that are several words of a command, and no text of a user


class Sentence:
    """One kind of error, alarm or problem.

    `message` says what was expected, what was found and where; `hint` what to do next. Both are templates of
    `str.format`. The code, such as `archive.changed`, is the names of the group and of the attribute that it is
    assigned to; it stays the same when the sentence is reworded.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        self.code = ""

    def __set_name__(self, group: type, name: str) -> None:
        self.code = f"{group.__name__}.{name}".lower()

    @property
    def fields(self) -> frozenset[str]:
        """The names that both templates use."""
        parsed = [*string.Formatter().parse(self.message), *string.Formatter().parse(self.hint)]
        return frozenset(name.partition(".")[0].partition("[")[0] for _, name, _, _ in parsed if name)

    def text(self, **fields: object) -> tuple[str, str]:
        """Message and hint with these fields. Raises KeyError for one that is missing.

        What a user wrote is quoted where it is part of a command, so that the command can be pasted into a shell. A
        message ends with its last field where that is a question: `did you mean lr?`
        """
        message = _filled(self.message, fields)
        return message.removesuffix(".") if message.endswith("?.") else message, _filled(self.hint, fields)


def _filled(template: str, fields: Mapping[str, object]) -> str:
    parts = _COMMAND.split(template)
    if len(parts) == 1:
        return template.format_map(fields)
    quoted = {name: value if name in _WORDS else shlex.quote(str(value)) for name, value in fields.items()}
    return "".join(part.format_map(quoted if part.startswith("`medtui ") else fields) for part in parts)
