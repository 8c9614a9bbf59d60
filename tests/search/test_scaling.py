"""`audiorec.search.scaling`: worked values, floors, the shipped heads and others, refusals."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save

from audiorec.errors import InputError, MissingWeightsError, ShapeError, WeightsError
from audiorec.search import scaling
from audiorec.search.scaling import (
    FILE,
    LOG_ODDS_FLOOR,
    LOOKED_PAST,
    METADATA_KEY,
    MeasuredHeads,
    Scaling,
    log_odds,
)
from audiorec.store.schema import StoreMetadata
from audiorec.tagger.heads import Head, shipped_heads
from audiorec.tagger.weights import data_folder
from audiorec.types import STATISTICS


def of_shipped_heads(**changes):
    heads = [Head.load(path) for path in shipped_heads()]
    weights = [{"name": f"head_{h.task}", "sha256": h.sha256, "licence": "x"} for h in heads]
    classes = tuple(f"{head.task}/{name}" for head in heads for name in head.classes)
    made = {"kind": "vectors", "extractor_id": "e", "classes": classes, "weights": tuple(weights)}
    return StoreMetadata(**(made | changes))


def test_values_worked_by_hand():
    # One head of two classes: an even score is a half, whose log-odds are 0. With a floor of 1e-6
    # the log-odds of 1 are a = ln(1.000001 / 0.000001).
    metadata = of_shipped_heads(classes=("mood/calm", "mood/wild"))
    made = Scaling.of_vectors(metadata)
    assert made.columns.tolist() == [0, 1, 2, 6, 7, 8]  # the largest, the smallest, the mean
    np.testing.assert_allclose(made.centre, 0, atol=1e-9)
    assert made.mix is None
    vector = np.full((1, 12), 0.5, np.float32)
    vector[0, [0, 2, 3]] = 1  # the variance in column 3 is not compared
    np.testing.assert_allclose(made.prepare(vector), [[0.6, 0, 0.8, 0, 0, 0]], atol=1e-6)
    assert log_odds(np.float32([1]))[0] == pytest.approx(np.log(1 + 1 / LOG_ODDS_FLOOR))


def test_an_even_score_is_that_of_each_head():
    names = ("a/x", "a/y", "b/1", "b/2", "b/3", "b/4", "voice/sung")
    centre = Scaling.of_vectors(of_shipped_heads(classes=names)).centre.reshape(7, 3)
    np.testing.assert_allclose(centre[:2], 0, atol=1e-9)
    np.testing.assert_allclose(centre[2:6], np.log(1 / 3), atol=1e-5)
    np.testing.assert_allclose(centre[6], 0, atol=1e-9)  # a class alone is even at a half


def test_log_odds_are_symmetric_finite_and_those_of_the_ends_beyond_them():
    p = np.linspace(0, 1, 11, dtype=np.float32)
    np.testing.assert_allclose(log_odds(p), -log_odds(1 - p)[::1], atol=1e-5)
    assert log_odds(np.float32([-3, 7])).tolist() == log_odds(np.float32([0, 1])).tolist()


def test_plainly_only_the_length_changes():
    vectors = np.float32([[3, 4], [0, 0], [-6, 8]])
    plain = Scaling.plain(2)
    np.testing.assert_allclose(plain.prepare(vectors), [[0.6, 0.8], [0, 0], [-0.6, 0.8]])
    assert plain.to_dict() == {"width": 2, "columns": [0, 1]}


def test_the_shipped_heads_have_a_centre_and_look_past_a_narrow_band():
    known = MeasuredHeads.load(data_folder() / FILE)
    metadata = of_shipped_heads()
    assert known.fits(metadata)
    made = Scaling.of_vectors(metadata)
    np.testing.assert_array_equal(made.centre, known.centre[made.columns])
    assert (made.width, made.mix.shape) == (84, (42, 42))
    others = [dict(w) | {"sha256": "0" * 64} for w in metadata.weights]
    assert Scaling.of_vectors(replace(metadata, weights=tuple(others))).mix is None


def test_a_song_at_the_centre_has_no_direction():
    made = Scaling.of_vectors(of_shipped_heads(classes=("mood/calm", "mood/wild")))
    assert not made.prepare(np.full((1, 12), 0.5, np.float32)).any()


def test_a_direction_counts_less_by_how_much_the_band_moves_it(monkeypatch):
    metadata = of_shipped_heads(classes=("mood/calm", "mood/wild"))
    heads = tuple(w["sha256"] for w in metadata.weights)
    moment = np.zeros((12, 12))
    moment[2, 2] = 0.5  # the mean of the first class, of weight 1
    known = MeasuredHeads(
        heads=heads, statistics=STATISTICS, centre=np.zeros(12), spread=np.ones(12), moment=moment
    )
    monkeypatch.setattr(scaling, "_shipped", lambda: known)
    expected = np.diag([1, 1, (1 + LOOKED_PAST * 0.5) ** -0.5, 1, 1, 1])
    np.testing.assert_allclose(Scaling.of_vectors(metadata).mix, expected, atol=1e-12)


def test_blocks_and_other_songs_change_nothing():
    vectors = np.random.default_rng(3).random((20, 84)).astype(np.float32)
    kept, made = vectors.copy(), Scaling.of_vectors(of_shipped_heads())
    whole = made.prepare_all([vectors], 20)
    np.testing.assert_array_equal(vectors, kept)
    np.testing.assert_array_equal(made.prepare_all(np.array_split(vectors, 7), 20), whole)
    np.testing.assert_array_equal(made.prepare(vectors[4:5]), whole[4:5])
    assert made.prepare_all([], 0).shape == (0, 42)


def test_the_numbers_of_a_scaling_are_all_that_is_needed():
    made = Scaling.of_vectors(of_shipped_heads())
    said = made.to_dict()
    vectors = np.random.default_rng(3).random((5, 84)).astype(np.float32)
    p = vectors[:, said["columns"]].astype(np.float64)
    z = (np.log((p + 1e-6) / (1 + 1e-6 - p)) - said["centre"]) * said["weights"] @ said["mix"]
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    np.testing.assert_allclose(made.prepare(vectors), z, atol=1e-6)


def test_refusals():
    plain = Scaling.plain(2)
    with pytest.raises(ShapeError, match=r"shape \(Q, 2\), got \(1, 3\)"):
        plain.prepare(np.ones((1, 3), np.float32))
    with pytest.raises(InputError, match="NaN or infinite"):
        plain.prepare(np.float32([[1, np.inf]]))


def measured(centre, moment, spread=1.0):
    spreads = np.full(len(centre), spread)
    return MeasuredHeads(
        heads=("a", "b"), statistics=STATISTICS, centre=centre, spread=spreads, moment=moment
    )


def test_a_file_is_read_as_it_was_written(tmp_path):
    written = measured(np.linspace(-1, 1, 4), np.eye(4) / 3, 0.7)
    written.save(tmp_path / "n.safetensors")
    read = MeasuredHeads.load(tmp_path / "n.safetensors")
    assert (read.heads, read.statistics) == (("a", "b"), STATISTICS)
    np.testing.assert_array_equal(read.centre, written.centre)
    np.testing.assert_array_equal(read.spread, written.spread)
    np.testing.assert_allclose(read.moment, written.moment, rtol=1e-6)


@pytest.mark.parametrize("about", [None, "[]", "{}", '{"format": 9}', '{"format": 1, "heads": 3}'])
def test_a_file_that_says_something_else_is_refused_by_name(tmp_path, about):
    path = tmp_path / "n.safetensors"
    tensors = {"moment": np.eye(2), "centre": np.zeros(2), "spread": np.ones(2)}
    path.write_bytes(save(tensors, {METADATA_KEY: about} if about else None))
    with pytest.raises(WeightsError, match=r"n\.safetensors"):
        MeasuredHeads.load(path)


def test_a_damaged_or_missing_file_is_refused(tmp_path):
    with pytest.raises(ShapeError, match="square"):
        measured(np.zeros(2), np.ones((2, 3)))
    for centre, spread in ((np.full(2, np.nan), 1.0), (np.zeros(2), 0.0)):
        with pytest.raises(ShapeError, match="not finite, or a spread of 0"):
            measured(centre, np.eye(2), spread)
    (tmp_path / "n.safetensors").write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match="damaged"):
        MeasuredHeads.load(tmp_path / "n.safetensors")
    with pytest.raises(MissingWeightsError, match="no such file"):
        MeasuredHeads.load(tmp_path / "absent")
