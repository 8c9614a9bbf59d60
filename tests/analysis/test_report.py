"""`audiorec.analysis.report`: figures, and the table."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from audiorec.analysis.correlation import CorrelationSpec, correlate
from audiorec.analysis.report import summary, write_correlations
from audiorec.simulation.world import WorldSpec, simulate


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(120, 8))
    units = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    ids = [f"s{i}" for i in range(120)]
    world = simulate(ids, features, WorldSpec(users=150, days=60, signal=1.0, seed=5))
    spec = CorrelationSpec(draws=20, song_draws=20, half_life_days=float("inf"))
    return correlate(world.interactions, ids, units, spec)


def test_the_figures_agree_with_the_users(found):
    figures = summary(found)
    assert json.loads(json.dumps(figures, allow_nan=False))
    assert figures["users"] == len(found.r) == sum(figures["histogram"]["users"])
    assert figures["share_positive"] == np.mean(found.r > 0)
    for name in ("mean_r", "share_positive"):
        low, high = figures[f"{name}_interval"]
        assert low < figures[name] < high
    assert sum(figures["histogram"]["shuffled"]) == pytest.approx(len(found.r))
    assert figures["shuffled_songs"]["p"] == found.control.p
    assert figures["half_life_days"] is None
    assert summary(found) == figures


def test_the_table_is_one_row_a_user(found, tmp_path):
    path = tmp_path / "correlation.parquet"
    write_correlations(path, found, about={"simulated": True})
    table = pq.read_table(path)
    assert table.column_names == ["user_id", "r", "n", "favourites", "z", "null_quantile"]
    assert table["user_id"].to_pylist() == list(found.user_ids) == sorted(found.user_ids)
    np.testing.assert_allclose(table["r"].to_numpy(), found.r, atol=1e-6)
    metadata = json.loads(table.schema.metadata[b"audiorec"])
    assert (metadata["kind"], metadata["simulated"], metadata["min_songs"]) == (
        "correlation",
        True,
        10,
    )
