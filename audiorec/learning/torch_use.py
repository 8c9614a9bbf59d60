"""Lazy import of torch, and a limit of one thread.

Torch is an optional dependency and takes a second to import, so importing audiorec never loads it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from audiorec.errors import MissingExtraError


def import_torch(purpose: str) -> Any:
    """Return torch; raise `MissingExtraError`, which names the `purpose`, if it does not load."""
    try:
        import torch
    except (ImportError, OSError) as error:
        raise MissingExtraError(purpose, "train", str(error)) from error
    return torch


@contextmanager
def one_thread(purpose: str) -> Iterator[None]:
    """Limit torch to one thread, so that the order of summation is always the same.

    For layers as small as audiorec's, this is also faster.
    """
    torch = import_torch(purpose)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
