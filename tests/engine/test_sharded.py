"""A step by several processes is the step of one: the parts of a batch, their gradients, losses and statistics."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from engine.train.ema import MovingAverage
from engine.train.loss import Criterion
from engine.train.mixup import MixUp, mix_for
from engine.train.optimizer import OptimizerPlan, build_optimizer
from engine.train.sharded import Batch, ShardedStep, shard_of
from engine.train.state import TrainingState
from engine.train.step import Precision, TrainingStep

CLASSES = 3
SIZES = (12, 12, 7, 3)  # images of the batches: of the last, three processes have 3 images, none and none
WEIGHTS = torch.tensor([0.3, 1.0, 2.5])
OFF = MixUp(0.0, None)


@given(st.integers(2, 300), st.integers(1, 9))
def test_every_image_of_a_batch_is_in_one_shard(images: int, processes: int) -> None:
    """In order, at least two each and at most two more than any other; who has none does what counts for nothing."""
    shards = [shard_of(images, processes, rank) for rank in range(processes)]
    counting = [shard for shard in shards if shard.counts]
    assert [row for shard in counting for row in range(shard.start, shard.end)] == list(range(images))
    sizes = [shard.end - shard.start for shard in shards]
    assert min(sizes) >= 2
    assert len(counting) == processes or max(sizes) <= 3
    assert all((shard.start, shard.end) == (0, 2) for shard in shards if not shard.counts)


@dataclass
class Threads:
    """Ranks as threads: what they add up is added in their order, as each of them would have it from a network."""

    processes: int
    _values: dict[int, torch.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._barrier = threading.Barrier(self.processes)

    def rank(self, rank: int) -> Any:
        return _Rank(rank, self.processes, self)

    def add_up(self, rank: int, values: torch.Tensor) -> None:
        self._values[rank] = values.clone()
        self._barrier.wait(60)
        total = sum(self._values[rank] for rank in range(self.processes))
        self._barrier.wait(60)
        values.copy_(total)  # type: ignore[arg-type]


@dataclass
class _Rank:
    rank: int
    processes: int
    threads: Threads

    def add_up(self, values: torch.Tensor) -> None:
        self.threads.add_up(self.rank, values)


def net(norm: bool = False) -> nn.Module:
    torch.manual_seed(3)
    normalised: nn.Module = nn.BatchNorm2d(8) if norm else nn.GroupNorm(2, 8)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), normalised, nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, CLASSES))


def images_of(step: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(step).normal(size=(SIZES[step], 3, 6, 6)).astype(np.float32))


def classes_of(step: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng([step, 1]).integers(0, CLASSES, SIZES[step]))


def sets_of(step: int) -> torch.Tensor:
    return nn.functional.one_hot(classes_of(step), CLASSES).float()


def state_of(model: nn.Module) -> TrainingState:
    optimizer = build_optimizer(model, OptimizerPlan("sgd", 0.9, nesterov=False, weight_decay=0.01))
    steps = len(SIZES)
    average = MovingAverage(model, 0.9)
    return TrainingState(model, optimizer, torch.zeros(steps), torch.zeros(steps, dtype=torch.float64), average)


def alone(criterion: Criterion, mixup: MixUp, labels_of: Any) -> TrainingState:
    state = state_of(net())
    step = TrainingStep(criterion, Precision("cpu", None), 0.5, state.model)
    for number, size in enumerate(SIZES):
        mix = mix_for(mixup, 42, 0, number, size, (6, 6))
        results = step(state, images_of(number), labels_of(number), 0.05, mix)
        state.losses[number], state.n_correct[number] = results
    return state


def together(
    processes: int, criterion: Criterion, mixup: MixUp, labels_of: Any, part: int | None = None, norm: bool = False
) -> list[TrainingState]:
    """The states that the ranks end with."""
    threads, states = Threads(processes), [state_of(net(norm)) for _ in range(processes)]

    def fetch(epoch: int, step: int) -> Batch:
        images, mix = images_of(step), mix_for(mixup, 42, epoch, step, SIZES[step], (6, 6))
        return Batch(labels_of(step), mix, lambda places: images[torch.from_numpy(places)])

    def work(rank: int) -> None:
        state = states[rank]
        plain = TrainingStep(criterion, Precision("cpu", None), 0.5, state.model, part)
        step = ShardedStep(plain, fetch, 42, threads.rank(rank))
        for number in range(len(SIZES)):
            state.step = number
            state.losses[number], state.n_correct[number] = step(state, 0.05)

    in_threads(work, processes)
    return states


def in_threads(work: Callable[[int], None], count: int) -> None:
    errors: list[BaseException] = []

    def guarded(rank: int) -> None:
        try:
            work(rank)
        except BaseException as error:
            errors.append(error)

    started = [threading.Thread(target=guarded, args=[rank]) for rank in range(count)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join(60)
    if errors:
        raise errors[0]


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize(
    ("criterion", "mixup", "labels_of", "part"),
    [
        (Criterion("multi_class"), OFF, classes_of, None),
        (Criterion("multi_class", 0.1, WEIGHTS), MixUp(0.4, None), classes_of, 2),
        (Criterion("multi_class", 0.1, WEIGHTS, focal_gamma=2.0), MixUp(0.0, None, 1.0), classes_of, None),
        (Criterion("multi_label", 0.1, WEIGHTS, focal_gamma=1.5), MixUp(0.4, None, 1.0), sets_of, None),
    ],
    ids=["plain", "weighted, mixed and accumulated", "focal and cut", "sets"],
)
def test_steps_by_several_processes_are_those_of_one(
    processes: int, criterion: Criterion, mixup: MixUp, labels_of: Any, part: int | None
) -> None:
    """Weights, momentum, average, losses and accuracies to 1e-5, with a short last batch; and every process has the
    same bits of them."""
    one = alone(criterion, mixup, labels_of)
    states = together(processes, criterion, mixup, labels_of, part)
    assert not torch.allclose(one.model.state_dict()["4.weight"], net().state_dict()["4.weight"], atol=1e-3)
    for state in states:
        torch.testing.assert_close(state.losses, one.losses, rtol=0, atol=1e-5)
        torch.testing.assert_close(state.n_correct, one.n_correct, rtol=0, atol=1e-5)
        for name, tensor in tensors_of(state).items():
            torch.testing.assert_close(tensor, tensors_of(one)[name], rtol=0, atol=1e-5, msg=name)
            assert torch.equal(tensor, tensors_of(states[0])[name]), name


def tensors_of(state: TrainingState) -> dict[str, torch.Tensor]:
    assert state.average is not None
    found = {f"model {name}": tensor for name, tensor in state.model.state_dict().items()}
    found |= {f"average {name}": tensor for name, tensor in state.average.model.state_dict().items()}
    slots = state.optimizer.state_dict()["state"]
    return found | {f"momentum {number}": slot["momentum_buffer"] for number, slot in slots.items()}


def test_batch_statistics_are_the_mean_over_the_processes() -> None:
    """Each normalises its own images; the running mean is that of all images, the variance the mean of the parts'."""
    states = together(2, Criterion("multi_class"), OFF, classes_of, norm=True)
    start = net(norm=True)
    maps = start[0](images_of(0)).detach()  # type: ignore[index]
    parts = [maps[:6].transpose(0, 1).flatten(1), maps[6:].transpose(0, 1).flatten(1)]
    first = first_statistics()
    torch.testing.assert_close(first[0], 0.1 * maps.mean(dim=(0, 2, 3)), rtol=0, atol=1e-6)
    variance = torch.stack([part.var(dim=1, unbiased=True) for part in parts]).mean(dim=0)
    torch.testing.assert_close(first[1], 0.9 + 0.1 * variance, rtol=0, atol=1e-6)
    for name, tensor in states[0].model.state_dict().items():
        assert torch.equal(tensor, states[1].model.state_dict()[name]), name


def first_statistics() -> tuple[torch.Tensor, torch.Tensor]:
    """Running mean and variance after the first step by two processes."""
    threads, states = Threads(2), [state_of(net(norm=True)) for _ in range(2)]

    def work(rank: int) -> None:
        plain = TrainingStep(Criterion("multi_class"), Precision("cpu", None), None, states[rank].model)
        batch = Batch(classes_of(0), None, lambda places: images_of(0)[torch.from_numpy(places)])
        ShardedStep(plain, lambda epoch, step: batch, 42, threads.rank(rank))(states[rank], 0.05)

    in_threads(work, 2)
    held = states[0].model.state_dict()
    return held["1.running_mean"], held["1.running_var"]
