"""YAML read with suspicion: text to plain values and the line of each key.

The text is parsed to events only and built by hand, so no tag can construct an object. Refused: anchors and aliases
(bombs), merge keys, duplicate keys, tags, more than one document, more than 256 KiB. Scalars follow YAML 1.2:
`1e-3` is a number, `010` is ten, `off` is text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from engine.contract.files.folders import File, named_by_user
from engine.contract.wire.errors import RecipeError

SIZE_LIMIT = 256 * 1024  # bytes
DEPTH_LIMIT = 8
FLAT = "A recipe has sections and fields only."

KeyPath = tuple[str, ...]  # () the recipe, (section,), (section, field)

_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# what YAML 1.2 does not allow in a text
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_CONSTANTS = {
    "": None,
    "~": None,
    "null": None,
    "true": True,
    "false": False,
    ".nan": float("nan"),
    ".inf": float("inf"),
    "+.inf": float("inf"),
    "-.inf": float("-inf"),
}


_OTHER_READERS_BOOLEANS = {"y", "n", "yes", "no", "on", "off"}


@dataclass(frozen=True)
class YamlText:
    """What a recipe's text says, before it is checked against the schema."""

    source: str  # file name or description, for messages
    values: dict[str, Any]
    lines: dict[KeyPath, int]  # line of each key, from 1


def read_yaml_file(path: Path | File) -> YamlText:
    """The values of a recipe file; a path is one that the user names, and may be a link. Raises RecipeError."""
    try:
        file = path if isinstance(path, File) else named_by_user(path)
        if file.is_folder:
            raise IsADirectoryError
        if file.size > SIZE_LIMIT:
            raise refused(str(path), f"expected at most 256 KiB, found {file.size:,} bytes", "Is it a recipe?")
        text = file.content(SIZE_LIMIT).decode("utf-8-sig")
    except IsADirectoryError:
        raise refused(str(path), "expected a recipe file, found a directory", "Pass a .yaml file.") from None
    except UnicodeDecodeError as error:
        raise refused(
            str(path), f"expected UTF-8 text, found an invalid byte at {error.start}", "Save as UTF-8."
        ) from None
    except OSError as error:
        raise refused(str(path), f"cannot be read: {error.strerror}", "Check its name and permissions.") from None
    return read_yaml(text, source=str(path))


def read_yaml(text: str, source: str = "recipe") -> YamlText:
    """The values of a recipe's text. Raises RecipeError."""
    if len(text.encode(errors="replace")) > SIZE_LIMIT:
        raise refused(source, "expected at most 256 KiB of text", "Is it a recipe?")
    if control := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, control.start()) + 1
        raise refused(
            source, f"line {line}: control characters are not allowed, found #x{ord(control[0]):04x}", "Remove it."
        )
    reader = _Reader(source, text)
    values = reader.read()
    if values is None:
        raise refused(
            source, "expected a recipe, found an empty file", "`medtui recipe init` creates one to start from."
        )
    if not isinstance(values, dict):
        found = "a list" if isinstance(values, list) else f"only {values!r}"
        raise refused(source, f"expected sections such as `training:`, found {found}", "See `medtui recipe init`.")
    return YamlText(source, values, reader.lines)


class _Reader:
    """Builds plain values from YAML events and remembers the line of every key."""

    def __init__(self, source: str, text: str) -> None:
        self.source = source
        self.text = text
        self.lines: dict[KeyPath, int] = {}

    def read(self) -> Any:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            self.events: Iterator[Any] = yaml.parse(self.text, Loader=loader)
            value = None
            documents = 0
            for event in self.events:
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        raise self._refused(event, "expected one document, found a second", "Remove the `---`.")
                    value = self.value(next(self.events), ())
            return value
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"line {mark.line + 1}: " if mark else ""
            problem = getattr(error, "problem", None) or str(error).splitlines()[0]
            if "nesting depth" in problem:  # the parser has its own limit and may reach it before we do
                raise refused(self.source, f"{where}nested deeper than {DEPTH_LIMIT}", FLAT) from None
            raise refused(self.source, f"{where}not YAML: {shortened(problem)}", "Correct the line.") from None

    def value(self, event: Any, path: KeyPath) -> Any:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self._refused(event, "anchors and aliases (& and *) are not supported", "Write the value out.")
        if getattr(event, "tag", None) and not _plain_tag(event):
            raise self._refused(
                event, f"tags are not supported, found {shortened(event.tag)}", "Write the plain value."
            )
        if isinstance(event, yaml.ScalarEvent):
            return scalar(event.value) if event.implicit[0] else event.value
        if len(path) >= DEPTH_LIMIT:
            raise self._refused(event, f"nested deeper than {DEPTH_LIMIT}", FLAT)
        if isinstance(event, yaml.SequenceStartEvent):
            return list(self.items(path))
        return self.mapping(path)

    def items(self, path: KeyPath) -> Iterator[Any]:
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            yield self.value(event, (*path, "-"))

    def mapping(self, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._refused(event, "expected a name as a key", "Write `name: value`.")
            key = event.value
            if key == "<<" and event.implicit[0]:
                raise self._refused(event, "merge keys (<<) are not supported", "Write the fields out.")
            if key in values:
                raise self._refused(event, f"{'.'.join((*path, shortened(key)))} is given twice", "Remove one of them.")
            self.lines[*path, key] = _line(event)
            values[key] = self.value(next(self.events), (*path, key))
        return values

    def _refused(self, event: Any, found: str, hint: str) -> RecipeError:
        return refused(self.source, f"line {_line(event)}: {found}", hint)


def _line(event: Any) -> int:
    """Counted from 1, as editors do."""
    return int(event.start_mark.line) + 1


def _plain_tag(event: Any) -> bool:
    return isinstance(event, yaml.ScalarEvent) and event.tag == "!" and bool(event.style)


def scalar(text: str) -> Any:
    """The value of an unquoted YAML 1.2 scalar; also how `--set` and flags read theirs."""
    if text.lower() in _CONSTANTS and len(text) <= 5:
        return _CONSTANTS[text.lower()]
    if _INTEGER.fullmatch(text) and len(text) < 40:
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    return text


def shortened(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def refused(source: str, found: str, hint: str) -> RecipeError:
    return RecipeError(f"{source}: {found}.", hint)


def written(value: Any) -> str:
    """A scalar as YAML text that this reader and any other reads as the same value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = repr(value)
        return text.replace("e", ".0e", 1) if "e" in text and "." not in text else text
    if isinstance(value, str) and (
        value.lower() in _OTHER_READERS_BOOLEANS
        or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./-]*", value)
        or scalar(value) != value
    ):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
