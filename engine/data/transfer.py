"""Batches on their way to a GPU while it computes: by a stream of their own, out of memory that it reads by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Transferred:
    """A batch that is on the device, or will be by the time that the device needs it."""

    images: torch.Tensor
    done: torch.cuda.Event

    def arrived(self) -> torch.Tensor:
        """For what the device does next, which waits for the copy; this thread does not."""
        stream = torch.cuda.current_stream(self.images.device)
        stream.wait_event(self.done)
        self.images.record_stream(stream)  # else its memory might be used for the next batch before that is over
        return self.images


class Transfer:
    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)

    def begin(self, make: Callable[[], torch.Tensor]) -> Transferred:
        """make: the batch, in pinned memory, which is kept until it is copied."""
        with torch.cuda.stream(self._stream):  # also makes this thread use this device
            return Transferred(make().to(self._device, non_blocking=True), self._stream.record_event())
