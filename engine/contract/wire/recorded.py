"""What an untrusted manifest recorded of the decisions: as values, or in the sentences of older versions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from engine.contract.wire.resolved import Resolved, StartingWeights

OF_FILE = "weights of the file "
_GENERATED = re.compile(r"(?:drawn|generated) by medtui \((.*)\)")


def read_resolved(values: Any) -> Resolved:
    """As an untrusted manifest has it: what cannot be read of it is not known. Never raises."""
    found = values if isinstance(values, Mapping) else {}
    kept: dict[str, Any] = {}
    for name in Resolved.model_fields:
        try:
            kept[name] = getattr(Resolved.model_validate({name: found.get(name)}), name)
        except (ValidationError, RecursionError):
            continue
    return Resolved(**kept)


def translated(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """What an attempt recorded that must match, by name: the sentences of medtui 0.1.0 made values, all else as it is.

    Pure; never raises.
    """
    values = dict(recorded)
    device = values.get("device")
    if isinstance(device, str) and "device_name" not in values:
        values["device_name"] = device
        values["device"] = device if device in ("cpu", "mps") else "cuda"
    if isinstance(amp := values.pop("amp", None), str) and "precision" not in values:
        values["precision"] = precision_of(amp)
    if isinstance(threads := values.get("threads"), str) and threads.isascii() and threads.isdecimal():
        values["threads"] = int(threads[:6])
    if isinstance(data := values.get("data"), str):
        values["data"] = fingerprint(None, data)
    source = values.pop("init_from", None)
    if isinstance(weights := values.get("weights"), str):
        start = weights_of(weights, source)
        values["weights"] = start.model_dump() if start else None
    return values


def precision_of(words: str) -> str | None:
    """`on, bfloat16 (NVIDIA A100)`, `off (recipe)`."""
    if words.startswith("off"):
        return "float32"
    found = re.match(r"on, (bfloat16|float16)\b", words)
    return found.group(1) if found else None


def weights_of(words: str, source: object = None) -> StartingWeights | None:
    """The starting weights from a sentence; None where it is none.

    `source`: `NAME DIGEST` of the run that they are of, where recorded.
    """
    if words.startswith("ImageNet weights, "):
        name, _, adapted = words.removeprefix("ImageNet weights, ").partition(", ")
        return StartingWeights(kind="imagenet", id=name[:200], adapted=adapted[:200])
    if words.startswith(OF_FILE):
        return StartingWeights(kind="file", id=words.removeprefix(OF_FILE).partition(", ")[0][:200])
    if words.startswith("weights of "):
        name, _, left = words.removeprefix("weights of ").partition(", but for ")
        digest = source.rpartition(" ")[2] if isinstance(source, str) else None
        return StartingWeights(kind="run", id=name[:500], digest=digest, left=tuple(left.split(", ")) if left else ())
    if words.startswith("from scratch"):
        note = words.removeprefix("from scratch").strip()
        return StartingWeights(kind="scratch", note=note.removeprefix("(").removesuffix(")")[:500])
    return None


def fingerprint(md5: str | None, source: str) -> str:
    """Which edition of the data: the archive's MD5; of generated data, their version."""
    generated = _GENERATED.fullmatch(source)
    return md5 or (generated.group(1) if generated else source)
