"""`audiorec.learning.row_optimisers`: steps of Adam, at the cost of the rows that are reached."""

import pytest
from needs import needs

torch = needs("torch")

from audiorec.learning.row_optimisers import RowAdam

S, D = 40, 3


class Both:
    """The same training with a dense table and with a sparse one."""

    def __init__(self, dtype, rate=0.05):
        draw = torch.Generator().manual_seed(0)
        start = torch.randn(S, D, generator=draw, dtype=dtype)
        matrix = torch.randn(D, D, generator=draw, dtype=dtype)
        self.tables = [torch.nn.Parameter(start.clone()) for _ in range(2)]
        self.matrices = [torch.nn.Parameter(matrix.clone()) for _ in range(2)]
        groups = [{"params": [self.matrices[1]], "lr": rate / 10, "weight_decay": 0.01}]
        self.dense = torch.optim.Adam(
            [
                {"params": [self.tables[0]]},
                {"params": [self.matrices[0]], "lr": rate / 10, "weight_decay": 0.01},
            ],
            lr=rate,
            fused=True,
        )
        self.sparse = RowAdam([self.tables[1]], groups, lr=rate)
        self.goal = torch.randn(S, D, generator=draw, dtype=dtype)
        self.draw = draw

    def train(self, steps, first=0):
        for number in range(first, first + steps):
            # A tenth of the rows is hardly ever reached, and none in most steps.
            rows = torch.randint(0, S if number % 40 == 0 else S // 2, (4,), generator=self.draw)
            rows = rows.unique()
            self.sparse.catch_up(rows)
            for table, matrix, optimiser in zip(
                self.tables, self.matrices, (self.dense, self.sparse), strict=True
            ):
                optimiser.param_groups[0]["lr"] = 0.05 * (1 + number % 7) / 7
                is_sparse = optimiser is self.sparse
                read = torch.nn.functional.embedding(rows, table, sparse=is_sparse)
                optimiser.zero_grad()
                ((read @ matrix - self.goal[rows]) ** 2).sum().backward()
                optimiser.step()

    def difference(self):
        pairs = (self.tables, self.matrices)
        return max(float((a - b).detach().abs().max()) for a, b in pairs)


@pytest.mark.parametrize(("dtype", "most"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_it_is_adam(dtype, most):
    both = Both(dtype)
    both.train(600)
    rare = both.tables[0][S // 2 :] - both.tables[1][S // 2 :]
    assert rare.abs().max() > 1e-3  # rows that wait have not moved yet
    both.sparse.catch_up_all()
    assert both.difference() < most
    assert both.sparse.steps == 600


def test_a_state_that_was_saved_goes_on_to_the_bit():
    whole, resumed = Both(torch.float32), Both(torch.float32)
    whole.train(60)
    resumed.train(30)
    kept = resumed.sparse.state_dict()
    fresh = Both(torch.float32)
    fresh.draw.set_state(resumed.draw.get_state())
    for name in ("tables", "matrices"):
        for ours, theirs in zip(getattr(fresh, name), getattr(resumed, name), strict=True):
            ours.data.copy_(theirs.data)
    fresh.dense.load_state_dict(resumed.dense.state_dict())
    fresh.sparse.load_state_dict(kept)
    fresh.train(30, first=30)
    for optimiser in (whole.sparse, fresh.sparse):
        optimiser.catch_up_all()
    assert torch.equal(whole.tables[1], fresh.tables[1])
    assert torch.equal(whole.matrices[1], fresh.matrices[1])


def test_rows_that_nobody_announced_are_caught_up_with_when_they_have_a_gradient():
    table = torch.nn.Parameter(torch.ones(3, 2))
    optimiser = RowAdam([table], [], lr=0.1)
    for row in (0, 1, 1, 1):
        optimiser.zero_grad()
        torch.nn.functional.embedding(torch.tensor([row]), table, sparse=True).sum().backward()
        optimiser.step()
    assert table[0, 0].item() == pytest.approx(0.9)
    optimiser.catch_up(torch.tensor([0]))
    once = table[0].detach().clone()
    optimiser.catch_up(torch.tensor([0]))  # nothing is left to make up for
    assert torch.equal(table[0], once)
    assert once[0] < 0.8
    assert table[2].tolist() == [1.0, 1.0]
