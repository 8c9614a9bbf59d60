"""Dropout whose masks do not depend on the number of processes.

    x (b, ...), rows of this process ──dropout──▶ x, with those rows of the whole batch's mask

Each process draws the mask of the whole batch and keeps its own rows, so that training in two
processes drops the same units as in one. In a single process it is `functional.dropout`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor
from torch.nn import functional

_PART: ContextVar[tuple[int, slice] | None] = ContextVar("part of a batch", default=None)


@contextmanager
def part_of_batch(rows: int, part: slice) -> Iterator[None]:
    """Within the context, `dropout` gets only the `part` of a batch of `rows` rows."""
    token = _PART.set((rows, part))
    try:
        yield
    finally:
        _PART.reset(token)


def dropout(x: Tensor, share: float, training: bool) -> Tensor:
    """Drop a share of numbers (b, ...) in training, and scale up the rest.

    Within `part_of_batch`, b are the rows of the part.
    """
    place = _PART.get()
    if place is None or not training or not share:
        return functional.dropout(x, share, training)
    rows, part = place
    whole = functional.dropout(x.new_ones(rows, *x.shape[1:]), share)
    return x * whole[part]
