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
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from engine.contract.files.folders import File, named_by_user
from engine.contract.sentences import Yaml
from engine.contract.wire.errors import RecipeError
from engine.contract.wire.text import shortened

SIZE_LIMIT = 256 * 1024  # bytes
DEPTH_LIMIT = 8

KeyPath = tuple[str, ...]  # () the recipe, (section,), (section, field)

_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# What YAML 1.2 does not allow in a text, and its byte order mark. The complement of what it allows would be compiled in
# ten times the time, at every start.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
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
    lines: dict[KeyPath, int]  # line of each key, and of each item of a list by its number from 0; from 1


@dataclass(frozen=True)
class FileKind:
    """What a file is to be, for messages."""

    what: str
    such: str  # a name that it may begin with
    remedy: str


RECIPE = FileKind("a recipe", "training", "`medtui recipe init` creates one to start from.")


def read_yaml_file(path: Path | File, of: FileKind = RECIPE) -> YamlText:
    """The values of a file; a path is one that the user names, and may be a link. Raises RecipeError."""
    try:
        file = path if isinstance(path, File) else named_by_user(path)
        if file.is_folder:
            raise IsADirectoryError
        if file.size > SIZE_LIMIT:
            raise RecipeError(Yaml.TOO_LARGE, where=path, size=file.size)
        text = file.content(SIZE_LIMIT).decode("utf-8-sig")
    except IsADirectoryError:
        raise RecipeError(Yaml.FOLDER, where=path, what=of.what) from None
    except UnicodeDecodeError as error:
        raise RecipeError(Yaml.NOT_UTF8, where=path, position=error.start) from None
    except OSError as error:
        raise RecipeError(Yaml.UNREADABLE, where=path, reason=error.strerror) from None
    return read_yaml(text, str(path), of)


def read_yaml(text: str, source: str = "recipe", of: FileKind = RECIPE) -> YamlText:
    """The values of a text. Raises RecipeError."""
    if len(text.encode(errors="replace")) > SIZE_LIMIT:
        raise RecipeError(Yaml.TEXT_TOO_LARGE, where=source)
    if control := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, control.start()) + 1
        where = f"{source}: line {line}"
        raise RecipeError(Yaml.CONTROL_CHARACTER, where=where, found=ord(control[0]))
    reader = _Reader(source, text)
    values = reader.read()
    if values is None:
        raise RecipeError(Yaml.EMPTY, where=source, what=of.what, remedy=of.remedy)
    if not isinstance(values, dict):
        found = "a list" if isinstance(values, list) else f"only {values!r}"
        raise RecipeError(Yaml.NOT_SECTIONS, where=source, such=of.such, found=found, remedy=of.remedy)
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
                        raise RecipeError(Yaml.SECOND_DOCUMENT, where=self._where(event))
                    value = self.value(next(self.events), ())
            return value
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{self.source}: line {mark.line + 1}" if mark else self.source
            problem = getattr(error, "problem", None) or str(error).splitlines()[0]
            if "nesting depth" in problem:  # the parser has its own limit and may reach it before we do
                raise RecipeError(Yaml.TOO_DEEP, where=where, limit=DEPTH_LIMIT) from None
            raise RecipeError(Yaml.NOT_YAML, where=where, reason=shortened(problem)) from None

    def value(self, event: Any, path: KeyPath) -> Any:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise RecipeError(Yaml.ALIAS, where=self._where(event))
        if getattr(event, "tag", None) and not _plain_tag(event):
            raise RecipeError(Yaml.TAG, where=self._where(event), found=shortened(event.tag))
        if isinstance(event, yaml.ScalarEvent):
            return scalar(event.value) if event.implicit[0] else event.value
        if len(path) >= DEPTH_LIMIT:
            raise RecipeError(Yaml.TOO_DEEP, where=self._where(event), limit=DEPTH_LIMIT)
        if isinstance(event, yaml.SequenceStartEvent):
            return list(self.items(path))
        return self.mapping(path)

    def items(self, path: KeyPath) -> Iterator[Any]:
        for number in count():
            if isinstance(event := next(self.events), yaml.SequenceEndEvent):
                return
            self.lines[*path, str(number)] = _line(event)
            yield self.value(event, (*path, str(number)))

    def mapping(self, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise RecipeError(Yaml.KEY, where=self._where(event))
            key = event.value
            if key == "<<" and event.implicit[0]:
                raise RecipeError(Yaml.MERGE_KEY, where=self._where(event))
            if key in values:
                twice = ".".join((*path, shortened(key)))
                raise RecipeError(Yaml.DUPLICATE_KEY, where=self._where(event), key=twice)
            self.lines[*path, key] = _line(event)
            values[key] = self.value(next(self.events), (*path, key))
        return values

    def _where(self, event: Any) -> str:
        return f"{self.source}: line {_line(event)}"


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
