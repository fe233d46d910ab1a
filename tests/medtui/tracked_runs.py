"""A run told by hand, what it is tracked with, and how each tool's own reader finds it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from test_feed import ENDED
from test_state import artifact, evaluated, finished, hello, started
from test_state import epoch as epoch_of

from engine.contract.machine.process_identity import this_process
from engine.contract.recipe.reader import build_recipe, recipe_yaml
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.status import Status
from engine.contract.wire.protocol import AnyEvent, EpochFinished, Position, RunFinished
from medtui.track.follow import Follower
from medtui.track.records import End
from medtui.track.tracker import Source, open_tracker

EPOCHS = 6
KEY = "9f8e"  # of `hello`


# ---- a run told by hand: its engine dies in epoch 5, and is resumed from the end of epoch 3 -------------------------


def auc(epoch: int) -> float:
    return 0.5 + epoch / 20


def loss(step: int) -> float:
    return 2.0 - step / 32


def epoch(number: int) -> EpochFinished:
    steps = range(4 * number - 3, 4 * number + 1)
    values = {"curve": [(step, loss(step)) for step in steps], "train_loss": loss(4 * number)}
    return epoch_of(0, number, auc(number), best=(number, auc(number))).model_copy(update=values)


def story() -> list[AnyEvent]:
    events: list[AnyEvent] = [hello(0), started(0), *map(epoch, range(1, 5))]
    events += [hello(0).model_copy(update={"engine": "aaaa"}), started(0, Position(epoch=3, step=0))]
    events += [*map(epoch, range(4, EPOCHS + 1)), evaluated(0, 0.85), artifact(0)]
    events += [artifact(0).model_copy(update={"name": "figure_curves", "path": "figures/curves.png"})]
    events += [artifact(0).model_copy(update={"name": "best", "path": "checkpoints/best.safetensors"})]
    events += [finished(0).model_copy(update={"outcome": "completed", "exit_code": 0})]
    return [e.model_copy(update={"seq": n, "time": 1.7e9 + n}) for n, e in enumerate(events, 1)]


def run_in(workspace: Path) -> RunDirectory:
    """With nothing in its journal yet."""
    run = RunDirectory(workspace / "outputs" / "20261122_cells_mini-cnn_abcdef")
    for folder in ("checkpoints", "reports", "figures"):
        (run.root / folder).mkdir(parents=True)
    run.recipe.path.write_text(recipe_yaml(build_recipe({"training": {"lr": 0.0125}})))
    (run.root / "reports/report.xlsx").write_bytes(b"a workbook")
    (run.root / "checkpoints/best.safetensors").write_bytes(b"weights")
    Image.new("RGB", (5, 3)).save(run.root / "figures/curves.png")
    journal(run, [])
    return run


def journal(run: RunDirectory, events: list[AnyEvent], *, alive: bool = False) -> None:
    """What an engine has written, which is gone unless `alive`: then it is this process."""
    run.journal.path.write_bytes(b"".join(event.line() for event in events))
    last = events[-1] if events else None
    outcome = last.outcome if isinstance(last, RunFinished) else None
    values = {"engine": "e" * 16, "updated": 1.0, "phase": "training", "seq": 1, **ENDED, "outcome": outcome}
    if alive:
        me = this_process()
        values |= {"pid": me.pid, "started": me.started, "host": me.host, "boot": me.boot}
    run.status.path.write_text(Status.model_validate(values).model_dump_json())


def track(run: RunDirectory, name: str, *, weights: bool = False) -> End | None:
    source = Source(run, run.root.parent, weights=weights)
    return Follower(run, name, open_tracker(name, source)).follow(to_the_end=False)


# ---- the readers of the tools ---------------------------------------------------------------------------------------


Values = dict[str, list[tuple[int, float]]]  # by metric: where, and what


def in_tensorboard(run: RunDirectory) -> Values:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(run.root / "tensorboard"), size_guidance={"scalars": 0})
    reader.Reload()
    tags: list[str] = reader.Tags()["scalars"]
    return {tag: [(event.step, event.value) for event in reader.Scalars(tag)] for tag in tags}


def in_mlflow(run: RunDirectory) -> Values:
    client, found = mlflow_run(run)
    histories = {name: client.get_metric_history(found.info.run_id, name) for name in found.data.metrics}
    return {name: [(one.step, one.value) for one in history] for name, history in histories.items()}


def mlflow_run(run: RunDirectory) -> Any:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=(run.root.parent / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("medtui")
    (found,) = client.search_runs([experiment.experiment_id])
    return client, found


def in_wandb(run: RunDirectory) -> Values:
    values: Values = {}
    for record in wandb_records(run):
        if record.WhichOneof("record_type") == "history":
            row = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            at = row.get("epoch", row.get("step"))
            for name, value in row.items():
                if not name.startswith("_") and name not in ("epoch", "step"):
                    values.setdefault(name, []).append((at, value))
    return values


def wandb_records(run: RunDirectory) -> Iterator[Any]:
    """Its messages are W&B's own; its Python package has no reader of the file any more, a log as LevelDB has them."""
    from wandb.proto.wandb_internal_pb2 import Record as Stored  # type: ignore[attr-defined]

    paths = sorted((run.root.parent / "wandb").glob(f"offline-run-*-{KEY}/*.wandb"))
    assert paths, "there is no file of W&B's"
    for path in paths:
        for data in leveldb_log(path.read_bytes()):
            record = Stored()
            record.ParseFromString(data)
            yield record


def leveldb_log(content: bytes) -> Iterator[bytes]:
    """Records of a log: a header of 7 bytes, then blocks of 32 KiB with pieces: CRC, length, kind, bytes."""
    assert content[:4] == b":W&B"
    at, parts = 7, b""
    while at + 7 <= len(content):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        piece = content[at + 7 : at + 7 + length]
        at += 7 + length
        parts = piece if kind in (1, 2) else parts + piece  # complete, first; middle, last
        if kind in (1, 4):
            yield parts


def in_trackio(run: RunDirectory) -> Values:
    values: Values = {}
    for row in trackio_rows(run):
        for name, value in row.items():
            if "/" in name or name == "lr":
                values.setdefault(name, []).append((row["step"], value))
    return values


def trackio_rows(run: RunDirectory) -> list[dict[str, Any]]:
    from trackio.sqlite_storage import SQLiteStorage

    rows: list[dict[str, Any]] = SQLiteStorage.get_logs("medtui", run.name)
    return rows


READERS: dict[str, Callable[[RunDirectory], Values]] = {
    "tensorboard": in_tensorboard,
    "mlflow": in_mlflow,
    "wandb": in_wandb,
    "trackio": in_trackio,
}


def assert_complete(run: RunDirectory, name: str) -> None:
    """Every epoch's values, every step's, and those of the test split: once, in order."""
    values = READERS[name](run)
    epochs = range(1, EPOCHS + 1)
    assert values["val/auc"] == [(n, pytest.approx(auc(n))) for n in epochs]
    assert values["train/loss"] == [(n, pytest.approx(loss(4 * n))) for n in epochs]
    assert values["step/train_loss"] == [(n, pytest.approx(loss(n))) for n in range(1, 4 * EPOCHS + 1)]
    assert values["test/auc"] == [(EPOCHS, pytest.approx(0.85))]
    rest = {"train/acc", "val/loss", "val/acc", "val/f1", "lr", "time/epoch_seconds", "time/images_per_second"}
    assert all(len(values[metric]) == EPOCHS for metric in rest)
