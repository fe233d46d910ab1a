"""Callbacks of the training loop: handle commands between batches, save checkpoints, emit events."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Literal

from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.protocol import CheckpointSaved, EpochFinished, Position, Progress
from engine.control import Aborted
from engine.events import now
from engine.run.growing import GrowingTables
from engine.run.job import Job
from engine.sentences import Alarms, Decisions
from engine.train.checkpoint import save_best, save_last
from engine.train.loop import FinishedEpoch, bucketed
from engine.train.state import TrainingState

CURVE_EVERY = 1.0  # seconds; the status file is not written more often


class TrainingCallbacks:
    def __init__(
        self,
        job: Job,
        run: RunDirectory,
        epochs: int,
        budget: float | None = None,
        save_every: float | None = None,
        saved_at: tuple[int, int] | None = None,
        on_best: Callable[[], None] = lambda: None,
    ) -> None:
        """`budget`: seconds after which training ends as by `stop`; `save_every`: seconds between checkpoints;
        `saved_at`: epoch and step of the one that a resumed run came from; `on_best`: called when there is a new
        best."""
        self.job, self.run, self.epochs = job, run, epochs
        self.tables = GrowingTables(job, run)
        self.deadline = time.monotonic() + budget if budget else math.inf
        self.save_every = save_every or math.inf
        self.stopped = False
        self._on_best = on_best
        self._saved_at = saved_at  # position of the newest checkpoint
        self._saved_when = time.monotonic()
        self._saving = 0.0  # seconds, the last checkpoint
        self._batch = 0.0  # seconds
        self._boundary_at = time.monotonic()
        self._curve: list[tuple[int, float]] = []
        self._curve_at = 0.0

    def boundary(self, state: TrainingState) -> bool:
        """Between batches: abort, pause, stop or continue."""
        self._measure_batch()
        self._handle_commands(state)
        control = self.job.control
        used_up = time.monotonic() > self.deadline and state.global_step > 0  # the smallest budget is good for a step
        if not (control.stop_requested or used_up):
            return True
        if state.global_step == 0:
            self.job.stream.note(Decisions.NOTHING_TRAINED, "warning")
            raise Aborted
        if not control.stop_requested:
            self.job.stream.note(Decisions.TIME_USED_UP)
        self.save(state)
        self.stopped = True
        return False

    def training_over(self, state: TrainingState) -> None:
        """Enter `evaluating`; a pause that was accepted up to this moment holds here first. Raises Aborted."""
        control = self.job.control
        while True:
            self._handle_commands(state)
            with control.decision_lock:  # from here on a pause is rejected
                if not self._should_pause():
                    self.job.enter("evaluating")
                    return

    def on_validation_batch(self, state: TrainingState, done: int, total: int) -> None:
        """A stop lets the validation finish: the epoch it belongs to is trained already."""
        self._handle_commands(state)
        self._progress(state, f"validating epoch {state.epoch + 1}", done, total)

    def on_averaging_batch(self, state: TrainingState, done: int, total: int) -> None:
        """As for validation."""
        self._handle_commands(state)
        self._progress(state, f"averaging the weights of epoch {state.epoch + 1}", done, total)

    def _handle_commands(self, state: TrainingState) -> None:
        """Abort and pause, at once. Raises Aborted."""
        control = self.job.control
        if self._should_pause():
            self.save(state)
            self._pause(state)
            self._boundary_at = time.monotonic()
        if control.abort_requested:
            self.save(state)
            raise Aborted
        if control.take_checkpoint_request() or time.monotonic() - self._saved_when >= self.save_every:
            self.save(state)

    def _should_pause(self) -> bool:
        control = self.job.control
        return control.pause_requested and not (control.abort_requested or control.stop_requested)

    def _pause(self, state: TrainingState) -> None:
        """Enter `paused` and leave it, each only while no command is being answered: an answer stays true.

        What is spent there is not spent of the time budget.
        """
        control, began = self.job.control, time.monotonic()
        with control.decision_lock:
            if not self._should_pause():
                return
            self.job.enter("paused")
        self._progress(state, "paused", state.step, len(state.losses))
        while True:
            control.wait_while_paused()
            with control.decision_lock:
                if not self._should_pause():
                    self.deadline += time.monotonic() - began
                    self.job.enter("training")
                    return

    def _measure_batch(self) -> None:
        at = time.monotonic()
        self._batch, self._boundary_at = at - self._boundary_at, at
        self.job.control.expected_delay = self._batch + self._saving

    def snapshot(self, state: TrainingState, loss: float, lr: float, images_per_second: float) -> None:
        if time.monotonic() - self._curve_at > CURVE_EVERY:
            first = state.epoch * len(state.losses) + 1
            self._curve = bucketed(state.losses[: state.step].tolist(), first)
            self._curve_at = time.monotonic()
        self._progress(
            state,
            f"training epoch {state.epoch + 1}",
            state.global_step,
            self.epochs * len(state.losses),
            step=state.step,
            loss=loss,
            lr=lr,
            images_per_second=images_per_second,
        )

    def _progress(
        self,
        state: TrainingState,
        activity: str,
        done: int,
        total: int,
        step: int | None = None,
        **more: Any,
    ) -> None:
        phase = self.job.stream.phase
        snapshot = Progress(
            time=now(), phase=phase, activity=activity, done=done, total=total, epoch=state.epoch + 1, step=step, **more
        )
        self.job.stream.snapshot(snapshot, self._curve)

    def epoch_finished(self, state: TrainingState, epoch: FinishedEpoch) -> None:
        record = epoch.record
        stream = self.job.stream
        if math.isnan(record.val_auc):
            reason = epoch.validation.metrics.reasons.get("auc", "it is not a number")
            stream.alarm("undefined_auc", Alarms.AUC_UNDEFINED, epoch=record.epoch, reason=reason)
        stream.emit(
            EpochFinished(
                time=now(),
                epoch=record.epoch,
                step=state.global_step,
                seconds=epoch.seconds,
                images_per_second=epoch.images_per_second,
                lr=record.lr,
                train_loss=record.train_loss,
                train_acc=record.train_acc,
                validation=epoch.validation.metrics,
                per_class=epoch.validation.per_class,
                confusion=epoch.validation.confusion,
                best=record.best,
                best_epoch=state.best_epoch,
                best_auc=state.best_auc if state.best_epoch else None,
                without_improvement=state.without_improvement,
                curve=epoch.curve,
            )
        )
        self.tables.epoch_finished(record, epoch.validation.per_class)
        self.save(state)
        if record.best:
            self.save_best(state)
        self._curve = []

    def save_best(self, state: TrainingState) -> None:
        self._save("best", state, lambda: save_best(self.run.best, self.run.previous_best, state))
        self._on_best()

    def save(self, state: TrainingState) -> None:
        """`last`, unless it holds this very position already, or the loop is about to find a non-finite loss."""
        self._saved_when = time.monotonic()
        position = (state.epoch, state.step)
        if self._saved_at == position or not state.is_finite:
            return
        self.job.stream.sync_journal()
        self._save("last", state, lambda: save_last(self.run.last, self.run.previous, state))
        self._saved_at = position

    def _save(self, kind: Literal["last", "best"], state: TrainingState, save: Callable[[], str]) -> None:
        began = time.monotonic()
        digest = save()
        self._saving = time.monotonic() - began
        path = self.run.last if kind == "last" else self.run.best
        self.job.stream.emit(
            CheckpointSaved(
                time=now(),
                kind=kind,
                path=path.name_below,
                position=Position(epoch=state.epoch, step=state.step),
                digest=digest,
                bytes=path.size,
                seconds=self._saving,
            )
        )
