"""Fakes for the console's tests: a scripted engine, and runs written by hand."""

from __future__ import annotations

import json
import queue
import threading
from pathlib import Path
from typing import Any

from engine.contract.machine.process_identity import ProcessIdentity
from engine.contract.recipe.reader import build_recipe, recipe_yaml
from engine.contract.store.checkpoint_file import DIGEST, ContentDigest
from engine.contract.store.run_directory import FOLDERS, RunDirectory
from engine.contract.store.status import RunSummary, Status, fold_summary
from engine.contract.store.workspace import Workspace
from engine.contract.wire.protocol import (
    Alarm,
    AnyCommand,
    AnyEvent,
    CheckpointSaved,
    ClassMetrics,
    CommandAccepted,
    EpochFinished,
    ErrorInfo,
    EvaluationFinished,
    Hello,
    Log,
    Metrics,
    PhaseChanged,
    Position,
    Progress,
    RunFinished,
    RunStarted,
    parse_event,
)
from medtui.client.engine_death import Death, describe_death
from medtui.client.own_engine import OwnEngine

START = 1_795_300_000.0  # Unix seconds; 2026-11-21 22:26:40 UTC
CLASSES = ("benign", "malignant")
TESTED = Metrics(auc=0.9014, acc=0.8654, f1=0.82, auc_ci95=(0.835, 0.968), acc_ci95=(0.803, 0.910))


class Scripted:
    """Replaces an EngineProcess: lines come from the test, commands are recorded for it."""

    pid = 4242
    identity = ProcessIdentity(4242, START, "here", "b")

    def __init__(self) -> None:
        self.sent: list[AnyCommand] = []
        self.returned: int | None = None
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._gone = threading.Event()

    def emit(self, *events: AnyEvent) -> None:
        for event in events:
            self._lines.put(event.line().rstrip(b"\n"))

    def write(self, *lines: bytes) -> None:
        for line in lines:
            self._lines.put(line)

    def die(self, returned: int = -9) -> None:
        self.returned = returned
        self._gone.set()
        self._lines.put(None)

    def end(self) -> None:
        self.die(0)

    # ---- what OwnEngine asks of an EngineProcess

    def send(self, command: AnyCommand) -> bool:
        self.sent.append(command)
        return self.returned is None

    def receive(self, timeout: float) -> tuple[bytes, AnyEvent | None] | None:
        line = self._lines.get(timeout=timeout)
        return None if line is None else (line, parse_event(line))

    def wait(self, timeout: float) -> int | None:
        if timeout:
            self._gone.wait(timeout)
        return self.returned

    def death(self, run: RunDirectory | None, patience: float) -> Death:
        return describe_death(self.wait(patience), "Segmentation fault")

    def kill(self) -> None:
        self.die()


def scripted_engine(workspace: Workspace) -> tuple[OwnEngine, Scripted]:
    script = Scripted()
    return OwnEngine(workspace, engine=lambda: script), script  # type: ignore[arg-type, return-value]


# ---- events of a made-up run --------------------------------------------------------------------------------------


class Story:
    """The events of a BreastMNIST run, numbered as an engine numbers them."""

    def __init__(self, run_dir: Path, epochs: int = 10, steps: int = 4, name: str | None = None) -> None:
        self.run_dir, self.epochs, self.steps = run_dir, epochs, steps
        self.name = name or run_dir.name
        self.seq = 0
        self.time = START
        self.facts: dict[str, Any] = {}  # other than those of `started`
        self.test = TESTED

    def _next(self) -> dict[str, Any]:
        self.seq += 1
        self.time += 1.0
        return {"seq": self.seq, "time": self.time}

    def hello(self) -> Hello:
        return Hello(
            **self._next(), engine="e" * 16, pid=4242, started=START, host="here", boot="b", versions={"python": "3"}
        )

    def phase(self, phase: Any) -> PhaseChanged:
        return PhaseChanged(**self._next(), phase=phase)

    def started(self, class_names: tuple[str, ...] = CLASSES, attempt: int = 1) -> RunStarted:
        return RunStarted(
            **self._next(),
            attempt=attempt,
            resumed_from=None,
            run=self.name,
            run_dir=str(self.run_dir),
            recipe_hash="1a2b3c" + "0" * 26,
            dataset="breastmnist",
            size=28,
            task="binary",
            synthetic=False,
            class_names=list(class_names),
            model="resnet18_adapted",
            parameters=11_169_218,
            epochs=self.epochs,
            steps_per_epoch=self.steps,
            batch_size=128,
            images={"train": 546, "val": 78, "test": 156},
            patience=15,
            device="cpu",
            decisions={"weights": "from scratch"},
        ).model_copy(update=self.facts)

    def epoch(self, number: int, **changes: Any) -> EpochFinished:
        auc = 0.80 + 0.02 * min(number, 6) - 0.01 * max(0, number - 6)
        best = number <= 6
        values: dict[str, Any] = {
            "epoch": number,
            "step": number * self.steps,
            "seconds": 10.0,
            "images_per_second": 54.6,
            "lr": 0.008,
            "train_loss": 0.7 - 0.05 * number,
            "train_acc": 0.6,
            "validation": Metrics(loss=0.65 - 0.03 * number, auc=auc, acc=0.85, f1=0.8),
            "per_class": class_rows(number),
            "best": best,
            "best_epoch": min(number, 6),
            "best_auc": 0.80 + 0.02 * min(number, 6),
            "without_improvement": max(0, number - 6),
            "curve": [
                ((number - 1) * self.steps + step, 0.7 - 0.05 * number + 0.01 * step)
                for step in range(1, self.steps + 1)
            ],
        }
        return EpochFinished(**self._next(), **{**values, **changes})

    def progress(self, epoch: int, step: int, phase: Any = "training") -> Progress:
        done = (epoch - 1) * self.steps + step
        return Progress(
            time=self.time,
            phase=phase,
            activity=f"epoch {epoch}",
            done=done,
            total=self.steps * self.epochs,
            epoch=epoch,
            step=step,
            loss=0.5,
            lr=0.008,
            images_per_second=1180.0,
        )

    def log(self, message: str, level: Any = "info") -> Log:
        return Log(**self._next(), level=level, message=message)

    def alarm(self, message: str, hint: str) -> Alarm:
        return Alarm(**self._next(), kind="failed", message=message, hint=hint)

    def checkpoint(self, epoch: int, kind: Any = "last") -> CheckpointSaved:
        return CheckpointSaved(
            **self._next(),
            kind=kind,
            path=f"checkpoints/{kind}.safetensors",
            position=Position(epoch=epoch, step=0),
            digest="d" * 32,
            bytes=1000,
            seconds=0.1,
        )

    def tested(self) -> EvaluationFinished:
        return EvaluationFinished(
            **self._next(),
            dataset="breastmnist",
            split="test",
            n=156,
            views=["identity"],
            metrics=self.test,
            per_class=class_rows(9),
        )

    def finished(self, outcome: Any = "completed", exit_code: int = 0, error: ErrorInfo | None = None) -> RunFinished:
        test = self.test if outcome in ("completed", "stopped") else None
        validation = Metrics(loss=0.47, auc=0.92, acc=0.85, f1=0.8)
        return RunFinished(
            **self._next(),
            outcome=outcome,
            exit_code=exit_code,
            metrics={"validation": validation, "test": test},
            run_dir=str(self.run_dir),
            error=error,
        )

    def accepted(self, id_: str, command: str, **more: Any) -> CommandAccepted:
        values = {"id": id_, "command": command, "expected": 0.4, "by": "console 1", "via": "stdin", **more}
        return CommandAccepted(**self._next(), **values)

    def running(self, epochs: int) -> list[AnyEvent]:
        """Up to the middle of the epoch after `epochs` complete ones, if there is one."""
        events: list[AnyEvent] = [self.hello(), self.phase("preparing"), self.started(), self.phase("training")]
        for number in range(1, epochs + 1):
            events += [self.epoch(number), self.checkpoint(number)]
        return [*events, self.progress(epochs + 1, 2)] if epochs < self.epochs else events

    def ended(self, outcome: str = "completed", exit_code: int = 0, error: ErrorInfo | None = None) -> list[AnyEvent]:
        events: list[AnyEvent] = []
        if outcome in ("completed", "stopped"):
            events += [self.phase("evaluating"), self.tested(), self.phase("reporting")]
        return [*events, self.phase("finished"), self.finished(outcome, exit_code, error)]


def class_rows(number: int) -> list[ClassMetrics]:
    grown = min(0.05 * number, 0.4)
    return [
        ClassMetrics(name="malignant", recall=0.4 + grown, precision=0.789, f1=0.75, auc=0.874, support=21),
        ClassMetrics(name="benign", recall=0.5 + grown, precision=0.898, f1=0.914, auc=0.874, support=57),
    ]


def intact_checkpoint(run: RunDirectory) -> None:
    """A last checkpoint without a tensor, whose digest is that of its contents."""
    digest = ContentDigest()
    digest.metadata({})
    header = json.dumps({"__metadata__": {DIGEST: digest.hex()}}).encode()
    run.last.path.parent.mkdir(parents=True, exist_ok=True)
    run.last.path.write_bytes(len(header).to_bytes(8, "little") + header)


# ---- runs on disk ---------------------------------------------------------------------------------------------------


def make_run(
    workspace: Workspace,
    name: str,
    outcome: str | None = "completed",
    epochs: int = 8,
    started: str = "2026-11-21T20:26:40+00:00",
    recipe: dict[str, Any] | None = None,
    test: Metrics = TESTED,
    **facts: Any,
) -> RunDirectory:
    """A run directory as an engine leaves it; `outcome` None is one that died. `facts`: of its `run.started`."""
    run = RunDirectory(workspace.outputs / name)
    for folder in FOLDERS:
        (run.root / folder).mkdir(parents=True)
    story = Story(run.root)
    story.facts, story.test = facts, test
    events = [event for event in story.running(epochs) if event.seq is not None]
    if outcome is not None:
        error = ErrorInfo(kind="failed", message="The loss is NaN.", hint="Lower lr.") if outcome == "failed" else None
        events += story.ended(outcome, 0, error)
    run.journal.path.write_bytes(b"".join(event.line() for event in events))
    summary = RunSummary()
    for event in events:
        summary = fold_summary(summary, event)
    status = Status(
        **summary.model_dump(exclude={"worked"}),
        worked=93_660.0,  # 26 h 01 min
        engine="e" * 16,
        host=__import__("socket").gethostname(),
        boot=__import__("engine.contract.machine.process_identity", fromlist=["x"]).boot_id(),
        pid=999_999_999,
        started=START,
        updated=START + 95,
        phase="finished" if outcome else "training",
        seq=events[-1].seq or 0,
    )
    run.status.path.write_text(status.model_dump_json())
    run.manifest.path.write_text(json.dumps({"run": name, "started": started, "host": "here", "seed": 42}))
    values = recipe or {"dataset": {"name": "breastmnist"}}
    run.recipe.path.write_text(recipe_yaml(build_recipe(values), f"The recipe of {name}."))
    (run.metrics.path / "confusion.csv").write_text("true,benign,malignant\nbenign,104,10\nmalignant,11,31\n")
    return run
