"""`audiorec.store.records`: rows are checked value by value."""

import pickle
import subprocess
import sys
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from audiorec.errors import InputError, ShapeError
from audiorec.store.records import feature_values, row_batch, score_values
from audiorec.store.schema import Kind, schema_of
from audiorec.types import Status


def test_row_of_vectors(metadata, make_row):
    row = make_row("a.mp3", status=Status.SHORT, title="Étude")
    got = row_batch(row, schema_of(metadata)).to_pylist()[0]
    vector = got.pop("vector")
    absent = ("claimed_s", "loudness_lufs", "artist", "album", "isrc", "musicbrainz_trackid")
    expected = row | dict.fromkeys(absent)
    np.testing.assert_array_equal(np.float32(vector), expected.pop("vector"))
    assert got == expected


def test_row_of_scores(metadata, make_series):
    series = make_series(4, first=0.5)
    schema = schema_of(replace(metadata, kind=Kind.SCORES))
    values = score_values("a", "h", series) | {"extractor_id": "x"}
    got = row_batch(values, schema).to_pylist()[0]
    np.testing.assert_array_equal(np.float32(got["scores"]), series.scores)
    assert got["start_s"] == [0.0, 3.0, 6.0, 9.0]


def test_row_of_features_has_the_mean_beside_the_segments(metadata):
    features = np.float32([[1, 2, 3, 4, 5], [3, 2, 1, 0, 9]])
    schema = schema_of(replace(metadata, kind=Kind.FEATURES))
    values = feature_values("a", "h", np.float32([0, 3]), {"msd.penultimate": features})
    got = row_batch(values | {"extractor_id": "x"}, schema).to_pylist()[0]
    assert got["msd_penultimate"] == features.tolist()
    assert got["msd_penultimate_mean"] == [2, 2, 2, 2, 7]
    assert got["segments"] == 2


def test_array_that_is_not_contiguous_or_float64(metadata, make_row):
    vector = np.arange(36, dtype=np.float64)[::2]
    got = row_batch(make_row("a", vector=vector), schema_of(metadata)).to_pylist()[0]
    assert got["vector"] == vector.tolist()


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"song_id": ""}, InputError, "a row needs a song_id"),
        ({"content_hash": None}, InputError, "a row needs a content_hash"),
        ({"codec": None}, InputError, "'codec' must have a value"),
        ({"tempo": 120}, InputError, "no such column: tempo"),
        ({"segments": 2**31}, InputError, "'segments' cannot hold 2147483648"),
        ({"segments": "many"}, InputError, "'segments' cannot hold 'many'"),
        ({"title": "caf\udce9"}, InputError, "'title' cannot hold"),
        ({"vector": np.zeros(17)}, ShapeError, r"'vector' must have shape \(18\), got \(17,\)"),
        ({"vector": np.zeros((1, 18))}, ShapeError, r"got \(1, 18\)"),
        ({"vector": np.full(18, np.nan)}, InputError, "'vector' must be finite"),
    ],
)
def test_refusals(metadata, make_row, changes, error, match):
    with pytest.raises(error, match=match):
        row_batch(make_row("a") | changes, schema_of(metadata))


def test_a_list_of_halves_holds_what_a_half_holds(metadata, make_row):
    schema = schema_of(replace(metadata, lists={"heard_tags": 2}))
    kept = row_batch(make_row("a") | {"heard_tags": [0.5, 65_504.0]}, schema)
    assert kept.column("heard_tags").to_pylist() == [[0.5, 65_504.0]]
    with pytest.raises(InputError, match="'heard_tags' must be finite"):
        row_batch(make_row("a") | {"heard_tags": [0.5, 1e6]}, schema)


def test_features_need_one_row_a_segment():
    with pytest.raises(ShapeError, match=r"msd.tags must have shape \(3, D\), got \(2, 5\)"):
        feature_values("a", "h", np.zeros(3, np.float32), {"msd.tags": np.zeros((2, 5))})


def test_scores_of_another_number_of_classes(metadata):
    schema = schema_of(replace(metadata, kind=Kind.SCORES))
    values = {"song_id": "a", "content_hash": "h", "start_s": np.zeros(2), "extractor_id": "x"}
    with pytest.raises(ShapeError, match=r"'scores' must have shape \(T, 3\), got \(2, 4\)"):
        row_batch(values | {"scores": np.zeros((2, 4))}, schema)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"title": 5}, "'title' cannot hold 5: expected str, got int"),
        ({"segments": 2.0}, "'segments' cannot hold 2.0: expected Integral, got float"),
        ({"segments": True}, "'segments' cannot hold True"),
        ({"duration_s": "4"}, "'duration_s' cannot hold '4': expected Real"),
        ({"extracted_at": 0}, "'extracted_at' cannot hold 0: expected datetime"),
        ({"extracted_at": datetime(2026, 1, 1)}, "'extracted_at' cannot hold"),
    ],
)
def test_nothing_is_taken_for_another_type(metadata, make_row, changes, match):
    with pytest.raises(InputError, match=match):
        row_batch(make_row("a") | changes, schema_of(metadata))


def test_a_row_is_made_without_pandas(metadata, make_row):
    """Its import is a second of every run where it is installed."""
    script = (
        "import sys, pickle; from audiorec.store.records import row_batch\n"
        "from audiorec.store.schema import schema_of\n"
        "row, metadata = pickle.load(sys.stdin.buffer)\n"
        "row_batch(row, schema_of(metadata)).serialize(); print('pandas' in sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        input=pickle.dumps((make_row("a"), metadata)),
        capture_output=True,
        check=True,
    )
    assert result.stdout.strip() == b"False"
