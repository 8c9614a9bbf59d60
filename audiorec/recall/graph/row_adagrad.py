"""Adagrad with one step size per row, for tables of millions of rows.

    s_i += mean over D of g_i^2        w_i -= rate * g_i / sqrt(s_i)

The state is one number per row of D numbers, instead of two times D as in Adam, and rows without a
gradient cost nothing.

Source: the row-wise Adagrad of FBGEMM and DLRM, after Duchi et al., *Adaptive subgradient methods
for online learning and stochastic optimization*, 2011.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn, optim

SMALLEST = 1e-10  # minimum of a sum of squares, before its root divides a gradient


class RowAdagrad(optim.Optimizer):
    """Optimiser that updates embedding tables in place, by their sparse gradients.

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
    step = values * (-rate / own.clamp_min(SMALLEST).sqrt())[:, None]
    # Each row occurs once here: to read, add and write is faster than `index_add_`.
    rows.index_copy_(0, touched, step.add_(rows.index_select(0, touched)))
