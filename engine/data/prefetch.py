"""What is needed next, made by one thread while the caller works with what it has."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Collection, Hashable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Generic, TypeVar

from engine.contract.wire.resolved import Storage

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

AHEAD = 2  # batches: one that is ready, and one that is being made
CLOSING = 5.0  # seconds for the thread to finish the batch that it is at; on a dead file system it never does


def batches_ahead(storage: Storage, device: str) -> int:
    """How many batches are made before they are asked for; 0: in the caller's own thread, when it asks. Pure.

    device: its type. Images in the memory where the model computes need no reading: a batch of them is gathered in less
    than a hundredth of a step, and on the CPU a second thread would take its cores from the step. Mapped images may
    have to come from a disk, and on a GPU every other batch has to be copied there.
    """
    if storage == "device" or (storage == "ram" and device == "cpu"):
        return 0
    return AHEAD


class Prefetcher(Generic[K, T]):
    """`make(key)`, by one thread, each key when it is asked for or once the caller says that it follows.

    It changes when something is made, never what: `make` must depend on nothing but its key. It must not know this
    object either, whose thread ends with it.
    """

    def __init__(self, make: Callable[[K], T]) -> None:
        self._requests: SimpleQueue[tuple[K, Future[T]] | None] = SimpleQueue()
        self._ahead: dict[K, Future[T]] = {}
        # As a daemon: the end of the process does not wait for a disk that no longer answers
        self._thread = threading.Thread(target=_serve, args=[self._requests, make], name="prefetch", daemon=True)
        self._thread.start()
        self._end = weakref.finalize(self, self._requests.put, None)

    def get(self, key: K, following: Collection[K] = ()) -> T:
        """What `make(key)` returns or raises. following: what is asked for next, in order; all else is forgotten."""
        ready = self._ahead.pop(key, None)
        for other in [other for other in self._ahead if other not in following]:
            self._ahead.pop(other).cancel()
        ready = ready or self._request(key)
        for later in following:
            if later not in self._ahead:
                self._ahead[later] = self._request(later)
        return ready.result()

    def close(self) -> None:
        """End the thread, and forget what it has made."""
        while self._ahead:
            self._ahead.popitem()[1].cancel()
        self._end()
        self._thread.join(CLOSING)

    def _request(self, key: K) -> Future[T]:
        future: Future[T] = Future()
        self._requests.put((key, future))
        return future


def _serve(requests: SimpleQueue[tuple[K, Future[T]] | None], make: Callable[[K], T]) -> None:
    """The thread. What cannot be made raises where it is asked for, if it ever is."""
    while (request := requests.get()) is not None:
        key, future = request
        if future.set_running_or_notify_cancel():
            try:
                made = make(key)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(made)
                del made
        del request, future  # what is made belongs to the caller alone
