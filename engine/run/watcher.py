"""Looks on while training: obeys commands between batches, saves checkpoints, tells what happened."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Literal

from engine.contract.protocol import CheckpointSaved, EpochFinished, Position, Progress
from engine.contract.run_directory import RunDirectory
from engine.control import Aborted
from engine.events import now
from engine.run.job import Job
from engine.train.checkpoint import save_best, save_last
from engine.train.loop import FinishedEpoch, bucketed
from engine.train.state import TrainingState

CURVE_EVERY = 1.0  # seconds; the status file is not written more often


class TrainingWatcher:
    def __init__(
        self,
        job: Job,
        run: RunDirectory,
        epochs: int,
        budget: float | None = None,
        save_every: float | None = None,
        saved_at: tuple[int, int] | None = None,
    ) -> None:
        """`budget`: seconds after which training ends as by `stop`; `save_every`: seconds between checkpoints;
        `saved_at`: epoch and step of the one that a resumed run came from."""
        self.job, self.run, self.epochs = job, run, epochs
        self.deadline = time.monotonic() + budget if budget else math.inf
        self.save_every = save_every or math.inf
        self.stopped = False
        self._saved_at = saved_at  # position of the newest checkpoint
        self._saved_when = time.monotonic()
        self._saving = 0.0  # seconds, the last checkpoint
        self._batch = 0.0  # seconds
        self._boundary_at = time.monotonic()
        self._curve: list[tuple[int, float]] = []
        self._curve_at = 0.0

    def boundary(self, state: TrainingState) -> bool:
        """Between batches: abort, hold, stop or go on."""
        self._measure_batch()
        self._obey(state)
        control = self.job.control
        used_up = time.monotonic() > self.deadline and state.global_step > 0  # the smallest budget is good for a step
        if not (control.wants_stop or used_up):
            return True
        if state.global_step == 0:
            self.job.stream.log("Stopped before the first step: nothing was trained.", "warning")
            raise Aborted
        if not control.wants_stop:
            self.job.stream.log("The time budget (runtime.max_minutes) is used up; training ends here.")
        self.save(state)
        self.stopped = True
        return False

    def between_validation_batches(self, state: TrainingState, done: int, total: int) -> None:
        """A stop lets the validation finish: the epoch it belongs to is trained already."""
        self._obey(state)
        self._progress(state, f"validating epoch {state.epoch + 1}", done, total)

    def _obey(self, state: TrainingState) -> None:
        """Abort and pause, at once. Raises Aborted."""
        control = self.job.control
        if control.wants_pause and not (control.wants_abort or control.wants_stop):
            self.save(state)
            self.job.enter("paused")
            self._progress(state, "paused", state.step, len(state.losses))
            control.hold()
            self.job.enter("training")
            self._boundary_at = time.monotonic()
        if control.wants_abort:
            self.save(state)
            raise Aborted
        if control.take_checkpoint_wish() or time.monotonic() - self._saved_when >= self.save_every:
            self.save(state)

    def _measure_batch(self) -> None:
        at = time.monotonic()
        self._batch, self._boundary_at = at - self._boundary_at, at
        self.job.control.expected = self._batch + self._saving

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
            stream.alarm("undefined_auc", f"The validation AUC of epoch {record.epoch} is undefined: {reason}.")
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
                best=record.best,
                best_epoch=state.best_epoch,
                best_auc=state.best_auc if state.best_epoch else None,
                without_improvement=state.without_improvement,
                curve=epoch.curve,
            )
        )
        self.save(state)
        if record.best:
            self.save_best(state)
        self._curve = []

    def save_best(self, state: TrainingState) -> None:
        self._save("best", state, lambda: save_best(self.run.best, self.run.previous_best, state))

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
                path=self.run.within(path),
                position=Position(epoch=state.epoch, step=state.step),
                digest=digest,
                bytes=path.stat().st_size,
                seconds=self._saving,
            )
        )
