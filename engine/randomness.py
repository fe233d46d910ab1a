"""Randomness without state: every random number comes from a key of (seed, purpose, epoch, step).

So a resumed run continues bit for bit, from the middle of an epoch too, and thread timing cannot change a result.
The generator is NumPy's Philox on the CPU (Salmon et al. 2011), the same on every device.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import numpy.random  # numpy imports it at its first use, which would be within a run's start
import torch


def key(seed: int, purpose: str, epoch: int = 0, step: int = 0) -> bytes:
    """16 bytes, BLAKE2b of the purpose."""
    return blake2b(f"{seed}/{purpose}/{epoch}/{step}".encode(), digest_size=16).digest()


def generator(seed: int, purpose: str, epoch: int = 0, step: int = 0) -> np.random.Generator:
    """A NumPy generator for one purpose at one step."""
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key(seed, purpose, epoch, step), "little")))


def epoch_order(seed: int, epoch: int, images: int) -> np.ndarray:
    """The order in which an epoch sees the training images: int64 [images]."""
    return generator(seed, "order", epoch).permutation(images)


def seed_step(seed: int, epoch: int, step: int, rank: int = 0) -> None:
    """Seed torch's own generators (dropout) for one step; `rank`: of the process, each of which has its own images.

    The default generators directly: 2 µs, where `torch.manual_seed` costs 316.
    """
    purpose = f"torch of process {rank}" if rank else "torch"
    value = int.from_bytes(key(seed, purpose, epoch, step)[:8], "little") >> 1
    torch.default_generator.manual_seed(value)
    for device_generator in torch.cuda.default_generators:
        device_generator.manual_seed(value)
