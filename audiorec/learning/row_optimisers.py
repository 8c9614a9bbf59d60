"""Adam and Adagrad for large embedding tables: a step costs as much as the rows it uses.

    rows that a step will read ──RowAdam.catch_up──▶ values that Adam would have given them
    their sparse gradient      ──step──────────────▶ updated rows
    done, planned              ──cosine_decay──────▶ factor of the learning rate, 0 to 1

`RowAdam` keeps two numbers for each of a table. `RowAdagrad`, for tables of millions of rows, keeps
one number per row.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn, optim

from audiorec.errors import InputError

BETAS, EPSILON = (0.9, 0.999), 1e-8  # as in `torch.optim.Adam`
# Steps after which the moves of a row are below double precision.
FORGOTTEN = 400
SMALLEST = 1e-300  # lower bound of a divisor, which is 0 at a learning rate of 0
ROWS = 1 << 16  # table rows updated at a time


class RowAdam(optim.Optimizer):
    """Adam for tables, (S, d) each, with sparse gradients; other parameters use plain Adam.

    Before table rows are read, call `catch_up` for them, or `catch_up_all`.

    Adam also moves rows without a gradient, by their decaying moments, so each step passes over the
    whole table three times. But the value of a row does not matter until it is read again. Since
    its last step a, its moves are::

        sum over s = a + 1 .. t of  f_s m / (sqrt(v) + k_s e)
        k_s = sqrt((1 - b2^s) / b2^(s-a))        f_s = k_s rate_s b1^(s-a) / (1 - b1^s)

    The k_s are summarised by their mean and variance, weighted by f, and the quotient is expanded
    to second order around the mean. The sum of f, the mean and the variance are the same for all
    rows of one a and are stored for every a, so a row catches up on all missed steps at once. This
    equals Adam, unlike "lazy" Adam (`torch.optim.SparseAdam`), which omits those moves.

    Examples
    --------
    >>> table = nn.Embedding(3, 2, sparse=True, _weight=torch.zeros(3, 2))
    >>> optimiser = RowAdam([table.weight], [], lr=0.1)
    >>> table(torch.tensor([1])).sum().backward()
    >>> _ = optimiser.step()
    >>> [[round(x, 3) for x in row] for row in table.weight.tolist()]
    [[0.0, 0.0], [-0.1, -0.1], [0.0, 0.0]]
    """

    def __init__(
        self, tables: Sequence[nn.Parameter], groups: Iterable[dict[str, Any]], lr: float
    ) -> None:
        """Initialise all moments to 0.

        Parameters
        ----------
        tables : sequence of Parameter
            Tables, the first group of the optimiser.
        groups : iterable of dict
            Groups of the other parameters, as for `torch.optim.Adam`.
        lr : float
            Learning rate of the tables.
        """
        self.tables = list(tables)
        others = list(groups)
        self._others = optim.Adam(others, lr=lr, fused=True) if others else None
        shared = [] if self._others is None else self._others.param_groups
        super().__init__([{"params": self.tables}, *shared], {"lr": lr})
        for table in self.tables:
            self.state[table] = {
                "exp_avg": torch.zeros_like(table),
                "exp_avg_sq": torch.zeros_like(table),
                "at": torch.zeros(len(table), dtype=torch.int32),  # the last step of each row
            }
        # Column a, for rows whose last step was a: the sums of f, f k and f k^2.
        self._moved = np.zeros((3, 1))
        self._share()

    @property
    def steps(self) -> int:
        """Number of steps taken."""
        return self._moved.shape[1] - 1

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Update the rows that have a gradient, and all other parameters."""
        rate = float(self.param_groups[0]["lr"])
        gradients = [None if t.grad is None else t.grad.coalesce() for t in self.tables]
        for table, gradient in zip(self.tables, gradients, strict=True):
            if gradient is not None:
                self._catch_up(table, gradient._indices()[0])
        self._count(rate)
        for table, gradient in zip(self.tables, gradients, strict=True):
            if gradient is not None:
                self._update(table, gradient._indices()[0], gradient._values(), rate)
        if self._others is not None:
            self._others.step()

    @torch.no_grad()
    def catch_up(self, rows: Tensor) -> None:
        """Apply the missed moves to distinct rows (n,) of all tables."""
        for table in self.tables:
            self._catch_up(table, rows)

    def catch_up_all(self) -> None:
        """Apply the missed moves to all rows."""
        for table in self.tables:
            for first in range(0, len(table), ROWS):
                self._catch_up(table, torch.arange(first, min(first + ROWS, len(table))))

    def state_dict(self) -> dict[str, Any]:
        """Return the state, in the format of `torch.optim.Optimizer.state_dict`."""
        if self.tables:
            self.state[self.tables[0]]["moved"] = torch.from_numpy(self._moved.copy())
        return super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Undo `state_dict`."""
        super().load_state_dict(state_dict)
        for number, table in enumerate(self.tables):
            # Restore the dtype: the base class has cast it to that of the table.
            self.state[table]["at"] = state_dict["state"][number]["at"].clone()
        if self.tables:
            self._moved = state_dict["state"][0]["moved"].numpy().copy()
        self._share()

    def _share(self) -> None:
        """Share groups and state with the optimiser of the other parameters."""
        if self._others is not None:
            self._others.param_groups = self.param_groups[1:]
            self._others.state = self.state

    def _count(self, rate: float) -> None:
        """Count a step of this rate, and add its moves to the sums of all earlier last steps."""
        step = self.steps + 1
        first = max(0, step - FORGOTTEN)
        since = np.arange(step - first, 0, -1)
        k = np.sqrt((1 - BETAS[1] ** step) / BETAS[1] ** since)
        f = k * rate * BETAS[0] ** since / (1 - BETAS[0] ** step)
        self._moved[:, first:] += np.stack([f, f * k, f * k**2])
        self._moved = np.append(self._moved, np.zeros((3, 1)), axis=1)

    @torch.no_grad()
    def _catch_up(self, table: Tensor, rows: Tensor) -> None:
        state = self.state[table]
        at = state["at"].index_select(0, rows)
        late = (at < self.steps) & (at > 0)  # a row that was never updated has no moments
        state["at"].index_fill_(0, rows, self.steps)
        rows, at = rows[late], at[late].long()
        if not len(rows):
            return
        mean, square = (state[n].index_select(0, rows) for n in ("exp_avg", "exp_avg_sq"))
        moved, first, second = torch.from_numpy(self._moved)[:, at, None]
        k = first / moved.clamp_min(SMALLEST)
        spread = (second / moved.clamp_min(SMALLEST) - k.square()).clamp_min(0) * EPSILON**2
        below = square.sqrt().add_((EPSILON * k).to(table.dtype))
        share = (
            (spread.sqrt().to(table.dtype) / below).square_().add_(1).mul_(moved.to(table.dtype))
        )
        own = table.index_select(0, rows)
        table.index_copy_(0, rows, own.sub_(share.mul_(mean).div_(below)))
        missed = (self.steps - at).double()
        for name, values, beta in (("exp_avg", mean, BETAS[0]), ("exp_avg_sq", square, BETAS[1])):
            fade = (beta**missed).to(table.dtype)[:, None]
            state[name].index_copy_(0, rows, values.mul_(fade))

    def _update(self, table: Tensor, rows: Tensor, values: Tensor, rate: float) -> None:
        """Apply the step just counted to rows that are up to date."""
        state, step = self.state[table], self.steps
        mean = state["exp_avg"].index_select(0, rows).lerp_(values, 1 - BETAS[0])
        square = state["exp_avg_sq"].index_select(0, rows).mul_(BETAS[1])
        square.addcmul_(values, values, value=1 - BETAS[1])
        state["exp_avg"].index_copy_(0, rows, mean)
        state["exp_avg_sq"].index_copy_(0, rows, square)
        state["at"].index_fill_(0, rows, step)
        below = square.sqrt_().div_((1 - BETAS[1] ** step) ** 0.5).add_(EPSILON)
        own = table.index_select(0, rows)
        own.addcdiv_(mean, below, value=-rate / (1 - BETAS[0] ** step))
        table.index_copy_(0, rows, own)


SMALLEST_SUM = 1e-10  # minimum of a sum of squares, before its root divides a gradient


class RowAdagrad(optim.Optimizer):
    """Optimiser that updates embedding tables in place, by their sparse gradients.

    It has one step size per row::

        s_i += mean over D of g_i^2        w_i -= rate * g_i / sqrt(s_i)

    Rows without a gradient cost nothing. Source: the row-wise Adagrad of FBGEMM and DLRM, after
    Duchi et al., *Adaptive subgradient methods for online learning and stochastic optimization*,
    2011.

    Examples
    --------
    >>> table = nn.Embedding(3, 2, sparse=True, _weight=torch.zeros(3, 2))
    >>> optimiser = RowAdagrad(table.parameters(), lr=0.5)
    >>> table(torch.tensor([1, 1])).sum().backward()  # a gradient of 2 in each place of row 1
    >>> _ = optimiser.step()
    >>> table.weight.tolist()
    [[0.0, 0.0], [-0.5, -0.5], [0.0, 0.0]]
    """

    def __init__(self, tables: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(tables, {"lr": lr})
        for group in self.param_groups:
            for rows in group["params"]:
                # Created now, so that a checkpoint always holds the whole state.
                self.state[rows] = {"squares": torch.zeros(len(rows), dtype=rows.dtype)}

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Update the rows that have a gradient."""
        for group in self.param_groups:
            for rows in group["params"]:
                if rows.grad is not None:
                    _update(rows, rows.grad.coalesce(), self.state[rows]["squares"], group["lr"])


def _update(rows: Tensor, gradient: Tensor, squares: Tensor, rate: float) -> None:
    touched, values = gradient._indices()[0], gradient._values()
    own = squares.index_select(0, touched) + values.square().mean(-1)
    squares.index_copy_(0, touched, own)
    step = values * (-rate / own.clamp_min(SMALLEST_SUM).sqrt())[:, None]
    # Each row occurs once here: to read, add and write is faster than `index_add_`.
    rows.index_copy_(0, touched, step.add_(rows.index_select(0, touched)))


def cosine_decay(done: float, *, warm_up: float = 0.0) -> float:
    """Return the factor of the learning rate at a point of a training run.

    After a linear warm-up the rate falls along a cosine. The factor depends only on the progress of
    a run, not on its history, so a run that resumes in the middle of an epoch continues with the
    same rate.

    Parameters
    ----------
    done : float
        Share of the planned steps done: 0 at the first step, 1 at the end and beyond.
    warm_up : float
        Share of the steps in which the factor rises linearly from 0 to 1.

    Examples
    --------
    >>> [round(cosine_decay(done, warm_up=0.2), 3) for done in (0.1, 0.2, 0.6, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    """
    if not 0 <= warm_up < 1:
        raise InputError(f"warm_up must lie in [0, 1), got {warm_up}")
    if done < warm_up:
        return max(0.0, done) / warm_up
    down = min(1.0, (done - warm_up) / (1.0 - warm_up))
    return (1.0 + math.cos(math.pi * down)) / 2
