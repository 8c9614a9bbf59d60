"""Does the folk class find folk? Judged on artists of other classes whom others call folk too.

No audio labelled folk could be had. But some artists in GTZAN's blues, country and rock are
folk musicians as well, by the word of an encyclopedia, of an award for folk albums or of a
list of folk performers (decision 0019 names each). Nothing is learnt from their names, and
the scores judged here are of heads that have not heard the artist.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from lastfm_join import normalise
from scipy.stats import rankdata

from audiorec.evaluation.classification import by_song

FOLK_ARTISTS = (
    "ani difranco", "emmylou harris", "jethro tull", "kelly joe phelps", "neil young",
)  # fmt: skip
SAMPLES = 1000  # of the bootstrap

Float64Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def judge_folk(
    scores: npt.NDArray[np.floating],
    track: npt.NDArray[np.str_],
    artist: npt.NDArray[np.str_],
    *,
    folk: int,
) -> dict[str, Any]:
    """Return how well folk artists' tracks stand out by their mean folk score.

    Parameters
    ----------
    scores : ndarray, shape (n, C)
        Of segments.
    track, artist : ndarray, shape (n,), str
    folk : int
        Column of the class.

    Returns
    -------
    figures : dict
        ``auc`` with its interval over tracks, ``auc_by_artist``, ``tracks``, and the share of
        folk artists' and of others' tracks with folk first and among the first two.
    """
    mean, _, names = by_song(scores, np.zeros(len(scores), np.int64), track)
    first = np.unique(track, return_index=True)[1]
    artists = artist[first]
    is_folk = np.isin(artists, [normalise(name) for name in FOLK_ARTISTS])
    values, place = mean[:, folk], (mean > mean[:, [folk]]).sum(1)
    rng, drawn = np.random.default_rng(0), []
    for _ in range(SAMPLES):
        some = np.concatenate(
            [rng.choice(np.flatnonzero(part), part.sum()) for part in (is_folk, ~is_folk)]
        )
        drawn.append(area_under_curve(values[some], is_folk[some]))
    by_artist = {}
    for name in np.unique(artists[is_folk]):
        part = ~is_folk | (artists == name)
        by_artist[str(name)] = [
            int((artists == name).sum()),
            round(area_under_curve(values[part], is_folk[part]), 3),
        ]
    return {
        "tracks": [int(is_folk.sum()), len(names)],
        "auc": [area_under_curve(values, is_folk), *np.percentile(drawn, [2.5, 97.5]).tolist()],
        "auc_by_artist": by_artist,
        "first": [float((place[part] < 1).mean()) for part in (is_folk, ~is_folk)],
        "first_two": [float((place[part] < 2).mean()) for part in (is_folk, ~is_folk)],
    }


def area_under_curve(values: Float64Array, positive: Mask) -> float:
    """Return the chance that a positive is above a negative, ties counting half.

    Examples
    --------
    >>> area_under_curve(np.array([3.0, 1.0, 2.0, 1.0]), np.array([True, False, False, True]))
    0.625
    """
    n, others = int(positive.sum()), int((~positive).sum())
    above = rankdata(values)[positive].sum() - n * (n + 1) / 2
    return float(above / (n * others))
