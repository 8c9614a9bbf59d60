"""Row-wise Adagrad against its definition."""

import numpy as np
from needs import needs

torch = needs("torch")

from audiorec.learning.row_optimisers import RowAdagrad


def test_it_equals_a_loop_over_rows():
    rng = np.random.default_rng(0)
    start = rng.normal(size=(5, 3))
    table = torch.nn.Embedding(5, 3, sparse=True, _weight=torch.from_numpy(start.copy()))
    optimiser = RowAdagrad(table.parameters(), lr=0.3)
    expected, squares = start.copy(), np.zeros(5)
    for _ in range(4):
        rows, scale = rng.integers(0, 4, 6), rng.normal(size=(6, 3))
        optimiser.zero_grad()
        (table(torch.from_numpy(rows)) * torch.from_numpy(scale)).sum().backward()
        optimiser.step()
        gradient = np.zeros((5, 3))
        np.add.at(gradient, rows, scale)
        for row in set(rows.tolist()):
            squares[row] += np.mean(gradient[row] ** 2)
            expected[row] -= 0.3 * gradient[row] / np.sqrt(squares[row])
    np.testing.assert_allclose(table.weight.detach().numpy(), expected, rtol=1e-10)
    np.testing.assert_array_equal(expected[4], start[4])  # never touched


def test_a_gradient_of_nothing_changes_nothing():
    table = torch.nn.Embedding(2, 2, sparse=True, _weight=torch.ones(2, 2))
    optimiser = RowAdagrad(table.parameters(), lr=0.3)
    (table(torch.tensor([0])) * 0).sum().backward()
    optimiser.step()
    assert table.weight.tolist() == [[1, 1], [1, 1]]


def test_its_state_is_whole_from_the_start():
    table = torch.nn.Embedding(4, 2, sparse=True)
    state = RowAdagrad(table.parameters(), lr=0.3).state_dict()["state"]
    assert [tuple(one["squares"].shape) for one in state.values()] == [(4,)]
