"""`audiorec.search.scaling`, and how `scaling` looks past what it knows."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save

from audiorec.errors import MissingWeightsError, ShapeError, StoreError, WeightsError
from audiorec.search.scaling import (
    LOOKED_PAST,
    METADATA_KEY,
    BandwidthEffect,
    Scaling,
    Weighting,
    bandwidth_effect,
    fit,
    fit_units,
)
from audiorec.store.schema import StoreMetadata
from audiorec.tagger.heads import Head, shipped_heads
from audiorec.types import STATISTICS


def metadata(**changes):
    """Of a store of the shipped heads."""
    heads = [Head.load(path) for path in shipped_heads()]
    weights = [{"name": f"head_{h.task}", "sha256": h.sha256, "licence": "x"} for h in heads]
    classes = tuple(f"{head.task}/{name}" for head in heads for name in head.classes)
    made = {"kind": "vectors", "extractor_id": "e", "classes": classes, "weights": tuple(weights)}
    return StoreMetadata(**(made | changes))


def test_the_shipped_heads_have_theirs_and_it_is_used_by_default():
    known = bandwidth_effect(metadata())
    assert known is not None
    assert known.moment.shape == (84, 84)
    np.testing.assert_allclose(known.moment, known.moment.T, rtol=1e-5)
    weighting = Weighting.of_store(metadata())
    assert weighting.moment is known.moment
    odds = dict(zip(STATISTICS, weighting.log_odds[:6].tolist(), strict=True))
    assert [name for name, is_odds in odds.items() if is_odds] == ["max", "min", "mean"]


def test_other_heads_other_weights_and_the_plain_mean_have_none():
    other = metadata()
    others = [dict(w) | {"sha256": "0" * 64} for w in other.weights]
    assert bandwidth_effect(replace(other, weights=tuple(others))) is None
    assert Weighting.of_store(other, "mean").moment is None
    assert not Weighting.of_store(other, "mean").log_odds[STATISTICS.index("mean")]
    assert Weighting.of_store(other, "vector", [1, 1, 1, 0, 0, 0]).moment is None


def test_a_copy_through_a_band_is_nearest_to_itself_again():
    rng = np.random.default_rng(0)
    songs = rng.normal(0, 1, (60, 6)).astype(np.float32)
    direction = np.array([1, -1, 0, 0, 2, 0]) / 2
    moment = (4**2 + 3**2) / 2 * np.outer(direction, direction)  # of the changes
    copies = songs + np.float32(4 * direction)

    def found(moment):
        weighting = Weighting(weights=np.ones(6), log_odds=np.zeros(6, np.bool_), moment=moment)
        scaling, units = fit_units(lambda: [songs], len(songs), weighting)
        nearest = (scaling.prepare(copies) @ units.T).argmax(1)
        return (nearest == np.arange(len(songs))).mean()

    assert found(None) < 0.6
    assert found(moment) > 0.95


def test_a_direction_counts_less_by_how_much_the_band_moves_it():
    vectors = np.float32([[1, 0], [-1, 0], [0, 1], [0, -1]]) * np.float32(2**0.5)
    moment = np.diag([0.5, 0.0])
    weighting = Weighting(weights=np.ones(2), log_odds=np.zeros(2, np.bool_), moment=moment)
    scaling = fit(lambda: [vectors], weighting)
    np.testing.assert_allclose(scaling.spread, 1)
    np.testing.assert_allclose(
        scaling.mix, np.diag([(1 + LOOKED_PAST * 0.5) ** -0.5, 1.0]), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.norm(scaling.prepare(vectors), axis=1), 1, atol=1e-6)


def test_a_scaling_that_looks_past_something_survives_json_and_one_of_old_is_read():
    rng = np.random.default_rng(0)
    vectors = rng.random((9, 3)).astype(np.float32)
    for moment in (None, np.eye(3)):
        weighting = Weighting(
            weights=np.array([1.0, 0.0, 2.0]), log_odds=np.zeros(3, np.bool_), moment=moment
        )
        scaling = fit(lambda: [vectors], weighting)
        content = scaling.to_dict()
        assert ("mix" in content) == (moment is not None)
        again = Scaling.from_dict(content)
        np.testing.assert_array_equal(again.prepare(vectors), scaling.prepare(vectors))
    with pytest.raises(StoreError, match="damaged"):
        Scaling.from_dict(content | {"mix": [[1.0]]})


def test_a_moment_of_another_width_is_refused():
    with pytest.raises(ShapeError, match="moment"):
        Weighting(weights=np.ones(2), log_odds=np.zeros(2, np.bool_), moment=np.eye(3))


def one(moment):
    return BandwidthEffect(
        heads=("a", "b"), statistics=STATISTICS, log_odds=("max",), moment=moment
    )


def test_a_file_is_read_as_it_was_written(tmp_path):
    written = one(np.eye(4) / 3)
    written.save(tmp_path / "n.safetensors")
    read = BandwidthEffect.load(tmp_path / "n.safetensors")
    assert (read.heads, read.statistics, read.log_odds) == (("a", "b"), STATISTICS, ("max",))
    np.testing.assert_allclose(read.moment, written.moment, rtol=1e-6)


@pytest.mark.parametrize("about", [None, "[]", "{}", '{"format": 9}', '{"format": 1, "heads": 3}'])
def test_a_file_that_says_something_else_is_refused_by_name(tmp_path, about):
    path = tmp_path / "n.safetensors"
    path.write_bytes(save({"moment": np.eye(2)}, {METADATA_KEY: about} if about else None))
    with pytest.raises(WeightsError, match=r"n\.safetensors"):
        BandwidthEffect.load(path)


def test_a_damaged_or_missing_file_is_refused(tmp_path):
    with pytest.raises(ShapeError, match="square"):
        one(np.ones((2, 3)))
    (tmp_path / "n.safetensors").write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match="damaged"):
        BandwidthEffect.load(tmp_path / "n.safetensors")
    with pytest.raises(MissingWeightsError, match="no such file"):
        BandwidthEffect.load(tmp_path / "absent")
