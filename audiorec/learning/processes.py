"""Data-parallel training: several processes train one model, each on a part of every batch.

    torchrun ──join_processes──▶ `Processes`: rank, size   single: `ALONE`, whose methods do nothing
    x (b, ...), rows of this process ──dropout──▶ x, with those rows of the whole batch's mask

Two processes take the same steps as one, up to the order of sums. Batch statistics are those of a
part, so a model that uses them is trained, but not to the same weights.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from audiorec.errors import AudiorecError, LostProcessError
from audiorec.learning.launch import error_from_json, error_to_json

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

    Each process draws the mask of the whole batch and keeps its own rows, so that training in two
    processes drops the same units as in one.
    """
    place = _PART.get()
    if place is None or not training or not share:
        return functional.dropout(x, share, training)
    rows, part = place
    whole = functional.dropout(x.new_ones(rows, *x.shape[1:]), share)
    return x * whole[part]


Line = dict[str, Any]
TIMEOUT_S = 1800.0  # time limit of waiting for the other processes, as in torch


@dataclass(frozen=True, slots=True)
class Processes:
    """Rank of this process and number of processes; all must make the same calls.

    - Every process draws the same batch, by the same seed, and keeps `part` of it.
    - The loss of a process is `mean`: the sum over its own part, divided by the size of the whole
      batch. Losses and gradients then add up to those of the whole batch, and
      `audiorec.learning.fit` sums the gradients before each step.
    - In-batch negatives come from all processes: `gather` passes gradients back to the process that
      each row came from.
    - Dropout is drawn for the whole batch: `dropout`, within `within`.

    Work for a single process (write a file, talk to another party) is done by the first, which
    broadcasts the result: `from_first`. An error there is raised in all processes, so that none
    waits for the others. If a process dies, all others end with a `LostProcessError`.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and evaluates."""
        return self.rank == 0

    def part(self, n: int) -> slice:
        """Return this process's part of the `n` examples of a batch; it may be empty.

        Examples
        --------
        >>> [Processes(rank, 3).part(7) for rank in range(3)]
        [slice(0, 2, None), slice(2, 4, None), slice(4, 7, None)]
        """
        return slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    @contextmanager
    def within(self, n: int) -> Iterator[None]:
        """Draw `audiorec.learning.processes` for all `n` examples of a batch within the context."""
        if self.size == 1:
            yield
            return
        with part_of_batch(n, self.part(n)):
            yield

    def mean(self, losses: Tensor) -> Tensor:
        """Return this process's share of the mean over the whole batch.

        `losses` (b,) are those of its own part. The shares of all processes add up to the mean.
        """
        if self.size == 1:
            return losses.mean()
        return losses.sum() / max(1.0, self.total(float(len(losses))))

    def gather(self, rows: Tensor) -> Tensor:
        """Return the rows (b, ...) of all processes in the order of their ranks: (B, ...).

        The parts may differ in length. Gradients flow back to the rows of every process.
        """
        if self.size == 1:
            return rows
        sizes = torch.zeros(self.size, dtype=torch.int64)
        sizes[self.rank] = len(rows)
        with _others():
            distributed.all_reduce(sizes)
        gathered: Tensor = _Gather.apply(rows, sizes.tolist(), self.rank)  # type: ignore[no-untyped-call]
        return gathered

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace gradients by their sums over all processes.

        A parameter without a gradient in any process is left without. Of sparse gradients, only
        rows used by some process are sent.
        """
        if self.size == 1:
            return
        trained = [p for p in parameters if p.requires_grad]
        has = torch.tensor([[p.grad is not None, _is_sparse(p)] for p in trained]).long()
        with _others():
            distributed.all_reduce(has)
        used = [p for p, (n, sparse) in zip(trained, has.tolist(), strict=True) if n and not sparse]
        for kind in sorted({str(p.dtype) for p in used}):  # one message per dtype
            alike = [p for p in used if str(p.dtype) == kind]
            given = [torch.zeros_like(p) if p.grad is None else p.grad for p in alike]
            flat = torch.cat([g.flatten() for g in given])
            with _others():
                distributed.all_reduce(flat)
            parts = torch.split(flat, [p.numel() for p in alike])
            for p, part in zip(alike, parts, strict=True):
                p.grad = part.view_as(p).clone()
        for p, (_, sparse) in zip(trained, has.tolist(), strict=True):
            if sparse:
                p.grad = self._sum_rows(p)

    def _sum_rows(self, parameter: Tensor) -> Tensor:
        """Return the sum of sparse gradients (S, ...), with the rows used by any process."""
        own = parameter.grad
        rows = torch.zeros(0, dtype=torch.int64)
        values = parameter.new_zeros(0, *parameter.shape[1:])
        if own is not None:
            own = own.coalesce()
            rows, values = own.indices()[0], own.values()
        reached = torch.unique(self.gather(rows))
        summed = parameter.new_zeros(len(reached), *parameter.shape[1:])
        summed[torch.searchsorted(reached, rows)] = values
        with _others():
            distributed.all_reduce(summed)
        # Explicit, so that torch does not warn about unchecked invariants.
        with torch.sparse.check_sparse_tensor_invariants(False):  # type: ignore[no-untyped-call]
            return torch.sparse_coo_tensor(
                reached[None], summed, parameter.shape, is_coalesced=True
            )

    def total(self, value: float) -> float:
        """Return the sum of a number over all processes."""
        if self.size == 1:
            return value
        result = torch.tensor([value], dtype=torch.float64)
        with _others():
            distributed.all_reduce(result)
        return float(result)

    def any(self, flag: bool) -> bool:
        """Return whether the flag is true in any process."""
        return self.total(float(flag)) > 0

    def agree(self, *numbers: int) -> bool:
        """Return whether all processes gave the same numbers."""
        if self.size == 1:
            return True
        mine = torch.tensor(numbers, dtype=torch.int64)
        result = [torch.empty_like(mine) for _ in range(self.size)]
        with _others():
            distributed.all_gather(result, mine)
        return all(bool((other == mine).all()) for other in result)

    def from_first(self, make: Callable[[], Line | None]) -> Line | None:
        """Call `make` in the first process, and return its result in all of them.

        Its `AudiorecError` is raised in all processes.
        """
        if self.size == 1:
            return make()
        line, failure = None, None
        if self.is_first:
            try:
                line = make()
            except AudiorecError as error:
                failure = error
        content = json.dumps(
            [line, None if failure is None else error_to_json(failure)], default=str
        ).encode()
        length = int(self.total(float(len(content)) if self.is_first else 0.0))
        sent = torch.zeros(length, dtype=torch.uint8)
        if self.is_first:
            sent = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        with _others():
            distributed.broadcast(sent, 0)
        if failure is not None:
            raise failure
        answer: Line | None
        answer, said = json.loads(sent.numpy().tobytes())
        if said is not None:
            raise error_from_json(*said)
        return answer

    def spread(self, model: nn.Module) -> None:
        """Broadcast the weights of the first process."""
        if self.size > 1:
            with _others():
                for tensor in model.state_dict().values():
                    distributed.broadcast(tensor, 0)


ALONE = Processes()


@contextmanager
def join_processes() -> Iterator[Processes]:
    """Join the processes started by ``torchrun``; yield `ALONE` outside of it.

    Within another `join_processes`, it yields the same processes. A process that waits for the
    others longer than `TIMEOUT_S` seconds raises `LostProcessError`.

    Examples
    --------
    >>> with join_processes() as processes:
    ...     processes.size
    1
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    if distributed.is_initialized():
        yield Processes(distributed.get_rank(), distributed.get_world_size())
        return
    with _others():
        distributed.init_process_group("gloo", timeout=timedelta(seconds=TIMEOUT_S))
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


class _Gather(torch.autograd.Function):
    """Gather the rows of all processes; backward, sum all processes' gradients of the own rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, sizes: list[int], rank: int) -> Tensor:
        ctx.own = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
        padded = rows.new_zeros((max(sizes), *rows.shape[1:]))
        padded[: len(rows)] = rows
        result = [torch.empty_like(padded) for _ in sizes]
        with _others():
            distributed.all_gather(result, padded)
        return torch.cat([part[:n] for part, n in zip(result, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        whole = gradients[0].clone(memory_format=torch.contiguous_format)
        with _others():
            distributed.all_reduce(whole)
        return whole[ctx.own], None, None


@contextmanager
def _others() -> Iterator[None]:
    """Turn transport errors caused by a lost process into a `LostProcessError`."""
    try:
        yield
    except RuntimeError as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise LostProcessError(
            "another training process has ended or cannot be reached; start all of them again to "
            f"resume from the last checkpoint ({reason})"
        ) from error


def _is_sparse(parameter: Tensor) -> bool:
    return parameter.grad is not None and parameter.grad.is_sparse
