"""Run directories as an engine leaves them, made in a millisecond: for lists of many runs."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from engine.contract.machine.process_identity import boot_id
from engine.contract.store.run_directory import FOLDERS, RunDirectory
from engine.contract.store.status import RunSummary, Status, fold_summary
from engine.contract.wire.protocol import EvaluationFinished, Hello, Metrics, RunFinished, RunStarted
from engine.contract.wire.resolved import Resolved, StartingWeights

NOBODY = (999_999_999, 5.0)  # pid and start of an engine that does not live
RESOLVED = Resolved(
    data="d" * 32,
    device="cpu",
    precision="float32",
    weights=StartingWeights(kind="scratch"),
    hflip=0.5,
    views=("identity",),
    threads=2,
)


def ended_run(
    outputs: Path,
    name: str,
    outcome: str | None = "completed",
    *,
    auc: float = 0.9,
    seed: int = 1,
    started: str = "2026-11-21T20:26:40.000+00:00",
    engine: tuple[int, float] = NOBODY,
    settings: dict[str, str] | None = None,
) -> RunDirectory:
    """`outcome` None: its engine has not reported an end. `settings`: of its recipe, as the manifest has them."""
    run = RunDirectory(outputs / name)
    for folder in FOLDERS:
        (run.root / folder).mkdir(parents=True, exist_ok=True)
    events = _events(run, outcome, auc, engine)
    run.journal.path.write_bytes(b"".join(event.line() for event in events))
    summary = RunSummary()
    for event in events:
        summary = fold_summary(summary, event)
    pid, start = engine
    identity = {"engine": "e" * 16, "host": socket.gethostname(), "boot": boot_id(), "pid": pid, "started": start}
    values = summary.model_dump() | identity | {"worked": 60.0, "updated": 1e9, "phase": "finished", "seq": len(events)}
    run.status.path.write_text(Status(**values).model_dump_json())
    recorded = {"training.seed": str(seed), "training.lr": "0.008", **(settings or {})}
    attempt = {"attempt": 1, "started": started, "order": started, "must_match": recorded}
    run.manifest.path.write_text(json.dumps({"run": name, "started": started, "attempts": [attempt]}))
    run.recipe.path.write_text("dataset: {name: breastmnist}\n")
    return run


def _events(run: RunDirectory, outcome: str | None, auc: float, engine: tuple[int, float]) -> list[Any]:
    pid, start = engine
    hello = Hello(
        seq=1, time=1e9, engine="e" * 16, pid=pid, started=start, host=socket.gethostname(), boot=boot_id(), versions={}
    )
    begun = RunStarted(
        seq=2,
        time=1e9,
        attempt=1,
        resumed_from=None,
        run=run.name,
        run_dir=str(run.root),
        recipe_hash="1a2b3c" + "0" * 26,
        resolved_hash="f" * 32,
        resolved=RESOLVED,
        dataset="breastmnist",
        size=28,
        task="binary",
        synthetic=False,
        class_names=["benign", "malignant"],
        model="resnet18_adapted",
        parameters=11_169_218,
        epochs=8,
        steps_per_epoch=4,
        batch_size=128,
        images={"train": 546, "val": 78, "test": 156},
        patience=15,
        device="cpu",
        decisions={"weights": "from scratch"},
    )
    if outcome is None:
        return [hello, begun]
    metrics = Metrics(auc=auc, acc=0.8654, f1=0.82, auc_ci95=(0.835, 0.968), acc_ci95=(0.803, 0.910))
    tested = EvaluationFinished(
        seq=3, time=1e9 + 60, dataset="breastmnist", split="test", n=156, views=["identity"], metrics=metrics,
        per_class=[],
    )  # fmt: skip
    ended = RunFinished(seq=4, time=1e9 + 61, outcome=outcome, exit_code=0, metrics={}, run_dir=str(run.root))
    return [hello, begun, tested, ended]
