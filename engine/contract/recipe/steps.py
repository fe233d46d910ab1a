"""How many training steps a recipe makes of a data set."""

from __future__ import annotations

SMALLEST_BATCH = 2  # images: batch normalisation has nothing to average in one


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Batches per epoch. A last batch of one image is dropped: batch normalisation has nothing to average there."""
    complete, rest = divmod(images, batch_size)
    return complete + (rest > 1)
