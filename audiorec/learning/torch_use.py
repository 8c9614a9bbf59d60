"""Torch, where it is asked for: imported late, and kept to one thread.

Torch is an extra and takes a second to import, so nothing loads it with audiorec.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from audiorec.errors import MissingExtraError


def import_torch(purpose: str) -> Any:
    """Return torch; `purpose` stands in the `MissingExtraError` if it does not load."""
    try:
        import torch
    except (ImportError, OSError) as error:
        raise MissingExtraError(purpose, "train", str(error)) from error
    return torch


@contextmanager
def one_thread(purpose: str) -> Iterator[None]:
    """Keep torch to one thread, in which sums always come in the same order.

    On layers as small as audiorec's it is the quicker way as well.
    """
    torch = import_torch(purpose)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
