"""The processes of one run, and what they exchange: decisions and weights of the first, sums of all, scores.

Decisions, weights and scores go through gloo in the machine's memory; gradients too, or through NCCL where they are on
GPUs.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from engine.run.ranks.address import LOOPBACK, Address

LISTENING = timedelta(hours=1)  # for an engine that prepares
FORMING = timedelta(minutes=2)  # from when all are ready until all are connected
UNLIMITED = timedelta(days=365)  # a pause may take long; a process that is gone is known by its connection
_INTERFACES = ("lo", "lo0")  # Linux, macOS


class Disconnected(Exception):
    """Another process of the run is gone."""


def listen(address: Address | None) -> tuple[dist.TCPStore, Address]:
    """The store of the first process, and where it is; None: on this machine, and for it alone. Raises OSError."""
    with socket.create_server((LOOPBACK, 0) if address is None else ("", address.port)) as server:
        address = address or Address(LOOPBACK, server.getsockname()[1])
        descriptor = os.dup(server.fileno())  # the store closes it
    return _store(address, is_master=True, master_listen_fd=descriptor), address


def connect(address: Address) -> dist.TCPStore:
    """Waits until the first process listens, which it does once it is prepared. Raises Disconnected."""
    with _connected():
        return _store(address, is_master=False)


def _store(address: Address, **more: Any) -> dist.TCPStore:
    store = dist.TCPStore(address.host, address.port, timeout=LISTENING, wait_for_workers=False, **more)
    store.set_timeout(UNLIMITED)
    return store


class Group:
    """What process number `rank` has of it. Every method but `add_up` is for tensors in the machine's memory.

    Each raises Disconnected.
    """

    def __init__(
        self, store: dist.Store, rank: int, processes: int, device: torch.device, *, one_machine: bool
    ) -> None:
        self.rank, self.processes = rank, processes
        for _, name in socket.if_nameindex() if one_machine else ():
            if name in _INTERFACES:
                os.environ["GLOO_SOCKET_IFNAME"] = name  # else it listens where the machine's name leads
        with _connected():
            dist.init_process_group("gloo", store=store, rank=rank, world_size=processes, timeout=FORMING)
            self._nccl: Any = dist.new_group(backend="nccl", timeout=UNLIMITED) if device.type == "cuda" else None
            later = getattr(dist.distributed_c10d, "set_timeout", None) or dist.distributed_c10d._set_pg_timeout
            later(UNLIMITED)  # an older torch has only the second name

    def add_up(self, values: torch.Tensor) -> None:
        """Make it the sum over the processes, in each of them the same bits."""
        with _connected():
            dist.all_reduce(values, group=self._nccl)

    def say(self, message: dict[str, Any]) -> None:
        """From the first process to the others."""
        content = torch.frombuffer(bytearray(json.dumps(message).encode()), dtype=torch.uint8)
        self.send(torch.tensor([len(content)]))
        self.send(content)

    def hear(self) -> dict[str, Any]:
        """What the first process said."""
        length = torch.zeros(1, dtype=torch.int64)
        self.send(length)
        content = torch.zeros(int(length), dtype=torch.uint8)
        self.send(content)
        heard: dict[str, Any] = json.loads(content.numpy().tobytes())
        return heard

    def send(self, values: torch.Tensor) -> None:
        """Make it, in every process, what it is in the first."""
        with _connected():
            dist.broadcast(values, src=0)

    def send_all(self, tensors: dict[str, torch.Tensor]) -> None:
        """The same for tensors of the same names, sizes and types in each process, wherever they are."""
        for name in sorted(tensors):
            plain = tensors[name].detach().cpu().contiguous()
            self.send(plain)
            if self.rank:
                with torch.no_grad():
                    tensors[name].copy_(plain)

    def send_named(self, tensors: dict[str, torch.Tensor] | None) -> dict[str, torch.Tensor]:
        """What the first process has by these names, in each; the others give None."""
        if tensors is not None:
            names = sorted(tensors)
            kinds = [[str(tensors[name].dtype).removeprefix("torch."), list(tensors[name].shape)] for name in names]
            self.say({"names": names, "kinds": kinds})
        else:
            heard = self.hear()
            made = (torch.empty(shape, dtype=getattr(torch, dtype)) for dtype, shape in heard["kinds"])
            tensors = dict(zip(heard["names"], made, strict=True))
        self.send_all(tensors)
        return tensors

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Those of all processes, in their order: [N, K] of each to [processes · N, K]."""
        found = [torch.empty_like(rows) for _ in range(self.processes)]
        with _connected():
            dist.all_gather(found, rows)
        return torch.cat(found)

    def interrupt(self) -> None:
        """End what waits on a GPU for a process that is gone; from any thread."""
        if self._nccl is not None:
            _suppressed(self._nccl.abort)

    def close(self) -> None:
        _suppressed(dist.destroy_process_group)


@contextlib.contextmanager
def _connected() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise Disconnected(str(error)) from error


def _suppressed(end: Callable[[], None]) -> None:
    with contextlib.suppress(Exception):  # it is over, whatever it says of that
        end()
