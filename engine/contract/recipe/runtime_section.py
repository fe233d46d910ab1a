"""The runtime section of a recipe, field by field."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from engine.contract.recipe.setting import Section, joined, setting

TRACKERS = ("tensorboard", "mlflow", "wandb", "trackio")
_ONE = f"({'|'.join(TRACKERS)})"


class RuntimeSection(Section):
    reproducible: bool = setting(
        False,
        title="Reproducible",
        help="Strict mode: deterministic kernels, fixed thread count; the same weights bit for bit.",
    )
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:[0-9]{1,2})?)$")] = setting(
        "auto",
        title="Device",
        help="Where to train; `auto` uses the first GPU, else the CPU.",
        expected="auto, cpu, cuda or cuda:N",
        examples=lambda: ["auto", "cpu", "cuda"],
    )
    threads: Annotated[int, Field(ge=1, le=1024)] | None = setting(
        None,
        title="Threads",
        help="CPU threads for torch, in each process; null divides one per core among the processes.",
        identity=False,
        advanced=True,
    )
    processes: Annotated[int, Field(ge=1, le=64)] = setting(
        1,
        title="Processes",
        help=(
            "Processes that train the run together on one machine, each on its part of every batch, and on CUDA each "
            "on its own GPU; batch normalisation then sees only the parts."
        ),
        unit="processes",
        advanced=True,
    )
    max_minutes: Annotated[float, Field(gt=0.0, le=10_000_000.0)] | None = setting(
        None,
        title="Time budget",
        help="Stop after this time, like the stop command; null is unlimited.",
        unit="minutes",
        identity=False,
    )
    checkpoint_minutes: Annotated[float, Field(gt=0.0, le=10_000_000.0)] | None = setting(
        10.0,
        title="Checkpoint every",
        help="Also save a checkpoint within long epochs, this long after the last one; null saves only at epoch ends.",
        unit="minutes",
        identity=False,
        advanced=True,
    )
    on_disconnect: Literal["auto", "continue", "stop"] = setting(
        "auto",
        title="On disconnect",
        help="What a run does when its client disconnects; `auto` continues console runs and stops headless ones.",
        identity=False,
        advanced=True,
    )
    allow_process_kill: bool = setting(
        True,
        title="End orphaned engines",
        help="Let headless runs end orphaned engines of this workspace; never on a cluster.",
        identity=False,
        advanced=True,
    )
    track: Annotated[str, Field(pattern=f"^{_ONE}(, ?{_ONE})*$"), BeforeValidator(joined)] | None = setting(
        None,
        title="Trackers",
        help="Experiment trackers to write this run to, such as [tensorboard], each by its own process; null is none.",
        expected=f"a list of {', '.join(TRACKERS)}, or null",
        identity=False,
        advanced=True,
        examples=lambda: TRACKERS,
    )
