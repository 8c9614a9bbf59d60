"""`audiorec.playlists.curves`, `draft` and `remarks`: curves kept, and what is said if not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiorec.playlists.curves import Curve, deviations, midpoints
from audiorec.playlists.playlist import PlaylistRequest, make_playlist, remarks
from audiorec.search.choice import Limit

UNIT = np.float32([[1, 0]])


def test_deviations_worked_by_hand():
    # Songs of 100, 300 and 100 seconds: their middles are 0.1, 0.5 and 0.9 of the whole.
    lengths = np.array([100.0, 300.0, 100.0])
    np.testing.assert_allclose(midpoints(lengths), [0.1, 0.5, 0.9])
    curves = [Curve(np.array([0.5, 0.2, 0.0, 0.9]), (0.0, 1.0)), Curve(np.ones(4), (0.25,))]
    found = deviations(np.array([1, 0, 3]), lengths, curves)
    np.testing.assert_allclose(found, [[0.1, 0.75], [0.0, 0.75], [0.0, 0.75]], atol=1e-12)
    assert deviations(np.array([1, 0, 3]), lengths, []).shape == (3, 0)


def scarce():
    """Twelve artists; of one alone are the four songs at the top, and four in the middle."""
    scores = np.concatenate([np.linspace(0, 0.55, 40), [0.6, 0.6, 0.65, 0.65], [0.9] * 4])
    artists = np.concatenate([np.arange(40) % 11, np.full(8, 11)]).astype(np.int32)
    units = np.repeat(UNIT, 48, axis=0)
    # The middle ones of the artist are nearest to the seeds: who goes song by song takes them.
    units[:40] = [0.8, 0.6]
    return units, scores, artists


def test_the_few_songs_of_the_end_are_kept_for_it():
    units, scores, artists = scarce()
    curve = Curve(scores, (0.0, 0.9), "metal")
    wish = PlaylistRequest(
        seconds=2_000,
        curves=[curve],
        artists=artists,
        gap=1,
        limits=[Limit(artists, 2, "artist")],
    )
    found = make_playlist(units, UNIT[0], np.full(48, 200.0), wish)
    assert found.within_tolerance
    assert scores[found.rows[-1]] == 0.9
    assert np.bincount(artists[found.rows]).max() <= 2
    off = deviations(found.rows, np.full(10, 200.0), [curve])
    # The best there is for ten songs: 0.9 for the last, 0.9 or 0.65 two before it.
    assert np.abs(off).mean() < 0.06
    lengths = np.full(48, 200.0)
    for note in remarks([""] * 48, found, lengths, wish, allowed=np.ones(48, np.bool_)):
        assert "at most 2 of one artist" in note


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 3), st.integers(1, 3), st.floats(10, 60))
def test_what_is_exchanged_keeps_all_rules(seed, gap, most, minutes):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(80, 4))
    units = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    durations, artists = rng.uniform(60, 400, 80), rng.integers(-1, 14, 80).astype(np.int32)
    allowed = rng.random(80) < 0.8
    curve = Curve(rng.beta(0.3, 2, 80), (0.1, 0.9, 0.1))
    wish = PlaylistRequest(
        seconds=60 * minutes,
        curves=[curve],
        artists=artists,
        gap=gap,
        limits=[Limit(artists, most)],
    )
    found = make_playlist(units, units[0], durations, wish, seeds=[0], allowed=allowed)
    rows = found.rows.tolist()
    assert len(rows) == len(set(rows))
    assert all(allowed[row] or row == 0 for row in rows)
    assert found.seconds == pytest.approx(durations[rows].sum())
    kinds = artists[rows].tolist()
    for place, kind in enumerate(kinds):
        assert kind == -1 or kinds.count(kind) <= most
        assert kind == -1 or kind not in kinds[max(0, place - gap) : place]


def remarks_of(scores, rows, points, *, limits=(), artists=None, gap=0, allowed=None):
    lengths = np.full(len(scores), 100.0)
    wish = PlaylistRequest(
        seconds=100.0 * len(rows),
        curves=[Curve(np.array(scores), points, "metal")],
        limits=limits,
        artists=artists,
        gap=gap,
    )
    found = make_playlist(np.repeat(UNIT, len(scores), axis=0), UNIT[0], lengths, wish)
    object.__setattr__(found, "rows", np.array(rows))
    allowed = np.ones(len(scores), np.bool_) if allowed is None else allowed
    return remarks(list("abcdefgh"), found, lengths, wish, allowed=allowed)


def test_remarks_name_place_depth_and_limit():
    scores = [0.9, 0.0, 0.05, 0.9, 0.9, 0.0]
    assert remarks_of(scores, [0, 3, 4], (0.9,)) == ()
    kinds = np.array([7, -1, 1, 7, 7, 2], np.int32)
    said = remarks_of(scores, [0, 1, 2, 3], (0.9,), limits=[Limit(kinds, 2, "artist")])
    where = "from 1:40 to 5:00 metal misses the curve, at worst 0.00 instead of 0.90"
    assert said == (f"{where}: songs that would fit are used up (at most 2 of one artist)",)
    said = remarks_of(scores, [0, 1, 3], (0.9,), artists=kinds, gap=2)
    assert said[0].endswith("(2 songs between two of one artist)")
    said = remarks_of(scores, [0, 1, 3], (0.9,), allowed=np.array([1, 1, 1, 1, 0, 1], np.bool_))
    assert said[0].endswith("no other eligible song has such a score")
    said = remarks_of(scores, [0, 1, 3], (0.9,))
    assert said[0].endswith("songs that would fit are less like the seeds, or of another length")
    said = remarks_of(scores, [1, 0, 2, 3], (0.9,))
    spans = [line.partition(" metal")[0] for line in said]
    assert spans == ["from 0:00 to 1:40", "from 3:20 to 5:00"]
