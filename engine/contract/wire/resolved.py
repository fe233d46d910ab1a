"""What preparing made of every `auto`: typed values, recorded and compared as such, and made sentences here alone."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict

from engine.contract.wire.monitor import BestBy

DeviceKind = Literal["cpu", "cuda", "mps"]
PrecisionName = Literal["float32", "bfloat16", "float16"]
Storage = Literal["device", "ram", "mapped"]
UNKNOWN = "unknown"
SHOWN = 3  # weights that are named


class Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class StartingWeights(Values):
    """What the model started from."""

    kind: Literal["scratch", "imagenet", "run", "file"]
    id: str | None = None  # the name of the file, or of the run
    digest: str | None = None  # of the file (SHA-256), or of the run's best weights; None: not known, or none
    left: tuple[str, ...] = ()  # did not fit, and began from scratch; of a run only the classifier can be so
    adapted: str = ""  # how what the file holds was made to fit the model; it decides the result, as the digest does
    note: str = ""  # why from scratch, where the recipe would have had others
    loaded: int | None = None  # weights that a file of the user's own had for the model
    unused: int | None = None  # weights in it that the model does not have

    @property
    def description(self) -> str:
        if self.kind == "scratch":
            return "from scratch" + (f" ({self.note})" if self.note else "")
        if self.kind == "imagenet":
            return f"ImageNet weights, {self.id or UNKNOWN}" + (f", {self.adapted}" if self.adapted else "")
        if self.kind == "file":
            return f"weights of the file {self.id or UNKNOWN}{self._describe_fit()}"
        return f"weights of {self.id or UNKNOWN}" + (f", but for {', '.join(self.left)}" if self.left else "")

    def _describe_fit(self) -> str:
        """`, 120 of 122 fit (not fc.weight, fc.bias), 3 of the file are not used`."""
        if self.loaded is None:
            return ""
        named = ", ".join(self.left[:SHOWN]) + (f" and {len(self.left) - SHOWN} more" if len(self.left) > SHOWN else "")
        words = f", {self.loaded} of {self.loaded + len(self.left)} fit" + (f" (not {named})" if named else "")
        words += f", {self.unused} of the file are not used" if self.unused else ""
        return words + (f", {self.adapted}" if self.adapted else "")

    def same_as(self, other: StartingWeights) -> bool:
        """By content where that is known of both, else by name."""
        if self.kind != other.kind or self.adapted != other.adapted:
            return False
        known = self.digest is not None and other.digest is not None
        return self.digest == other.digest if known else self.id == other.id


class Resolved(Values):
    """None: not known, of a run of an older medtui or with a damaged manifest."""

    data: str | None = None  # fingerprint: MD5 of the archive, or the version of generated data: `cells-v1`
    device: DeviceKind | None = None
    device_name: str | None = None  # the GPU's model
    precision: PrecisionName | None = None  # of the forward pass; the weights are float32
    weights: StartingWeights | None = None
    hflip: Annotated[float, Ge(0), Le(1)] | None = None  # probability
    views: tuple[str, ...] | None = None  # that the test scores are averaged over
    best_by: BestBy | None = None  # which epoch is the best; None was by "auc"
    storage: Storage | None = None  # where the training images are
    threads: Annotated[int, Ge(1), Le(2**53)] | None = None
    batch_size: Annotated[int, Ge(2), Le(65_536)] | None = None  # images, of a recipe that has `auto`, else None


def describe_decisions(resolved: Resolved, *, mixed: bool) -> dict[str, str]:
    """What `auto` became, in words, as manifest and `run.started` have them.

    `mixed`: would the recipe have mixed precision?
    """
    found = {
        "device": resolved.device_name or resolved.device or UNKNOWN,
        "amp": describe_precision(resolved, mixed=mixed),
        "weights": resolved.weights.description if resolved.weights else UNKNOWN,
        "cache": resolved.storage or UNKNOWN,
        "hflip": f"{resolved.hflip:g}" if resolved.hflip is not None else UNKNOWN,
        "threads": str(resolved.threads or UNKNOWN),
    }
    return found if resolved.batch_size is None else found | {"batch_size": str(resolved.batch_size)}


def describe_values(resolved: Resolved | None) -> dict[str, str]:
    """Each value by its name, in words; of an unknown one that it is."""
    found = resolved or Resolved()
    values = {name: getattr(found, name) for name in Resolved.model_fields}
    described = {name: _described(value) for name, value in values.items()}
    if resolved is not None and resolved.batch_size is None:
        described["batch_size"] = "as in the recipe"
    return described


def _described(value: object) -> str:
    if isinstance(value, StartingWeights):
        return value.description + (f" ({value.digest[:8]})" if value.digest else "")
    if isinstance(value, tuple):
        return " ".join(value)
    return UNKNOWN if value is None else str(value)


def describe_precision(resolved: Resolved, *, mixed: bool) -> str:
    """`on, bfloat16 (NVIDIA A100)`, `off (recipe)`."""
    if resolved.precision is None:
        return UNKNOWN
    if resolved.precision != "float32":
        where = "this CPU has units for it" if resolved.device == "cpu" else resolved.device_name
        return f"on, {resolved.precision} ({where})"
    return f"off ({why_not_mixed(resolved.device) if mixed else 'recipe'})"


def why_not_mixed(device: str | None) -> str:
    return "this CPU has no bfloat16 units and would be slower" if device == "cpu" else f"not on {device or UNKNOWN}"
