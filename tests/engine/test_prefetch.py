"""Prefetching changes when a batch is made, never what it is, and ends with the loop that asked for it."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.epochs import QuietCallbacks, one_epoch
from benchmarks.stand_in import job_for, tiny_recipe
from engine.contract.recipe.reader import build_recipe
from engine.data import batches
from engine.data.prefetch import Prefetcher, batches_ahead
from engine.data.transfer import Transfer
from engine.run.prepare import Prepared, prepare
from engine.run.train_job import open_run
from engine.run.training import TrainingBatches, new_state

PATIENCE = 30.0  # seconds


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    assert threads() == []
    yield
    gc.collect()
    for thread in threads():
        thread.join(PATIENCE)
    assert threads() == []


@pytest.mark.parametrize(
    ("storage", "device", "ahead"),
    [
        ("ram", "cpu", 0),  # there already, and the thread would take a core from the step
        ("device", "cpu", 0),
        ("mapped", "cpu", 2),
        ("device", "cuda", 0),
        ("ram", "cuda", 2),  # to be copied there
        ("mapped", "cuda", 2),
    ],
)
def test_only_what_has_to_be_read_or_copied_is_made_ahead(storage: str, device: str, ahead: int) -> None:
    assert batches_ahead(storage, device) == ahead  # type: ignore[arg-type]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=30))
def test_whatever_is_asked_for_in_whatever_order_is_what_would_be_made_then(asked: list[tuple[int, int]]) -> None:
    with closing(Prefetcher(lambda key: key**2)) as prefetcher:
        for key, ahead in asked:
            assert prefetcher.get(key, range(key + 1, key + 1 + ahead)) == key**2


def test_what_follows_is_made_while_the_caller_is_busy_each_once_and_not_more() -> None:
    made: list[int] = []
    third_made = threading.Event()

    def make(key: int) -> int:
        made.append(key)
        if key == 2:
            third_made.set()
        return key

    with closing(Prefetcher(make)) as prefetcher:
        assert prefetcher.get(0, [1, 2]) == 0
        assert third_made.wait(PATIENCE), "nobody has asked for it yet"
        assert made == [0, 1, 2]
        assert [prefetcher.get(1, [2]), prefetcher.get(2, [])] == [1, 2]
    assert made == [0, 1, 2]


def test_an_error_is_raised_where_the_batch_is_asked_for_and_not_before() -> None:
    failed, error = threading.Event(), OSError(5, "Input/output error")

    def make(key: int) -> int:
        if key == 2:
            failed.set()
            raise error
        return key

    with closing(Prefetcher(make)) as prefetcher:
        assert prefetcher.get(0, [1, 2]) == 0
        assert failed.wait(PATIENCE)
        assert prefetcher.get(1, [2]) == 1
        with pytest.raises(OSError, match="Input/output error") as raised:
            prefetcher.get(2, [3])
        assert raised.value is error
        assert prefetcher.get(3) == 3, "the thread goes on"


def test_an_error_of_what_nobody_asks_for_is_never_raised() -> None:
    def make(key: int) -> int:
        if key == 1:
            raise OSError(5, "Input/output error")
        return key

    with closing(Prefetcher(make)) as prefetcher:
        assert prefetcher.get(0, [1]) == 0
        assert prefetcher.get(2) == 2


def test_a_prefetcher_that_is_dropped_without_being_closed_ends_its_thread() -> None:
    prefetcher = Prefetcher(str)
    assert prefetcher.get(1, [2]) == "1"
    (thread,) = threads()
    del prefetcher
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_closing_waits_for_the_batch_at_hand_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk may never answer; the thread ends with the process, or once the disk does."""
    monkeypatch.setattr("engine.data.prefetch.CLOSING", 0.1)
    begun, answers = threading.Event(), threading.Event()

    def make(key: int) -> int:
        if key == 1:
            begun.set()
            answers.wait(PATIENCE)
        return key

    prefetcher = Prefetcher(make)
    assert prefetcher.get(0, [1, 2]) == 0
    assert begun.wait(PATIENCE)
    prefetcher.close()
    (thread,) = threads()
    assert thread.daemon
    answers.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()


# ---- in a training run -----------------------------------------------------------------------------------------------


def trained(prepared: Prepared, callbacks: QuietCallbacks, epochs: int = 2) -> dict[str, torch.Tensor]:
    """Its weights and optimizer state after some epochs from its first weights."""
    prepared = replace(prepared, built=replace(prepared.built, module=_copied(prepared)))
    state = new_state(prepared)
    for _ in range(epochs):
        one_epoch(prepared, state, callbacks)
    return {name: value.clone() for name, value in prepared.model.state_dict().items()}


def _copied(prepared: Prepared) -> torch.nn.Module:
    import copy

    return copy.deepcopy(prepared.model)


def test_weights_are_the_same_bit_for_bit_wherever_images_are_and_however_far_they_are_read_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for storage, ahead in (("ram", 0), ("mapped", 0), ("mapped", 1), ("mapped", 2), ("mapped", 5), ("ram", 2)):
        monkeypatch.setattr(batches, "batches_ahead", lambda storage, device, ahead=ahead: ahead)
        recipe = tiny_recipe(
            dataset={"cache": storage},
            model={"pretrained": False},
            training={"epochs": 3, "mixup_alpha": 0.2},
            augmentation={"rotation": 10, "erasing": 0.5, "trivial_augment": 0.5},
        )
        with job_for(recipe, tmp_path) as job:
            prepared = prepare(job, build_recipe(recipe))
            assert prepared.resolved.storage == storage
            run, _ = open_run(job, prepared)
            job.enter("training")
            results.append(trained(prepared, QuietCallbacks(job, run, 3)))
    assert results[0]
    for other in results[1:]:
        assert all(torch.equal(values, other[name]) for name, values in results[0].items())


def test_an_epoch_of_which_only_a_part_was_fetched_leaves_no_thread_behind(tmp_path: Path) -> None:
    recipe = tiny_recipe(dataset={"cache": "mapped"})
    with job_for(recipe, tmp_path) as job:
        prepared = prepare(job, build_recipe(recipe))
        fetch = TrainingBatches(prepared)
        fetch(0, 1)
        assert len(threads()) == 1
        fetch.close()
        assert threads() == []


# ---- on the way to a GPU, by stand-ins for its streams; test_gpu.py has true ones ------------------------------------


class Stream:
    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def record_event(self) -> str:
        self.log.append(f"{self.name} records")
        return "copied"

    def wait_event(self, event: str) -> None:
        self.log.append(f"{self.name} waits until {event}")


def test_a_batch_is_copied_by_a_stream_of_its_own_which_the_step_waits_for_when_it_takes_the_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log: list[str] = []

    @contextmanager
    def within(stream: Stream) -> Iterator[None]:
        log.append(f"enter {stream.name}")
        yield
        log.append(f"leave {stream.name}")

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream("side", log))
    monkeypatch.setattr(torch.cuda, "stream", within)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream("step", log))
    used: list[torch.Tensor] = []
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda images, stream: used.append(images), raising=False)

    def gathered() -> torch.Tensor:
        log.append("gathered")
        return torch.arange(3)

    begun = Transfer(torch.device("cpu")).begin(gathered)
    assert log == ["enter side", "gathered", "side records", "leave side"], "the step has not waited yet"
    images = begun.arrived()
    assert log[4:] == ["step waits until copied"]
    assert images.tolist() == [0, 1, 2]
    assert [one is images for one in used] == [True], "its memory is kept until the step has used it"
