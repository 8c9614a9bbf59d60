"""`audiorec.runs.report`: songs that score otherwise are seen, and chance is not."""

import numpy as np
import pytest
from made_runs import CLASSES, heard

from audiorec.runs.report import (
    BINS,
    CHANCE,
    LARGE,
    LEAST_INDEPENDENT,
    ScoreDistribution,
    _chi_squared,
    drifts,
    stability,
)


def drifted(before, now):
    return [one.name for one in drifts(before, now) if one.is_drift]


@pytest.mark.parametrize(("songs", "album"), [(60, 1), (400, 1), (1200, 10)])
def test_the_same_music_is_no_drift(songs, album):
    """Forty pairs of runs of one distribution: at one alarm in a thousand, none is likely."""
    rng = np.random.default_rng(songs)
    for _ in range(40):
        assert drifted(heard(songs, rng, album=album), heard(songs, rng, album=album)) == []


def test_songs_of_one_album_do_not_count_as_many():
    """Without albums the same songs are alarms: so it is the albums that matter."""
    rng = np.random.default_rng(5)
    pairs = [[heard(600, rng, album=12) for _ in range(2)] for _ in range(20)]
    assert not any(drifted(*pair) for pair in pairs)
    for pair in pairs:
        for one in pair:
            one.squares = one.songs
    assert sum(bool(drifted(*pair)) for pair in pairs) > 10


def test_another_mixture_and_other_scores_are_drift():
    rng = np.random.default_rng(0)
    before = heard(500, rng)
    assert "genre/jazz" in drifted(before, heard(500, rng, shares=(1, 6, 1)))
    assert set(drifted(before, heard(500, rng, sure=0.5))) == set(CLASSES)
    found = drifts(before, heard(500, rng, shares=(1, 6, 1)))
    assert found[0].psi == max(one.psi for one in found) > LARGE
    jazz = next(one for one in found if one.name == "genre/jazz")
    assert jazz.now > jazz.before + 0.2


def test_few_albums_say_nothing_and_unknown_classes_are_left_out():
    rng = np.random.default_rng(0)
    few = heard(int(LEAST_INDEPENDENT) - 1, rng)
    assert drifts(few, heard(500, rng)) == []
    other = heard(500, rng, classes=("mood/calm", "mood/wild", "genre/jazz"))
    assert [one.name for one in drifts(heard(500, rng), other)] == ["genre/jazz"]


def test_the_index_is_that_of_the_formula():
    before, now = np.full(BINS, 100), np.arange(BINS) * 10 + 15
    p, q = (x + 0.5 for x in (before, now))
    p, q = p / p.sum(), q / q.sum()
    expected = float(((q - p) * np.log(q / p)).sum())
    psi, n_bins = stability(before.tolist(), now.tolist())
    joined = [len(before) - 1, len(before)]  # the smallest two may be joined
    assert n_bins in joined or n_bins < BINS
    assert psi == pytest.approx(expected, rel=0.1)
    assert stability([5] * BINS, [5] * BINS)[0] == 0


def test_the_bound_of_chance_is_scipys():
    from scipy import stats

    assert _chi_squared(9, 14) == pytest.approx(stats.chi2.isf(CHANCE / 14, 9))


def test_runs_that_are_merged_are_one_run():
    rng = np.random.default_rng(0)
    parts = [heard(40, rng, album=4), heard(30, rng, album=3)]
    whole = ScoreDistribution()
    for part in parts:
        whole.merge(part)
    assert (whole.songs, whole.squares, whole.independent) == (70, 250, 70 * 70 / 250)
    assert whole.bins["genre/jazz"] == [
        sum(n) for n in zip(*(p.bins["genre/jazz"] for p in parts), strict=True)
    ]
    back = ScoreDistribution.from_dict(whole.to_dict())
    assert (back.songs, back.squares, back.bins) == (70, 250, whole.bins)
    assert back.mean("genre/folk") == pytest.approx(whole.mean("genre/folk"), abs=1e-6)
